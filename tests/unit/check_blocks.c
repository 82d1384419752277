#include "blocks.h"

#include "support.h"

static struct blocks *blocks;

static void setup(void)
{
    blocks = blocks_new();
    ck_assert_ptr_nonnull(blocks);
}

static void teardown(void)
{
    blocks_free(&blocks);
    ck_assert_ptr_null(blocks);
    blocks_free(&blocks);
}

START_TEST(a_session_is_turned_away_until_then)
{
    ck_assert(!blocks_active(blocks, S("a"), 0));
    ck_assert_int_eq(blocks_add(blocks, S("a"), 1000), 0);
    ck_assert(blocks_active(blocks, S("a"), 999));
    ck_assert(!blocks_active(blocks, S("a"), 1000));
    ck_assert(!blocks_active(blocks, S("b"), 0));
}
END_TEST

START_TEST(the_later_end_stays)
{
    blocks_add(blocks, S("a"), 1000);
    blocks_add(blocks, S("a"), 500);
    ck_assert(blocks_active(blocks, S("a"), 999));
    blocks_add(blocks, S("a"), 2000);
    ck_assert(blocks_active(blocks, S("a"), 1999));
}
END_TEST

/* Shut these sessions and a channel down at 10,000 ms. */
static void shut_down(enum event_kind kind, uint32_t block_s)
{
    struct slice sessions[] = {S("a"), S("b")}, channel = S("c");
    struct event_spec spec = {.kind = kind,
                              .seq = 1,
                              .time_ms = 10000,
                              .has_to = true,
                              .block_s = block_s,
                              .lists = {{sessions, 2}, {&channel, 1}}};
    struct event *e = event_new(&spec);
    ck_assert_int_eq(blocks_add_event(blocks, e), 0);
    event_unref(&e);
}

START_TEST(a_shutdown_blocks_the_sessions_it_names)
{
    shut_down(EVENT_SHUTDOWN, 60);
    ck_assert(blocks_active(blocks, S("a"), 69999));
    ck_assert(blocks_active(blocks, S("b"), 69999));
    ck_assert(!blocks_active(blocks, S("a"), 70000));
    ck_assert(!blocks_active(blocks, S("c"), 10000));
}
END_TEST

START_TEST(the_longest_block_does_not_wrap_around)
{
    shut_down(EVENT_SHUTDOWN, UINT32_MAX);
    ck_assert(blocks_active(blocks, S("a"), (int64_t)UINT32_MAX * 1000));
}
END_TEST

START_TEST(without_block_seconds_nobody_is_blocked)
{
    struct slice session;
    int64_t until;
    shut_down(EVENT_SHUTDOWN, 0);
    shut_down(EVENT_MESSAGE, 60);
    ck_assert_ptr_null(blocks_next(blocks, NULL, &session, &until));
}
END_TEST

START_TEST(those_that_ended_are_forgotten)
{
    struct slice session;
    int64_t until;
    for (char name = 'a'; name <= 'z'; name++)
        blocks_add(blocks, (struct slice){&name, 1}, name);
    blocks_expire(blocks, 'y');
    const void *cursor = blocks_next(blocks, NULL, &session, &until);
    ck_assert_ptr_nonnull(cursor);
    assert_slice(session, S("z"));
    ck_assert_int_eq(until, 'z');
    ck_assert_ptr_null(blocks_next(blocks, cursor, &session, &until));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *tests = one_case(suite, "blocks");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_session_is_turned_away_until_then);
    tcase_add_test(tests, the_later_end_stays);
    tcase_add_test(tests, a_shutdown_blocks_the_sessions_it_names);
    tcase_add_test(tests, the_longest_block_does_not_wrap_around);
    tcase_add_test(tests, without_block_seconds_nobody_is_blocked);
    tcase_add_test(tests, those_that_ended_are_forgotten);
    return run_suite(suite);
}
