/* deque.h - a growing ring of events in order of seq: append at the back, pop at both ends, find by
 * seq.
 *
 * Ownership: it holds plain pointers; references belong to the caller.
 */
#ifndef SSECAST_DEQUE_H
#define SSECAST_DEQUE_H

#include "codec/event.h"

/* Zeroed is empty. */
struct deque {
    struct event **slots;
    uint32_t cap; /* 0 or a power of two */
    uint32_t first, count;
};

void deque_release(struct deque *d);

/* It holds at most DEQUE_MAX events. */
#define DEQUE_MAX (1u << 31)

/* 0 or -ENOMEM; unchanged on failure. e->seq is above that of the back. */
int deque_push(struct deque *d, struct event *e);

/* Make room for one more. 0 or -ENOMEM. */
int deque_reserve(struct deque *d);

/* Put e behind the events whose seq is not above its own. As deque_push(). */
int deque_insert(struct deque *d, struct event *e);

/* The i-th event from the front; NULL when i is out of range. */
struct event *deque_at(const struct deque *d, size_t i);

/* The last event, or NULL. */
struct event *deque_back(const struct deque *d);

/* Is this very event in it? Costs the logarithm of count. */
bool deque_has(const struct deque *d, const struct event *e);

/* Put e in the place of `before`, which has the same seq. False when that is not there. */
bool deque_replace(struct deque *d, const struct event *before, struct event *e);

/* Remove e, which is most likely the last. False when it is not there. */
bool deque_take(struct deque *d, const struct event *e);

/* Remove and return the first or the last event; NULL when empty. */
struct event *deque_pop_front(struct deque *d);
struct event *deque_pop_back(struct deque *d);

/* Halve the slots when three quarters are free. When this is called after each pop, there are at
 * most four slots for each event. When out of memory nothing changes. */
void deque_shrink(struct deque *d);

/* The place of the first event with a seq above position; count when there is none. */
size_t deque_after(const struct deque *d, uint64_t position);

#endif
