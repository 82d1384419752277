/* joint.h - the broker's turns when a journal decides them: requests are kept, what they appended is offered, and when another broker was first
 * they are run again.
 *
 * One turn at a time is under way. Meanwhile requests wait where they are, in their socket; only when the journal takes long, or cannot be
 * reached, they are looked at: questions are answered, and what would append is kept until its time is over. Nobody is told of an event
 * before it is in the journal. It does not know sockets.
 *
 * Ownership: everything in the config is the caller's.
 */
#ifndef SSECAST_JOINT_H
#define SSECAST_JOINT_H

#include "command/outbox.h"
#include "command/requests.h"
#include "command/shares.h"
#include "log/journal.h"
#include "log/sequence.h"
#include "stats/counters.h"

struct joint;

struct joint_hooks {
    /* The next request that has arrived from this source; valid until the next call. holding: while a turn is waited for. */
    bool (*take)(void *context, enum source from, struct request *out, bool holding);
    /* Run it: its reply goes into the outbox. False when it is held: it would append, and that has to wait (holding). */
    bool (*run)(void *context, const struct request *r, bool holding);
    /* Put a refusal into the outbox instead. code as in command.h. */
    void (*refuse)(void *context, const struct request *r, const char *code, const char *message);
    /* Put what is final on the feed. */
    void (*publish)(void *context);
    /* Send the replies. failed: why nothing is stored (for people), and those that are provisional say so; NULL: all are true. unknown: it is
     * not known whether it is. */
    void (*reply)(void *context, const char *failed, bool unknown);
};

struct joint_config {
    struct journal *journal;
    struct sequence *sequence;
    struct outbox *outbox;
    uint64_t *counters;  /* BROKER_COUNTERS of them */
    uint64_t timeout_ms; /* how long a request waits for the journal */
    uint64_t age_ms;     /* how long the journal keeps a turn: before that it gets another, so that it is never empty */
    const struct joint_hooks *hooks;
    void *context;
};

/* NULL when out of memory. */
struct joint *joint_new(const struct joint_config *config);
void joint_free(struct joint **j);

/* Take in what the journal has and offer what there is to say, before anybody is served. True when everything was taken in and the sequence has a
 * place: then joint_turn() is called. now: clock_ms(). */
bool joint_join(struct joint *j, int64_t now);

/* One turn of the loop. True when there may be more to do at once. */
bool joint_turn(struct joint *j, int64_t now);

/* Something is offered, and not decided. */
bool joint_under_way(const struct joint *j);

/* The last turn could not be stored. */
bool joint_failing(const struct joint *j);

/* Requests are better left in their socket for now. */
bool joint_full(const struct joint *j);

/* How long one may sleep, ms, when nothing arrives; at most max. */
int64_t joint_patience(const struct joint *j, int64_t max);

#endif
