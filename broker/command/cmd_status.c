/* status: the numbers of the status page and of `ssecast top`, which request it each second. Its
 * cost does not depend on the number of connections. */
#include <errno.h>

#include "command/command.h"
#include "command/gauges.h"
#include "presence/describe.h"

static const char *const fields[] = {"op", "ref", "seconds", NULL};

#define WORKERS_MAX 100u
#define TOP_SESSIONS 10u

static void put_connected(const struct command_context *c, struct buf *reply)
{
    json_put_text(reply, "version", slice_of(SSECAST_VERSION));
    json_put_int(reply, "now", c->now_ms);
    json_put_int(reply, "uptime_ms", c->uptime_ms);
    json_put_count(reply, "head", sequence_head(c->sequence));
    json_put_count(reply, "connections", presence_connections(c->presence));
    json_put_count(reply, "sessions", presence_sessions(c->presence));
    json_put_count(reply, "channels", presence_channels(c->presence));
}

/* --- over time --- */

static void put_seconds(struct buf *reply, const char *name, const struct overview_second *seconds,
                        size_t count, size_t offset)
{
    json_begin_list(reply, name);
    for (size_t i = 0; i < count; i++)
        json_put_count(reply, NULL,
                       *(const uint64_t *)(const void *)((const char *)&seconds[i] + offset));
    json_end_list(reply);
}

static void put_over_time(const struct overview *overview, size_t max, struct buf *reply)
{
    struct overview_second seconds[OVERVIEW_SAMPLES];
    int64_t until_ms;
    size_t count = overview_read(overview, seconds, max, &until_ms);
    json_begin_object(reply, "over_time");
    json_put_int(reply, "until", until_ms);
    put_seconds(reply, "connections", seconds, count,
                offsetof(struct overview_second, connections));
    put_seconds(reply, "events", seconds, count, offsetof(struct overview_second, events));
    put_seconds(reply, "deliveries", seconds, count, offsetof(struct overview_second, deliveries));
    json_end_object(reply);
}

/* The reply has no percentile without deliveries, and none beyond the measured range. */
static void put_latency(const struct overview *overview, struct buf *reply)
{
    static const struct {
        const char *name;
        unsigned percent;
    } rows[] = {{"p50_ms", 50}, {"p95_ms", 95}, {"p99_ms", 99}};
    json_begin_object(reply, "latency");
    json_put_flag(reply, "measured", overview_latency(overview, 50) != 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t ms = overview_latency(overview, rows[i].percent);
        if (ms && ms != UINT32_MAX)
            json_put_count(reply, rows[i].name, ms);
    }
    json_end_object(reply);
}

/* --- workers --- */

static void put_worker(const struct command_context *c, struct buf *reply,
                       const struct listed *item)
{
    struct worker_info info;
    presence_describe_worker(item->value, &info);
    json_begin_object(reply, NULL);
    json_put_text(reply, "worker", item->name);
    json_put_count(reply, "connections", info.gauges[GAUGE_STREAMS]);
    json_put_count(reply, "lag_events", info.lag_events);
    json_put_int(reply, "lag_ms", info.lag_ms);
    json_put_count(reply, "queued_bytes", info.gauges[GAUGE_QUEUED_BYTES]);
    json_put_count(reply, "slow_readers", info.gauges[GAUGE_QUEUED_READERS]);
    json_put_int(reply, "silent_ms", c->clock_ms - info.heard_at);
    json_end_object(reply);
}

static void put_workers(const struct command_context *c, struct buf *reply)
{
    struct listed items[WORKERS_MAX];
    struct listing list = {.items = items, .max = WORKERS_MAX};
    presence_list_workers(c->presence, &list);
    json_put_count(reply, "workers_count", presence_workers(c->presence));
    json_begin_list(reply, "workers");
    for (size_t i = 0; i < list.count; i++)
        put_worker(c, reply, &list.items[i]);
    json_end_list(reply);
}

/* --- history and store --- */

static void put_history(const uint64_t gauges[BROKER_GAUGES], int64_t now_ms, struct buf *reply)
{
    uint64_t now = (uint64_t)now_ms, oldest = gauges[HISTORY_OLDEST_MS];
    json_begin_object(reply, "history");
    json_put_count(reply, "events", gauges[HISTORY_EVENTS]);
    json_put_count(reply, "events_max", gauges[HISTORY_EVENTS_MAX]);
    json_put_count(reply, "bytes", gauges[HISTORY_BYTES]);
    json_put_count(reply, "bytes_max", gauges[HISTORY_BYTES_MAX]);
    json_put_count(reply, "age_ms", now > oldest ? now - oldest : 0);
    json_put_count(reply, "age_max_ms", gauges[HISTORY_AGE_MAX_MS]);
    json_end_object(reply);
}

