#include "ops/stats.h"

const uint32_t latency_bounds_ms[LATENCY_BUCKETS - 1] = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000};

#define TURNED_AWAY "ssecast_streams_turned_away_total"
#define ENDS "ssecast_stream_ends_total"
#define REPLAYS "ssecast_replays_total"
#define SHED "ssecast_streams_shed_by_limit_total"
#define LATENCY "live deliveries by the time from publish to write"

/* clang-format off */
const struct stat_row worker_counter_rows[WORKER_COUNTERS] = {
    [STREAMS_OPENED] = {.name = "streams_opened", .help = "streams that were opened"},
    [STREAMS_REFUSED] = {.name = "streams_refused", .help = "requests answered 400 or 405",
        .family = TURNED_AWAY, .labels = "reason=\"refused\"",
        .family_help = "requests for a stream that opened none: wrong (400, 405), over a limit (200, retry, close), shut down (204), without a good token (401, 403)"},
    [STREAMS_SHED] = {.name = "streams_shed", .help = "streams turned away at a connection limit (200, retry, close)",
        .family = TURNED_AWAY, .labels = "reason=\"shed\""},
    [STREAMS_BLOCKED] = {.name = "streams_blocked", .help = "streams answered 204 after a shutdown",
        .family = TURNED_AWAY, .labels = "reason=\"blocked\""},
    [ENDS_CLIENT] = {.name = "ends_client", .help = "streams ended by the client",
        .family = ENDS, .labels = "cause=\"client\"", .family_help = "streams that ended, by cause"},
    [ENDS_SHUTDOWN] = {.name = "ends_shutdown", .help = "streams ended by the shutdown command",
        .family = ENDS, .labels = "cause=\"shutdown\""},
    [ENDS_SLOW] = {.name = "ends_slow", .help = "streams cut because the reader was too slow",
        .family = ENDS, .labels = "cause=\"slow\""},
    [ENDS_DRAIN] = {.name = "ends_drain", .help = "streams ended because their worker stopped",
        .family = ENDS, .labels = "cause=\"drain\""},
    [DELIVERIES] = {.name = "deliveries", .help = "events handed to a stream", .each_worker = true},
    [BYTES_WRITTEN] = {.name = "bytes_written", .help = "bytes written to web servers, framing included",
        .family = "ssecast_written_bytes_total", .each_worker = true},
    [WRITES] = {.name = "writes", .help = "system calls that wrote to web servers"},
    [HEARTBEATS] = {.name = "heartbeats", .help = "keep-alive comments and checkpoints sent"},
    [GAPS_TOLD] = {.name = "gaps_told", .help = "ssecast.gap events sent"},
    [REPLAYS_LOCAL] = {.name = "replays_local", .help = "resumes answered from a worker's own window",
        .family = REPLAYS, .labels = "from=\"worker\"",
        .family_help = "replays: resumes answered from a worker's own window, and pages that workers fetched from the broker"},
    [REPLAYS_BROKER] = {.name = "replays_broker", .help = "pages of replay that a worker fetched for a stream",
        .family = REPLAYS, .labels = "from=\"broker\""},
    [REPAIRS] = {.name = "repairs", .help = "pages of the feed that were missing and were fetched",
        .family = "ssecast_feed_repairs_total", .each_worker = true},
    [PUBLISHES_HTTP] = {.name = "publishes_http", .help = "publish requests over HTTP that succeeded"},
    [PUBLISHES_HTTP_REFUSED] = {.name = "publishes_http_refused", .help = "publish requests over HTTP that failed"},
    [REQUESTS_DROPPED] = {.name = "requests_dropped", .help = "connections that never became a request"},
    [STREAMS_UNAUTHORIZED] = {.name = "streams_unauthorized", .help = "requests answered 401: no token, or none that is accepted",
        .family = TURNED_AWAY, .labels = "reason=\"unauthorized\""},
    [STREAMS_FORBIDDEN] = {.name = "streams_forbidden", .help = "requests answered 403: a channel that the token does not allow",
        .family = TURNED_AWAY, .labels = "reason=\"forbidden\""},
    [ENDS_EXPIRED] = {.name = "ends_expired", .help = "streams ended because their token expired",
        .family = ENDS, .labels = "cause=\"expired\""},
    [SHED_ADDRESS] = {.name = "shed_address", .help = "of streams_shed, those over max-per-address",
        .family = SHED, .labels = "limit=\"max-per-address\"", .family_help = "of the streams that were shed, those at these limits"},
    [SHED_RATE] = {.name = "shed_rate", .help = "of streams_shed, those over connect-rate",
        .family = SHED, .labels = "limit=\"connect-rate\""},
    [ENDS_REPLACED] = {.name = "ends_replaced", .help = "streams replaced by a newer one (max-per-session)",
        .family = ENDS, .labels = "cause=\"replaced\""},
    [LATENCY_1] = {.name = "latency_1ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_2] = {.name = "latency_2ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_5] = {.name = "latency_5ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_10] = {.name = "latency_10ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_25] = {.name = "latency_25ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_50] = {.name = "latency_50ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_100] = {.name = "latency_100ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_250] = {.name = "latency_250ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_500] = {.name = "latency_500ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_1000] = {.name = "latency_1000ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_2500] = {.name = "latency_2500ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_5000] = {.name = "latency_5000ms", .help = LATENCY, .family = METRIC_NONE},
    [LATENCY_MORE] = {.name = "latency_more", .help = "live deliveries that took longer", .family = METRIC_NONE},
    [LATENCY_SUM_MS] = {.name = "latency_sum_ms", .help = "sum of the times of all live deliveries", .family = METRIC_NONE},
    [STREAMS_BEHIND] = {.name = "streams_behind", .help = "times a stream exceeded queue-bytes and continued from the window"},
    [CONFLATED] = {.name = "conflated", .help = "superseded events that slow or resuming streams were spared"},
    [HANDOFFS] = {.name = "handoffs", .help = "browser sockets taken over from Apache"},
    [HANDOFFS_EXPIRED] = {.name = "handoffs_expired", .help = "hand-offs for which Apache passed no socket in time"},
    [HANDOFFS_REFUSED] = {.name = "handoffs_refused", .help = "hand-offs refused: another user, or not a TCP socket"},
};

const struct stat_row worker_gauge_rows[WORKER_GAUGES] = {
    [GAUGE_STREAMS] = {.name = "streams", .help = "streams that are open", .gauge = true, .no_sum = true},
    [GAUGE_POSITION] = {.name = "position", .help = "last seq of the worker's complete sequence", .gauge = true, .no_sum = true},
    [GAUGE_QUEUED_BYTES] = {.name = "queued_bytes", .help = "bytes queued for slow readers", .gauge = true},
    [GAUGE_QUEUED_READERS] = {.name = "queued_readers", .help = "streams with bytes queued for a slow reader", .gauge = true},
    [GAUGE_STREAMS_MAX] = {.name = "streams_max", .help = "limit of open streams (max-connections)", .gauge = true},
    [GAUGE_WINDOW_EVENTS] = {.name = "window_events", .help = "events in the worker's window", .gauge = true, .no_sum = true},
    [GAUGE_WINDOW_BYTES] = {.name = "window_bytes", .help = "memory of the worker's window", .gauge = true, .no_sum = true},
    [GAUGE_STARTED_MS] = {.name = "started_ms", .help = "when the worker was started, unix time",
        .family = "ssecast_worker_start_time_seconds", .decimals = 3, .gauge = true, .no_sum = true},
};
/* clang-format on */
