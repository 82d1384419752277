/* metrics.h - writes metrics for Prometheus (text exposition format 0.0.4).
 *
 * The rows of stats.h name the metrics; the caller has the numbers. The broker writes the metrics
 * of the whole system. A worker without a broker writes its own, in the same form.
 *
 * Ownership: the text belongs to the struct until metrics_release().
 */
#ifndef SSECAST_METRICS_H
#define SSECAST_METRICS_H

#include <stddef.h>
#include <stdio.h>

#include "base/slice.h"
#include "ops/stats.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_WORKERS_MAX 64u /* workers that are reported one by one */

struct metrics {
    FILE *file;
    char *data;
    size_t len;
};

/* The numbers of one worker. */
struct metrics_worker {
    struct slice name;
    const uint64_t *counters, *gauges;
    bool heard; /* the reporting broker has heard it: the following are known */
    int64_t silent_ms;
    uint64_t lag_events;
    int64_t lag_ms;
};

/* 0 or -ENOMEM. */
int metrics_begin(struct metrics *m);

/* The complete text; empty when out of memory. Nothing can be added afterwards. */
struct slice metrics_end(struct metrics *m);

/* Safe on a zeroed one, and at any time. */
void metrics_release(struct metrics *m);

/* ssecast_up. 1: the metrics are of the whole system. 0: of one worker that has no broker now. */
void metrics_up(struct metrics *m, bool up);

/* The version of this program. Only the broker reports it. */
void metrics_build(struct metrics *m);

/* Every row that has a family, grouped by family. numbers are in the order of the rows. */
void metrics_rows(struct metrics *m, const struct stat_row *rows, size_t count,
                  const uint64_t *numbers);

/* The latency histogram, from the workers' counters. */
void metrics_latency(struct metrics *m, const uint64_t counters[WORKER_COUNTERS]);

/* The metrics of each worker, as ssecast_worker_...{worker="NAME"}. */
void metrics_workers(struct metrics *m, const struct metrics_worker *workers, size_t count);

#endif
