/* What a worker keeps of its reports until they are acknowledged. */
#include "upstream/unacked.h"

#include "support.h"

static struct unacked unacked;
static uint64_t mark;

static void end(void)
{
    unacked_release(&unacked);
    ck_assert_uint_eq(unacked.count, 0);
}

static bool ended(const char *connection)
{
    return unacked_ended(&unacked, &(struct wire_presence_item){.connection = slice_of(connection)},
                         1000);
}

/* Report n has told of everything that there is. */
static void sent(uint64_t n, uint64_t up_to)
{
    unacked_sent(&unacked,
                 &(struct unacked_report){
                     .n = n, .whole = true, .mark = up_to, .ended = unacked_end(&unacked)});
}

static bool taken(uint64_t n)
{
    struct unacked_report report;
    bool any = unacked_acknowledge(&unacked, n, &report);
    mark = report.mark;
    return any;
}

/* The connections that are kept: "a b ". */
static const char *kept(void)
{
    static char text[256];
    struct slice rest = {unacked.ended.data, unacked.ended.len};
    struct wire_presence_item item;
    *text = '\0';
    while (rest.len && wire_next_presence(&rest, &item))
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s ", (int)item.connection.len,
                 item.connection.data);
    return text;
}

START_TEST(what_ended_is_kept_until_its_report_is_taken)
{
    ended("a");
    sent(5, 50);
    ended("b");
    sent(6, 60);
    ended("c");
    ck_assert_str_eq(kept(), "a b c ");
    ck_assert(taken(5));
    ck_assert_uint_eq(mark, 50);
    ck_assert_str_eq(kept(), "b c ");
    ck_assert(!taken(5));
    ck_assert(taken(6));
    ck_assert_uint_eq(mark, 60);
    ck_assert_str_eq(kept(), "c ");
}
END_TEST

START_TEST(a_later_report_that_is_taken_stands_for_those_before)
{
    for (uint64_t n = 1; n <= 100; n++) {
        ended("x");
        sent(n, n * 10);
    }
    ck_assert(taken(99));
    ck_assert_uint_eq(mark, 990);
    ck_assert_str_eq(kept(), "x ");
    ck_assert(taken(1000));
    ck_assert_uint_eq(mark, 1000);
    ck_assert_str_eq(kept(), "");
}
END_TEST

START_TEST(the_list_is_used_again)
{
    for (uint64_t n = 1; n <= 1000; n++) {
        sent(n, n);
        if (n > 8)
            ck_assert(taken(n - 8) && mark == n - 8);
    }
    ck_assert_uint_eq(unacked.count, 8);
    ck_assert_uint_le(unacked.cap, 16);
}
END_TEST

START_TEST(too_much_is_dropped_and_counted_as_gone)
{
    int fit = 0;
    while (ended("0123456789"))
        fit++;
    ck_assert_int_gt(fit, 10);
    ck_assert_str_eq(kept(), "");
    sent(1, 1);
    ck_assert(ended("a"));
    ck_assert(taken(1));
    ck_assert_str_eq(kept(), "a ");
}
END_TEST

START_TEST(a_report_of_a_part_takes_what_it_had)
{
    struct unacked_report report;
    ended("a");
    uint64_t half = unacked_end(&unacked);
    ended("b");
    unacked_sent(&unacked, &(struct unacked_report){.n = 1, .ended = half, .sent_at = 7});
    ck_assert(unacked_acknowledge(&unacked, 1, &report));
    ck_assert(!report.whole);
    ck_assert_int_eq(report.sent_at, 7);
    ck_assert_str_eq(kept(), "b ");
    ck_assert_uint_eq(unacked_from(&unacked, half).len, unacked.ended.len);
    ck_assert_uint_eq(unacked_from(&unacked, 0).len, unacked.ended.len);
    ck_assert_uint_eq(unacked_from(&unacked, unacked_end(&unacked)).len, 0);
}
END_TEST

START_TEST(a_part_that_follows_a_whole_leaves_its_mark)
{
    struct unacked_report report;
    sent(1, 10);
    unacked_sent(&unacked, &(struct unacked_report){.n = 2});
    ck_assert(unacked_acknowledge(&unacked, 2, &report));
    ck_assert(report.whole);
    ck_assert_uint_eq(report.mark, 10);
}
END_TEST

START_TEST(after_a_restart_earlier_reports_take_nothing)
{
    ended("a");
    sent(1, 10);
    unacked_restart(&unacked);
    ck_assert(!taken(1));
    ck_assert_str_eq(kept(), "a ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unacked");
    TCase *tests = one_case(suite, "unacked");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_test(tests, what_ended_is_kept_until_its_report_is_taken);
    tcase_add_test(tests, a_later_report_that_is_taken_stands_for_those_before);
    tcase_add_test(tests, the_list_is_used_again);
    tcase_add_test(tests, too_much_is_dropped_and_counted_as_gone);
    tcase_add_test(tests, a_report_of_a_part_takes_what_it_had);
    tcase_add_test(tests, a_part_that_follows_a_whole_leaves_its_mark);
    tcase_add_test(tests, after_a_restart_earlier_reports_take_nothing);
    return run_suite(suite);
}
