#include "presence/ranking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The entries with the same count. */
struct ranking_class {
    struct ranked *first, *last;
};

static int make_room(struct ranking *r, size_t count)
{
    size_t room = r->room ? r->room : 16;
    if (count < r->room)
        return 0;
    while (room <= count)
        room *= 2;
    struct ranking_class *classes = realloc(r->classes, room * sizeof *classes);
    if (!classes)
        return -ENOMEM;
    memset(classes + r->room, 0, (room - r->room) * sizeof *classes);
    r->classes = classes;
    r->room = room;
    return 0;
}

static void take_out(struct ranking *r, struct ranked *one)
{
    struct ranking_class *class = &r->classes[one->count];
    if (class->first == one && class->last == one)
        *class = (struct ranking_class){0};
    else if (class->first == one)
        class->first = one->next;
    else if (class->last == one)
        class->last = one->prev;
    if (one->next)
        one->next->prev = one->prev;
    if (one->prev)
        one->prev->next = one->next;
    else
        r->first = one->next;
}

/* Insert one between two neighbours, at an end of its class. */
static void put_in(struct ranking *r, struct ranked *one, struct ranked *before,
                   struct ranked *after)
{
    struct ranking_class *class = &r->classes[one->count];
    one->prev = before;
    one->next = after;
    if (before)
        before->next = one;
    else
        r->first = one;
    if (after)
        after->prev = one;
    if (!class->first || class->first == after)
        class->first = one;
    if (!class->last || class->last == before)
        class->last = one;
}

/* The last entry of the list. */
static struct ranked *last_of_all(const struct ranking *r)
{
    for (size_t count = 1; count < r->room; count++)
        if (r->classes[count].last)
            return r->classes[count].last;
    return NULL;
}

int ranking_up(struct ranking *r, struct ranked *one)
{
    if (make_room(r, one->count + 1) != 0)
        return -ENOMEM;
    struct ranked *first = one->count ? r->classes[one->count].first : NULL;
    struct ranked *before = first ? first->prev : last_of_all(r), *after = first;
    if (first == one)
        after = one->next;
    if (one->count)
        take_out(r, one);
    one->count++;
    put_in(r, one, before, after);
    return 0;
}

void ranking_down(struct ranking *r, struct ranked *one)
{
    if (!one->count)
        return;
    struct ranked *last = r->classes[one->count].last;
    struct ranked *before = last == one ? one->prev : last, *after = last->next;
    take_out(r, one);
    if (--one->count)
        put_in(r, one, before, after);
}

void ranking_release(struct ranking *r)
{
    free(r->classes);
    *r = (struct ranking){0};
}
