/* member_counts.h - the numbers of sessions of channels that have more of them than members.
 *
 * Beyond a bound, a channel has no further members. Such a channel is crowded: its number of
 * sessions is published instead, at most once a second, until all its sessions are members. The
 * last number is that of the members at its place in the sequence.
 *
 * It does not know which sessions are members: the current state (state.h) and the pairs say that.
 * A session counts from its first stream in the channel until its departure is appended.
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

/* A pair was added to the channel, or is back. */
void member_counts_added(struct member_counts *counts, struct channel *c);

/* A session of the channel is no member because there is no room, or a number was published. */
void member_counts_note(struct member_counts *counts, struct channel *c);

/* The number of sessions in the channel, members or not. */
uint64_t member_counts_number(const struct channel *c, const struct state *state);

/* Are there sessions that are no members, because there was no room? */
bool member_counts_many(const struct channel *c, const struct state *state);

/* The numbers are due, if there are any. */
void member_counts_sweep(struct member_counts *counts);

/* Append numbers that are news to the batch. Channels that are no longer crowded leave the list,
 * and pairs when nothing of them is left. */
void member_counts_append(struct member_counts *counts, struct member_batch *t,
                          struct pairs *pairs);

#endif
