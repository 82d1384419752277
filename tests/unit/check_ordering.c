/* What is known of the order of things here and at the broker: with clocks that differ, messages
 * that come late, stamps that cannot be right. */
#include "upstream/ordering.h"

#include "support.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define NOW (1000 * SECOND)

static struct ordering o;

static void begin(void)
{
    o = (struct ordering){0};
}

static void end(void)
{
}

START_TEST(without_knowledge_everything_may_have_been_late)
{
    ck_assert_int_eq(ordering_latest(&o, 5, 0), INT64_MAX);
    ck_assert_int_eq(ordering_latest(&o, 5, 1763710000000), INT64_MAX);
}
END_TEST

static const int64_t offsets[] = {0, HOUR, -HOUR, INT64_C(1763710000) * SECOND};

START_TEST(a_stamp_is_never_taken_for_earlier_than_it_is)
{
    int64_t broker = NOW + offsets[_i] + 10 * HOUR; /* its clock at NOW */
    static const int64_t delays[] = {300, 500000, 120, 9000000, 0, 700};
    for (int i = 0; i < 6; i++) {
        int64_t sent = NOW + i * SECOND;
        ordering_heard(&o, broker + i * SECOND, sent + delays[i]);
        int64_t at = ordering_latest(&o, 5, (broker + 7 * SECOND) / 1000);
        ck_assert_int_ge(at, NOW + 7 * SECOND);
    }
    /* and with the best of the measurements it is almost exact */
    ck_assert_int_lt(ordering_latest(&o, 5, (broker + 7 * SECOND) / 1000), NOW + 7 * SECOND + 1000);
}
END_TEST

START_TEST(a_message_that_came_late_does_not_count)
{
    ordering_heard(&o, HOUR, NOW + 200);
    ordering_heard(&o, HOUR + SECOND, NOW + 3 * SECOND);
    ck_assert_int_eq(ordering_latest(&o, 5, HOUR / 1000), NOW + 200 + 999);
}
END_TEST

START_TEST(a_measurement_counts_for_a_while_only)
{
    int64_t drift = 0;
    for (int i = 0; i < 200; i++, drift += 100) /* its clock is slow, by 100 us in each second */
        ordering_heard(&o, HOUR + i * SECOND - drift, NOW + i * SECOND);
    int64_t stamp = HOUR + 200 * SECOND - drift, at = ordering_latest(&o, 5, stamp / 1000);
    ck_assert_int_ge(at, NOW + 200 * SECOND - 2 * ORDERING_RECENT_US / 10000 - 1000);
    ck_assert_int_le(at, NOW + 200 * SECOND + 1000);
}
END_TEST

START_TEST(a_stamp_that_is_disproved_may_be_late)
{
    ordering_heard(&o, HOUR, NOW);
    ordering_proved(&o, 100, NOW + 10 * SECOND); /* what is above 100 came after that */
    ck_assert_int_eq(ordering_latest(&o, 101, HOUR / 1000), INT64_MAX);
    ck_assert_int_lt(ordering_latest(&o, 100, HOUR / 1000), INT64_MAX);
    ck_assert_int_eq(ordering_latest(&o, 101, (HOUR + 11 * SECOND) / 1000),
                     NOW + 11 * SECOND + 999);
}
END_TEST

START_TEST(proofs_are_kept_for_some_seconds)
{
    ordering_heard(&o, HOUR, NOW);
    for (uint64_t i = 0; i < 1000; i++)
        ordering_proved(&o, i, NOW + (int64_t)i * SECOND / 10);
    ck_assert_int_eq(ordering_latest(&o, 950, (HOUR + 80 * SECOND) / 1000), INT64_MAX);
    ck_assert_int_lt(ordering_latest(&o, 50, HOUR / 1000), INT64_MAX); /* too old for a proof */
}
END_TEST

START_TEST(what_an_earlier_run_stamped_is_measured_by_its_clock)
{
    ordering_heard(&o, HOUR, NOW);
    ordering_begin(&o, 100); /* the clock was set back by an hour with the restart */
    ck_assert_int_eq(ordering_latest(&o, 101, 0), INT64_MAX);
    ordering_heard(&o, 5 * SECOND, NOW + 5 * SECOND);
    ck_assert_int_eq(ordering_latest(&o, 100, HOUR / 1000), NOW + 999);
    ck_assert_int_eq(ordering_latest(&o, 101, 6000), NOW + 6 * SECOND + 999);
    ordering_begin(&o, 200); /* and again, without a word from it */
    ck_assert_int_eq(ordering_latest(&o, 200, 6000), NOW + 6 * SECOND + 999);
}
END_TEST

