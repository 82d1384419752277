#include "stats.h"

const struct counter_row worker_counter_rows[WORKER_COUNTERS] = {
    [STREAMS_OPENED] = {"streams_opened", "streams that were opened"},
    [STREAMS_REFUSED] = {"streams_refused", "requests answered 400 or 405"},
    [STREAMS_SHED] = {"streams_shed", "streams turned away at a connection limit (200, retry, close)"},
    [STREAMS_BLOCKED] = {"streams_blocked", "streams answered 204 after a shutdown"},
    [ENDS_CLIENT] = {"ends_client", "streams that the client left"},
    [ENDS_SHUTDOWN] = {"ends_shutdown", "streams ended by the shutdown command"},
    [ENDS_SLOW] = {"ends_slow", "streams cut because too much was waiting for them, or because they took nothing"},
    [ENDS_DRAIN] = {"ends_drain", "streams ended because their worker stopped"},
    [DELIVERIES] = {"deliveries", "events handed to a stream"},
    [BYTES_WRITTEN] = {"bytes_written", "bytes written to web servers, framing included"},
    [WRITES] = {"writes", "system calls that wrote to web servers"},
    [HEARTBEATS] = {"heartbeats", "keep-alive comments and checkpoints sent"},
    [GAPS_TOLD] = {"gaps_told", "ssecast.gap events sent"},
    [REPLAYS_LOCAL] = {"replays_local", "resumes answered from a worker's own window"},
    [REPLAYS_BROKER] = {"replays_broker", "pages of replay that a worker fetched for a stream"},
    [REPAIRS] = {"repairs", "pages of the feed that were missing and were fetched"},
    [PUBLISHES_HTTP] = {"publishes_http", "requests to publish over HTTP that were carried out"},
    [PUBLISHES_HTTP_REFUSED] = {"publishes_http_refused", "requests to publish over HTTP that were refused or failed"},
    [REQUESTS_DROPPED] = {"requests_dropped", "connections that never became a request"},
};
