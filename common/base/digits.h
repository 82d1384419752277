/* digits.h - numbers as people read them. */
#ifndef SSECAST_DIGITS_H
#define SSECAST_DIGITS_H

#include <stdint.h>

#define DIGITS_GROUPED_MAX 32 /* bytes, NUL included */

/* "1,234,567". Returns out. */
const char *digits_grouped(uint64_t number, char out[DIGITS_GROUPED_MAX]);

#endif
