/* How long a source waits. */
#include "base/backoff.h"

#include "support.h"

static uint64_t after(uint64_t retry, uint64_t max, uint32_t failures)
{
    const struct backoff b = {.retry_ms = retry, .max_ms = max, .failures = failures};
    return backoff_wait(&b, UINT32_MAX);
}

START_TEST(failures_double_the_wait)
{
    static const uint64_t waits[] = {3000, 3000, 6000, 12000, 24000, 48000, 60000, 60000};
    for (uint32_t n = 0; n < sizeof waits / sizeof *waits; n++)
        ck_assert_uint_eq(after(3000, 60000, n), waits[n]);
    ck_assert_uint_eq(after(3000, 60000, UINT32_MAX), 60000);
}
END_TEST

START_TEST(what_the_server_asks_for_is_kept)
{
    ck_assert_uint_eq(after(90000, 60000, 0), 90000);
    ck_assert_uint_eq(after(90000, 60000, 9), 90000);
    ck_assert_uint_eq(after(0, 60000, 0), 0);
    ck_assert_uint_eq(after(0, 60000, 3), 4);
    ck_assert_uint_eq(after(86400000, 86400000, 5), 86400000);
}
END_TEST

START_TEST(jitter_only_adds)
{
    struct backoff b = {.retry_ms = 1000, .max_ms = 1, .jitter_percent = 25};
    ck_assert_uint_eq(backoff_wait(&b, 0), 1000);
    ck_assert_uint_eq(backoff_wait(&b, 1u << 31), 1125);
    ck_assert_uint_eq(backoff_wait(&b, UINT32_MAX), 1250);
    b.retry_ms = 86400000;
    ck_assert_uint_eq(backoff_wait(&b, UINT32_MAX), 108000000);
    b = (struct backoff){.retry_ms = 3, .jitter_percent = 100};
    ck_assert_uint_eq(backoff_wait(&b, UINT32_MAX), 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backoff");
    TCase *tests = one_case(suite, "backoff");
    tcase_add_test(tests, failures_double_the_wait);
    tcase_add_test(tests, what_the_server_asks_for_is_kept);
    tcase_add_test(tests, jitter_only_adds);
    return run_suite(suite);
}
