/* counters.h - the counters of the broker: their names, and their rows for `stats` and Prometheus.
 *
 * A counter only grows. To add one, add a name here and a row in counters.c.
 */
#ifndef SSECAST_COUNTERS_H
#define SSECAST_COUNTERS_H

#include "ops/stats.h"

enum broker_counter {
    REQUESTS,
    PUBLISHES,
    EVENTS,
    DUPLICATES,
    SHUTDOWNS,
    ERRORS_BAD_JSON,
    ERRORS_BAD_REQUEST,
    ERRORS_UNKNOWN_OP,
    ERRORS_TOO_LARGE,
    ERRORS_FORBIDDEN,
    ERRORS_STORE_FAILED,
    ERRORS_BUSY,
    ERRORS_STATE_FULL,
    ERRORS_NOT_FOUND,
    REPLIES_DROPPED,
    FEED_MESSAGES,
    FEED_BYTES,
    WELCOMES,
    PAGES,
    PAGE_EVENTS,
    PAGE_GAPS,
    RESYNCS,
    SYNC_INVALID,
    ANSWERS_DROPPED,
    WORKERS_LOST,
    HANDSHAKES_FAILED,
    KEYS_REFUSED,
    SYNC_FORBIDDEN,
    IN_FLIGHT_EXCEEDED,
    BATCHES_STORED,
    BATCHES_OVERTAKEN,
    BATCHES_UNKNOWN,
    BATCHES_ADOPTED,
    EVENTS_ADOPTED,
    PRESENCE_MESSAGES,
    MEMBER_JOINS,
    MEMBER_LEAVES,
    BROKER_COUNTERS
};

extern const struct stat_row broker_counter_rows[BROKER_COUNTERS];

#endif
