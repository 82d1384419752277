/* envelope.h - the envelope of a request as bytes: the frames before an empty frame (REQ and REP,
 * RFC 28).
 *
 * They are the ids of devices on its way and the number of a REQ socket. The envelope is sent back
 * before the reply. As bytes it has the length of each frame (one byte) and the frame, the empty
 * one last.
 */
#ifndef SSECAST_ENVELOPE_H
#define SSECAST_ENVELOPE_H

#include "base/slice.h"

/* Bounds of the frames before the empty one: */
#define ENVELOPE_FRAMES 8u
#define ENVELOPE_FRAME_MAX 255u
#define ENVELOPE_MAX (ENVELOPE_FRAMES * (1 + ENVELOPE_FRAME_MAX) + 1) /* bytes of an envelope */

/* An envelope that is put together. Its bytes need not be initialized. */
struct envelope {
    size_t len, frames;
    char bytes[ENVELOPE_MAX];
};

/* Begin an empty one. */
void envelope_begin(struct envelope *e);

/* Add a frame that is not empty. False:
 * an envelope has no such frame, because it is too long or one too many. */
bool envelope_add(struct envelope *e, struct slice frame);

/* The empty frame ends it. The result is valid until the envelope begins again. */
struct slice envelope_end(struct envelope *e);

/* Take the next frame off the bytes of an envelope. False at the end. */
bool envelope_next(struct slice *rest, struct slice *frame);

#endif
