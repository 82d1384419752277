/* gauges.h - the current state of the broker as rows of numbers.
 *
 * `stats` and Prometheus read it. A counter that its module keeps itself (the store) is here, too.
 * To add a number, add a name here, and in gauges.c a row and a line that reads it.
 */
#ifndef SSECAST_GAUGES_H
#define SSECAST_GAUGES_H

#include "command/command.h"

enum broker_gauge {
    UPTIME_MS,
    STARTED_MS, /* unix time */
    BROKERS,
    BROKERS_MISSING,
    WORKERS,
    CONNECTIONS,
    SESSIONS,
    CHANNELS,
    BANS,
    HISTORY_EVENTS,
    HISTORY_BYTES,
    HISTORY_OLDEST,
    HISTORY_HEAD,
    HISTORY_OLDEST_MS, /* unix time */
    HISTORY_EVENTS_MAX,
    HISTORY_BYTES_MAX,
    HISTORY_AGE_MAX_MS,
    STATE_EVENTS,
    STATE_BYTES,
    STATE_EVENTS_MAX,
    STATE_BYTES_MAX,
    DESCRIPTORS,
    DESCRIPTORS_MAX,
    STORE_FILE_BYTES,
    STORE_USED_BYTES,
    STORE_COMMITS,
    STORE_COMMIT_US,
    STORE_WRITTEN_EVENTS,
    STORE_WRITTEN_BYTES,
    STORE_FAILURES,
    STORE_FAILING,
    BROKER_GAUGES
};

extern const struct stat_row broker_gauge_rows[BROKER_GAUGES];

void gauges_read(const struct command_context *c, uint64_t out[BROKER_GAUGES]);

/* The counters of all brokers of the cluster. */
void gauges_counters(const struct command_context *c, uint64_t out[BROKER_COUNTERS]);

/* All counters and gauges; those of workers are sums. */
struct broker_numbers {
    uint64_t gauges[BROKER_GAUGES];
    uint64_t counters[BROKER_COUNTERS];
    uint64_t worker_gauges[WORKER_GAUGES];
    uint64_t worker_counters[WORKER_COUNTERS];
};

void numbers_read(const struct command_context *c, struct broker_numbers *out);

#endif
