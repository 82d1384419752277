#include "stats/overview.h"

#include "support.h"

static struct overview overview;
static struct overview_second seconds[OVERVIEW_SAMPLES];
static int64_t until;

static void set_up(void)
{
    overview = (struct overview){0};
    until = 0;
}

static size_t read_all(void)
{
    return overview_read(&overview, seconds, OVERVIEW_SAMPLES, &until);
}

static void sample(int64_t at_ms, uint64_t connections, uint64_t events, uint64_t deliveries)
{
    overview_sample(&overview,
                    &(struct overview_sample){at_ms, connections, events, deliveries, {0}});
}

START_TEST(without_two_samples_there_is_no_second)
{
    ck_assert_uint_eq(read_all(), 0);
    sample(1000, 1, 2, 3);
    ck_assert_uint_eq(read_all(), 0);
    ck_assert_int_eq(until, 1000);
}
END_TEST

START_TEST(a_second_is_the_difference_of_two_samples)
{
    sample(1000, 1, 10, 100);
    sample(2000, 5, 12, 150);
    sample(3000, 4, 12, 151);
    ck_assert_uint_eq(read_all(), 2);
    ck_assert_int_eq(until, 3000);
    ck_assert_uint_eq(seconds[0].connections, 5);
    ck_assert_uint_eq(seconds[0].events, 2);
    ck_assert_uint_eq(seconds[0].deliveries, 50);
    ck_assert_uint_eq(seconds[1].connections, 4);
    ck_assert_uint_eq(seconds[1].events, 0);
    ck_assert_uint_eq(seconds[1].deliveries, 1);
}
END_TEST

START_TEST(a_long_second_is_told_as_a_second)
{
    sample(1000, 0, 0, 0);
    sample(3000, 0, 100, 5);
    read_all();
    ck_assert_uint_eq(seconds[0].events, 50);
    ck_assert_uint_eq(seconds[0].deliveries, 3);
}
END_TEST

START_TEST(what_falls_or_has_no_time_is_nothing)
{
    sample(1000, 0, 100, 100);
    sample(2000, 0, 50, 200);
    sample(2000, 0, 60, 300); /* the clock was set back */
    read_all();
    ck_assert_uint_eq(seconds[0].events, 0);
    ck_assert_uint_eq(seconds[1].events, 0);
}
END_TEST

START_TEST(only_the_last_minutes_are_kept)
{
    for (uint64_t i = 0; i < 2 * OVERVIEW_SAMPLES + 7; i++)
        sample((int64_t)i * 1000, i, i * i, 0);
    ck_assert_uint_eq(read_all(), OVERVIEW_SAMPLES);
    for (uint64_t i = 0; i < OVERVIEW_SAMPLES; i++) {
        uint64_t n = OVERVIEW_SAMPLES + 7 + i;
        ck_assert_uint_eq(seconds[i].connections, n);
        ck_assert_uint_eq(seconds[i].events, 2 * n - 1);
    }
    ck_assert_uint_eq(overview_read(&overview, seconds, 3, &until), 3);
    ck_assert_uint_eq(seconds[2].connections, 2 * OVERVIEW_SAMPLES + 6);
}
END_TEST

START_TEST(latency_is_that_of_the_last_minute)
{
    struct overview_sample s = {0};
    ck_assert_uint_eq(overview_latency(&overview, 50), 0);
    overview_sample(&overview, &s);
    s.latency[0] = 1000000; /* long ago */
    for (unsigned i = 0; i <= OVERVIEW_LATENCY; i++)
        overview_sample(&overview, &s);
    ck_assert_uint_eq(overview_latency(&overview, 50), 0);
    s.latency[1] += 97;
    s.latency[3] += 2;
    s.latency[LATENCY_BUCKETS - 1] += 1;
    overview_sample(&overview, &s);
    ck_assert_uint_eq(overview_latency(&overview, 50), latency_bounds_ms[1]);
    ck_assert_uint_eq(overview_latency(&overview, 97), latency_bounds_ms[1]);
    ck_assert_uint_eq(overview_latency(&overview, 98), latency_bounds_ms[3]);
    ck_assert_uint_eq(overview_latency(&overview, 100), UINT32_MAX);
}
END_TEST

