/* stats.h - the workers' counters and gauges: their names, and the order in which they travel to the broker.
 *
 * A counter only grows. Adding one is adding a row here, at the end; a broker ignores those it does not know.
 */
#ifndef SSECAST_STATS_H
#define SSECAST_STATS_H

#include <stdint.h>

enum worker_counter {
    STREAMS_OPENED,
    STREAMS_REFUSED, /* 400, 405: the request was wrong */
    STREAMS_SHED,    /* over a limit of connections: 200 + retry + close */
    STREAMS_BLOCKED, /* 204: the session was shut down */
    ENDS_CLIENT,
    ENDS_SHUTDOWN,
    ENDS_SLOW,
    ENDS_DRAIN,
    DELIVERIES,    /* events handed to a stream */
    BYTES_WRITTEN, /* to web servers, framing included */
    WRITES,        /* system calls that wrote to web servers */
    HEARTBEATS,
    GAPS_TOLD,              /* ssecast.gap events */
    REPLAYS_LOCAL,          /* resumes answered from the worker's own window */
    REPLAYS_BROKER,         /* pages of replay fetched from the broker */
    REPAIRS,                /* ranges of the feed that were missing and were fetched */
    PUBLISHES_HTTP,         /* requests to publish that were answered 200 */
    PUBLISHES_HTTP_REFUSED, /* and those that were not */
    REQUESTS_DROPPED,       /* connections that never became a request */
    STREAMS_UNAUTHORIZED,   /* 401: no token, or none that is accepted */
    STREAMS_FORBIDDEN,      /* 403: a channel that the token does not allow */
    ENDS_EXPIRED,           /* the token's time was over */
    SHED_ADDRESS,           /* of STREAMS_SHED: over max-per-address */
    SHED_RATE,              /* of STREAMS_SHED: over connect-rate */
    WORKER_COUNTERS
};

/* How a worker is at the moment; the same in all else. */
enum worker_gauge {
    GAUGE_STREAMS,      /* open */
    GAUGE_POSITION,     /* up to which it has the sequence */
    GAUGE_QUEUED_BYTES, /* wait for its readers */
    GAUGE_QUEUED_READERS,
    WORKER_GAUGES
};

struct counter_row {
    const char *name; /* as `stats` shows it */
    const char *help;
};

extern const struct counter_row worker_counter_rows[WORKER_COUNTERS];

#endif
