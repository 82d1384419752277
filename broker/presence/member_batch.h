/* member_batch.h - the events about members that one batch takes, within its bounds.
 *
 * It does not decide what is appended: members.h, member_counts.h and hub_subscriptions.h do.
 *
 * Ownership: it borrows the sequence.
 */
#ifndef SSECAST_MEMBER_BATCH_H
#define SSECAST_MEMBER_BATCH_H

#include "log/sequence.h"
#include "presence/pairs.h"

/* The batch that is being made. */
struct member_batch {
    struct sequence *sequence;
    size_t max_bytes;
    int64_t now, now_ms; /* clock of members.h, unix time */
    unsigned events;
    bool full;       /* the next batch has the rest */
    bool state_full; /* the state has no room for another member */
};

/* What an event about a member says. */
struct member_event {
    const char *name;
    struct slice session; /* the member; empty: it is the number of members */
    struct slice data;
    bool remove;
};

/* Append it to the batch for the channel. False when that is not possible now. */
bool member_batch_append(struct member_batch *t, const struct channel *c,
                         const struct member_event *e);

/* The data of an event about a member. Points into the event. */
struct slice member_event_data(const struct event *e);

#endif
