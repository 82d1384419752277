/* array.h - growing arrays of items: the amount they grow by, in one place.
 *
 * Bytes grow in a struct buf, see buf.h.
 */
#ifndef SSECAST_ARRAY_H
#define SSECAST_ARRAY_H

#include <stdint.h>
#include <stdlib.h>

#define ARRAY_FIRST ((size_t)16) /* items */

/* Make room for count items of size bytes each. *cap is the number of items there is room for;
 * it at least doubles when it grows. Returns the array, which may have moved. NULL when out of
 * memory: the array and *cap stay as they are. */
static inline void *array_reserve(void *items, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap)
        return items;

    size_t more = *cap > 0 ? *cap * 2 : ARRAY_FIRST;
    more = more < count ? count : more;
    void *grown = reallocarray(items, more, size);
    if (grown)
        *cap = more;
    return grown;
}

#endif
