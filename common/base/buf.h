/* buf.h - bytes that grow at their end: the one growable buffer of the programs.
 *
 * A failed allocation is remembered in failed, and everything that is put after it is ignored. So a
 * writer checks once, at the end.
 *
 * Ownership: the caller releases the memory with buf_release(), or takes data and frees it.
 */
#ifndef SSECAST_BUF_H
#define SSECAST_BUF_H

#include "base/must.h"
#include "base/slice.h"

/* Zeroed is empty. Set len to 0 to write the next text into the same memory. */
struct buf {
    char *data;
    size_t len, cap; /* bytes */
    bool failed;
};

/* Free the memory and zero the buffer. */
void buf_release(struct buf *b);

/* Make room for len more bytes. False when there is none; failed is set then, and the bytes stay
 * as they are. */
bool buf_grow(struct buf *b, size_t len);

/* Count len more bytes as written and return where they begin; NULL when there is no room. */
static inline char *buf_extend(struct buf *b, size_t len)
{
    MUST(b->len <= b->cap);
    if (b->failed || (b->cap - b->len < len && !buf_grow(b, len)))
        return NULL;

    b->len += len;
    return b->data + b->len - len;
}

static inline void buf_put(struct buf *b, const void *bytes, size_t len)
{
    char *p = len ? buf_extend(b, len) : NULL;
    if (p)
        memcpy(p, bytes, len);
}

static inline void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.data, s.len);
}

/* Put a NUL behind the bytes, which len does not count. */
static inline void buf_terminate(struct buf *b)
{
    if (buf_extend(b, 1))
        b->data[--b->len] = '\0';
}

/* What was written, valid until the buffer grows or is released. */
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}

#endif
