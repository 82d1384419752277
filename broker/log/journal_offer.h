/* journal_offer.h - the batch that a journal offers to the log, until it is decided: its message,
 * when it is sent again, and what an answer means for it.
 *
 * The same message may be sent several times: the server stores at most one, because each names the
 * offset that it follows. Pure: it sends nothing, and the caller gives the time.
 *
 * Ownership: the message, from offer_begin() to offer_end().
 */
#ifndef SSECAST_JOURNAL_OFFER_H
#define SSECAST_JOURNAL_OFFER_H

#include "base/buf.h"
#include "log/batch.h"
#include "log/jetstream.h"

#define OFFER_RESEND_MS 1000     /* an unanswered offer is sent again */
#define OFFER_UNAVAILABLE_MS 100 /* likewise when no server could store it */
#define OFFER_OVERTAKEN_MS 300   /* the message that overtook it is delivered within this time */

/* Zeroed: no batch is pending. */
struct journal_offer {
    struct buf message;     /* of the pending batch; no data: none */
    struct batch_name name; /* of the batch that is or was pending */
    uint64_t offset;        /* the batch follows this one */
    uint64_t offers, sends; /* so far */
    uint64_t first_send;    /* of this batch: answers with a lower number are stale */
    uint64_t sent;          /* how many sends of this batch the connection took */
    int64_t began_us;       /* clock_us() */
    int64_t resend_at;      /* clock_ms() */
    int64_t overtaken_at;   /* clock_ms() when the server reported it; 0: it did not */
};

enum offer_answer {
    OFFER_UNDECIDED, /* stale, or to be waited for */
    OFFER_STORED,
    OFFER_REFUSED, /* the server rejected it, and would do so again */
    OFFER_DOUBTED, /* likewise, but another send may be stored: to be waited for */
};

bool offer_pending(const struct journal_offer *o);

/* A batch, while none is pending, as journal_offer(). t->offset and t->predecessor are set; the
 * name is given here: the broker's epoch and the next number. */
void offer_begin(struct journal_offer *o, struct buf *message, struct batch *t, uint64_t broker,
                 int64_t now_us);

/* The batch is decided, or given up. Safe when none is pending. */
void offer_end(struct journal_offer *o);

/* The number of the next send, which the answer has. */
uint64_t offer_next_send(struct journal_offer *o);

/* It was handed to the connection (or could not be): it is sent again later. now: clock_ms(). */
void offer_note_send(struct journal_offer *o, bool sent, int64_t now);

/* The connection is new: send it again at once, unless it is overtaken. */
void offer_hurry(struct journal_offer *o, int64_t now);

/* Is it to be sent (again)? */
bool offer_due(const struct journal_offer *o, int64_t now);

/* Is it overtaken, and the message that was first should have been delivered by now? */
bool offer_is_stuck(const struct journal_offer *o, int64_t now);

/* Wait for the message that overtook it from now on, if it is overtaken. */
void offer_wait_again(struct journal_offer *o, int64_t now);

/* What the answer to the send with this number says. r NULL: no server could store it. The batch
 * stays pending; the caller ends it. */
enum offer_answer offer_judge(struct journal_offer *o, uint64_t number,
                              const struct jetstream_reply *r, int64_t now);

/* Is a message at this offset decisive: at the offset of the pending batch, or behind it? */
bool offer_meets(const struct journal_offer *o, uint64_t sequence);

#endif
