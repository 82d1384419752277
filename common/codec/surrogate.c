#include "codec/surrogate.h"

#include <stdlib.h>

#include "base/hex.h"

bool surrogate_half(int32_t c)
{
    return c >= 0xd800 && c <= 0xdfff;
}

static int32_t code_unit(const char *p, const char *end)
{
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = p + i < end ? hex_digit(p[i]) : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

int32_t surrogate_read(const char *p, const char *end, size_t *len)
{
    int32_t first = code_unit(p, end);
    *len = 4;
    if (!surrogate_half(first) || first > 0xdbff || end - p < 10 || p[4] != '\\' || p[5] != 'u')
        return first;

    int32_t second = code_unit(p + 6, end);
    if (second < 0xdc00 || second > 0xdfff)
        return first;

    *len = 10;
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

char *surrogate_softened(struct slice json)
{
    char *copy = malloc(json.len + 1), *at = copy;
    if (!copy)
        return NULL;
    if (json.len)
        memcpy(copy, json.data, json.len);

    for (char *end = copy + json.len;
         (at = memchr(at, '\\', (size_t)(end - at))) && end - at >= 2;) {
        size_t len = 0;
        bool unicode = at[1] == 'u';
        at += 2;
        if (unicode && surrogate_half(surrogate_read(at, end, &len)))
            memcpy(at, "fffd", 4);
        at += end - at < (ptrdiff_t)len ? end - at : (ptrdiff_t)len;
    }
    copy[json.len] = '\0';
    return copy;
}
