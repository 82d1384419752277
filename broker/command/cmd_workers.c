/* workers: lists workers under a lease with their counters, ordered by name, in pages (`after`). */
#include <errno.h>

#include "command/command.h"

static const char *const fields[] = {"op", "ref", "after", "limit", NULL};

static void put_worker(const struct command_context *c, struct buf *reply,
                       const struct listed *item)
{
    struct worker_info info;
    presence_describe_worker(item->value, &info);
    json_begin_object(reply, NULL);
    json_put_text(reply, "worker", item->name);
    json_put_count(reply, "connections", info.connections);
    json_put_int(reply, "silent_ms", c->clock_ms - info.heard_at);
    json_put_count(reply, "lag_events", info.lag_events);
    json_put_int(reply, "lag_ms", info.lag_ms);
    for (int i = 0; i < WORKER_GAUGES; i++)
        json_put_count(reply, worker_gauge_rows[i].name, info.gauges[i]);
    for (int i = 0; i < WORKER_COUNTERS; i++)
        json_put_count(reply, worker_counter_rows[i].name, info.counters[i]);
    json_end_object(reply);
}

static int workers_run(const struct command_context *c, const struct command_request *r,
                       struct buf *reply, struct json_fault *fault)
{
    struct listed items[COMMAND_LIST_MAX];
    struct listing list = {.items = items};
    if (command_read_page(r, &list, fault) != 0)
        return -EINVAL;

    presence_list_workers(c->presence, &list);
    json_begin_list(reply, "workers");
    for (size_t i = 0; i < list.count; i++)
        put_worker(c, reply, &list.items[i]);
    json_end_list(reply);
    json_put_flag(reply, "more", list.more);
    return 0;
}

const struct command cmd_workers = {
    .op = "workers", .of_all = true, .fields = fields, .run = workers_run};
