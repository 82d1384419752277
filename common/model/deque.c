#include "model/deque.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

void deque_release(struct deque *d)
{
    free(d->slots);
    *d = (struct deque){0};
}

#define SMALLEST 2u /* slots */

static int resize(struct deque *d, size_t cap)
{
    struct event **slots = malloc(cap * sizeof *slots);
    if (!slots)
        return -ENOMEM;

    for (size_t i = 0; i < d->count; i++)
        slots[i] = deque_at(d, i);

    free(d->slots);
    d->slots = slots;
    d->cap = cap;
    d->first = 0;
    return 0;
}

static int grow(struct deque *d)
{
    return resize(d, d->cap ? d->cap * 2 : SMALLEST);
}

int deque_push(struct deque *d, struct event *e)
{
    if (d->count == d->cap && grow(d) != 0)
        return -ENOMEM;
    d->slots[(d->first + d->count++) & (d->cap - 1)] = e;
    return 0;
}

struct event *deque_at(const struct deque *d, size_t i)
{
    return i < d->count ? d->slots[(d->first + i) & (d->cap - 1)] : NULL;
}

struct event *deque_back(const struct deque *d)
{
    return d->count ? deque_at(d, d->count - 1) : NULL;
}

struct event *deque_replace(struct deque *d, struct event *e)
{
    size_t place = deque_after(d, e->seq - 1);
    struct event *before = deque_at(d, place);
    if (!before || before->seq != e->seq)
        return NULL;

    d->slots[(d->first + place) & (d->cap - 1)] = e;
    return before;
}

struct event *deque_pop_front(struct deque *d)
{
    struct event *e = deque_at(d, 0);
    if (e) {
        d->first = (d->first + 1) & (d->cap - 1);
        d->count--;
    }
    return e;
}

struct event *deque_pop_back(struct deque *d)
{
    struct event *e = deque_back(d);
    if (e)
        d->count--;
    return e;
}

void deque_shrink(struct deque *d)
{
    MUST(d->count <= d->cap);
    if (d->cap > SMALLEST && d->count <= d->cap / 4)
        resize(d, d->cap / 2);
}

size_t deque_after(const struct deque *d, uint64_t position)
{
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (deque_at(d, middle)->seq > position)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
