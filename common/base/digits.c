#include "base/digits.h"

#include <inttypes.h>
#include <stdio.h>

const char *digits_grouped(uint64_t number, char out[DIGITS_GROUPED_MAX])
{
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number), at = 0;
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
