/* past_ids.h - ids that clients were given as cursors, of events that are gone.
 *
 * A cursor names one event for ever. So an id that was shown once must not be shown again by another event, also when the first one was evicted.
 * This remembers which event showed which id, for a bounded number of ids; the oldest are forgotten first. An id is kept as a 64-bit hash.
 * Two ids with the same hash are taken for one: the effect is that an id is not shown, or that a client is sent a gap event.
 *
 * An id costs 24 to 48 bytes. Memory grows with the ids that are remembered, up to the bound.
 */
#ifndef SSECAST_PAST_IDS_H
#define SSECAST_PAST_IDS_H

#include <stdint.h>

#include "base/slice.h"

#define PAST_IDS 1000000u          /* how many are remembered at least */
#define PAST_IDS_MAX (1u << 30)    /* how many can be */
#define PAST_ID_SEVERAL UINT64_MAX /* in place of a seq: several events showed the id */

struct past_ids;

/* Remembers max ids at most (PAST_IDS_MAX when max is larger); of 0, none. NULL when out of memory. */
struct past_ids *past_ids_new(uint64_t max);

/* Sets *p to NULL. Safe on NULL. */
void past_ids_free(struct past_ids **p);

/* The hash that stands for an id; the same in every process. */
uint64_t past_id_hash(struct slice id);

/* The event with this seq (not 0) showed the id and is gone. Without memory for it an older id is forgotten instead, or this one when there is none. */
void past_ids_add(struct past_ids *p, uint64_t hash, uint64_t seq);

/* The seq of the event that showed the id; 0 when none is remembered; or PAST_ID_SEVERAL. */
uint64_t past_ids_find(const struct past_ids *p, uint64_t hash);

size_t past_ids_count(const struct past_ids *p);

#endif
