#include "http/params.h"

#include <stdlib.h>

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
    copy((char *[]){"", "NOVALUE", "=nameless", "A=1", "", "Z=26", NULL});
    ck_assert_ptr_null(params_get(&params, "NOVALUE"));
    ck_assert_str_eq(params_get(&params, "A"), "1");
    ck_assert_str_eq(params_get(&params, "Z"), "26");
}
END_TEST

/* X-User and X_User of one client are the same parameter:
 * nobody can tell which of them the web server set. */
START_TEST(what_came_twice_has_no_value)
{
    copy((char *[]){"HTTP_X_USER=mallory", "B=1", "HTTP_X_USER=anna", "HTTP_X_USERS=2", "B", NULL});
    ck_assert_ptr_null(params_get(&params, "HTTP_X_USER"));
    ck_assert_ptr_null(params_header(&params, "X-User"));
    ck_assert(params_repeated(&params, "HTTP_X_USER"));
    ck_assert(!params_repeated(&params, "B") && !params_repeated(&params, "HTTP_X_USERS"));
    ck_assert(!params_repeated(&params, "C"));
    ck_assert_str_eq(params_get(&params, "B"), "1");
    params_release(&params);
    copy((char *[]){"A=1", "A=1", NULL}); /* the same value is no excuse */
    ck_assert(params_repeated(&params, "A") && !params_get(&params, "A"));
}
END_TEST

START_TEST(parameters_of_the_query_may_come_twice)
{
    copy((char *[]){"QUERY_STRING=a=1&ab=2&b=&a=3&c=4& b=5&d&&", NULL});
    ck_assert(params_query_repeated(&params, "a") && params_query_repeated(&params, "b"));
    ck_assert(!params_query_repeated(&params, "ab") && !params_query_repeated(&params, "c"));
    ck_assert(!params_query_repeated(&params, "d") && !params_query_repeated(&params, ""));
    char *value = params_query(&params, "a");
    ck_assert_str_eq(value, "1");
    free(value);
}
END_TEST

static void assert_query(const char *name, const char *expected)
{
    char *value = params_query(&params, name);
    ck_assert_pstr_eq(value, expected);
    free(value);
}

/* lighttpd decodes what is encoded without need, nginx and Apache pass it on. */
START_TEST(names_in_the_query_are_compared_decoded)
{
    copy((char *[]){
        "QUERY_STRING=%73ession=a&l%61s%74=%35&a+b=c&%=d&%zz=e&x%00=f&%e2%82%ac=g&ab%=h", NULL});
    assert_query("session", "a");
    assert_query("last", "5");
    assert_query("a b", "c");
    assert_query("%", "d");
    assert_query("%zz", "e");
    assert_query("\xe2\x82\xac", "g");
    assert_query("ab%", "h");
    assert_query("x", NULL);
    assert_query("%73ession", NULL);
    assert_query("sessio", NULL);
    assert_query("sessions", NULL);
    assert_query("", NULL);
}
END_TEST

START_TEST(an_encoded_separator_separates_nothing)
{
    copy((char *[]){"QUERY_STRING=a%3Db=1&c%26d=2", NULL});
    assert_query("a", NULL);
    assert_query("c", NULL);
    assert_query("d", NULL);
    assert_query("a=b", "1");
    assert_query("c&d", "2");
}
END_TEST

START_TEST(however_it_is_spelt_a_name_that_comes_twice_is_repeated)
{
    copy((char *[]){"QUERY_STRING=session=a&%73ession=b&c&c=1&d&e", NULL});
    ck_assert(params_query_repeated(&params, "session"));
    ck_assert(params_query_repeated(&params, "c"));
    ck_assert(!params_query_repeated(&params, "d") && !params_query_repeated(&params, "e"));
}
END_TEST

START_TEST(a_parameter_without_a_value_has_an_empty_one)
{
    static const char *const expected[] = {"", "1", ""};
    const char *place = NULL;
    copy((char *[]){"QUERY_STRING=last&a=1&&%6cast=1&last", NULL});
    for (size_t i = 0; i < 4; i++) {
        char *value = params_query_next(&params, "last", &place);
        ck_assert_pstr_eq(value, i < 3 ? expected[i] : NULL);
        free(value);
    }
    ck_assert(params_query_repeated(&params, "last"));
    assert_query("las", NULL);
}
END_TEST

START_TEST(names_are_listed_decoded)
{
    static const char *const expected[] = {"a", "b c", "", "d"};
    char name[PARAM_NAME_MAX];
    const char *place = NULL;
    copy((char *[]){"QUERY_STRING=&a=1&b+%63=2&=3&&d", NULL});
    for (size_t i = 0; i < 4; i++) {
        ck_assert(params_query_name(&params, &place, name));
        ck_assert_str_eq(name, expected[i]);
    }
    ck_assert(!params_query_name(&params, &place, name) &&
              !params_query_name(&params, &place, name));
    params_release(&params);

    place = NULL;
    copy((char *[]){NULL});
    ck_assert(!params_query_name(&params, &place, name));
}
END_TEST

START_TEST(a_name_that_is_too_long_is_cut)
{
    char query[2000] = "QUERY_STRING=", name[PARAM_NAME_MAX];
    const char *place = NULL;
    for (size_t i = 0; i < 500; i++)
        strcat(query, "%41");
    copy((char *[]){strcat(query, "=1&b"), NULL});
    ck_assert(params_query_name(&params, &place, name));
    ck_assert_uint_eq(strlen(name), PARAM_NAME_MAX - 1);
    ck_assert(params_query_name(&params, &place, name));
    ck_assert_str_eq(name, "b");
}
END_TEST

START_TEST(cookies_are_counted)
{
    static const char *const values[] = {"1", "2 x", "3"};
    copy((char *[]){"HTTP_COOKIE=s=1; s=;s=\"\"; t=s=9;  s=\"2 x\" ; s=3", NULL});
    for (size_t i = 0; i < 4; i++) {
        char *value = params_cookie(&params, "s", i);
        if (i < 3)
            ck_assert_str_eq(value, values[i]);
        else
            ck_assert_ptr_null(value);
        free(value);
    }
}
END_TEST

START_TEST(there_may_be_none)
{
    copy((char *[]){NULL});
    ck_assert_ptr_null(params_get(&params, "A"));
}
END_TEST

START_TEST(params_are_a_copy)
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
    tcase_add_test(tests, what_came_twice_has_no_value);
    tcase_add_test(tests, parameters_of_the_query_may_come_twice);
    tcase_add_test(tests, names_in_the_query_are_compared_decoded);
    tcase_add_test(tests, an_encoded_separator_separates_nothing);
    tcase_add_test(tests, however_it_is_spelt_a_name_that_comes_twice_is_repeated);
    tcase_add_test(tests, a_parameter_without_a_value_has_an_empty_one);
    tcase_add_test(tests, names_are_listed_decoded);
    tcase_add_test(tests, a_name_that_is_too_long_is_cut);
    tcase_add_test(tests, cookies_are_counted);
    tcase_add_test(tests, there_may_be_none);
    tcase_add_test(tests, params_are_a_copy);
    return run_suite(suite);
}
