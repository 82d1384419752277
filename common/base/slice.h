/* slice.h - bytes that are owned elsewhere: a pointer and a length.
 *
 * Codecs take and give slices. So names and payloads may hold any byte, NUL included, and bytes are
 * copied only where a copy is needed.
 */
#ifndef SSECAST_SLICE_H
#define SSECAST_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* may be NULL when len is 0 */
    size_t len;       /* bytes */
};

/* The bytes of a C string, without its NUL; NULL gives the empty slice. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_begins(struct slice text, struct slice beginning)
{
    return text.len >= beginning.len &&
           (!beginning.len || memcmp(text.data, beginning.data, beginning.len) == 0);
}

#endif
