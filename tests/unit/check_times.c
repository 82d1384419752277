#include "model/times.h"

#include "support.h"

static struct times times;

static void end(void)
{
    times_release(&times);
}

START_TEST(an_empty_row_has_nothing)
{
    ck_assert_uint_eq(times_seek(&times, 0, INT64_MIN), UINT64_MAX);
    times_drop(&times, 1000);
    ck_assert_uint_eq(times_seek(&times, 0, 0), UINT64_MAX);
}
END_TEST

START_TEST(blocks_that_are_too_old_are_skipped)
{
    for (uint64_t i = 0; i < 10 * TIMES_BLOCK; i++)
        ck_assert_int_eq(times_add(&times, i, (int64_t)i), 0);
    ck_assert_uint_eq(times_seek(&times, 0, -5), 0);
    ck_assert_uint_eq(times_seek(&times, 0, 3 * TIMES_BLOCK - 1), 2 * TIMES_BLOCK);
    ck_assert_uint_eq(times_seek(&times, 0, 3 * TIMES_BLOCK), 3 * TIMES_BLOCK);
    ck_assert_uint_eq(times_seek(&times, 5 * TIMES_BLOCK + 7, 0), 5 * TIMES_BLOCK);
    ck_assert_uint_eq(times_seek(&times, 0, 10 * TIMES_BLOCK), UINT64_MAX);
}
END_TEST

START_TEST(times_may_go_back)
{
    for (uint64_t i = 0; i < 4 * TIMES_BLOCK; i++)
        ck_assert_int_eq(times_add(&times, i, i == TIMES_BLOCK ? 900 : (int64_t)(i / TIMES_BLOCK)),
                         0);
    ck_assert_uint_eq(times_seek(&times, 0, 2), TIMES_BLOCK);
    ck_assert_uint_eq(times_seek(&times, 2 * TIMES_BLOCK, 2), 2 * TIMES_BLOCK);
}
END_TEST

START_TEST(what_is_dropped_is_not_found_and_ordinals_may_come_again)
{
    for (uint64_t i = 0; i < 3 * TIMES_BLOCK; i++)
        ck_assert_int_eq(times_add(&times, i, 10), 0);
    times_drop(&times, TIMES_BLOCK - 1);
    ck_assert_uint_eq(times_seek(&times, 0, 10), 0);
    times_drop(&times, TIMES_BLOCK);
    ck_assert_uint_eq(times_seek(&times, 0, 10), TIMES_BLOCK);
    ck_assert_int_eq(times_add(&times, 2 * TIMES_BLOCK + 3, 99), 0);
    ck_assert_uint_eq(times_seek(&times, 0, 99), 2 * TIMES_BLOCK);
    times_drop(&times, 3 * TIMES_BLOCK);
    ck_assert_uint_eq(times_seek(&times, 0, 0), UINT64_MAX);
    ck_assert_int_eq(times_add(&times, 3 * TIMES_BLOCK, 1), 0);
    ck_assert_uint_eq(times_seek(&times, 0, 1), 3 * TIMES_BLOCK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("times");
    TCase *tests = one_case(suite, "times");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_test(tests, an_empty_row_has_nothing);
    tcase_add_test(tests, blocks_that_are_too_old_are_skipped);
    tcase_add_test(tests, times_may_go_back);
    tcase_add_test(tests, what_is_dropped_is_not_found_and_ordinals_may_come_again);
    return run_suite(suite);
}
