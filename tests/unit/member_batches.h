/* member_batches.h - a sequence, pairs and a batch of events about members. For unit tests. */
#ifndef SSECAST_TESTS_MEMBER_BATCHES_H
#define SSECAST_TESTS_MEMBER_BATCHES_H

#include "presence/member_batch.h"
#include "support.h"

static struct pairs set;
static struct member_batch batch;

/* Channels that begin with "/" are those of subscriptions. */
static inline struct channel_rules rules_of(const void *context, struct slice channel)
{
    (void)context;
    bool topic = channel.data[0] == '/';
    return (struct channel_rules){.kind = topic ? CHANNEL_OF_SUBSCRIPTION : CHANNEL_OF_SESSIONS,
                                  .wanted = true};
}

static inline void setup(void)
{
    const struct history_limits limits = {.events = 10000, .bytes = 64 << 20, .age_ms = 86400000};
    batch = (struct member_batch){.sequence = sequence_new(&limits, 1000, 7),
                                  .max_bytes = SIZE_MAX,
                                  .now = 1000,
                                  .now_ms = 100000};
    ck_assert_ptr_nonnull(batch.sequence);
    ck_assert_int_eq(pairs_init(&set, rules_of, NULL), 0);
}

static inline void teardown(void)
{
    pairs_release(&set);
    sequence_free(&batch.sequence);
}

static inline const struct event *member_in(const char *channel, const char *session)
{
    return state_member(sequence_state(batch.sequence), slice_of(channel), slice_of(session));
}

/* What the member's event says; "": there is none. */
static inline void assert_says(const char *channel, const char *session, const char *should)
{
    const struct event *e = member_in(channel, session);
    struct slice is = e ? member_event_data(e) : (struct slice){0};
    assert_slice(is, slice_of(should));
}

#endif
