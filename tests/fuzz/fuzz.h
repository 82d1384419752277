/* fuzz.h - what every fuzz target shares: an assertion that is never compiled away, and input taken
 * piece by piece.
 *
 * A target is a program of libFuzzer's: LLVMFuzzerTestOneInput() is called with bytes that
 * libFuzzer makes up. It asserts what must hold for any bytes (it decodes again to the same, the
 * order is kept, all or none), with must(). Where an input has several parts they are separated by
 * control characters, so that seeds (tests/fuzz/corpus/<target>/) can be read.
 */
#ifndef SSECAST_TESTS_FUZZ_H
#define SSECAST_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define PART '\036' /* ASCII record separator: between the parts of an input */
#define UNIT '\037' /* ASCII unit separator: within a part */

/* Take what comes before the next separator off rest. False when nothing is left. */
static inline bool next_part(struct slice *rest, char separator, struct slice *part)
{
    if (!rest->data)
        return false;
    const char *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    *part = (struct slice){rest->data, end ? (size_t)(end - rest->data) : rest->len};
    *rest = end ? (struct slice){end + 1, rest->len - part->len - 1} : (struct slice){NULL, 0};
    return true;
}

/* Take one byte off rest; 0 when nothing is left. */
static inline uint8_t next_byte(struct slice *rest)
{
    if (!rest->len)
        return 0;
    rest->len--;
    return (uint8_t)*rest->data++;
}

/* A copy of exactly so many bytes, so that the sanitizer sees the first one beyond.
 * NULL stays NULL. Free it. */
static inline char *exact_copy(struct slice s)
{
    char *copy = malloc(s.len ? s.len : 1);
    must(copy);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return copy;
}

/* The same with a NUL behind it (bytes after a NUL within are lost to whoever reads a string).
 * NULL stays NULL. Free it. */
static inline char *string_copy(struct slice s)
{
    char *copy = malloc(s.len + 1);
    must(copy);
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return copy;
}

#endif
