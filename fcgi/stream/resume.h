/* resume.h - how a stream is brought from its client's cursor to live.
 *
 * It decides where the stream is read from, the window or the broker, and reads on as the client
 * takes what was sent. It does not decide which events concern the stream (concern.h).
 */
#ifndef SSECAST_RESUME_H
#define SSECAST_RESUME_H

#include "stream/stream.h"

/* Is the second of two cursors the newer one? Own ids are compared as far as the window knows them.
 * 0 is older than any other cursor. window may be NULL, before the first one. */
bool resume_is_newer(const struct history *window, const char *last_id, const char *other_id);

/* Can a client with this cursor be brought up to date from the window alone? */
bool resume_is_known(const struct history *window, const char *last_id);

/* The sequence is known: find s's cursor and begin to catch up, or be live. */
void resume_begin(struct stream *s);

/* s is live, and its queue has no room for events after position: from here on it reads from the
 * window. */
void resume_fall_behind(struct stream *s, uint64_t position);

/* The reader of s took nothing for a while: what waits for it may have expired. */
void resume_refresh(struct stream *s);

/* True when what s is still to be sent, without superseded events, exceeds its budget. */
bool resume_overflows(const struct stream *s);

/* Go on with the state and with catching up, as far as there is room in the queue. */
void resume_continue(struct stream *s);

/* The same in a later turn, when many streams are to go on. */
void resume_later(struct stream *s);

/* s has ended: it has no cursor to find. */
void resume_forget(struct stream *s);

/* A timer continues the scans that have queued. */
void resume_init(struct streams *set);
void resume_release(struct streams *set);

/* The broker's reply. */
void resume_page(struct stream *s, const struct wire_page *page);

/* The sequence broke: what is up to position and after s's cursor cannot be had. rewound: the
 * sequence was at a greater position before, so that the cursor may be one of that time. */
void resume_broken(struct stream *s, uint64_t position, uint64_t oldest, bool rewound);

#endif
