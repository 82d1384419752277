/* pairs.h - pairs of a channel and a member of it, and when each pair is looked at.
 *
 * A pair is a session in a channel: one that has a stream there, or is a member. It is also a
 * connection and the topic of a subscription of a hub's stream (hub_subscriptions.h). Which of both
 * it is belongs to the channel, and so does what its pairs have in common. It is set when the
 * channel is made.
 *
 * It does not know presence, the state, or what is appended: members.h does.
 *
 * Ownership: the table owns pairs and channels. A pair is valid until pairs_drop(), a channel until
 * nothing of it is left.
 */
#ifndef SSECAST_PAIRS_H
#define SSECAST_PAIRS_H

#include <sys/queue.h>

#include "base/expiry.h"
#include "base/table.h"
#include "codec/grant.h"

enum channel_kind {
    CHANNEL_OF_SESSIONS,
    CHANNEL_OF_SUBSCRIPTION, /* the channel is the topic of a subscription; members: connections */
    CHANNEL_KINDS
};

/* What the pairs of a channel have in common. */
struct channel_rules {
    enum channel_kind kind;
    bool wanted;      /* its members are reported */
    int64_t grace_ms; /* from the end of a member's last stream to its departure */
};

struct channel {
    TAILQ_ENTRY(channel) crowd; /* while crowded: in a list of member_counts.h */
    struct channel_rules rules;
    uint64_t count; /* pairs */
    uint64_t left;  /* of these: pairs that have left */
    bool crowded;   /* has, or had, more sessions than members */
};

struct pair {
    struct expiry_item expiry; /* first; in the heap: to be looked at */
    TAILQ_ENTRY(pair) all;
    struct channel *channel;
    int64_t left_at; /* when its last stream was seen to end; clock of members.h */
    bool left;       /* its departure was appended; the pair stays until that has become final */
};

/* The rules of a channel of this name. */
typedef struct channel_rules pairs_rules(const void *context, struct slice channel);

struct pairs {
    struct table *pairs;    /* channel and member -> struct pair */
    struct table *channels; /* name -> struct channel */
    TAILQ_HEAD(, pair) all; /* in the order of pairs_turn() */
    struct expiry due;
    uint64_t counts[CHANNEL_KINDS]; /* pairs */
    pairs_rules *rules;
    const void *context;
};

/* 0 or -ENOMEM: pairs_release() is called either way. */
int pairs_init(struct pairs *set, pairs_rules *rules, const void *context);
void pairs_release(struct pairs *set);

/* NULL: the set does not have it. */
struct pair *pairs_find(const struct pairs *set, struct slice channel, struct slice member);
struct channel *pairs_channel(const struct pairs *set, struct slice channel);

/* Add a pair that is not there yet. NULL: out of memory, unchanged. */
struct pair *pairs_add(struct pairs *set, struct slice channel, struct slice member);

/* The channel, which is made when it is not there. Call pairs_drop_channel() when it was not
 * needed. NULL: out of memory. */
struct channel *pairs_add_channel(struct pairs *set, struct slice channel);

void pairs_drop(struct pairs *set, struct pair *p);

/* The pair has left, or is back. */
void pair_set_left(struct pair *p, bool left);

/* The pairs that have not left. */
uint64_t channel_staying(const struct channel *c);

/* Forget the channel when it has no pairs and is not crowded. */
void pairs_drop_channel(struct pairs *set, struct channel *c);

struct slice pair_channel(const struct pair *p);
struct slice pair_member(const struct pair *p);

/* Look at p at this time, or earlier if that was said before. Without memory a sweep finds it. */
void pairs_look_at(struct pairs *set, struct pair *p, int64_t at);

/* The next pair to be looked at, when it is due: it is no longer in the heap. NULL: none is due. */
struct pair *pairs_next_due(struct pairs *set, int64_t now);

/* When the next pair is due; INT64_MAX: none is in the heap. */
int64_t pairs_due(const struct pairs *set);

/* The pair that was given longest ago; NULL: the set is empty. */
struct pair *pairs_turn(struct pairs *set);

#endif
