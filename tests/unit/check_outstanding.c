/* Requests until they are answered: which is sent, and when again. */
#include "upstream/outstanding.h"

#include "support.h"

static struct outstanding requests;

static void setup(void)
{
    outstanding_init(&requests, 100, 1000);
}

static void teardown(void)
{
    outstanding_release(&requests);
    ck_assert_uint_eq(requests.waiting[CLASS_PAGES].count + requests.under_way.count, 0);
}

static struct upstream_request *add(enum request_purpose purpose, bool once)
{
    struct upstream_request *q = outstanding_new(&requests, purpose, NULL);
    ck_assert_ptr_nonnull(q);
    q->once = once;
    return outstanding_add(&requests, q);
}

/* Send what may be sent. Returns how many. */
static size_t send_all(int64_t now)
{
    struct upstream_request *q;
    size_t count = 0;
    for (; (q = outstanding_next(&requests)); count++)
        outstanding_sent(&requests, q, now);
    return count;
}

START_TEST(requests_are_sent_in_order_and_found_by_number)
{
    struct upstream_request *a = add(FOR_REPLAY, false), *b = add(FOR_COMMAND, true);
    ck_assert_ptr_null(outstanding_find(&requests, a->number)); /* it was not sent */
    ck_assert_ptr_eq(outstanding_next(&requests), b);
    ck_assert_uint_eq(send_all(1), 2);
    ck_assert_ptr_eq(outstanding_find(&requests, a->number), a);
    ck_assert_ptr_eq(outstanding_find(&requests, b->number), b);
    ck_assert_ptr_null(outstanding_find(&requests, 77));
    outstanding_drop(a);
    outstanding_drop(b);
}
END_TEST

static const struct {
    enum request_purpose purpose;
    bool once;
    size_t max; /* in flight */
} kinds[REQUEST_CLASSES] = {
    [CLASS_COMMANDS] = {FOR_COMMAND, true, OUTSTANDING_IN_FLIGHT_MAX},
    [CLASS_PAGES] = {FOR_REPLAY, false, OUTSTANDING_IN_FLIGHT_MAX},
    [CLASS_QUESTIONS] = {FOR_COMMAND, false, OUTSTANDING_QUESTIONS_MAX},
};

/* More than may be in flight. */
static void add_many(enum request_class kind)
{
    for (size_t i = 0; i < kinds[kind].max + 3; i++)
        add(kinds[kind].purpose, kinds[kind].once);
}

START_TEST(only_so_many_are_in_flight)
{
    add_many((enum request_class)_i);
    ck_assert_uint_eq(send_all(1), kinds[_i].max);
    outstanding_drop(outstanding_find(&requests, 1));
    ck_assert_uint_eq(send_all(1), 1);
}
END_TEST

START_TEST(one_class_does_not_wait_for_another)
{
    add_many((enum request_class)_i);
    ck_assert_uint_eq(send_all(1), kinds[_i].max);
    for (int other = 0; other < REQUEST_CLASSES; other++) {
        if (other == _i)
            continue;
        struct upstream_request *one = add(kinds[other].purpose, kinds[other].once);
        ck_assert_ptr_eq(outstanding_next(&requests), one);
        ck_assert_uint_eq(send_all(1), 1);
        outstanding_drop(one);
    }

    outstanding_lose(&requests);
    for (struct upstream_request *q; (q = outstanding_given_up(&requests));)
        outstanding_drop(q);
    ck_assert_uint_eq(send_all(2), _i == CLASS_COMMANDS ? 3 : kinds[_i].max);
}
END_TEST

START_TEST(the_repair_is_sent_first_and_beyond_the_limit)
{
    for (unsigned i = 0; i < OUTSTANDING_IN_FLIGHT_MAX + 3; i++)
        add(FOR_REPLAY, false);
    struct upstream_request *repair = add(FOR_REPAIR, false);
    ck_assert_ptr_eq(outstanding_next(&requests), repair);
    send_all(1);
    outstanding_lose(&requests);
    send_all(1);
    ck_assert_ptr_eq(requests.repair, repair);
    ck_assert_ptr_eq(outstanding_find(&requests, repair->number), repair);
    outstanding_drop(repair);
    ck_assert_ptr_null(requests.repair);
}
END_TEST

START_TEST(what_is_not_answered_is_sent_again_the_longest_first)
{
    struct upstream_request *a = add(FOR_REPLAY, false);
    send_all(1);
    struct upstream_request *b = add(FOR_REPLAY, false), *once = add(FOR_COMMAND, true);
    send_all(51);
    ck_assert_ptr_null(outstanding_overdue(&requests, 100));
    ck_assert_ptr_eq(outstanding_overdue(&requests, 101), a);
    outstanding_sent(&requests, a, 101);
    ck_assert_ptr_null(outstanding_overdue(&requests, 150));
    ck_assert_ptr_eq(outstanding_overdue(&requests, 151), b);
    outstanding_drop(a);
    outstanding_drop(b);
    ck_assert_ptr_null(outstanding_overdue(&requests, 1000000)); /* never a second time */
    outstanding_drop(once);
}
END_TEST

START_TEST(slow_replies_make_the_timeout_longer_within_bounds)
{
    struct upstream_request *q = add(FOR_REPLAY, false);
    send_all(1);
    outstanding_adapt(&requests, q, 301);
    ck_assert_int_eq(requests.retry_ms, 600);
    outstanding_adapt(&requests, q, 5001);
    ck_assert_int_eq(requests.retry_ms, 1000);
    outstanding_adapt(&requests, q, 2);
    ck_assert_int_eq(requests.retry_ms, 100);
}
END_TEST

START_TEST(a_lost_broker_ends_what_is_sent_once_and_nothing_else)
{
    struct upstream_request *once = add(FOR_COMMAND, true), *again = add(FOR_COMMAND, false);
    send_all(1);
    ck_assert_ptr_null(outstanding_given_up(&requests));
    struct upstream_request *unsent = add(FOR_COMMAND, true);
    outstanding_lose(&requests);
    ck_assert_ptr_eq(outstanding_given_up(&requests), once);
    outstanding_drop(once);
    ck_assert_ptr_null(outstanding_given_up(&requests));
    ck_assert_ptr_eq(outstanding_next(&requests), unsent);
    ck_assert_uint_eq(send_all(2), 2);
    ck_assert_ptr_eq(outstanding_find(&requests, again->number), again);
}
END_TEST

START_TEST(without_memory_for_its_message_there_is_no_request)
{
    struct upstream_request *q = outstanding_new(&requests, FOR_REPAIR, NULL);
    q->message.failed = true;
    ck_assert_ptr_null(outstanding_add(&requests, q));
    ck_assert_ptr_null(requests.repair);
    ck_assert_ptr_null(outstanding_next(&requests));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outstanding");
    TCase *tests = one_case(suite, "outstanding");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, requests_are_sent_in_order_and_found_by_number);
    tcase_add_loop_test(tests, only_so_many_are_in_flight, 0, REQUEST_CLASSES);
    tcase_add_loop_test(tests, one_class_does_not_wait_for_another, 0, REQUEST_CLASSES);
    tcase_add_test(tests, the_repair_is_sent_first_and_beyond_the_limit);
    tcase_add_test(tests, what_is_not_answered_is_sent_again_the_longest_first);
    tcase_add_test(tests, slow_replies_make_the_timeout_longer_within_bounds);
    tcase_add_test(tests, a_lost_broker_ends_what_is_sent_once_and_nothing_else);
    tcase_add_test(tests, without_memory_for_its_message_there_is_no_request);
    return run_suite(suite);
}