static void put_store(const uint64_t gauges[BROKER_GAUGES], const char *kind, struct buf *reply)
{
    json_begin_object(reply, "store");
    json_put_text(reply, "kind", slice_of(kind));
    json_put_flag(reply, "failing", gauges[STORE_FAILING] != 0);
    json_put_count(reply, "file_bytes", gauges[STORE_FILE_BYTES]);
    json_put_count(reply, "used_bytes", gauges[STORE_USED_BYTES]);
    json_put_count(reply, "commits", gauges[STORE_COMMITS]);
    json_put_count(reply, "commit_us", gauges[STORE_COMMIT_US]);
    json_put_count(reply, "failures", gauges[STORE_FAILURES]);
    json_end_object(reply);
}

/* --- sessions and ends --- */

static void put_top_sessions(const struct presence *p, struct buf *reply)
{
    struct top_session top[TOP_SESSIONS];
    size_t count = presence_top_sessions(p, top, TOP_SESSIONS);
    json_begin_list(reply, "sessions_top");
    for (size_t i = 0; i < count; i++) {
        json_begin_object(reply, NULL);
        json_put_text(reply, "session", top[i].session);
        json_put_count(reply, "connections", top[i].connections);
        json_end_object(reply);
    }
    json_end_list(reply);
}

static void put_ends(const struct overview *overview, struct buf *reply)
{
    const struct overview_end *end;
    json_begin_list(reply, "ends");
    for (size_t i = 0; (end = overview_end(overview, i)); i++) {
        json_begin_object(reply, NULL);
        json_put_int(reply, "at", end->at_ms);
        json_put_text(reply, "cause", slice_of(end->cause));
        json_put_count(reply, "count", end->count);
        describe_session(reply, (struct slice){end->session, end->session_len});
        json_put_text(reply, "worker", (struct slice){end->worker, end->worker_len});
        json_end_object(reply);
    }
    json_end_list(reply);
}

/* --- counters --- */

static const enum broker_counter broker_shown[] = {PUBLISHES, EVENTS,          DUPLICATES,
                                                   SHUTDOWNS, REPLIES_DROPPED, WORKERS_LOST};
static const enum worker_counter worker_shown[] = {
    DELIVERIES,    BYTES_WRITTEN,  STREAMS_OPENED, STREAMS_REFUSED, STREAMS_SHED,
    ENDS_CLIENT,   ENDS_SHUTDOWN,  ENDS_SLOW,      ENDS_DRAIN,      GAPS_TOLD,
    REPLAYS_LOCAL, REPLAYS_BROKER, REPAIRS};

static void put_counters(const struct command_context *c, struct buf *reply)
{
    uint64_t counters[BROKER_COUNTERS], workers[WORKER_COUNTERS];
    gauges_counters(c, counters);
    presence_counters(c->presence, workers);
    json_begin_object(reply, "counters");
    for (size_t i = 0; i < sizeof broker_shown / sizeof broker_shown[0]; i++)
        json_put_count(reply, broker_counter_rows[broker_shown[i]].name, counters[broker_shown[i]]);
    for (size_t i = 0; i < sizeof worker_shown / sizeof worker_shown[0]; i++)
        json_put_count(reply, worker_counter_rows[worker_shown[i]].name, workers[worker_shown[i]]);
    json_end_object(reply);
}

static const char *store_kind(const struct command_context *c)
{
    if (c->journal)
        return "jetstream";
    return c->store ? "directory" : "memory";
}

static int status_run(const struct command_context *c, const struct command_request *r,
                      struct buf *reply, struct json_fault *fault)
{
    uint64_t seconds = OVERVIEW_SAMPLES, gauges[BROKER_GAUGES];
    if (json_get_count(r->object, "seconds", 0, OVERVIEW_SAMPLES, &seconds, fault) != 0)
        return -EINVAL;
    gauges_read(c, gauges);
    put_connected(c, reply);
    put_over_time(c->overview, (size_t)seconds, reply);
    put_latency(c->overview, reply);
    put_workers(c, reply);
    put_history(gauges, c->now_ms, reply);
    put_store(gauges, store_kind(c), reply);
    put_top_sessions(c->presence, reply);
    put_ends(c->overview, reply);
    put_counters(c, reply);
    return 0;
}

const struct command cmd_status = {
    .op = "status", .of_all = true, .fields = fields, .run = status_run};
