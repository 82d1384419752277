/* Two sources take turns: each has its share, and a first request always. */
#include "command/shares.h"

#include "support.h"

static struct shares shares;

/* Requests that each source gives in an iteration when both have any number of them. */
static void take_all(size_t service_bytes, size_t worker_bytes, int64_t us, size_t taken[SOURCES])
{
    enum source from;
    taken[FROM_SERVICES] = taken[FROM_WORKERS] = 0;
    shares_begin(&shares);
    while (shares_next(&shares, &from)) {
        taken[from]++;
        shares_use(&shares, from, from == FROM_SERVICES ? service_bytes : worker_bytes, us);
    }
}

START_TEST(each_source_is_bounded_by_its_own_share)
{
    size_t taken[SOURCES];
    take_all(100, 100, 1, taken);
    ck_assert_uint_eq(taken[FROM_SERVICES], SHARE_REQUESTS);
    ck_assert_uint_eq(taken[FROM_WORKERS], SHARE_REQUESTS);
    take_all(SHARE_BYTES / 4, 100, 1, taken);
    ck_assert_uint_eq(taken[FROM_SERVICES], 4);
    ck_assert_uint_eq(taken[FROM_WORKERS], SHARE_REQUESTS);
    take_all(1, 1, SHARE_US / 2, taken);
    ck_assert_uint_eq(taken[FROM_SERVICES], 2);
    ck_assert_uint_eq(taken[FROM_WORKERS], 2);
}
END_TEST

START_TEST(large_requests_of_one_leave_the_other_its_share)
{
    size_t taken[SOURCES];
    take_all(100, 100 * SHARE_BYTES, 1, taken);
    ck_assert_uint_eq(taken[FROM_SERVICES], SHARE_REQUESTS);
    ck_assert_uint_eq(taken[FROM_WORKERS], 1);
    take_all(100 * SHARE_BYTES, 100, 100 * SHARE_US, taken);
    ck_assert_uint_eq(taken[FROM_SERVICES], 1);
    ck_assert_uint_eq(taken[FROM_WORKERS], 1);
}
END_TEST

START_TEST(who_used_less_is_next)
{
    enum source from;
    shares_begin(&shares);
    ck_assert(shares_next(&shares, &from) && from == FROM_SERVICES);
    shares_use(&shares, from, 100, 0);
    ck_assert(shares_next(&shares, &from) && from == FROM_WORKERS);
    shares_use(&shares, from, 1000, 0);
    for (int i = 0; i < 10; i++) {
        ck_assert(shares_next(&shares, &from) && from == FROM_SERVICES);
        shares_use(&shares, from, 100, 0);
    }
    ck_assert(shares_next(&shares, &from) && from == FROM_WORKERS);
}
END_TEST

START_TEST(who_is_empty_is_not_asked)
{
    enum source from;
    shares_begin(&shares);
    shares_empty(&shares, FROM_SERVICES);
    ck_assert(shares_next(&shares, &from) && from == FROM_WORKERS);
    ck_assert(shares_more(&shares));
    shares_empty(&shares, FROM_WORKERS);
    ck_assert(!shares_next(&shares, &from));
    ck_assert(!shares_more(&shares));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shares");
    TCase *tests = one_case(suite, "shares");
    tcase_add_test(tests, each_source_is_bounded_by_its_own_share);
    tcase_add_test(tests, large_requests_of_one_leave_the_other_its_share);
    tcase_add_test(tests, who_used_less_is_next);
    tcase_add_test(tests, who_is_empty_is_not_asked);
    return run_suite(suite);
}
