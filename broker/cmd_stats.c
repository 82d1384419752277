/* stats: one flat object of counters and gauges; the broker's own and the sum of its workers'. */
#include "command.h"

static const char *const fields[] = {"op", "ref", NULL};

static const struct {
    const char *name;
    size_t offset;
} store_rows[] = {
    {"store_file_bytes", offsetof(struct store_stats, file_bytes)},
    {"store_used_bytes", offsetof(struct store_stats, used_bytes)},
    {"store_commits", offsetof(struct store_stats, commits)},
    {"store_commit_us", offsetof(struct store_stats, commit_us)},
    {"store_failures", offsetof(struct store_stats, failures)},
};

static void put_store(const struct command_context *c, struct json_out *reply)
{
    struct store_stats stats = store_stats(c->store);
    for (size_t i = 0; i < sizeof store_rows / sizeof *store_rows; i++)
        json_put_count(reply, store_rows[i].name, *(const uint64_t *)((const char *)&stats + store_rows[i].offset));
}

static void put_gauges(const struct command_context *c, struct json_out *reply)
{
    const struct history *h = sequence_history(c->sequence);
    json_put_int(reply, "uptime_ms", c->uptime_ms);
    json_put_count(reply, "workers", presence_workers(c->presence));
    json_put_count(reply, "connections", presence_connections(c->presence));
    json_put_count(reply, "sessions", presence_sessions(c->presence));
    json_put_count(reply, "channels", presence_channels(c->presence));
    json_put_count(reply, "history_events", history_count(h));
    json_put_count(reply, "history_bytes", history_bytes(h));
    json_put_count(reply, "history_oldest", history_oldest(h));
    json_put_count(reply, "history_head", history_head(h));
}

static int run(const struct command_context *c, const struct command_request *r, struct json_out *reply,
               struct json_fault *fault)
{
    uint64_t workers[WORKER_COUNTERS];
    (void)r;
    (void)fault;
    put_gauges(c, reply);
    put_store(c, reply);
    for (int i = 0; i < BROKER_COUNTERS; i++)
        json_put_count(reply, broker_counter_rows[i].name, c->counters[i]);
    presence_counters(c->presence, workers);
    for (int i = 0; i < WORKER_COUNTERS; i++)
        json_put_count(reply, worker_counter_rows[i].name, workers[i]);
    return 0;
}

const struct command cmd_stats = {.op = "stats", .fields = fields, .run = run};
