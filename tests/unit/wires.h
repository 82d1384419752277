/* wires.h - what the tests of messages share: presence reports that they make. */
#ifndef SSECAST_TESTS_WIRES_H
#define SSECAST_TESTS_WIRES_H

#include <check.h>

#include "codec/wire.h"
#include "support.h"

#define HEADER_LEN 8 /* before the fields */

static inline struct slice message_of(const struct buf *b)
{
    ck_assert(!b->failed);
    return (struct slice){b->data, b->len};
}

static struct slice some_channels[] = {S_INIT("room:1"), S_INIT("room:2"), S_INIT("")};

static inline struct wire_presence_item opened_item(void)
{
    return (struct wire_presence_item){.kind = ITEM_OPENED,
                                       .connection = S("c1"),
                                       .session = S("a"),
                                       .since_ms = 1700000000123,
                                       .channels = {some_channels, 2},
                                       .acknowledged = true,
                                       .meta = S("\4text\xfe\x7f\0\0\1"),
                                       .subscriptions = S("\2\0me\0\1\0\0\0a")};
}

/* Behind the first: one that ended, one that lags. */
static inline void add_others(struct buf *b)
{
    wire_add_presence(b, &(struct wire_presence_item){
                             .connection = S("c2"), .session = S("b"), .cause = END_SLOW});
    wire_add_presence(
        b, &(struct wire_presence_item){
               .kind = ITEM_LAGS, .connection = S("c3"), .sent = 17, .queued = 1u << 20});
}

#define WORKER_NUMBERS (WORKER_GAUGES + WORKER_COUNTERS)

static inline struct wire_presence some_presence(void)
{
    struct wire_presence m = {.n = 3, .full = true, .lags = true, .acked_epoch = 11};
    for (uint64_t i = 0; i < WORKER_COUNTERS; i++)
        m.counters[i] = 100 + i;
    for (uint64_t i = 0; i < WORKER_GAUGES; i++)
        m.gauges[i] = 50 + i;
    return m;
}

static inline void put_presence(struct buf *b)
{
    struct wire_presence m = some_presence();
    struct wire_presence_item item = opened_item();
    wire_put_presence(b, &m);
    wire_add_presence(b, &item);
    add_others(b);
}

#endif
