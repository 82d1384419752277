#include "model/state_index.h"

#include "codec/audience.h"
#include "support.h"

static struct state_indexes set;

static void setup(void)
{
    memset(&set, 0, sizeof set);
    ck_assert_int_eq(state_indexes_init(&set), 0);
}

static void teardown(void)
{
    state_indexes_release(&set);
}

/* An event with a key for a channel; NULL: for everyone. */
static struct event *make(uint64_t seq, const char *channel, const char *key)
{
    struct slice name = slice_of(channel);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .key = slice_of(key),
                              .data = S("x"),
                              .has_to = channel != NULL};
    if (channel)
        spec.lists[TO_CHANNELS] = (struct names){&name, 1};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    return e;
}

/* What a reader of this channel finds that is not superseded, and what it finds at all. */
static void assert_found(const char *channel, size_t current, size_t all)
{
    struct slice name = slice_of(channel);
    struct audience who = {.session = S("s"), .connection = S("1"), .channels = {&name, 1}};
    struct merge merge;
    size_t is[2] = {0};
    state_indexes_merge(&set, channel ? &who : NULL, 0, &merge);
    for (struct event *e; (e = merge_next(&merge)); is[1]++)
        is[0] += !e->superseded;
    ck_assert_uint_eq(is[0], current);
    ck_assert_uint_eq(is[1], all);
}

START_TEST(an_event_is_found_by_its_target_and_by_its_seq)
{
    struct event *a = make(3, "c", "a"), *b = make(5, NULL, "b");
    ck_assert_int_eq(state_indexes_put(&set, a), 0);
    ck_assert_int_eq(state_indexes_put(&set, b), 0);
    assert_found("c", 2, 2);
    assert_found("d", 1, 1);
    assert_found(NULL, 2, 2);
    ck_assert_ptr_eq(state_indexes_at(&set, 3), a);
    ck_assert_ptr_null(state_indexes_at(&set, 4));
    ck_assert_ptr_null(state_indexes_at(&set, 6));
    state_indexes_take(&set, a);
    assert_found("c", 1, 1);
    ck_assert_uint_eq(table_count(set.channels), 0);
    event_unref(&a);
    event_unref(&b);
}
END_TEST

START_TEST(superseded_events_leave_when_they_are_half)
{
    struct event *events[40];
    for (uint64_t i = 0; i < 40; i++) {
        events[i] = make(i + 1, "c", "a");
        ck_assert_int_eq(state_indexes_put(&set, events[i]), 0);
        if (i)
            state_indexes_supersede(&set, events[i - 1]);
        state_indexes_tidy(&set, events[i]);
        ck_assert_uint_le(set.all.deque.count, 17);
    }
    assert_found("c", 1, set.all.deque.count);
    ck_assert_ptr_null(state_indexes_at(&set, 39));
    ck_assert_ptr_eq(state_indexes_at(&set, 40), events[39]);

    state_indexes_supersede(&set, events[39]);
    state_indexes_tidy(&set, events[39]);
    ck_assert_msg(table_count(set.channels) == 0, "an index without events is forgotten");
    for (size_t i = 0; i < 40; i++)
        event_unref(&events[i]);
}
END_TEST

START_TEST(an_event_comes_back_whether_it_has_left_or_not)
{
    struct event *e = make(1, "c", "a"), *other = make(1, "c", "a");
    ck_assert_int_eq(state_indexes_put(&set, e), 0);
    state_indexes_supersede(&set, e);
    assert_found("c", 0, 1);
    ck_assert_int_eq(state_indexes_revive(&set, e), 0);
    assert_found("c", 1, 1);

    state_indexes_supersede(&set, e);
    state_indexes_tidy(&set, e);
    assert_found("c", 0, 0);
    ck_assert_int_eq(state_indexes_revive(&set, e), 0);
    assert_found("c", 1, 1);
    ck_assert_uint_eq(set.all.superseded, 0);

    state_indexes_supersede(&set, e);
    state_indexes_restore(&set, e);
    state_indexes_replace(&set, e, other);
    ck_assert_ptr_eq(state_indexes_at(&set, 1), other);
    event_unref(&e);
    event_unref(&other);
}
END_TEST

START_TEST(subscriptions_have_an_index_of_their_own)
{
    static const char topic[] = "/.well-known/mercure/subscriptions/t/s";
    struct event *member = make(1, "c",
                                "\x01"
                                "1"),
                 *one = make(2, topic,
                             "\x01"
                             "1"),
                 *count = make(3, topic, "\x01"), *key = make(4, topic, "key");
    struct event *all[] = {member, one, count, key};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(state_indexes_put(&set, all[i]), 0);
    ck_assert_uint_eq(set.subscriptions.deque.count, 1);
    ck_assert_ptr_eq(deque_at(&set.subscriptions.deque, 0), one);

    state_indexes_supersede(&set, one);
    state_indexes_tidy(&set, one);
    ck_assert_uint_eq(set.subscriptions.deque.count, 0);
    state_indexes_take(&set, key);
    for (size_t i = 0; i < 4; i++)
        event_unref(&all[i]);
}
END_TEST

START_TEST(members_are_counted_by_channel)
{
    struct event *e = make(1, "c",
                           "\x01"
                           "1");
    ck_assert_int_eq(state_indexes_put(&set, e), 0);
    ck_assert_uint_eq(state_indexes_members(&set, S("c")), 0);
    state_indexes_count_member(&set, e, 1);
    ck_assert_uint_eq(state_indexes_members(&set, S("c")), 1);
    state_indexes_count_member(&set, e, -1);
    ck_assert_uint_eq(state_indexes_members(&set, S("c")), 0);
    ck_assert_uint_eq(state_indexes_members(&set, S("d")), 0);
    event_unref(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_index");
    TCase *tests = one_case(suite, "state_index");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_event_is_found_by_its_target_and_by_its_seq);
    tcase_add_test(tests, superseded_events_leave_when_they_are_half);
    tcase_add_test(tests, an_event_comes_back_whether_it_has_left_or_not);
    tcase_add_test(tests, subscriptions_have_an_index_of_their_own);
    tcase_add_test(tests, members_are_counted_by_channel);
    return run_suite(suite);
}
