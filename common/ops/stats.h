/* stats.h - the workers' counters and gauges: their names, and their order in messages to the
 * broker.
 *
 * A counter only grows; a gauge is a current value. New ones are added at the end. A broker ignores
 * those that it does not know.
 */
#ifndef SSECAST_STATS_H
#define SSECAST_STATS_H

#include <stdbool.h>
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
    ENDS_REPLACED,          /* replaced by a newer stream of its session */
    LATENCY_1,              /* live deliveries by the time from publish to write, ms; each once */
    LATENCY_2,
    LATENCY_5,
    LATENCY_10,
    LATENCY_25,
    LATENCY_50,
    LATENCY_100,
    LATENCY_250,
    LATENCY_500,
    LATENCY_1000,
    LATENCY_2500,
    LATENCY_5000,
    LATENCY_MORE,
    LATENCY_SUM_MS,
    STREAMS_BEHIND,   /* a live stream had over queue-bytes waiting; it went on from the window */
    CONFLATED,        /* superseded events that a resuming or slow stream was spared */
    HANDOFFS,         /* sockets of browsers that Apache passed */
    HANDOFFS_EXPIRED, /* no socket came in time */
    HANDOFFS_REFUSED, /* of another user, or not one TCP socket */
    ANSWERS_CUT,      /* large ones whose readers took nothing, when too many waited */
    WORKER_COUNTERS
};

#define LATENCY_FIRST LATENCY_1
#define LATENCY_BUCKETS (LATENCY_MORE - LATENCY_FIRST + 1)

/* The upper ends of all buckets but the last. */
extern const uint32_t latency_bounds_ms[LATENCY_BUCKETS - 1];

/* Current values of a worker. */
enum worker_gauge {
    GAUGE_STREAMS,      /* open */
    GAUGE_POSITION,     /* up to which it has the sequence */
    GAUGE_QUEUED_BYTES, /* wait for its readers */
    GAUGE_QUEUED_READERS,
    GAUGE_STREAMS_MAX,
    GAUGE_WINDOW_EVENTS,
    GAUGE_WINDOW_BYTES,
    GAUGE_STARTED_MS, /* unix time */
    WORKER_GAUGES
};

/* A number as `stats` and Prometheus (metrics.h) show it. */
struct stat_row {
    const char *name; /* in `stats` */
    const char *help;
    /* The metric's name; NULL: ssecast_<name>, with _total for a counter; or METRIC_NONE. */
    const char *family;
    const char *labels; /* cause="slow" */
    /* Of the whole family, in its first row, where help is about this label only. */
    const char *family_help;
    uint8_t decimals; /* digits behind the point in the family's unit: 3 for ms, 6 for us */
    bool gauge;       /* else a counter */
    /* A counter that is also exported for each worker, as ssecast_worker_...; gauges always are. */
    bool each_worker;
    bool no_sum; /* a gauge whose sum over the workers has no meaning */
};

#define METRIC_NONE "" /* exported in another way, or not at all */

extern const struct stat_row worker_counter_rows[WORKER_COUNTERS];
extern const struct stat_row worker_gauge_rows[WORKER_GAUGES];

#endif
