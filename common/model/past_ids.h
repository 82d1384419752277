/* past_ids.h - ids of evicted events that clients may still send as cursors.
 *
 * A cursor always names the same event. So an id must not be shown by a second event, even when the
 * first was evicted. This module remembers which event showed which id, for a bounded number of
 * ids; the oldest are dropped first. An id is kept as a 64-bit hash. Two ids with the same hash
 * count as one: an id is then not shown, or a client is sent a gap event.
 *
 * An id takes 24 to 48 bytes. Memory grows with the number of ids, up to the bound.
 */
#ifndef SSECAST_PAST_IDS_H
#define SSECAST_PAST_IDS_H

#include <stdint.h>

#include "base/slice.h"

#define PAST_IDS 1000000u          /* how many are remembered at least */
#define PAST_IDS_MAX (1u << 30)    /* the largest bound */
#define PAST_ID_SEVERAL UINT64_MAX /* in place of a seq: several events showed the id */

struct past_ids;

/* Remembers at most max ids (at most PAST_IDS_MAX); 0: none. NULL when out of memory. */
struct past_ids *past_ids_new(uint64_t max);

/* Sets *p to NULL. Safe on NULL. */
void past_ids_free(struct past_ids **p);

/* The hash of an id; the same in every process. */
uint64_t past_id_hash(struct slice id);

/* The event with this seq (not 0) showed the id and was evicted. When out of memory the oldest
 * id is dropped, or this one when there is no other. */
void past_ids_add(struct past_ids *p, uint64_t hash, uint64_t seq);

/* The seq of the event that showed the id; 0 when none is remembered; or PAST_ID_SEVERAL. */
uint64_t past_ids_find(const struct past_ids *p, uint64_t hash);

size_t past_ids_count(const struct past_ids *p);

#endif
