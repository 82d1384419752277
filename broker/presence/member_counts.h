/* member_counts.h - the numbers of sessions of channels that have more of them than members.
 *
 * Beyond a bound, a channel has no further members. Such a channel is crowded: its number of
 * sessions is published instead, at most once a second, until it has as many members as sessions.
 *
 * It does not know which sessions are members: the current state (state.h) and the pairs say that.
 *
 * Ownership: channels are those of the pairs. A crowded channel is in the list, so it is not
 * forgotten.
 */
#ifndef SSECAST_MEMBER_COUNTS_H
#define SSECAST_MEMBER_COUNTS_H

#include "presence/member_batch.h"
#include "presence/pairs.h"

#define MEMBERS_COUNT EVENT_RESERVED "members"

struct member_counts {
    TAILQ_HEAD(, channel) crowded;
    size_t count;
    uint64_t max; /* members of a channel */
    bool due;     /* the numbers are to be published */
};

void member_counts_init(struct member_counts *counts, uint64_t max);

/* A pair was added to the channel. */
void member_counts_added(struct member_counts *counts, struct channel *c);

/* The channel is crowded, or a number was published for it. */
void member_counts_note(struct member_counts *counts, struct channel *c);

/* A session of the channel is no member because the state is full. */
void member_counts_leave_unnamed(struct member_counts *counts, struct channel *c);

/* Are there sessions that are no members, and will be none soon? */
bool member_counts_many(const struct member_counts *counts, const struct channel *c);

/* The numbers are due, if there are any. */
void member_counts_sweep(struct member_counts *counts);

/* Append numbers that are news to the batch. Channels that are no longer crowded leave the list, and
 * pairs when nothing of them is left. */
void member_counts_append(struct member_counts *counts, struct member_batch *t, struct pairs *pairs);

#endif
