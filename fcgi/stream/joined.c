#include "stream/joined.h"

#include <string.h>

#include "base/must.h"

static void joined_clear(struct joined_part *p)
{
    for (size_t i = 0; i < p->count; i++)
        event_unref(&p->events[i]);
    p->count = 0;
    event_unref(&p->text);
}

static void keep(struct joined_part *p, struct event *const *events, size_t count)
{
    joined_clear(p);
    for (size_t i = 0; i < count; i++)
        p->events[i] = event_ref(events[i]);
    p->count = count;
}

static bool has(const struct joined_part *p, struct event *const *events, size_t count)
{
    return p->count == count && memcmp(p->events, events, count * sizeof(struct event *)) == 0;
}

/* The bytes of all texts; 0 when out of memory. */
static size_t length_of(struct state *state, const struct joined_part *p)
{
    size_t len = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct event *text = state_text(state, p->events[i]);
        if (!text)
            return 0;
        len += text->text.len;
    }
    return len;
}

static struct event *joined_new(struct state *state, const struct joined_part *p)
{
    size_t len = length_of(state, p);
    struct event *all = len ? event_text_room(len) : NULL;
    if (!all)
        return NULL;

    char *at = all->bytes;
    for (size_t i = 0; i < p->count; i++) {
        struct slice text = state_text(state, p->events[i])->text;
        memcpy(at, text.data, text.len);
        at += text.len;
    }
    MUST(at == all->bytes + len);
    return all;
}

struct event *joined_text(struct joined *j, struct state *state, size_t number,
                          struct event *const *events, size_t count)
{
    struct joined_part *p = &j->parts[number % JOINED_PARTS];
    MUST(count <= JOINED_EVENTS);
    if (count < 2)
        return NULL;

    if (!has(p, events, count))
        keep(p, events, count);
    else if (!p->text)
        p->text = joined_new(state, p);
    return p->text;
}

void joined_release(struct joined *j)
{
    for (size_t i = 0; i < JOINED_PARTS; i++)
        joined_clear(&j->parts[i]);
}
