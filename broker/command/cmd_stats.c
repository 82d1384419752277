/* stats: a flat object of counters and gauges: those of the broker, and the sums of its workers. */
#include "command/gauges.h"

static const char *const fields[] = {"op", "ref", NULL};

static void put_numbers(struct buf *reply, const struct stat_row *rows, const uint64_t *numbers,
                        int count)
{
    for (int i = 0; i < count; i++)
        if (!rows[i].no_sum)
            json_put_count(reply, rows[i].name, numbers[i]);
}

static int stats_run(const struct command_context *c, const struct command_request *r,
                     struct buf *reply, struct json_fault *fault)
{
    struct broker_numbers numbers;
    (void)r;
    (void)fault;
    numbers_read(c, &numbers);
    put_numbers(reply, broker_gauge_rows, numbers.gauges, BROKER_GAUGES);
    put_numbers(reply, broker_counter_rows, numbers.counters, BROKER_COUNTERS);
    put_numbers(reply, worker_gauge_rows, numbers.worker_gauges, WORKER_GAUGES);
    put_numbers(reply, worker_counter_rows, numbers.worker_counters, WORKER_COUNTERS);
    return 0;
}

const struct command cmd_stats = {
    .op = "stats", .keeps_limits = true, .of_all = true, .fields = fields, .run = stats_run};
