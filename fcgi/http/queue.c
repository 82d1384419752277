#include "http/queue.h"

#include <errno.h>

#include "base/must.h"

#define KEEP_SLOTS 8 /* a queue that has grown beyond this gives its memory back when it runs empty */

int queue_push(struct queue *q, struct event *e, size_t budget)
{
    if (q->bytes && q->bytes + e->text.len > budget)
        return -ENOSPC;
    if (deque_push(&q->events, e) != 0)
        return -ENOMEM;
    event_ref(e);
    q->bytes += e->text.len;
    return 0;
}

int queue_gather(const struct queue *q, struct iovec *pieces, int max, size_t max_bytes, size_t *bytes)
{
    int count = 0;
    size_t skip = q->offset;
    *bytes = 0;
    while (count < max && *bytes < max_bytes) {
        const struct event *e = deque_at(&q->events, (size_t)count);
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

struct event *queue_take(struct queue *q, size_t *len)
{
    struct event *e = deque_at(&q->events, 0);
    size_t left = e ? e->text.len - q->offset : 0;
    MUST(*len <= q->bytes);
    if (e && *len >= left) {
        *len -= left;
        q->bytes -= left;
        q->offset = 0;
        return deque_pop_front(&q->events);
    }
    q->bytes -= *len;
    q->offset += *len;
    *len = 0;
    if (!e && q->events.cap > KEEP_SLOTS)
        deque_release(&q->events);
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
    MUST(bytes <= q->bytes);
    for (struct event *last; (last = deque_back(&q->events)) && q->bytes - bytes >= last->text.len;) {
        if (q->events.count == 1)
            break; /* some of it may be written already */
        q->bytes -= last->text.len;
        deque_pop_back(&q->events);
        event_unref(&last);
    }
    q->bytes = bytes;
}

size_t queue_fixed(const struct queue *q, size_t bytes)
{
    size_t count = q->events.count, before = q->bytes;

    for (; count > 0; count--) {
        const struct event *e = deque_at(&q->events, count - 1);
        if (!e->seq || before < bytes + e->text.len || (count == 1 && q->offset))
            break;
        before -= e->text.len;
    }
    return count;
}

size_t queue_truncate(struct queue *q, size_t count)
{
    size_t dropped = 0;
    while (q->events.count > count) {
        struct event *last = deque_pop_back(&q->events);
        MUST(q->bytes >= last->text.len);
        q->bytes -= last->text.len;
        dropped += 1 + last->further;
        event_unref(&last);
    }
    MUST(q->bytes || !q->offset);
    return dropped;
}

void queue_rest(struct queue *q)
{
    MUST(!q->bytes && !q->events.count);
    deque_release(&q->events);
}

void queue_release(struct queue *q)
{
    struct event *e;
    while ((e = deque_pop_front(&q->events)))
        event_unref(&e);
    deque_release(&q->events);
    *q = (struct queue){0};
}
