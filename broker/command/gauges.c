#include "command/gauges.h"

/* clang-format off */
const struct stat_row broker_gauge_rows[BROKER_GAUGES] = {
    [UPTIME_MS] = {.name = "uptime_ms", .help = "time since the start of the broker",
        .family = METRIC_NONE},
    [STARTED_MS] = {.name = "started_ms", .help = "start of the broker, unix time",
        .family = "ssecast_start_time_seconds", .decimals = 3, .gauge = true},
    [BROKERS] = {.name = "brokers",
        .help = "brokers on this sequence that are heard, this one included", .gauge = true},
    [BROKERS_MISSING] = {.name = "brokers_missing",
        .help = "brokers on this sequence that are silent", .gauge = true},
    [WORKERS] = {.name = "workers", .help = "workers under a lease", .gauge = true},
    [CONNECTIONS] = {.name = "connections", .help = "open streams of all workers", .gauge = true},
    [SESSIONS] = {.name = "sessions", .help = "sessions with a stream", .gauge = true},
    [CHANNELS] = {.name = "channels", .help = "channels with a stream", .gauge = true},
    [BANS] = {.name = "bans", .help = "banned sessions", .gauge = true},
    [HISTORY_EVENTS] = {.name = "history_events", .help = "events retained", .gauge = true},
    [HISTORY_BYTES] = {.name = "history_bytes",
        .help = "memory of retained events, as counted for history-bytes", .gauge = true},
    [HISTORY_OLDEST] = {.name = "history_oldest", .help = "seq of the oldest event retained",
        .family = METRIC_NONE},
    [HISTORY_HEAD] = {.name = "history_head", .help = "the last seq", .gauge = true},
    [HISTORY_OLDEST_MS] = {.name = "history_oldest_ms",
        .help = "unix time of the oldest event retained; now without one",
        .family = "ssecast_history_oldest_timestamp_seconds", .decimals = 3, .gauge = true},
    [HISTORY_EVENTS_MAX] = {.name = "history_events_max", .help = "history-events", .gauge = true},
    [HISTORY_BYTES_MAX] = {.name = "history_bytes_max", .help = "history-bytes", .gauge = true},
    [HISTORY_AGE_MAX_MS] = {.name = "history_age_max_ms", .help = "history-age",
        .family = "ssecast_history_age_max_seconds", .decimals = 3, .gauge = true},
    [STATE_EVENTS] = {.name = "state_events", .help = "keys in the current state", .gauge = true},
    [STATE_BYTES] = {.name = "state_bytes",
        .help = "memory of the current state, as counted for state-bytes", .gauge = true},
    [STATE_EVENTS_MAX] = {.name = "state_events_max", .help = "state-events", .gauge = true},
    [STATE_BYTES_MAX] = {.name = "state_bytes_max", .help = "state-bytes", .gauge = true},
    [DESCRIPTORS] = {.name = "descriptors", .help = "descriptors in use: connections and files",
        .gauge = true},
    [DESCRIPTORS_MAX] = {.name = "descriptors_max", .help = "limit of descriptors", .gauge = true},
    [STORE_FILE_BYTES] = {.name = "store_file_bytes",
        .help = "size of the store on disk; 0 with memory", .gauge = true},
    [STORE_USED_BYTES] = {.name = "store_used_bytes", .help = "used part of the store",
        .gauge = true},
    [STORE_COMMITS] = {.name = "store_commits", .help = "committed transactions of the store"},
    [STORE_COMMIT_US] = {.name = "store_commit_us", .help = "total time of these commits",
        .family = "ssecast_store_commit_seconds_total", .decimals = 6},
    [STORE_WRITTEN_EVENTS] = {.name = "store_written_events",
        .help = "events written to the store"},
    [STORE_WRITTEN_BYTES] = {.name = "store_written_bytes", .help = "bytes of these events"},
    [STORE_FAILURES] = {.name = "store_failures", .help = "failed transactions of the store"},
    [STORE_FAILING] = {.name = "store_failing", .help = "1: the last events could not be stored",
        .gauge = true},
};
/* clang-format on */

static void read_history(const struct command_context *c, uint64_t *out)
{
    const struct history *h = sequence_history(c->sequence);
    struct event *oldest;
    uint64_t upto;
    out[HISTORY_EVENTS] = history_count(h);
    out[HISTORY_BYTES] = history_bytes(h);
    out[HISTORY_OLDEST] = history_oldest(h);
    out[HISTORY_HEAD] = history_head(h);
    bool any = history_read(h, NULL, 0, &oldest, 1, 1, &upto) > 0;
    out[HISTORY_OLDEST_MS] = (uint64_t)(any ? oldest->time_ms : c->now_ms);
    out[HISTORY_EVENTS_MAX] = c->history_events;
    out[HISTORY_BYTES_MAX] = c->history_bytes;
    out[HISTORY_AGE_MAX_MS] = c->history_age_ms;
}

static void read_state(const struct command_context *c, uint64_t *out)
{
    const struct state *state = sequence_state(c->sequence);
    out[STATE_EVENTS] = state_count(state);
    out[STATE_BYTES] = state_bytes(state);
    out[STATE_EVENTS_MAX] = c->limits.state.events;
    out[STATE_BYTES_MAX] = c->limits.state.bytes;
}

static uint64_t count_missing(const struct cluster *cluster)
{
    struct slice name;
    uint64_t count = 0;
    for (const void *at = NULL; (at = cluster_next_missing(cluster, at, &name));)
        count++;
    return count;
}

static void read_store(const struct command_context *c, uint64_t *out)
{
    struct store_stats store = c->journal ? journal_stats(c->journal) : store_stats(c->store);
    out[STORE_FILE_BYTES] = store.file_bytes;
    out[STORE_USED_BYTES] = store.used_bytes;
    out[STORE_COMMITS] = store.commits;
    out[STORE_COMMIT_US] = store.commit_us;
    out[STORE_WRITTEN_EVENTS] = store.written_events;
    out[STORE_WRITTEN_BYTES] = store.written_bytes;
    out[STORE_FAILURES] = store.failures;
    out[STORE_FAILING] = c->store_failing;
}

void gauges_read(const struct command_context *c, uint64_t out[BROKER_GAUGES])
{
    out[UPTIME_MS] = (uint64_t)c->uptime_ms;
    out[STARTED_MS] = (uint64_t)(c->now_ms - c->uptime_ms);
    out[BROKERS] = c->cluster ? cluster_brokers(c->cluster) : 1;
    out[BROKERS_MISSING] = count_missing(c->cluster);
    out[WORKERS] = presence_workers(c->presence);
    out[CONNECTIONS] = presence_connections(c->presence);
    out[SESSIONS] = presence_sessions(c->presence);
    out[CHANNELS] = presence_channels(c->presence);
    out[DESCRIPTORS] = c->descriptors ? c->descriptors->open : 0;
    out[DESCRIPTORS_MAX] = c->descriptors ? c->descriptors->max : 0;
    out[BANS] = bans_count(sequence_bans(c->sequence));
    read_history(c, out);
    read_state(c, out);
    read_store(c, out);
}

void gauges_counters(const struct command_context *c, uint64_t out[BROKER_COUNTERS])
{
    memcpy(out, c->counters, BROKER_COUNTERS * sizeof *out);
    cluster_add_counters(c->cluster, out);
}

void numbers_read(const struct command_context *c, struct broker_numbers *out)
{
    gauges_read(c, out->gauges);
    gauges_counters(c, out->counters);
    presence_gauges(c->presence, out->worker_gauges);
    presence_counters(c->presence, out->worker_counters);
}
