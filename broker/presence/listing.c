#include "presence/listing.h"

int listing_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

/* The place of name: how many items are smaller. */
static size_t place(const struct listing *l, struct slice name)
{
    size_t from = 0, to = l->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (listing_compare(l->items[middle].name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

void listing_offer(struct listing *l, struct slice name, const void *value)
{
    if (l->after.len && listing_compare(name, l->after) <= 0)
        return;
    if (l->patterns && !patterns_match(l->patterns, name))
        return;
    bool full = l->count == l->max;
    l->more = l->more || full;
    if (full && listing_compare(name, l->items[l->count - 1].name) > 0)
        return;
    size_t at = place(l, name);
    if (!full)
        l->count++;
    memmove(&l->items[at + 1], &l->items[at], (l->count - 1 - at) * sizeof *l->items);
    l->items[at] = (struct listed){name, value};
}
