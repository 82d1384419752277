/* overview.h - what the broker remembers of itself to show to people: some minutes of samples, and how streams ended lately.
 *
 * A page that is opened after something went wrong shows what happened before. What is remembered is bounded, whatever happens: a sample
 * a second, and the last ends; of many that end together one is remembered, with their number.
 */
#ifndef SSECAST_OVERVIEW_H
#define SSECAST_OVERVIEW_H

#include <stdint.h>

#include "codec/event.h"
#include "ops/stats.h"

#define OVERVIEW_SAMPLES 300u /* seconds */
#define OVERVIEW_LATENCY 60u  /* seconds over which latency is told */
#define OVERVIEW_ENDS 40u
#define OVERVIEW_TOGETHER_MS 5000 /* ends of one kind with no longer between them are told as one */

/* Totals but for connections. */
struct overview_sample {
    int64_t at_ms; /* unix time */
    uint64_t connections;
    uint64_t events;
    uint64_t deliveries;
    uint64_t latency[LATENCY_BUCKETS]; /* live deliveries by how long they took */
};

/* Streams that were ended, or told of a gap. */
struct overview_end {
    int64_t at_ms;     /* the last of them; unix time */
    const char *cause; /* static: that of an end, or "gap" */
    uint64_t count;
    char session[NAME_BYTES_MAX], worker[NAME_BYTES_MAX]; /* of the last of them; may be empty */
    size_t session_len, worker_len;
};

/* Zeroed: nothing is remembered. */
struct overview {
    struct overview_sample samples[OVERVIEW_SAMPLES + 1]; /* a ring: one more than there are differences */
    uint64_t sampled;                                     /* how many ever were */
    struct overview_end ends[OVERVIEW_ENDS];              /* a ring */
    uint64_t ended;
};

void overview_sample(struct overview *o, const struct overview_sample *sample);

/* What happened in a second: connections at its end, and what was published and delivered in it. */
struct overview_second {
    uint64_t connections, events, deliveries;
};

/* The last max seconds at most, oldest first. Returns how many; *until_ms is when the last one ended. */
size_t overview_read(const struct overview *o, struct overview_second *out, size_t max, int64_t *until_ms);

/* The time, ms, within which so many per cent of the live deliveries of the last OVERVIEW_LATENCY seconds were written: the upper end of
 * its bucket, UINT32_MAX in the last one; 0: there were none. */
uint32_t overview_latency(const struct overview *o, unsigned percent);

/* count streams ended so; names are cut to NAME_BYTES_MAX bytes. */
void overview_ended(struct overview *o, int64_t at_ms, const char *cause, struct slice session, struct slice worker,
                    uint64_t count);

/* The i-th, the newest first; NULL: there are no more. */
const struct overview_end *overview_end(const struct overview *o, size_t i);

#endif
