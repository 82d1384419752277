/* state_room.h - how much of the current state is taken, and what still fits.
 *
 * Members of channels (event_member_key()) count against a bound of their own, and all other keys
 * against the bounds of the state. It does not hold events: state.h does, and counts them here.
 *
 * Ownership: nothing is allocated.
 */
#ifndef SSECAST_STATE_ROOM_H
#define SSECAST_STATE_ROOM_H

#include "codec/event.h"

/* Bytes of memory for each key beside the entry of its event (measured, rounded up). */
#define STATE_KEY_COST 448u

/* The bound for new events; a state may have more, from a broker with other limits. */
struct state_limits {
    uint64_t events;
    uint64_t bytes;        /* of entries, with STATE_KEY_COST each */
    uint64_t logged;       /* of entries alone, as a log has them again; 0: no limit */
    uint64_t member_bytes; /* of members, with STATE_KEY_COST each; 0: no limit */
};

/* What publishers with limits may fill: three quarters. So they cannot keep the others from setting
 * keys. */
struct state_limits state_limits_of_limited(const struct state_limits *limits);

/* Zeroed is empty. */
struct state_room {
    uint64_t count, bytes; /* of keys, without members */
    uint64_t member_bytes; /* of members */
};

/* e became the event of its key, or is so no longer.
 * True when it says that a session is a member. */
bool state_room_add(struct state_room *room, const struct event *e);
bool state_room_remove(struct state_room *room, const struct event *e);

/* True when the state would be within the limits after e, which sets its key in the place of
 * `before` (NULL: a new key), or when e makes it no larger. */
bool state_room_fits(const struct state_room *room, const struct event *e,
                     const struct event *before, const struct state_limits *limits);

#endif
