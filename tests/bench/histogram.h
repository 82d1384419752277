/* histogram.h - durations in logarithmic buckets, 32 to each power of two:
 * percentiles within 3 %. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB 32u

struct histogram {
    uint64_t counts[64 * HISTOGRAM_SUB];
    uint64_t total, max;
};

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    unsigned power = 63u - (unsigned)__builtin_clzll(value | HISTOGRAM_SUB);
    h->counts[power * HISTOGRAM_SUB + ((value >> (power - 5)) & (HISTOGRAM_SUB - 1))]++;
    h->total++;
    if (value > h->max)
        h->max = value;
}

/* The value that the share of all (0 to 1) does not exceed; 0 when there is none. */
static inline uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t want = (uint64_t)((double)h->total * share), seen = 0;
    for (unsigned i = 5 * HISTOGRAM_SUB; i < 64 * HISTOGRAM_SUB; i++) {
        seen += h->counts[i];
        if (seen > want)
            return (uint64_t)(HISTOGRAM_SUB + i % HISTOGRAM_SUB) << (i / HISTOGRAM_SUB - 5);
    }
    return h->max;
}

#endif
