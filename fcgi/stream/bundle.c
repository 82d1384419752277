#include "stream/bundle.h"

#include <errno.h>

/* All names of the event, list by list, as they stand in its entry. */
static struct slice names_of(const struct event *e)
{
    const char *begin = e->bytes + e->offsets[0];
    return (struct slice){begin, (size_t)(e->text.data - begin)};
}

static bool same_audience(const struct event *a, const struct event *b)
{
    return a->has_to == b->has_to && a->is_private == b->is_private &&
           memcmp(a->counts, b->counts, sizeof a->counts) == 0 &&
           slice_equal(names_of(a), names_of(b));
}

bool bundle_takes(const struct bundle *b, const struct event *e)
{
    const struct event *first = deque_at(&b->events, 0);
    size_t max = b->max ? b->max : BUNDLE_BYTES;
    return !first || (first->kind == EVENT_MESSAGE && e->kind == EVENT_MESSAGE &&
                      b->bytes + e->text.len <= max && same_audience(first, e));
}

int bundle_add(struct bundle *b, struct event *e)
{
    if (deque_push(&b->events, e) != 0)
        return -ENOMEM;
    event_ref(e);
    b->bytes += e->text.len;
    return 0;
}

struct event *bundle_text(const struct bundle *b)
{
    struct event *first = deque_at(&b->events, 0);
    if (b->events.count == 1)
        return event_ref(first);
    struct event *all = event_text_room(b->bytes);
    if (!all)
        return NULL;
    char *at = all->bytes;
    for (size_t i = 0; i < b->events.count; i++) {
        const struct event *e = deque_at(&b->events, i);
        memcpy(at, e->text.data, e->text.len);
        at += e->text.len;
    }
    all->seq = first->seq;
    all->time_ms = first->time_ms;
    all->further = (uint32_t)b->events.count - 1;
    return all;
}

void bundle_clear(struct bundle *b)
{
    struct event *e;
    while ((e = deque_pop_front(&b->events)))
        event_unref(&e);
    b->bytes = 0;
}

void bundle_release(struct bundle *b)
{
    bundle_clear(b);
    deque_release(&b->events);
}
