#include "model/due.h"

#include "base/must.h"

#define LONG_AGO (INT64_MIN / 2) /* a quarter: due whatever comes */

void due_init(struct due *d)
{
    *d = (struct due){0};
    TAILQ_INIT(&d->items);
}

void due_drop(struct due *d, struct due_item *item)
{
    if (item->listed)
        TAILQ_REMOVE(&d->items, item, link);
    item->listed = false;
}

void due_note(struct due *d, struct due_item *item, uint64_t seq)
{
    due_drop(d, item);
    TAILQ_INSERT_TAIL(&d->items, item, link);
    item->listed = true;
    item->seq = seq;
    item->quarter = d->quarter;
    item->distrusted = false;
}

void due_next_quarter(struct due *d)
{
    MUST(d->quarter < INT64_MAX / 2); /* ages are differences to LONG_AGO */
    d->quarter++;
}

struct due_item *due_next(const struct due *d, const struct due_item *item)
{
    return item ? TAILQ_NEXT(item, link) : TAILQ_FIRST(&d->items);
}

struct due_item *due_last(const struct due *d)
{
    return TAILQ_LAST(&d->items, due_items);
}

int64_t due_age(const struct due *d, const struct due_item *item)
{
    MUST(item->quarter <= d->quarter);
    return d->quarter - item->quarter;
}

void due_hurry(struct due *d, struct due_item *item)
{
    MUST(item->listed);
    item->quarter = LONG_AGO;
    TAILQ_REMOVE(&d->items, item, link);
    TAILQ_INSERT_HEAD(&d->items, item, link);
}

/* The last first, so that they keep their order at the front. */
void due_doubt(struct due *d, uint64_t position)
{
    struct due_item *before;
    for (struct due_item *item = due_last(d); item; item = before) {
        before = TAILQ_PREV(item, due_items, link);
        if (item->seq > position && item->quarter != LONG_AGO)
            due_hurry(d, item);
    }
}

void due_distrust(struct due *d)
{
    struct due_item *item;
    TAILQ_FOREACH (item, &d->items, link) {
        item->distrusted = true;
        item->quarter = d->quarter;
        d->some_distrusted = true;
    }
}

/* Most of the time nothing is distrusted, and it costs nothing. */
struct due_item *due_next_stale(struct due *d, const struct due_item *item)
{
    struct due_item *next = NULL;
    bool left = item != NULL;
    if (!d->some_distrusted)
        return NULL;

    for (next = due_next(d, item); next; next = due_next(d, next)) {
        left = left || next->distrusted;
        if (next->distrusted && due_age(d, next) >= DUE_LOG_QUARTERS)
            break;
    }
    d->some_distrusted = left;
    return next;
}

struct due_place due_place(const struct due_item *item)
{
    MUST(item->listed);
    return (struct due_place){.before = TAILQ_PREV(item, due_items, link),
                              .seq = item->seq,
                              .quarter = item->quarter,
                              .distrusted = item->distrusted};
}

void due_put_back(struct due *d, struct due_item *item, const struct due_place *place)
{
    MUST(item->listed && (!place->before || place->before->listed));
    item->seq = place->seq;
    item->quarter = place->quarter;
    item->distrusted = place->distrusted;

    TAILQ_REMOVE(&d->items, item, link);
    if (place->before)
        TAILQ_INSERT_AFTER(&d->items, place->before, item, link);
    else
        TAILQ_INSERT_HEAD(&d->items, item, link);
}
