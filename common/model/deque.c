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

static int resize(struct deque *d, uint32_t cap)
{
    MUST(d->count <= cap && cap <= DEQUE_MAX);

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
    if (d->cap == DEQUE_MAX)
        return -ENOMEM;
    return resize(d, d->cap ? d->cap * 2 : SMALLEST);
}

int deque_reserve(struct deque *d)
{
    return d->count < d->cap ? 0 : grow(d);
}

static void deque_set(struct deque *d, size_t i, struct event *e)
{
    d->slots[(d->first + i) & (d->cap - 1)] = e;
}

/* The shorter side moves. */
int deque_insert(struct deque *d, struct event *e)
{
    size_t place = deque_after(d, e->seq);
    if (deque_reserve(d) != 0)
        return -ENOMEM;

    d->count++;
    if (place < d->count / 2) {
        d->first = (d->first - 1) & (d->cap - 1);
        for (size_t i = 0; i < place; i++)
            deque_set(d, i, deque_at(d, i + 1));
    } else {
        for (size_t i = d->count - 1; i > place; i--)
            deque_set(d, i, deque_at(d, i - 1));
    }
    deque_set(d, place, e);
    return 0;
}

int deque_push(struct deque *d, struct event *e)
{
    if (deque_reserve(d) != 0)
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

/* The place of e; count when it is not there. */
static size_t find(const struct deque *d, const struct event *e)
{
    size_t place = deque_after(d, e->seq - 1);
    const struct event *one;
    while ((one = deque_at(d, place)) && one->seq == e->seq && one != e)
        place++;
    return one == e ? place : d->count;
}

bool deque_has(const struct deque *d, const struct event *e)
{
    return find(d, e) < d->count;
}

bool deque_replace(struct deque *d, const struct event *before, struct event *e)
{
    size_t place = find(d, before);
    MUST(before->seq == e->seq);
    if (place == d->count)
        return false;

    deque_set(d, place, e);
    return true;
}

bool deque_take(struct deque *d, const struct event *e)
{
    size_t at = d->count;
    while (at > 0 && deque_at(d, at - 1) != e)
        at--;
    if (!at)
        return false;

    for (; at < d->count; at++)
        deque_set(d, at - 1, deque_at(d, at));
    d->count--;
    return true;
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
