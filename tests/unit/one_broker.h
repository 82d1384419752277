/* one_broker.h - an upstream to one broker, or to one that does not exist. */
#ifndef SSECAST_TESTS_ONE_BROKER_H
#define SSECAST_TESTS_ONE_BROKER_H

#include "ops/stats.h"
#include "support.h"
#include "upstream/upstream.h"

/* What every configuration needs. The endpoints and counters belong to the caller. */
static inline struct upstream_config config_of_one_broker(char **feed, char **sync,
                                                          uint64_t counters[WORKER_COUNTERS])
{
    return (struct upstream_config){.pace = UPSTREAM_PACE,
                                    .feeds = feed,
                                    .syncs = sync,
                                    .brokers = 1,
                                    .name = "worker-1",
                                    .counters = counters,
                                    .repairs = &counters[REPAIRS]};
}

/* An upstream that connects to no broker. */
static inline struct upstream *upstream_of_nobody(struct loop *loop,
                                                  uint64_t counters[WORKER_COUNTERS])
{
    static char *nowhere = (char *)"tcp://127.0.0.1:1";
    struct upstream_config config = config_of_one_broker(&nowhere, &nowhere, counters);
    struct upstream *upstream = upstream_new(&config, loop);
    ck_assert_ptr_nonnull(upstream);
    return upstream;
}

#endif
