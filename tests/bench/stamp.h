/* stamp.h - what a measured event carries: its number and when it was sent.
 *
 * A payload is one line of JSON of a fixed layout, padded to the wanted size:
 *
 *     {"n":1000000001,"t":1000000123456789012,"p":"xxxx"}
 *
 * n counts 1, 2, 3 from STAMP_N_BASE, t is CLOCK_MONOTONIC in ns from STAMP_T_BASE, so that both
 * always have the same number of digits and are read without a parser.
 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STAMP_N_BASE 1000000000u
#define STAMP_T_BASE 1000000000000000000u
#define STAMP_MIN 47u /* bytes of the shortest payload */

static inline uint64_t stamp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Write a payload of size bytes (STAMP_MIN at least) without a NUL. */
static inline void stamp_write(char *to, size_t size, uint64_t n, uint64_t t)
{
    char head[64];
    int len =
        snprintf(head, sizeof head, "{\"n\":%llu,\"t\":%llu,\"p\":\"",
                 (unsigned long long)(STAMP_N_BASE + n), (unsigned long long)(STAMP_T_BASE + t));
    memset(to, 'x', size);
    memcpy(to, head, (size_t)len);
    memcpy(to + size - 2, "\"}", 2);
}

static inline bool stamp_digits(const char *at, int count, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(at[i] - '0');
    }
    return true;
}

/* Read a payload's number and time. False when it is none of ours. */
static inline bool stamp_read(const char *from, size_t len, uint64_t *n, uint64_t *t)
{
    if (len < STAMP_MIN || memcmp(from, "{\"n\":", 5) != 0 || !stamp_digits(from + 5, 10, n) ||
        !stamp_digits(from + 20, 19, t))
        return false;
    *n -= STAMP_N_BASE;
    *t -= STAMP_T_BASE;
    return true;
}

#endif
