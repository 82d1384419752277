/* heartbeat.h - what keeps an idle stream alive, and shows its client that it is.
 *
 * A stream to which nothing was written for one heartbeat period is sent a comment or a checkpoint.
 * Streams at the same position share one text. It sends nothing to service calls.
 */
#ifndef SSECAST_HEARTBEAT_H
#define SSECAST_HEARTBEAT_H

#include "stream/stream.h"

/* The loop and the limits are filled in. 0 or -ENOMEM. */
int heartbeat_init(struct streams *set);
void heartbeat_release(struct streams *set);

/* Set the timer for the connection that has been idle the longest. */
void heartbeat_arm(struct streams *set);

/* s shows heartbeats (shows_beats) and was just sent an event: add a heartbeat if half a period
 * has passed since the last one. */
void heartbeat_beside_events(struct stream *s);

#endif
