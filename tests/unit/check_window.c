/* Requests under way. */
#include "lib/window.h"

#include "support.h"

static struct window_request *add(struct window *w, int64_t deadline, bool repeatable)
{
    struct window_request *r = calloc(1, sizeof *r);
    r->ref = window_next_ref(w);
    r->deadline = deadline;
    r->repeatable = repeatable;
    ck_assert_uint_ne(r->ref, 0);
    window_add(w, r);
    return r;
}

static void drop(struct window *w, struct window_request *r)
{
    window_remove(w, r);
    free(r);
}

START_TEST(a_request_waits_is_sent_and_found)
{
    struct window *w = window_new(4);
    ck_assert_int_eq(window_due(w), INT64_MAX);
    struct window_request *a = add(w, 100, false), *b = add(w, 100, true);
    ck_assert_ptr_eq(window_waiting(w), a);
    ck_assert_ptr_eq(window_newer(a), b);
    window_sent(w, a, 10);
    ck_assert_ptr_eq(window_waiting(w), b);
    ck_assert_int_eq(window_due(w), 100);
    window_sent(w, b, 10);
    ck_assert_ptr_null(window_waiting(w));
    ck_assert_int_eq(window_due(w), 10);
    ck_assert_ptr_eq(window_find(w, b->ref), b);
    ck_assert_ptr_null(window_find(w, b->ref + 1));
    ck_assert_ptr_null(window_find(w, 0));
    drop(w, a);
    ck_assert_ptr_eq(window_oldest(w), b);
    drop(w, b);
    ck_assert_uint_eq(window_count(w), 0);
    window_free(&w);
    window_free(&w);
}
END_TEST

START_TEST(only_what_may_be_is_sent_again)
{
    struct window *w = window_new(4);
    struct window_request *once = add(w, 100, false), *again = add(w, 100, true),
                          *later = add(w, 100, true);
    window_sent(w, once, 10);
    window_sent(w, again, 10);
    window_sent(w, later, 11);
    window_resend(w, 9);
    ck_assert_ptr_null(window_waiting(w));
    window_resend(w, 10);
    ck_assert_ptr_eq(window_waiting(w), again);
    ck_assert_int_eq(window_due(w), 11);
    window_sent(w, again, 20);
    window_resend(w, 30);
    ck_assert_ptr_eq(window_waiting(w), later);
    drop(w, later);
    ck_assert_ptr_eq(window_waiting(w), again);
    drop(w, again);
    drop(w, once);
    window_free(&w);
}
END_TEST

START_TEST(a_full_window_has_no_number_for_a_request)
{
    struct window *w = window_new(1);
    struct window_request *r = add(w, 1, false);
    ck_assert_uint_eq(window_next_ref(w), 0);
    drop(w, r);
    ck_assert_uint_ne(window_next_ref(w), 0);
    window_free(&w);
}
END_TEST

START_TEST(a_straggler_keeps_its_number)
{
    struct window *w = window_new(3);
    struct window_request *straggler = add(w, 1, false);
    for (int i = 0; i < 1000; i++) {
        struct window_request *a = add(w, 1, true), *b = add(w, 1, i % 2);
        ck_assert_uint_gt(b->ref, a->ref);
        ck_assert_ptr_eq(window_find(w, straggler->ref), straggler);
        ck_assert_ptr_eq(window_find(w, a->ref), a);
        drop(w, a);
        drop(w, b);
    }
    ck_assert_ptr_eq(window_oldest(w), straggler);
    drop(w, straggler);
    window_free(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tests = one_case(suite, "window");
    tcase_add_test(tests, a_request_waits_is_sent_and_found);
    tcase_add_test(tests, only_what_may_be_is_sent_again);
    tcase_add_test(tests, a_full_window_has_no_number_for_a_request);
    tcase_add_test(tests, a_straggler_keeps_its_number);
    return run_suite(suite);
}
