/* overview.h - the recent past of the broker for the status page: samples of some minutes, and the
 * last ended streams.
 *
 * So a page that is opened after a problem shows what happened before. Memory is bounded: one
 * sample a second, and the last ends. Many ends at once are kept as one, with their number.
 */
#ifndef SSECAST_OVERVIEW_H
#define SSECAST_OVERVIEW_H

#include <stdint.h>

#include "codec/event.h"
#include "ops/stats.h"

#define OVERVIEW_SAMPLES 300u /* seconds */
#define OVERVIEW_LATENCY 60u  /* seconds over which latency is measured */
#define OVERVIEW_ENDS 40u
#define OVERVIEW_TOGETHER_MS 5000 /* ends of one kind within this time are kept as one */

/* Totals, except connections. */
struct overview_sample {
    int64_t at_ms; /* unix time */
    uint64_t connections;
    uint64_t events;
    uint64_t deliveries;
    uint64_t latency[LATENCY_BUCKETS]; /* live deliveries by duration */
};

/* Streams that were ended, or got a gap. */
struct overview_end {
    int64_t at_ms;     /* of the last one; unix time */
    const char *cause; /* static: the cause of an end, or "gap" */
    uint64_t count;
    char session[NAME_BYTES_MAX], worker[NAME_BYTES_MAX]; /* of the last one; empty: it had none */
    size_t session_len, worker_len;
};

/* Zeroed is empty. */
struct overview {
    struct overview_sample samples[OVERVIEW_SAMPLES + 1]; /* a ring, with one more than seconds */
    uint64_t sampled;                                     /* since the start */
    struct overview_end ends[OVERVIEW_ENDS];              /* a ring */
    uint64_t ended;
};

void overview_sample(struct overview *o, const struct overview_sample *sample);

/* A second: connections at its end, events and deliveries in it. */
struct overview_second {
    uint64_t connections, events, deliveries;
};

/* Read up to max of the last seconds, oldest first. Returns their number; *until_ms is the end of
 * the last one. */
size_t overview_read(const struct overview *o, struct overview_second *out, size_t max,
                     int64_t *until_ms);

/* The percentile of the latency (ms) of live deliveries in the last OVERVIEW_LATENCY seconds: the
 * upper bound of its bucket, UINT32_MAX for the last bucket; 0: there were none. */
uint32_t overview_latency(const struct overview *o, unsigned percent);

/* Note that count streams ended. Names are cut to NAME_BYTES_MAX bytes. */
void overview_ended(struct overview *o, int64_t at_ms, const char *cause, struct slice session,
                    struct slice worker, uint64_t count);

/* The i-th end, newest first; NULL: there are no more. */
const struct overview_end *overview_end(const struct overview *o, size_t i);

#endif
