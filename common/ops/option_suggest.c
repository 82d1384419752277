/* option_suggest.c - what two names share at both ends, and how little is left between. */
#include "ops/option_suggest.h"

#include <stdbool.h>

/* Is one letter of a added, missing, wrong or swapped with its neighbour in b? */
static bool nearly_same(struct slice a, struct slice b)
{
    size_t head = 0, tail = 0;
    size_t shorter = a.len < b.len ? a.len : b.len, longer = a.len + b.len - shorter;
    while (head < shorter && a.data[head] == b.data[head])
        head++;
    while (tail < shorter - head && a.data[a.len - 1 - tail] == b.data[b.len - 1 - tail])
        tail++;
    size_t rest = longer - head - tail;
    if (rest == 2 && a.len == b.len)
        return a.data[head] == b.data[head + 1] && a.data[head + 1] == b.data[head];
    return rest <= 1;
}

const char *option_suggest(const struct option_row *rows, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (nearly_same(name, slice_of(rows[i].name)))
            return rows[i].name;
    return NULL;
}
