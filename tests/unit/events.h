/* events.h - events that tests make, and what each of their fields should be. */
#ifndef SSECAST_TESTS_EVENTS_H
#define SSECAST_TESTS_EVENTS_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/event.h"
#include "support.h"

static struct slice some_names[] = {S_INIT("a"), S_INIT("room:7"), S_INIT("\xc3\xa9t\xc3\xa9"),
                                    S_INIT("")};

/* An event that uses every field. */
static inline struct event_spec full_spec(void)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE,
        .seq = 42,
        .time_ms = 1700000000123,
        .id = S("order-17"),
        .event = S("m"),
        .publisher = S("key:shop"),
        .data = S("two\nlines"),
        .has_retry = true,
        .retry = 3000,
        .has_to = true,
        .ttl_s = 60,
    };
    for (int list = 0; list < EVENT_LISTS; list++)
        spec.lists[list] = (struct names){some_names, (size_t)list % 4};
    return spec;
}

static inline struct event *make(const struct event_spec *spec)
{
    struct event *e = event_new(spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

static inline void assert_lists(const struct event *e, const struct event_spec *spec)
{
    for (enum event_list list = 0; list < EVENT_LISTS; list++) {
        size_t cursor = 0, count = 0;
        struct slice name;
        while (event_next_name(e, list, &cursor, &name)) {
            ck_assert_uint_lt(count, spec->lists[list].count);
            assert_slice(name, spec->lists[list].items[count++]);
        }
        ck_assert_uint_eq(count, spec->lists[list].count);
    }
}

static inline void assert_same(const struct event *e, const struct event_spec *spec,
                               struct slice text)
{
    ck_assert_uint_eq(e->seq, spec->seq);
    ck_assert_int_eq(e->time_ms, spec->time_ms);
    ck_assert_int_eq(e->kind, spec->kind);
    ck_assert_uint_eq(e->block_s, spec->block_s);
    ck_assert_uint_eq(e->ttl_s, spec->ttl_s);
    ck_assert(e->remove == spec->remove);
    assert_slice(e->key, spec->key);
    ck_assert(e->has_to == spec->has_to);
    ck_assert_uint_eq(e->refs, 1);
    assert_slice(e->id, spec->id);
    assert_slice(e->publisher, spec->publisher);
    ck_assert(e->seq_as_id == spec->seq_as_id);
    assert_slice(e->text, text);
    assert_lists(e, spec);
}

static inline bool parses(const char *bytes, size_t len)
{
    size_t used = 7;
    char *copy = malloc(len + !len); /* exact size, so that a sanitizer sees a read past it */
    if (len)
        memcpy(copy, bytes, len);
    struct event *e = event_parse((struct slice){copy, len}, &used);
    ck_assert_uint_eq(used, e ? get_u32(copy) : 0);
    bool parsed = e != NULL;
    struct slice name;
    for (enum event_list list = 0; e && list < EVENT_LISTS; list++)
        for (size_t cursor = 0; event_next_name(e, list, &cursor, &name);)
            slice_equal(name, S("a"));
    event_unref(&e);
    free(copy);
    return parsed;
}

#endif
