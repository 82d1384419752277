/* notifications.h - what NOTIFY sent and is still to be published, bounded in bytes.
 *
 * PostgreSQL keeps a notification until every listener has read it, and refuses NOTIFY when too
 * many wait. So the bridge always reads, and drops the newest when its own queue is full.
 */
#ifndef SSECAST_NOTIFICATIONS_H
#define SSECAST_NOTIFICATIONS_H

#include "frame/frame.h"
#include "frame/mapping.h"

struct notifications;

/* mapping is not copied. NULL: no memory, or no random numbers. */
struct notifications *notifications_new(struct frame *frame, const struct mapping *mapping,
                                        uint64_t max_bytes);

/* Safe on NULL. */
void notifications_free(struct notifications **n);

/* Map and queue one. It is counted and logged when it is refused or dropped. */
void notifications_add(struct notifications *n, struct slice channel, struct slice payload);

size_t notifications_count(const struct notifications *n);

/* Add the oldest to the delivery, which has no batch. There is one at least. */
void notifications_send(struct notifications *n);

/* Forget those that the delivery has the outcomes of. */
void notifications_delivered(struct notifications *n);

#endif
