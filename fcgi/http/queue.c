#include "http/queue.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

#define FIRST_SLOTS 2u
#define KEEP_SLOTS 8u /* a queue that grew beyond this frees its memory when empty */

/* --- the ring --- */

/* The slot of the i-th event. */
static struct event **slot_of(struct queue_ring *r, size_t i)
{
    return &r->slots[(r->first + i) & (r->cap - 1)];
}

struct event *queue_at(const struct queue *q, size_t i)
{
    return i < queue_count(q) ? *slot_of(q->ring, i) : NULL;
}

static struct event *queue_back(const struct queue *q)
{
    return queue_count(q) ? queue_at(q, q->ring->count - 1) : NULL;
}

/* 0 or -ENOMEM. */
static int queue_grow(struct queue *q)
{
    struct queue_ring *old = q->ring, *ring;
    uint32_t cap = old ? old->cap * 2 : FIRST_SLOTS;
    if (!cap || !(ring = malloc(sizeof *ring + cap * sizeof ring->slots[0])))
        return -ENOMEM;

    *ring = (struct queue_ring){.cap = cap};
    if (old) {
        ring->bytes = old->bytes;
        ring->offset = old->offset;
        ring->count = old->count;
    }
    for (uint32_t i = 0; i < ring->count; i++)
        ring->slots[i] = *slot_of(old, i);
    free(old);
    q->ring = ring;
    return 0;
}

static void pop_back(struct queue_ring *r)
{
    MUST(r->count);
    event_unref(slot_of(r, --r->count));
}

/* --- interface --- */

int queue_push(struct queue *q, struct event *e, size_t budget)
{
    struct queue_ring *r = q->ring;
    if (r && r->bytes && r->bytes + e->text.len > budget)
        return -ENOSPC;
    if ((!r || r->count == r->cap) && queue_grow(q) != 0)
        return -ENOMEM;

    r = q->ring;
    *slot_of(r, r->count++) = event_ref(e);
    r->bytes += e->text.len;
    return 0;
}

int queue_gather(const struct queue *q, struct iovec *pieces, int max, size_t max_bytes,
                 size_t *bytes)
{
    int count = 0;
    size_t skip = q->ring ? q->ring->offset : 0;
    *bytes = 0;
    while (count < max && *bytes < max_bytes) {
        const struct event *e = queue_at(q, (size_t)count);
        if (!e)
            break;
        size_t len = e->text.len - skip;
        if (len > max_bytes - *bytes)
            len = max_bytes - *bytes;
        pieces[count++] = (struct iovec){(char *)e->text.data + skip, len};
        *bytes += len;
        skip = 0;
    }
    return count;
}

static struct event *pop_front(struct queue_ring *r)
{
    struct event *e = r->slots[r->first];
    r->first = (r->first + 1) & (r->cap - 1);
    r->count--;
    return e;
}

struct event *queue_take(struct queue *q, size_t *len)
{
    struct queue_ring *r = q->ring;
    const struct event *e = queue_at(q, 0);
    size_t left = e ? e->text.len - r->offset : 0;
    MUST(*len <= queue_bytes(q));
    if (e && *len >= left) {
        *len -= left;
        r->bytes -= left;
        r->offset = 0;
        return pop_front(r);
    }

    if (e) {
        r->bytes -= *len;
        r->offset += *len;
    } else if (r && r->cap > KEEP_SLOTS) {
        queue_rest(q);
    }
    *len = 0;
    return NULL;
}

void queue_consume(struct queue *q, size_t len)
{
    struct event *e;
    while ((e = queue_take(q, &len)))
        event_unref(&e);
}

void queue_keep(struct queue *q, size_t bytes)
{
    MUST(bytes <= queue_bytes(q));
    for (const struct event *last;
         (last = queue_back(q)) && q->ring->bytes - bytes >= last->text.len;) {
        if (q->ring->count == 1)
            break; /* some of it may be written already */
        q->ring->bytes -= last->text.len;
        pop_back(q->ring);
    }
    if (q->ring)
        q->ring->bytes = bytes;
}

size_t queue_fixed(const struct queue *q, size_t bytes)
{
    size_t count = queue_count(q), before = queue_bytes(q);

    for (; count > 0; count--) {
        const struct event *e = queue_at(q, count - 1);
        if (!e->seq || before < bytes + e->text.len || (count == 1 && q->ring->offset))
            break;
        before -= e->text.len;
    }
    return count;
}

size_t queue_truncate(struct queue *q, size_t count)
{
    size_t dropped = 0;
    while (queue_count(q) > count) {
        const struct event *last = queue_back(q);
        MUST(q->ring->bytes >= last->text.len);
        q->ring->bytes -= last->text.len;
        dropped += 1 + last->further;
        pop_back(q->ring);
    }
    MUST(!q->ring || q->ring->bytes || !q->ring->offset);
    return dropped;
}

void queue_rest(struct queue *q)
{
    MUST(!queue_bytes(q) && !queue_count(q));
    free(q->ring);
    q->ring = NULL;
}

void queue_release(struct queue *q)
{
    while (queue_count(q))
        pop_back(q->ring);
    free(q->ring);
    q->ring = NULL;
}
