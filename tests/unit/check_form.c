#include "http/form.h"

#include <stdlib.h>

#include "support.h"

static char *text;
static struct form form;
static struct form_field field;

static void open_form(struct slice content)
{
    text = malloc(content.len + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, content.data, content.len);
    form = form_open(text, content.len);
}

static void teardown(void)
{
    free(text);
    text = NULL;
}

static void assert_next(struct slice name, struct slice value)
{
    ck_assert(form_next(&form, &field));
    assert_slice(field.name, name);
    assert_slice(field.value, value);
}

START_TEST(fields_come_in_order_and_decoded)
{
    open_form(S("topic=a%2Fb&topic=c+d&data=%c3%A9%00x"));
    assert_next(S("topic"), S("a/b"));
    assert_next(S("topic"), S("c d"));
    assert_next(S("data"), S("\xc3\xa9\0x"));
    ck_assert(!form_next(&form, &field) && !form_next(&form, &field));
}
END_TEST

START_TEST(names_are_decoded_too)
{
    open_form(S("to%70ic=1&a+b=2"));
    assert_next(S("topic"), S("1"));
    assert_next(S("a b"), S("2"));
}
END_TEST

START_TEST(a_percent_that_begins_no_escape_stands_for_itself)
{
    open_form(S("a=100%&b=%4&c=%zz&d=%%41"));
    assert_next(S("a"), S("100%"));
    assert_next(S("b"), S("%4"));
    assert_next(S("c"), S("%zz"));
    assert_next(S("d"), S("%A"));
}
END_TEST

START_TEST(empty_fields_are_skipped_and_empty_values_are_not)
{
    open_form(S("&&a&b=&=c&d==e&"));
    assert_next(S("a"), S(""));
    assert_next(S("b"), S(""));
    assert_next(S(""), S("c"));
    assert_next(S("d"), S("=e"));
    ck_assert(!form_next(&form, &field));
}
END_TEST

START_TEST(nothing_has_no_fields)
{
    open_form(S(""));
    ck_assert(!form_next(&form, &field));
    form = form_open(NULL, 0);
    ck_assert(!form_next(&form, &field));
}
END_TEST

START_TEST(the_type_is_known_by_its_name)
{
    ck_assert(form_type("application/x-www-form-urlencoded"));
    ck_assert(form_type("Application/X-WWW-Form-Urlencoded; charset=UTF-8"));
    ck_assert(!form_type("application/x-www-form-urlencodedx") && !form_type("text/plain") &&
              !form_type(""));
    ck_assert(!form_type(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("form");
    TCase *tests = one_case(suite, "form");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, fields_come_in_order_and_decoded);
    tcase_add_test(tests, names_are_decoded_too);
    tcase_add_test(tests, a_percent_that_begins_no_escape_stands_for_itself);
    tcase_add_test(tests, empty_fields_are_skipped_and_empty_values_are_not);
    tcase_add_test(tests, nothing_has_no_fields);
    tcase_add_test(tests, the_type_is_known_by_its_name);
    return run_suite(suite);
}
