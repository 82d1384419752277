/* blocks.h - the sessions that were shut down and are turned away for a while.
 *
 * The broker keeps them to tell workers that come later; a worker keeps them to answer 204.
 */
#ifndef SSECAST_BLOCKS_H
#define SSECAST_BLOCKS_H

#include <stdint.h>

#include "event.h"

struct blocks;

struct blocks *blocks_new(void);
void blocks_free(struct blocks **b);

/* Turn session away until until_ms (unix time); a later end already set stays. 0 or -ENOMEM. */
int blocks_add(struct blocks *b, struct slice session, int64_t until_ms);

/* Add what a shutdown event asks for: each session it names, for block_s from the event's time. 0 or -ENOMEM. */
int blocks_add_event(struct blocks *b, const struct event *e);

bool blocks_active(const struct blocks *b, struct slice session, int64_t now_ms);

/* Forget those that have ended. */
void blocks_expire(struct blocks *b, int64_t now_ms);

/* Walk: NULL first; NULL at the end. The pointer is a cursor. */
const void *blocks_next(const struct blocks *b, const void *cursor, struct slice *session, int64_t *until_ms);

#endif
