/* digits.h - numbers as people read them. */
#ifndef SSECAST_DIGITS_H
#define SSECAST_DIGITS_H

#include <stdint.h>

#include "base/slice.h"

#define DIGITS_GROUPED_MAX 32 /* bytes, NUL included */

/* "1,234,567". Returns out. */
const char *digits_grouped(uint64_t number, char out[DIGITS_GROUPED_MAX]);

#define DIGITS_MAX 20 /* digits of a uint64_t */

/* The number in decimal, at the end of out. Faster than snprintf(), which would take longer than
 * the rest of a short reply or of an event. */
static inline struct slice digits_plain(uint64_t number, char out[DIGITS_MAX])
{
    size_t first = DIGITS_MAX;
    do
        out[--first] = (char)('0' + number % 10);
    while (number /= 10);
    return (struct slice){out + first, DIGITS_MAX - first};
}

#endif
