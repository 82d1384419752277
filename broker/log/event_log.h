/* event_log.h - the log that a batch is committed to: memory, a store of our own, or a journal that
 * several brokers append to.
 *
 * A batch is what one iteration appended to the sequence. event_log_offer() commits it. Memory and
 * a store answer at once. A journal answers later, through event_log_next(), and other brokers may
 * be first. The interface is the same, so there is one engine (commit.c).
 *
 * A store gets the header of a batch (sequence.h) before the batch and apart from it, when there is
 * one: at the start, and when a worker has events that are missing. Until the store has it,
 * batches are rejected.
 *
 * It does not know requests, replies or sockets.
 *
 * Ownership: sequence, store and journal are the caller's.
 */
#ifndef SSECAST_EVENT_LOG_H
#define SSECAST_EVENT_LOG_H

#include "log/journal.h"
#include "log/sequence.h"

#define EVENT_LOG_WHY_MAX NATS_LINK_WHY_MAX

struct event_log {
    struct sequence *sequence;
    struct store *store;     /* NULL: memory, or a journal */
    struct journal *journal; /* NULL: memory, or a store */
    /* A journal keeps a batch for this long. It gets another one before, so it is never empty. */
    uint64_t max_age_ms;
    bool pending;     /* a batch is offered and not decided */
    bool wrote_again; /* the last batch began with old bans or keys */
    bool broken;      /* what was read of a journal was not what it has, or may not be all */
    int fault;        /* the store does not have the header: -errno; 0: nothing failed */
    char why[EVENT_LOG_WHY_MAX];
};

enum event_log_result {
    EVENT_LOG_NOTHING,   /* nothing was offered; or no news for now */
    EVENT_LOG_COMMITTED, /* the batch is stored: its events are final */
    EVENT_LOG_PENDING,   /* event_log_next() will tell */
    EVENT_LOG_REJECTED,  /* the batch is not stored, its events are taken back; event_log_why() */
    /* Another broker was first: a pending batch is taken back and is to be run again. */
    EVENT_LOG_OVERTAKEN,
    EVENT_LOG_ENTRY, /* likewise, and the batch of another broker is in the history */
    EVENT_LOG_RESET, /* likewise, and the log is another one: call event_log_reset() */
};

/* A log that several brokers share decides later, and in an order that is not ours alone. */
static inline bool event_log_is_shared(const struct event_log *l)
{
    return l->journal != NULL;
}

/* Load the sequence from the store, if there is one, and begin the epoch. Call it before the first
 * append. As restore_sequence(); a store that cannot be written is no error: the head stays where
 * the store ended, offers are REJECTED, and why has a line (else it is empty). */
int event_log_restore(struct event_log *l, void (*progress)(uint64_t events),
                      char why[STORE_WHY_MAX]);

/* Everything in the log was read, and a batch can be offered. */
bool event_log_ready(const struct event_log *l);

/* Bytes of entries that a batch may have; SIZE_MAX: no limit. */
size_t event_log_room(const struct event_log *l);

/* A batch begins: append bans and keys whose record a journal is about to forget. Call it when
 * ready and nothing is pending. */
void event_log_begin(struct event_log *l);

/* Commit what was appended since event_log_begin(), when ready. *events: how many were COMMITTED.
 * now: clock_ms(). */
enum event_log_result event_log_offer(struct event_log *l, int64_t now, uint64_t *events);

/* Ask again what a journal has not answered; once in an iteration. */
void event_log_tick(struct event_log *l, int64_t now);

/* What the log has decided or brought. *events: how many were COMMITTED, or are in the ENTRY. Never
 * PENDING. */
enum event_log_result event_log_next(struct event_log *l, int64_t now, uint64_t *events);

/* As sequence_meet(). A log that decides at once gets the header; then the answer is never
 * AHEAD. */
enum sequence_met event_log_meet(struct event_log *l, uint64_t position, uint64_t furthest);

/* Once a second, between batches: forget keys and bans that have ended, and events beyond the age
 * limit, in the store too (some at each call). Write old bans again, although nothing is published.
 * Tell the store what it could not be told. now_ms is unix time. The number of events that were
 * COMMITTED. */
uint64_t event_log_expire(struct event_log *l, int64_t now_ms);

/* After RESET: empty the history; the log is read again from its beginning. What is final should be
 * on the feed before. */
void event_log_reset(struct event_log *l);

/* Wait no longer for the pending batch, and take its events back. True when it is certainly not
 * stored. */
bool event_log_give_up(struct event_log *l);

/* One line for people: why the last batch failed, or why the log is not ready. */
const char *event_log_why(const struct event_log *l);

#endif
