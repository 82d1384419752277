/* metrics.h - numbers as a text for Prometheus (exposition format 0.0.4).
 *
 * The rows of stats.h say how each number is called there; what the numbers are is the caller's business. The broker writes the whole system's text,
 * a worker without a broker its own part of it, and both look alike.
 *
 * Ownership: the text belongs to the struct, until metrics_release().
 */
#ifndef SSECAST_METRICS_H
#define SSECAST_METRICS_H

#include <stddef.h>
#include <stdio.h>

#include "base/slice.h"
#include "ops/stats.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_WORKERS_MAX 64u /* that are told one by one */

struct metrics {
    FILE *file;
    char *data;
    size_t len;
};

/* One worker's own numbers. */
struct metrics_worker {
    struct slice name;
    const uint64_t *counters, *gauges;
    bool heard; /* by the broker that tells: then these are known too */
    int64_t silent_ms;
    uint64_t lag_events;
    int64_t lag_ms;
};

/* 0 or -ENOMEM. */
int metrics_begin(struct metrics *m);

/* The whole text; empty when there was no memory for it. Nothing can be added after it. */
struct slice metrics_end(struct metrics *m);

/* Safe on a zeroed one, and at any time. */
void metrics_release(struct metrics *m);

/* 1: the numbers are the system's. 0: they are one worker's, which has no broker at the moment. */
void metrics_up(struct metrics *m, bool up);

/* The version of this program, which is told by the broker. */
void metrics_build(struct metrics *m);

/* Every row that has a family: rows of the same family together, wherever they stand. numbers are in the order of the rows. */
void metrics_rows(struct metrics *m, const struct stat_row *rows, size_t count, const uint64_t *numbers);

/* The histogram that is among the workers' counters. */
void metrics_latency(struct metrics *m, const uint64_t counters[WORKER_COUNTERS]);

/* What is told of each worker, as ssecast_worker_...{worker="NAME"}. */
void metrics_workers(struct metrics *m, const struct metrics_worker *workers, size_t count);

#endif
