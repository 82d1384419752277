#include "model/times.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/must.h"

void times_release(struct times *t)
{
    free(t->newest);
    *t = (struct times){0};
}

int times_add(struct times *t, uint64_t ordinal, int64_t time_ms)
{
    uint64_t block = ordinal / TIMES_BLOCK;
    if (!t->count)
        t->first = block;
    MUST(block >= t->first && block <= t->first + t->count);

    size_t at = (size_t)(block - t->first);
    if (at == t->count) {
        int64_t *newest = array_reserve(t->newest, &t->cap, t->count + 1, sizeof *newest);
        if (!newest)
            return -ENOMEM;
        t->newest = newest;
        t->newest[t->count++] = time_ms;
    } else if (time_ms > t->newest[at]) {
        t->newest[at] = time_ms;
    }
    return 0;
}

void times_drop(struct times *t, uint64_t ordinal)
{
    uint64_t block = ordinal / TIMES_BLOCK;
    if (!t->count || block <= t->first)
        return;

    size_t gone = (size_t)(block - t->first);
    if (gone > t->count)
        gone = t->count;
    t->count -= gone;
    memmove(t->newest, t->newest + gone, t->count * sizeof *t->newest);
    t->first += gone;
}

uint64_t times_seek(const struct times *t, uint64_t ordinal, int64_t time_ms)
{
    uint64_t block = ordinal / TIMES_BLOCK;
    size_t at = block > t->first ? (size_t)(block - t->first) : 0;

    while (at < t->count && t->newest[at] < time_ms)
        at++;
    return at < t->count ? (t->first + at) * TIMES_BLOCK : UINT64_MAX;
}
