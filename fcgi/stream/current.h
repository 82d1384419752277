/* current.h - the current state (model/state.h) in a worker: it follows the sequence, and streams
 * that begin are sent it before the events.
 *
 * A stream begins at a position. The state up to it comes first, without id: lines, as fast as the
 * reader reads; then a checkpoint with the position. So a client that is disconnected in between
 * has no cursor yet, and starts over. When events were lost, the state is out of date until the
 * next welcome: streams that begin meanwhile wait.
 */
#ifndef SSECAST_CURRENT_H
#define SSECAST_CURRENT_H

#include "stream/stream.h"

/* --- from upstream --- */

/* The state follows: that of an earlier welcome no longer counts. */
void current_clear(struct streams *set);

/* The newest event of a key. */
void current_state(struct streams *set, struct event *e);

/* The state at this position is complete. */
void current_told(struct streams *set, uint64_t position);

/* The next event of the sequence, which is in the window. False when it is not to be sent to live
 * streams: it is superseded already, or has expired. */
bool current_follow(struct streams *set, struct event *e);

/* Events were lost. */
void current_lose(struct streams *set);

/* --- streams that begin --- */

/* Is there state that concerns s, which begins at position, or is that unknown? */
bool current_concerns(const struct stream *s, uint64_t position);

/* s begins at s->cursor: send the state first. resume_continue() sends the rest. */
void current_begin(struct stream *s);

/* Send s, in STREAM_CURRENT, the next part. False when it has to wait. */
bool current_continue(struct stream *s);

#endif
