/* clock.h - the two clocks: one for people and retention, one for deadlines. */
#ifndef SSECAST_CLOCK_H
#define SSECAST_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Unix time, microseconds. */
static inline int64_t clock_unix_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Unix time, milliseconds. */
static inline int64_t clock_unix_ms(void)
{
    return clock_unix_us() / 1000;
}

/* Microseconds since some start; never steps back. */
static inline int64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The same in milliseconds. */
static inline int64_t clock_ms(void)
{
    return clock_us() / 1000;
}

#endif
