#include "model/merge.h"

#include "base/must.h"

void merge_add(struct merge *m, const struct deque *deque, uint64_t after)
{
    if (!deque)
        return;

    MUST(m->count < MERGE_DEQUES_MAX);
    m->items[m->count++] = (struct merge_source){deque, deque_after(deque, after)};
}

/* Most readers have one deque. */
static struct event *next_of_one(struct merge_source *source)
{
    struct event *e = deque_at(source->deque, source->at);
    if (e)
        source->at++;
    return e;
}

struct event *merge_next(struct merge *m)
{
    struct event *oldest = NULL;
    if (m->count == 1)
        return next_of_one(&m->items[0]);

    for (size_t i = 0; i < m->count; i++) {
        struct event *e = deque_at(m->items[i].deque, m->items[i].at);
        if (e && (!oldest || e->seq < oldest->seq))
            oldest = e;
    }

    for (size_t i = 0; oldest && i < m->count; i++)
        if (deque_at(m->items[i].deque, m->items[i].at) == oldest)
            m->items[i].at++;
    return oldest;
}

struct event *merge_previous(struct merge *m)
{
    struct event *newest = NULL;
    for (size_t i = 0; i < m->count; i++) {
        struct event *e = m->items[i].at ? deque_at(m->items[i].deque, m->items[i].at - 1) : NULL;
        if (e && (!newest || e->seq > newest->seq))
            newest = e;
    }

    for (size_t i = 0; newest && i < m->count; i++)
        if (m->items[i].at && deque_at(m->items[i].deque, m->items[i].at - 1) == newest)
            m->items[i].at--;
    return newest;
}
