/* state_data.h - the data of the current state, for the files that make it up: state.c and
 * state_records.c. No other file includes it.
 *
 * Ownership: all of it belongs to the state.
 */
#ifndef SSECAST_STATE_DATA_H
#define SSECAST_STATE_DATA_H

#include "model/state.h"
#include "model/state_index.h"
#include "model/state_slots.h"

/* A change that is provisional. */
struct held_change {
    struct state_change events; /* a reference each */
    uint64_t seq;               /* of the slot before */
    uint64_t record;            /* the event that made the change, or has it */
};

struct state {
    struct state_slots keys;
    struct state_indexes indexes;
    struct state_room room;
    uint64_t record; /* seq of the EVENT_STATE that is applied; 0: none is */
    bool held;
    struct held_change *changes;
    size_t change_count, change_cap;
};

/* The event of the slot is in this record, which is the last one. */
void state_note_record(struct state *s, struct state_slot *slot, uint64_t record);

/* Forget the key of this slot; its event is marked. All changes are final. */
void state_forget_slot(struct state *s, struct state_slot *slot);

/* Make e, which was superseded, the event of its key again. The key has no slot. The slot; NULL:
 * out of memory, unchanged. */
struct state_slot *state_revive_key(struct state *s, struct event *e);

#endif
