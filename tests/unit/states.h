/* states.h - a state, the events that change it, and what a reader is given.
 * For the tests of the state. */
#ifndef SSECAST_TESTS_STATES_H
#define SSECAST_TESTS_STATES_H

#include "codec/audience.h"
#include "model/state.h"
#include "support.h"

#define MOST 64 /* events that a read returns */

static struct state *state;

static inline void setup(void)
{
    state = state_new();
    ck_assert_ptr_nonnull(state);
}

static inline void teardown(void)
{
    state_free(&state);
    ck_assert_ptr_null(state);
    state_free(&state);
}

/* A target: "" everyone, "s:NAME" a session, "c:NAME" a channel, "p:NAME" a channel, private. */
static inline struct event *make(uint64_t seq, const char *target, const char *key, bool remove,
                                 uint32_t ttl_s)
{
    struct slice name = {0};
    if (target[0])
        name = slice_of(strchr(target, ':') + 1);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .time_ms = 1000,
                              .key = slice_of(key),
                              .data = S("x"),
                              .remove = remove,
                              .ttl_s = ttl_s,
                              .is_private = target[0] == 'p',
                              .has_to = target[0] != '\0'};
    if (spec.has_to)
        spec.lists[target[0] == 's' ? TO_SESSIONS : TO_CHANNELS] = (struct names){&name, 1};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* Apply an event. True when it is not superseded afterwards. */
static inline bool apply(uint64_t seq, const char *target, const char *key, bool remove)
{
    struct event *e = make(seq, target, key, remove, 0);
    ck_assert_int_eq(state_apply(state, e), 0);
    bool current = !e->superseded;
    event_unref(&e);
    return current;
}

static inline void set(uint64_t seq, const char *target, const char *key)
{
    ck_assert(apply(seq, target, key, false));
}

static inline void forget(uint64_t seq, const char *target, const char *key)
{
    apply(seq, target, key, true);
}

/* The seqs that a reader of session s and channel c is sent after a position: "3 5 7". */
static inline void assert_read_at(int64_t now_ms, uint64_t after, uint64_t upto, size_t max,
                                  size_t max_bytes, const char *should)
{
    struct slice channel = S("c");
    struct audience who = {.session = S("s"), .connection = S("1"), .channels = {&channel, 1}};
    struct history_filter filter = {.who = &who, .now_ms = now_ms};
    struct event *out[MOST];
    char is[512] = "";
    size_t len = 0, count = state_read(state, &filter, after, upto, out, max, max_bytes);

    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(is + len, sizeof is - len, "%s%" PRIu64, i ? " " : "", out[i]->seq);
    ck_assert_str_eq(is, should);
}

static inline void count_ascending(void *context, struct event *e)
{
    uint64_t *seen = context; /* the number, and the last seq */
    ck_assert_uint_gt(e->seq, seen[1]);
    seen[0]++;
    seen[1] = e->seq;
}

/* Reading without a reader gives this number of events. */
static inline void assert_all(size_t count)
{
    struct event *out[MOST];
    struct history_filter filter = {.now_ms = 1000};
    uint64_t seen[2] = {0};
    ck_assert_uint_eq(state_read(state, &filter, 0, UINT64_MAX, out, MOST, SIZE_MAX), count);
    state_each(state, &filter, count_ascending, seen);
    ck_assert_uint_eq(seen[0], count);
}

static inline void assert_read(const char *should)
{
    assert_read_at(1000, 0, UINT64_MAX, MOST, SIZE_MAX, should);
}

static const char *const targets[] = {"", "s:s", "c:c", "p:c", "s:other"};
static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
#define TARGETS 5
#define KEYS 8

/* The seq of the newest event of each key; 0: none. */
struct plain_state {
    uint64_t seqs[TARGETS][KEYS];
};

static inline void assert_same(const struct plain_state *plain)
{
    char should[512] = "";
    size_t len = 0, count = 0;

    for (uint64_t seq = 1, last = 0; last != UINT64_MAX; seq = last + 1) {
        last = UINT64_MAX;
        for (int t = 0; t < TARGETS - 1; t++)
            for (int k = 0; k < KEYS; k++)
                if (plain->seqs[t][k] >= seq && plain->seqs[t][k] < last)
                    last = plain->seqs[t][k];
        if (last != UINT64_MAX)
            len += (size_t)snprintf(should + len, sizeof should - len, "%s%" PRIu64, len ? " " : "",
                                    last);
    }
    for (int t = 0; t < TARGETS; t++)
        for (int k = 0; k < KEYS; k++)
            count += plain->seqs[t][k] != 0;
    assert_read(should);
    ck_assert_uint_eq(state_count(state), count);
    assert_all(count);
}

#endif
