/* audience.h - whom an event concerns: one connection, by its session and its channels.
 *
 * Whether the connection may read is not decided here.
 *
 * Ownership: all slices are the caller's.
 */
#ifndef SSECAST_AUDIENCE_H
#define SSECAST_AUDIENCE_H

#include "codec/event.h"

/* One connection, its session and its channels. */
struct audience {
    struct slice session; /* empty: it has none, and no list of sessions concerns it */
    struct slice connection;
    struct names channels;
    bool every_channel; /* it is in all channels, beside those named */
    /* Its channels bring it no private events: no token grants any. A token that does grants all
     * channels of an ordinary stream, which has no others. */
    bool public_only;
};

/* True when the connection is in `to` (or there is no `to`) and in no `except`. */
bool event_concerns(const struct event *e, const struct audience *who);

/* True when the connection is in an `except` list. The time does not depend on the length of the
 * lists. */
bool event_excludes(const struct event *e, const struct audience *who);

/* True when e is private, and would reach the connection by its channels alone,
 * which are public_only. */
bool event_is_hidden(const struct event *e, const struct audience *who);

/* True when `to` has the connection itself, or its session. */
bool event_names_itself(const struct event *e, const struct audience *who);

/* True when `to` has a channel of the connection. */
bool event_names_channel(const struct event *e, const struct audience *who);

#endif
