/* state_slots.h - a slot for each key of the current state: found by place and key, in the order of
 * their ends, and in the order of their records in the log.
 *
 * A slot is kept without an event while the removal of its key is not final. It does not know what
 * readers see (state_index.h) nor what is provisional (state.h).
 *
 * Ownership: the slots belong to the table, and so does state_slot.text. The event is borrowed from
 * the indexes.
 */
#ifndef SSECAST_STATE_SLOTS_H
#define SSECAST_STATE_SLOTS_H

#include "base/expiry.h"
#include "base/table.h"
#include "codec/event.h"
#include "model/due.h"

struct state_slot {
    struct expiry_item expiry; /* first */
    struct event *event;       /* in its indexes; NULL: removed, and kept until that is final */
    struct event *text;        /* see state_text(); NULL: not made yet */
    uint64_t seq;              /* of the last event of the key */
    uint64_t settled;          /* likewise, as far as changes are final */
    struct due_item due;       /* while its record is final */
};

struct state_slots {
    struct table *slots; /* place (event_key.h) and key -> struct state_slot */
    struct expiry ends;
    struct due due; /* slots by their records */
};

/* 0 or -ENOMEM: state_slots_release() is called either way. */
int state_slots_init(struct state_slots *set);

/* All slots are removed already. */
void state_slots_release(struct state_slots *set);

/* The slot of e's key; NULL: no event had the key. e has a key. */
struct state_slot *state_slots_find(const struct state_slots *set, const struct event *e);

/* The slot of event_member_key() in this channel; NULL: no event had the key. */
struct state_slot *state_slots_find_member(const struct state_slots *set, struct slice channel,
                                           struct slice session);

/* The slot of e's key; where there is none, a new one that is zeroed. NULL: out of memory. */
struct state_slot *state_slots_insert(struct state_slots *set, const struct event *e);

/* The slot has no event. This frees it. */
void state_slots_remove(struct state_slots *set, struct state_slot *slot);

/* Make e the event of the slot; NULL: none. seq is that of the key's last event. Without
 * state_slots_reserve_end() before, e has no end, or the slot has an event with one. */
void state_slots_fill(struct state_slots *set, struct state_slot *slot, struct event *e,
                      uint64_t seq);

/* Make sure that another slot may have an end. 0 or -ENOMEM. */
int state_slots_reserve_end(struct state_slots *set);

/* The slot whose event ends first; NULL: no event ends. */
struct state_slot *state_slots_first_end(const struct state_slots *set);

/* The slot behind this one (NULL: the first) in the order of the records; NULL: it was the last. */
struct state_slot *state_slots_next(const struct state_slots *set, const struct state_slot *slot);

/* The slot of an item; NULL for NULL. */
struct state_slot *state_slot_of(struct due_item *item);

#endif
