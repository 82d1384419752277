/* joined.h - events of the current state as one text, made once for the streams that are sent the
 * same ones.
 *
 * When a worker's clients come back together, each stream is sent the same events. One text of 64
 * events costs a stream what one event does. A stream's parts are counted: part n of two streams
 * with the same audience has the same events, unless the state has changed in between. The events
 * themselves are compared, so nothing has to be invalidated.
 *
 * Ownership: it keeps a reference of each event and text, of JOINED_PARTS parts at most.
 */
#ifndef SSECAST_JOINED_H
#define SSECAST_JOINED_H

#include "model/state.h"

#define JOINED_EVENTS 64u /* of a part */
#define JOINED_PARTS 32u

/* Zeroed is empty. */
struct joined {
    struct joined_part {
        struct event *events[JOINED_EVENTS]; /* those last asked for */
        size_t count;
        struct event *text; /* NULL: they were asked for once */
    } parts[JOINED_PARTS];
};

/* The texts of these events of the state, one after the other and without id: lines, when a stream
 * asks for them as its part `number` and the one before it asked for the same. Otherwise NULL, and
 * when out of memory: send them one by one. A borrowed EVENT_TEXT, until the next call. count is at
 * most JOINED_EVENTS. */
struct event *joined_text(struct joined *j, struct state *state, size_t number,
                          struct event *const *events, size_t count);

void joined_release(struct joined *j);

#endif
