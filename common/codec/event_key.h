/* event_key.h - the keys of events: which target an event with a key may have, and the keys of
 * members.
 *
 * Which event is the newest of its key is in state.h.
 *
 * Ownership: nothing is allocated.
 */
#ifndef SSECAST_EVENT_KEY_H
#define SSECAST_EVENT_KEY_H

#include "codec/event.h"

/* The target of an event with a key: everyone, or the session or channel called *name. */
enum event_target { TARGET_EVERYONE, TARGET_SESSION, TARGET_CHANNEL };
enum event_target event_key_target(const struct event *e, struct slice *name);

/* Where an event with a key stands: a later one with the same key and place replaces it. Whether it
 * is private is a part of the place. So a reader that may be sent one may be sent the other. */
struct event_place {
    enum event_target kind;
    struct slice name; /* of the session or channel; empty: everyone */
    bool is_private;   /* false for everyone, and for keys of members: a member has one place */
};
struct event_place event_place_of(const struct event *e);

/* True when an event with a key may have this target. */
bool event_key_allows(bool has_to, const struct names lists[EVENT_LISTS]);

/* Keys that no publisher can use: the one of a member, and, for an empty session, the one of the
 * number of members. Names have no control characters. out has room for EVENT_KEY_MAX. */
struct slice event_member_key(struct slice session, char *out);

/* True for the keys above. *session is empty for the number of members. */
bool event_is_member_key(struct slice key, struct slice *session);

/* True when a later event with its key may stand for e. Not for a subscription of the hub, which
 * has the key of a member and is private: its begin and its end are updates of their own. */
bool event_is_value(const struct event *e);

/* True when a reader that is behind, or resumes, is spared e. */
bool event_is_replaced(const struct event *e);

/* True when e has a key and a target that goes with it, or nothing that goes with a key. */
bool event_key_fits(const struct event *e);

/* How many names the `except` lists have. */
size_t event_excepted_names(const struct names lists[EVENT_LISTS]);

#endif
