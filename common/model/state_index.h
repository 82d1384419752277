/* state_index.h - the events of the current state for each target, in the order of their seqs.
 *
 * There is an index for everyone, for each session and for each channel, and one for all of them.
 * The subscriptions of a hub's streams are in one more index, so that listing them costs what they
 * are. A superseded event stays in its indexes until half of an index is superseded; so a change
 * costs the same whatever the number of keys.
 *
 * It does not know which event of a key is the newest, and no limits: state.h has both.
 *
 * Ownership: an index takes a reference to each of its events.
 */
#ifndef SSECAST_STATE_INDEX_H
#define SSECAST_STATE_INDEX_H

#include "base/table.h"
#include "codec/audience.h"
#include "model/merge.h"

/* The events for one target, or all. */
struct state_index {
    struct deque deque;
    size_t superseded; /* events in the deque */
    uint64_t members;  /* keys of event_member_key() with a session */
};

struct state_indexes {
    struct state_index all, everyone, subscriptions;
    struct table *sessions, *channels; /* name -> struct state_index */
};

/* Zeroed is empty, and may be released. 0 or -ENOMEM. */
int state_indexes_init(struct state_indexes *set);
void state_indexes_release(struct state_indexes *set);

/* Remove all events. */
void state_indexes_clear(struct state_indexes *set);

/* Put e, which has a key and is in no index, where its seq belongs. 0 or -ENOMEM: unchanged. */
int state_indexes_put(struct state_indexes *set, struct event *e);

/* Undo state_indexes_put(). */
void state_indexes_take(struct state_indexes *set, struct event *e);

/* Put e in the place of another object with the same content. */
void state_indexes_replace(struct state_indexes *set, struct event *before, struct event *e);

/* e, which is in its indexes, is superseded; or no longer. This sets e->superseded. */
void state_indexes_supersede(struct state_indexes *set, struct event *e);
void state_indexes_restore(struct state_indexes *set, struct event *e);

/* The same as state_indexes_restore(), when e may have left an index since. 0 or -ENOMEM:
 * unchanged. */
int state_indexes_revive(struct state_indexes *set, struct event *e);

/* Free what is no longer needed of the indexes of e, which the caller keeps. e need not be in
 * them. */
void state_indexes_tidy(struct state_indexes *set, const struct event *e);

/* e, which says that a session is a member of its channel, became the event of its key (1), or is
 * so no longer (-1). It is in its indexes. */
void state_indexes_count_member(struct state_indexes *set, const struct event *e, int change);

/* The number of members of the channel. */
uint64_t state_indexes_members(const struct state_indexes *set, struct slice channel);

/* The event with this seq that is not superseded; NULL: not found. */
struct event *state_indexes_at(const struct state_indexes *set, uint64_t seq);

/* Make m the merge of the events for this reader (NULL: all) after a position. */
void state_indexes_merge(const struct state_indexes *set, const struct audience *who,
                         uint64_t after, struct merge *m);

#endif
