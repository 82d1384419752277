/* nobody.h - an upstream without a broker: it is there and finds nobody. */
#ifndef SSECAST_TESTS_NOBODY_H
#define SSECAST_TESTS_NOBODY_H

#include "ops/stats.h"
#include "support.h"
#include "upstream/upstream.h"

static inline struct upstream *upstream_of_nobody(struct loop *loop, uint64_t counters[WORKER_COUNTERS])
{
    char *nowhere = (char *)"tcp://127.0.0.1:1";
    struct upstream_config config = {.pace = UPSTREAM_PACE,
                                     .feeds = &nowhere,
                                     .syncs = &nowhere,
                                     .brokers = 1,
                                     .name = "test",
                                     .counters = counters,
                                     .repairs = &counters[REPAIRS]};
    struct upstream *upstream = upstream_new(&config, loop);
    ck_assert_ptr_nonnull(upstream);
    return upstream;
}

#endif
