/* queue.h - bounded queue of outgoing events for one subscriber.
 *
 * Events wait here while the socket is not writable. The queue never touches a descriptor: conn.c
 * writes what queue_gather() shows and says with queue_consume() how much of it went out. It keeps
 * the order and the budget.
 *
 * Ownership: queue_push() takes a reference on the event; it is given up when its last byte was
 * consumed.
 */
#ifndef SSECAST_QUEUE_H
#define SSECAST_QUEUE_H

#include <sys/uio.h>

#include "codec/event.h"

/* What waits, in a ring. */
struct queue_ring {
    size_t bytes;  /* waiting */
    size_t offset; /* bytes of the first event that are consumed */
    uint32_t cap;  /* a power of two */
    uint32_t first, count;
    struct event *slots[];
};

/* Zeroed is empty. An idle stream has nothing else. */
struct queue {
    struct queue_ring *ring; /* NULL: nothing waits */
};

/* The bytes that wait, and the events. */
static inline size_t queue_bytes(const struct queue *q)
{
    return q->ring ? q->ring->bytes : 0;
}

static inline size_t queue_count(const struct queue *q)
{
    return q->ring ? q->ring->count : 0;
}

/* The i-th event from the front; NULL when i is out of range. */
struct event *queue_at(const struct queue *q, size_t i);

/* Append e. 0; -ENOSPC (the queue is unchanged) when more than budget bytes would be waiting,
 * except that an empty queue takes an event of any size; -ENOMEM. */
int queue_push(struct queue *q, struct event *e, size_t budget);

/* Show up to max pieces (at least 1), max_bytes in all, of what waits. Returns the pieces;
 * *bytes is their sum. */
int queue_gather(const struct queue *q, struct iovec *pieces, int max, size_t max_bytes,
                 size_t *bytes);

/* The first *len bytes (not more than are waiting) have gone out: gives the first event whose
 * last byte is among them, and takes its bytes off *len; the reference is the caller's. NULL
 * when there is none: then nothing of *len is left. */
struct event *queue_take(struct queue *q, size_t *len);

/* The same for all of them. The first len bytes (not more than are waiting) have gone out. */
void queue_consume(struct queue *q, size_t len);

/* Of what waits (at least bytes) drop all but the first bytes. Nothing is to be pushed
 * afterwards. */
void queue_keep(struct queue *q, size_t bytes);

/* The number of events at the front that stay when what waits is read again. They are those with
 * the first `bytes` bytes, one that is written in part, and all up to the last text of our own,
 * which has no seq. */
size_t queue_fixed(const struct queue *q, size_t bytes);

/* Drop all but the first count texts, not fewer than queue_fixed(). Returns the number of events in
 * those that were dropped. */
size_t queue_truncate(struct queue *q, size_t count);

/* An empty queue gives up its memory until the next push. */
void queue_rest(struct queue *q);

/* Drop everything and free the memory. */
void queue_release(struct queue *q);

#endif
