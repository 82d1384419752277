#include "base/expiry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"

static void expiry_put(struct expiry *e, size_t place, struct expiry_item *item)
{
    e->items[place - 1] = item;
    item->place = place;
}

static struct expiry_item *expiry_get(const struct expiry *e, size_t place)
{
    return e->items[place - 1];
}

static void rise(struct expiry *e, struct expiry_item *item)
{
    size_t place = item->place;
    for (; place > 1 && expiry_get(e, place / 2)->at > item->at; place /= 2)
        expiry_put(e, place, expiry_get(e, place / 2));
    expiry_put(e, place, item);
}

static void sink(struct expiry *e, struct expiry_item *item)
{
    size_t place = item->place;
    for (size_t next; (next = 2 * place) <= e->count; place = next) {
        if (next < e->count && expiry_get(e, next + 1)->at < expiry_get(e, next)->at)
            next++;
        if (expiry_get(e, next)->at >= item->at)
            break;
        expiry_put(e, place, expiry_get(e, next));
    }
    expiry_put(e, place, item);
}

int expiry_add(struct expiry *e, struct expiry_item *item, int64_t at)
{
    struct expiry_item **items =
        array_reserve(e->items, &e->size, e->count + 1, sizeof(struct expiry_item *));
    if (!items)
        return -ENOMEM;

    e->items = items;
    item->at = at;
    expiry_put(e, ++e->count, item);
    rise(e, item);
    return 0;
}

void expiry_remove(struct expiry *e, struct expiry_item *item)
{
    if (!item->place)
        return;
    struct expiry_item *last = expiry_get(e, e->count--);
    if (last != item) {
        expiry_put(e, item->place, last);
        rise(e, last);
        sink(e, last);
    }
    item->place = 0;
}

struct expiry_item *expiry_first(const struct expiry *e)
{
    return e->count ? expiry_get(e, 1) : NULL;
}

void expiry_release(struct expiry *e)
{
    free(e->items);
    *e = (struct expiry){0};
}
