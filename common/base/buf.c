#include "base/buf.h"

#include <stdint.h>
#include <stdlib.h>

#define FIRST_SIZE ((size_t)256)

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool buf_grow(struct buf *b, size_t len)
{
    if (b->failed)
        return false;

    size_t cap = larger(larger(FIRST_SIZE, 2 * b->cap), b->len + len);
    char *data = len <= PTRDIFF_MAX - b->len ? realloc(b->data, cap) : NULL;
    if (!data) {
        b->failed = true;
        return false;
    }

    b->data = data;
    b->cap = cap;
    return true;
}
