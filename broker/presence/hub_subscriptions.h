/* hub_subscriptions.h - the subscriptions of a hub's streams (docs/mercure.md), as members of
 * channels.
 *
 * Each subscription is the only member of the channel that is its topic, under its connection's id.
 * It departs without a grace time. Beyond a bound, further ones are left out.
 *
 * It does not know when a pair is looked at: members.h does.
 *
 * Ownership: everything is the caller's.
 */
#ifndef SSECAST_HUB_SUBSCRIPTIONS_H
#define SSECAST_HUB_SUBSCRIPTIONS_H

#include "codec/subscription.h"
#include "presence/member_batch.h"
#include "presence/presence.h"

/* The topics of the subscriptions of a connection. It begins with .packed set, the rest zeroed. */
struct hub_walk {
    struct slice packed; /* subscription.h */
    struct subscription last;
    char topic[NAME_BYTES_MAX];
};

/* The next topic, valid until the next call. Empty: there are no more. */
struct slice hub_walk_next(struct hub_walk *walk);

/* There are count subscriptions. May there be one more? At most max are reported; 0: none are. A
 * refusal is logged, unless max is 0. */
bool hub_subscriptions_admit(uint64_t max, uint64_t count);

/* Append that the subscription of this connection begins, or that it has ended. `begun` is the
 * event that said that it began. */
void hub_subscription_begin(struct member_batch *t, const struct pair *p,
                            const struct connection *c);
void hub_subscription_end(struct member_batch *t, const struct pair *p, const struct event *begun);

#endif
