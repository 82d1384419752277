/* What a worker keeps of its reports until they are taken. */
#include "fcgi/reported.h"

#include "support.h"

static struct reported reported;
static uint32_t mark;

static void end(void)
{
    reported_release(&reported);
    ck_assert_uint_eq(reported.count, 0);
}

static bool ended(const char *connection)
{
    return reported_ended(&reported, &(struct wire_presence_item){.connection = slice_of(connection)}, 1000);
}

/* The connections that are kept: "a b ". */
static const char *kept(void)
{
    static char text[256];
    struct slice rest = {reported.ended.data, reported.ended.len};
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
    reported_sent(&reported, 5, 50);
    ended("b");
    reported_sent(&reported, 6, 60);
    ended("c");
    ck_assert_str_eq(kept(), "a b c ");
    ck_assert(reported_taken(&reported, 5, &mark));
    ck_assert_uint_eq(mark, 50);
    ck_assert_str_eq(kept(), "b c ");
    ck_assert(!reported_taken(&reported, 5, &mark));
    ck_assert(reported_taken(&reported, 6, &mark));
    ck_assert_uint_eq(mark, 60);
    ck_assert_str_eq(kept(), "c ");
}
END_TEST

START_TEST(a_later_report_that_is_taken_stands_for_those_before)
{
    for (uint32_t n = 1; n <= 100; n++) {
        ended("x");
        reported_sent(&reported, n, n * 10);
    }
    ck_assert(reported_taken(&reported, 99, &mark));
    ck_assert_uint_eq(mark, 990);
    ck_assert_str_eq(kept(), "x ");
    ck_assert(reported_taken(&reported, 1000, &mark));
    ck_assert_uint_eq(mark, 1000);
    ck_assert_str_eq(kept(), "");
}
END_TEST

START_TEST(the_list_is_used_again)
{
    for (uint32_t n = 1; n <= 1000; n++) {
        reported_sent(&reported, n, n);
        if (n > 8)
            ck_assert(reported_taken(&reported, n - 8, &mark) && mark == n - 8);
    }
    ck_assert_uint_eq(reported.count, 8);
    ck_assert_uint_le(reported.cap, 16);
}
END_TEST

START_TEST(too_much_is_dropped_and_counted_as_gone)
{
    int fit = 0;
    while (ended("0123456789"))
        fit++;
    ck_assert_int_gt(fit, 10);
    ck_assert_str_eq(kept(), "");
    reported_sent(&reported, 1, 1);
    ck_assert(ended("a"));
    ck_assert(reported_taken(&reported, 1, &mark));
    ck_assert_str_eq(kept(), "a ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reported");
    TCase *tests = one_case(suite, "reported");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_test(tests, what_ended_is_kept_until_its_report_is_taken);
    tcase_add_test(tests, a_later_report_that_is_taken_stands_for_those_before);
    tcase_add_test(tests, the_list_is_used_again);
    tcase_add_test(tests, too_much_is_dropped_and_counted_as_gone);
    return run_suite(suite);
}
