/* ordering.h - whether something at the broker happened before or after something here.
 *
 * A shutdown ends the streams that were opened before it, and no others. The broker stamps it by
 * its own clock, streams are opened by the worker's, and the message may come late. Two kinds of
 * knowledge help:
 *
 * Proofs need no clock: the broker answered a message of ours at a position, so what has a greater
 * seq happened after we sent that message.
 *
 * The clock difference is measured with each message that carries the broker's clock. It was sent
 * before it arrived. So our clock at its arrival, less the broker's, is never below the true
 * difference. The least of the recent ones is taken. So the time that ordering_latest() gives is
 * never before the true one, but for the drift of the clocks in that time. When the broker's clock
 * was set back, all measurements are forgotten.
 *
 * It knows no clock, no socket and no stream. Times are us; `now` is of a clock that does not step.
 */
#ifndef SSECAST_ORDERING_H
#define SSECAST_ORDERING_H

#include <stdbool.h>
#include <stdint.h>

/* For this long, at least, and at most twice as long, a measurement counts. */
#define ORDERING_RECENT_US 15000000
#define ORDERING_PROOFS 16u
#define ORDERING_PROOF_US 1000000 /* proofs are kept at least this far apart */

/* The least difference of some period. */
struct ordering_period {
    bool any;
    int64_t least;
};

struct ordering {
    struct ordering_period recent, before; /* the period that runs, and the one before it */
    int64_t recent_from;
    int64_t head_us;   /* the broker's clock in the last head of this epoch; 0: none came */
    bool former_known; /* of the epoch before this one */
    int64_t former;
    uint64_t began; /* position: what is up to it was stamped in an earlier epoch; 0: not known */
    struct {
        uint64_t head;
        int64_t sent_at;
    } proofs[ORDERING_PROOFS]; /* a ring, the newest at last - 1 */
    unsigned count, last;
};

/* Another epoch of the broker, which began at this position. Zeroed is fit for the first one. */
void ordering_begin(struct ordering *o, uint64_t began);

/* A message arrived now, and the broker's clock (unix time) was at broker_us before that. */
void ordering_heard(struct ordering *o, int64_t broker_us, int64_t now);

/* The same for heads, which arrive in the order in which they were sent. So they show whether the
 * clock was set back. */
void ordering_heard_head(struct ordering *o, int64_t broker_us, int64_t now);

/* The broker stood at head after we had sent a message at sent_at. */
void ordering_proved(struct ordering *o, uint64_t head, int64_t sent_at);

/* The latest time, by our clock, at which the event with this seq and stamp (unix ms) was
 * appended. INT64_MAX when nothing is known, or when the stamp cannot be right. */
int64_t ordering_latest(const struct ordering *o, uint64_t seq, int64_t stamp_ms);

/* What the broker's clock shows (unix ms), as far as it was heard, and not more; unknown_ms when
 * nothing was. */
int64_t ordering_broker_ms(const struct ordering *o, int64_t now, int64_t unknown_ms);

#endif
