/* expiry.h - a heap of deadlines, the earliest first. It knows neither clocks nor streams.
 *
 * Ownership: items are embedded in the objects that expire; the heap holds pointers to them.
 */
#ifndef SSECAST_EXPIRY_H
#define SSECAST_EXPIRY_H

#include <stddef.h>
#include <stdint.h>

struct expiry_item {
    int64_t at;
    size_t place; /* position in the heap, from 1; 0: not in the heap */
};

/* Zeroed is empty. */
struct expiry {
    struct expiry_item **items;
    size_t count, size;
};

/* Add an item that is not in the heap. 0 or -ENOMEM; unchanged on failure. */
int expiry_add(struct expiry *e, struct expiry_item *item, int64_t at);

/* Remove the item. Safe when it is not in the heap. */
void expiry_remove(struct expiry *e, struct expiry_item *item);

/* The item with the earliest `at`; NULL when the heap is empty. */
struct expiry_item *expiry_first(const struct expiry *e);

void expiry_release(struct expiry *e);

#endif