static void ended(int64_t at_ms, const char *cause, const char *session, const char *worker)
{
    overview_ended(&overview, at_ms, cause, slice_of(session), slice_of(worker), 1);
}

static void assert_end(size_t i, const char *cause, uint64_t count, const char *session,
                       const char *worker)
{
    const struct overview_end *end = overview_end(&overview, i);
    ck_assert_ptr_nonnull(end);
    ck_assert_str_eq(end->cause, cause);
    ck_assert_uint_eq(end->count, count);
    assert_slice(((struct slice){end->session, end->session_len}), slice_of(session));
    assert_slice(((struct slice){end->worker, end->worker_len}), slice_of(worker));
}

START_TEST(the_newest_end_comes_first)
{
    ended(1, "slow", "a", "w");
    ended(2, "drain", "b", "w");
    assert_end(0, "drain", 1, "b", "w");
    assert_end(1, "slow", 1, "a", "w");
    ck_assert_ptr_null(overview_end(&overview, 2));
}
END_TEST

START_TEST(what_ends_together_is_one)
{
    ended(1000, "slow", "a", "w");
    ended(2000, "slow", "b", "w");
    ended(2000 + OVERVIEW_TOGETHER_MS, "slow", "c", "w");
    assert_end(0, "slow", 3, "c", "w");
    ended(2001 + 2 * OVERVIEW_TOGETHER_MS, "slow", "d", "w");
    ended(2001 + 2 * OVERVIEW_TOGETHER_MS, "slow", "e", "other");
    ended(2001 + 2 * OVERVIEW_TOGETHER_MS, "gap", "", "other");
    assert_end(0, "gap", 1, "", "other");
    assert_end(1, "slow", 1, "e", "other");
    assert_end(2, "slow", 1, "d", "w");
    assert_end(3, "slow", 3, "c", "w");
}
END_TEST

START_TEST(what_ends_among_others_is_one_too)
{
    for (int i = 0; i < 1000; i++)
        ended(i, i % 2 ? "slow" : "drain", i % 2 ? "a" : "b", "w");
    ended(1000, "gap", "", "");
    ended(1001, "drain", "c", "w");
    assert_end(0, "drain", 501, "c", "w");
    assert_end(1, "gap", 1, "", "");
    assert_end(2, "slow", 500, "a", "w");
    ck_assert_ptr_null(overview_end(&overview, 3));
}
END_TEST

START_TEST(only_the_last_ends_are_kept)
{
    for (int i = 0; i < 1000; i++)
        ended(i * (OVERVIEW_TOGETHER_MS + 1), i % 2 ? "slow" : "drain", "a", "w");
    ck_assert_ptr_nonnull(overview_end(&overview, OVERVIEW_ENDS - 1));
    ck_assert_ptr_null(overview_end(&overview, OVERVIEW_ENDS));
    ck_assert_int_eq(overview_end(&overview, 0)->at_ms, 999 * (OVERVIEW_TOGETHER_MS + 1));
}
END_TEST

START_TEST(long_names_are_cut)
{
    static char name[2 * NAME_BYTES_MAX];
    memset(name, 'x', sizeof name);
    overview_ended(&overview, 1, "slow", (struct slice){name, sizeof name},
                   (struct slice){name, sizeof name}, 1);
    ck_assert_uint_eq(overview_end(&overview, 0)->session_len, NAME_BYTES_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overview");
    TCase *tests = one_case(suite, "overview");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, without_two_samples_there_is_no_second);
    tcase_add_test(tests, a_second_is_the_difference_of_two_samples);
    tcase_add_test(tests, a_long_second_is_told_as_a_second);
    tcase_add_test(tests, what_falls_or_has_no_time_is_nothing);
    tcase_add_test(tests, only_the_last_minutes_are_kept);
    tcase_add_test(tests, latency_is_that_of_the_last_minute);
    tcase_add_test(tests, the_newest_end_comes_first);
    tcase_add_test(tests, what_ends_together_is_one);
    tcase_add_test(tests, what_ends_among_others_is_one_too);
    tcase_add_test(tests, only_the_last_ends_are_kept);
    tcase_add_test(tests, long_names_are_cut);
    return run_suite(suite);
}
