#include "fcgi/params.h"

#include "support.h"

static struct params params;

static void teardown(void)
{
    params_release(&params);
    ck_assert_ptr_null(params.text);
    params_release(&params);
}

static void copy(char *const *list)
{
    ck_assert_int_eq(params_copy(&params, list), 0);
}

START_TEST(values_are_found_by_their_whole_name)
{
    copy((char *[]){"A=1", "AB=2", "B=", "C=x=y", NULL});
    ck_assert_str_eq(params_get(&params, "A"), "1");
    ck_assert_str_eq(params_get(&params, "AB"), "2");
    ck_assert_str_eq(params_get(&params, "B"), "");
    ck_assert_str_eq(params_get(&params, "C"), "x=y");
    ck_assert_ptr_null(params_get(&params, "a"));
    ck_assert_ptr_null(params_get(&params, "ABC"));
    ck_assert_ptr_null(params_get(&params, ""));
    ck_assert_ptr_null(params_get(&params, "1"));
}
END_TEST

START_TEST(odd_entries_do_no_harm)
{
    copy((char *[]){"", "NOVALUE", "=nameless", "A=1", "A=2", "", "Z=26", NULL});
    ck_assert_ptr_null(params_get(&params, "NOVALUE"));
    ck_assert_str_eq(params_get(&params, "A"), "1");
    ck_assert_str_eq(params_get(&params, "Z"), "26");
}
END_TEST

START_TEST(there_may_be_none)
{
    copy((char *[]){NULL});
    ck_assert_ptr_null(params_get(&params, "A"));
}
END_TEST

START_TEST(it_is_a_copy)
{
    char text[] = "A=1";
    copy((char *[]){text, NULL});
    text[2] = '2';
    ck_assert_str_eq(params_get(&params, "A"), "1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params");
    TCase *tests = one_case(suite, "params");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, values_are_found_by_their_whole_name);
    tcase_add_test(tests, odd_entries_do_no_harm);
    tcase_add_test(tests, there_may_be_none);
    tcase_add_test(tests, it_is_a_copy);
    return run_suite(suite);
}
