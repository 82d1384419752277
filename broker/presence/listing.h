/* listing.h - selects the first names of an unordered collection, in byte order.
 *
 * A paged list needs an order, and a hash table has none. This keeps the smallest of all offered
 * names. So a page costs one walk of the table, and memory for one page.
 *
 * Ownership: names and values are the caller's.
 */
#ifndef SSECAST_LISTING_H
#define SSECAST_LISTING_H

#include "codec/grant.h"

struct listed {
    struct slice name;
    const void *value;
};

/* Zeroed but for items (room for max) and max, which is at least 1. */
struct listing {
    struct listed *items; /* ascending */
    size_t max, count;
    const struct names *patterns; /* only names that match; NULL: all */
    struct slice after;           /* only names greater than this; empty: all */
    bool more;                    /* a name that is not among items was offered */
};

/* Less than, equal to or greater than 0, as memcmp(). */
int listing_compare(struct slice a, struct slice b);

void listing_offer(struct listing *l, struct slice name, const void *value);

#endif
