/* expiry.h - what ends at a time of its own, the next one first: a heap. It knows no clock and no stream.
 *
 * Ownership: items are embedded in what they are about; the heap has pointers to them.
 */
#ifndef SSECAST_EXPIRY_H
#define SSECAST_EXPIRY_H

#include <stddef.h>
#include <stdint.h>

struct expiry_item {
    int64_t at;
    size_t place; /* in the heap, from 1; 0: it is not there */
};

/* Begin with a zeroed one. */
struct expiry {
    struct expiry_item **items;
    size_t count, size;
};

/* Put item (which is not there) in. 0 or -ENOMEM. */
int expiry_add(struct expiry *e, struct expiry_item *item, int64_t at);

/* Take item out; safe when it is not there. */
void expiry_remove(struct expiry *e, struct expiry_item *item);

/* The item with the smallest `at`; NULL: there is none. */
struct expiry_item *expiry_first(const struct expiry *e);

void expiry_release(struct expiry *e);

#endif