START_TEST(a_fresh_worker_takes_the_clock_that_there_is)
{
    ordering_begin(&o, 100);
    ordering_heard(&o, HOUR, NOW);
    ck_assert_int_eq(ordering_latest(&o, 50, HOUR / 1000), NOW + 999);
}
END_TEST

START_TEST(a_stamp_that_is_none_may_be_late)
{
    ordering_heard(&o, HOUR, NOW);
    ck_assert_int_eq(ordering_latest(&o, 5, -1), INT64_MAX);
    ck_assert_int_eq(ordering_latest(&o, 5, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(ordering_latest(&o, 5, INT64_MAX / 1000), INT64_MAX);
}
END_TEST

START_TEST(the_brokers_clock_is_ours_less_the_difference)
{
    ck_assert_int_eq(ordering_broker_ms(&o, NOW, 77), 77);
    ordering_heard(&o, HOUR, NOW);
    ordering_heard(&o, HOUR, NOW + SECOND); /* late */
    ck_assert_int_eq(ordering_broker_ms(&o, NOW + 2 * SECOND, 77), (HOUR + 2 * SECOND) / 1000);
    ordering_begin(&o, 100);
    /* Until the broker is heard. */
    ck_assert_int_eq(ordering_broker_ms(&o, NOW + 3 * SECOND, 77), (HOUR + 3 * SECOND) / 1000);
    ordering_heard(&o, 2 * HOUR, NOW + 4 * SECOND);
    ck_assert_int_eq(ordering_broker_ms(&o, NOW + 4 * SECOND, 77), 2 * HOUR / 1000);
}
END_TEST

START_TEST(a_clock_that_is_set_back_is_believed_with_the_next_head)
{
    for (int i = 0; i < 40; i++)
        ordering_heard_head(&o, HOUR + i * SECOND, NOW + i * SECOND);
    ordering_heard_head(&o, 40 * SECOND, NOW + 41 * SECOND); /* an hour less */
    ck_assert_int_eq(ordering_broker_ms(&o, NOW + 42 * SECOND, 77), 41 * 1000);
    ck_assert_int_eq(ordering_latest(&o, 5, 41 * 1000), NOW + 42 * SECOND + 999);
}
END_TEST

START_TEST(heads_that_come_late_show_no_other_clock)
{
    ordering_heard_head(&o, HOUR, NOW);
    for (int i = 1; i < 10; i++)
        ordering_heard_head(&o, HOUR + i * SECOND, NOW + 20 * SECOND); /* all at once */
    ck_assert_int_eq(ordering_broker_ms(&o, NOW + 20 * SECOND, 77), (HOUR + 20 * SECOND) / 1000);
}
END_TEST

START_TEST(the_clock_of_another_run_is_not_set_back)
{
    ordering_heard_head(&o, HOUR, NOW);
    ordering_begin(&o, 100);
    ordering_heard(&o, SECOND, NOW + 2 * SECOND);
    ordering_heard_head(&o, 2 * SECOND, NOW + 5 * SECOND); /* late */
    ck_assert_int_eq(ordering_broker_ms(&o, NOW + 5 * SECOND, 77), 4 * 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ordering");
    TCase *tests = one_case(suite, "ordering");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, without_knowledge_everything_may_have_been_late);
    tcase_add_loop_test(tests, a_stamp_is_never_taken_for_earlier_than_it_is, 0, 4);
    tcase_add_test(tests, a_message_that_came_late_does_not_count);
    tcase_add_test(tests, a_measurement_counts_for_a_while_only);
    tcase_add_test(tests, a_stamp_that_is_disproved_may_be_late);
    tcase_add_test(tests, proofs_are_kept_for_some_seconds);
    tcase_add_test(tests, what_an_earlier_run_stamped_is_measured_by_its_clock);
    tcase_add_test(tests, a_fresh_worker_takes_the_clock_that_there_is);
    tcase_add_test(tests, a_stamp_that_is_none_may_be_late);
    tcase_add_test(tests, the_brokers_clock_is_ours_less_the_difference);
    tcase_add_test(tests, a_clock_that_is_set_back_is_believed_with_the_next_head);
    tcase_add_test(tests, heads_that_come_late_show_no_other_clock);
    tcase_add_test(tests, the_clock_of_another_run_is_not_set_back);
    return run_suite(suite);
}
