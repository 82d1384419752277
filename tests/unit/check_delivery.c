/* A batch: its limits, and what is no refusal. Publishing is tested with a broker (tests/e2e). */
#include "frame/delivery.h"
#include "support.h"

static struct delivery *d;

static void begin(void)
{
    static const char *const endpoint = "tcp://127.0.0.1:1";
    const struct ssecast_publisher_options options = {
        .endpoints = &endpoint, .endpoint_count = 1, .timeout_ms = 20};
    ck_assert_int_eq(delivery_new(&d, &options, endpoint), 0);
}

static void end(void)
{
    delivery_free(&d);
}

START_TEST(a_batch_has_a_number_of_messages)
{
    for (size_t i = 0; i < DELIVERY_MESSAGES; i++)
        ck_assert(delivery_add(d, S("{}")));
    ck_assert(!delivery_add(d, S("{}")));
    ck_assert_uint_eq(delivery_count(d), DELIVERY_MESSAGES);
}
END_TEST

START_TEST(a_batch_has_a_size_and_takes_one_message_of_any_size)
{
    char *large = calloc(1, DELIVERY_BYTES + 1);
    ck_assert(delivery_add(d, (struct slice){large, DELIVERY_BYTES + 1}));
    ck_assert(!delivery_add(d, S("{}")));
    free(large);
}
END_TEST

START_TEST(a_large_message_waits_for_the_next_batch)
{
    char *large = calloc(1, DELIVERY_BYTES);
    ck_assert(delivery_add(d, S("{}")));
    ck_assert(!delivery_add(d, (struct slice){large, DELIVERY_BYTES}));
    ck_assert(delivery_add(d, S("{}")));
    free(large);
}
END_TEST

START_TEST(without_a_broker_it_is_tried_again_and_nothing_has_an_outcome)
{
    ck_assert(delivery_add(d, S("{\"id\":\"x\"}")));
    ck_assert(!delivery_pending(d));
    delivery_begin(d);
    ck_assert(delivery_pending(d));
    ck_assert(!delivery_add(d, S("{}")));
    for (int i = 0; i < 20; i++) {
        const struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
        ck_assert(!delivery_process(d));
    }
    ck_assert_int_ge(delivery_timeout(d), 0);
    ck_assert_uint_eq(delivery_counts(d).published + delivery_counts(d).refused, 0);
}
END_TEST

START_TEST(some_errors_pass)
{
    ck_assert(delivery_code_passes("store_failed"));
    ck_assert(delivery_code_passes("busy"));
    ck_assert(!delivery_code_passes("bad_request"));
    ck_assert(!delivery_code_passes("state_full"));
    ck_assert(!delivery_code_passes(""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("delivery");
    TCase *tests = one_case(suite, "delivery");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_batch_has_a_number_of_messages);
    tcase_add_test(tests, a_batch_has_a_size_and_takes_one_message_of_any_size);
    tcase_add_test(tests, a_large_message_waits_for_the_next_batch);
    tcase_add_test(tests, without_a_broker_it_is_tried_again_and_nothing_has_an_outcome);
    tcase_add_test(tests, some_errors_pass);
    return run_suite(suite);
}
