/* The queue: its order, its bound, what is refused.
 * Publishing is tested with a database and a broker (tests/e2e). */
#include "pgsql/notifications.h"

#include "support.h"

static const struct mapping mapping = {.channel = "%s", .event = "", .payload = PAYLOAD_TEXT};
static struct frame frame;
static struct notifications *n;

static void begin(void)
{
    static const char *const endpoint = "tcp://127.0.0.1:1";
    const struct ssecast_publisher_options options = {
        .endpoints = &endpoint, .endpoint_count = 1, .timeout_ms = 20};
    frame = (struct frame){0};
    ck_assert_int_eq(delivery_new(&frame.delivery, &options, endpoint), 0);
}

static void end(void)
{
    notifications_free(&n);
    notifications_free(&n);
    delivery_free(&frame.delivery);
}

static void make(uint64_t max_bytes)
{
    n = notifications_new(&frame, &mapping, max_bytes);
    ck_assert_ptr_nonnull(n);
}

START_TEST(what_arrives_waits)
{
    make(100000);
    ck_assert_uint_eq(notifications_count(n), 0);
    for (size_t i = 1; i <= 3; i++) {
        notifications_add(n, S("news"), S("hello"));
        ck_assert_uint_eq(notifications_count(n), i);
    }
    ck_assert_uint_eq(frame.refused + frame.dropped, 0);
}
END_TEST

START_TEST(the_newest_is_dropped_when_too_many_bytes_wait)
{
    static char payload[400];
    memset(payload, 'x', sizeof payload);
    make(1200);
    for (int i = 0; i < 5; i++)
        notifications_add(n, S("news"), (struct slice){payload, sizeof payload});
    ck_assert_uint_eq(notifications_count(n), 2);
    ck_assert_uint_eq(frame.dropped, 3);
    notifications_add(n, S("news"), S("a short one still fits"));
    ck_assert_uint_eq(notifications_count(n), 3);
    ck_assert_uint_eq(frame.dropped, 3);
}
END_TEST

START_TEST(a_refused_one_is_counted_and_holds_up_no_other)
{
    make(100000);
    notifications_add(n, S("news"), S("\xff"));
    ck_assert_uint_eq(notifications_count(n), 0);
    ck_assert_uint_eq(frame.refused, 1);
    notifications_add(n, S("news"), S("hello"));
    ck_assert_uint_eq(notifications_count(n), 1);
    ck_assert_uint_eq(frame.refused, 1);
    ck_assert_uint_eq(frame.dropped, 0);
}
END_TEST

START_TEST(a_batch_takes_what_fits_and_the_rest_waits)
{
    make(1000000);
    for (unsigned i = 0; i < DELIVERY_MESSAGES + 5; i++)
        notifications_add(n, S("news"), S("hello"));
    notifications_send(n);
    ck_assert_uint_eq(delivery_count(frame.delivery), DELIVERY_MESSAGES);
    ck_assert(delivery_pending(frame.delivery));
    ck_assert_uint_eq(notifications_count(n), DELIVERY_MESSAGES + 5); /* until it has outcomes */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notifications");
    TCase *tests = one_case(suite, "notifications");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, what_arrives_waits);
    tcase_add_test(tests, the_newest_is_dropped_when_too_many_bytes_wait);
    tcase_add_test(tests, a_refused_one_is_counted_and_holds_up_no_other);
    tcase_add_test(tests, a_batch_takes_what_fits_and_the_rest_waits);
    return run_suite(suite);
}
