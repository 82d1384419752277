/* metrics: all counters and gauges as text for Prometheus. */
#include <errno.h>

#include "command/gauges.h"
#include "ops/metrics.h"

static const char *const fields[] = {"op", "ref", NULL};

static size_t describe_workers(const struct command_context *c,
                               struct metrics_worker out[METRICS_WORKERS_MAX])
{
    struct listed items[METRICS_WORKERS_MAX];
    struct listing list = {.items = items, .max = METRICS_WORKERS_MAX};
    struct worker_info info;
    presence_list_workers(c->presence, &list);
    for (size_t i = 0; i < list.count; i++) {
        presence_describe_worker(items[i].value, &info);
        out[i] = (struct metrics_worker){
            .name = items[i].name,
            .counters = info.counters,
            .gauges = info.gauges,
            .heard = true,
            .silent_ms = c->clock_ms - info.heard_at,
            .lag_events = info.lag_events,
            .lag_ms = info.lag_ms,
        };
    }
    return list.count;
}

/* Counts from before this broker started are subtracted: Prometheus would take them for new
 * events. */
static void put_all(const struct command_context *c, struct metrics *m)
{
    struct metrics_worker workers[METRICS_WORKERS_MAX];
    struct broker_numbers numbers;
    uint64_t before[WORKER_COUNTERS];
    numbers_read(c, &numbers);
    presence_counted_before(c->presence, before);
    for (int i = 0; i < WORKER_COUNTERS; i++)
        numbers.worker_counters[i] -= before[i];
    metrics_up(m, true);
    metrics_build(m);
    metrics_rows(m, broker_gauge_rows, BROKER_GAUGES, numbers.gauges);
    metrics_rows(m, broker_counter_rows, BROKER_COUNTERS, numbers.counters);
    metrics_rows(m, worker_gauge_rows, WORKER_GAUGES, numbers.worker_gauges);
    metrics_rows(m, worker_counter_rows, WORKER_COUNTERS, numbers.worker_counters);
    metrics_latency(m, numbers.worker_counters);
    metrics_workers(m, workers, describe_workers(c, workers));
}

static int metrics_run(const struct command_context *c, const struct command_request *r,
                       struct buf *reply, struct json_fault *fault)
{
    struct metrics m;
    (void)r;
    (void)fault;
    if (metrics_begin(&m) == 0) {
        put_all(c, &m);
        json_put_text(reply, "text", metrics_end(&m));
    } else {
        reply->failed = true;
    }
    metrics_release(&m);
    return 0;
}

const struct command cmd_metrics = {
    .op = "metrics", .keeps_limits = true, .fields = fields, .run = metrics_run};
