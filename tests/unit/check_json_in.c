#include "codec/json_in.h"

#include "support.h"

static struct json_in *root;

static void teardown(void)
{
    json_in_free(&root);
    ck_assert_ptr_null(root);
    json_in_free(&root);
}

static const struct json_in *member(const char *name)
{
    return json_in_member(root, name);
}

START_TEST(values_are_what_they_are)
{
    root = json_in_parse(
        S("{\"t\":\"a\\u0000b\",\"n\":1.5,\"i\":7,\"yes\":true,\"no\":false,\"none\":null,\"l\":[1,"
          "\"x\"],\"o\":{\"p\":1}}"));
    ck_assert(json_in_is_object(root) && json_in_is_object(member("o")) &&
              !json_in_is_object(member("l")));
    assert_slice(json_in_text(member("t")), S("a\0b"));
    ck_assert(json_in_number(member("n")) == 1.5 && json_in_number(member("i")) == 7);
    ck_assert(json_in_is_true(member("yes")) && !json_in_is_true(member("no")) &&
              !json_in_is_true(member("i")));
    ck_assert(json_in_is_null(member("none")) && !json_in_is_null(member("no")) &&
              !json_in_is_null(member("absent")));
    ck_assert(json_in_is_false(member("no")) && !json_in_is_false(member("yes")) &&
              !json_in_is_false(member("x")));
    ck_assert_uint_eq(json_in_count(member("l")), 2);
    assert_slice(json_in_text(json_in_item(member("l"), 1)), S("x"));
    ck_assert_ptr_null(json_in_item(member("l"), 2));
    ck_assert(json_in_number(json_in_member(member("o"), "p")) == 1);
}
END_TEST

START_TEST(what_is_not_there_may_be_asked_for_anything)
{
    root = json_in_parse(S("{\"n\":1}"));
    const struct json_in *nothing = member("x");
    ck_assert_ptr_null(nothing);
    ck_assert(!json_in_is_text(nothing) && !json_in_is_number(nothing) &&
              !json_in_is_list(nothing) && !json_in_is_true(nothing));
    ck_assert_uint_eq(json_in_count(nothing), 0);
    ck_assert_uint_eq(json_in_text(nothing).len, 0);
    ck_assert_uint_eq(json_in_text(member("n")).len, 0);
    ck_assert(json_in_number(nothing) == 0);
    ck_assert_ptr_null(json_in_member(member("n"), "m"));
    ck_assert_ptr_null(json_in_item(nothing, 0));
}
END_TEST

static const char *const bad[] = {"",  "{",   "[1,]", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}",
                                  "1", "{} x"};

START_TEST(what_is_no_json_is_refused)
{
    ck_assert_ptr_null(json_in_parse(slice_of(bad[_i])));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_in");
    TCase *tests = one_case(suite, "json_in");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, values_are_what_they_are);
    tcase_add_test(tests, what_is_not_there_may_be_asked_for_anything);
    tcase_add_loop_test(tests, what_is_no_json_is_refused, 0, (int)(sizeof bad / sizeof bad[0]));
    return run_suite(suite);
}
