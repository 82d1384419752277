/* bundle.h - events of one turn that concern the same connections, so that these are looked up and
 * queued once for all of them.
 *
 * Under full load a worker mostly queues one pointer for each event and reader, and hands the
 * kernel one piece for each. A bundle makes one text of consecutive events with the same audience.
 * It knows no streams: stream.c collects events of a turn here and routes them at its end. A single
 * event is never copied.
 *
 * Ownership: bundle_add() takes a reference on the event.
 */
#ifndef SSECAST_BUNDLE_H
#define SSECAST_BUNDLE_H

#include "model/deque.h"

#define BUNDLE_BYTES 16384u /* of text: as much as goes into one record */

/* Zeroed is empty. */
struct bundle {
    struct deque events;
    size_t bytes; /* of text */
    size_t max;   /* bytes; 0: BUNDLE_BYTES */
};

/* May e follow what is in b: a message with the same `to` and `except`, and there is room. True
 * when b is empty. */
bool bundle_takes(const struct bundle *b, const struct event *e);

/* 0 or -ENOMEM (unchanged). */
int bundle_add(struct bundle *b, struct event *e);

/* The events' texts one after the other: a new EVENT_TEXT with the first one's seq and time_ms,
 * for the caller; of a single event a reference to it. NULL when out of memory. b is not empty. */
struct event *bundle_text(const struct bundle *b);

/* Give all events up. */
void bundle_clear(struct bundle *b);

/* And the memory. */
void bundle_release(struct bundle *b);

#endif
