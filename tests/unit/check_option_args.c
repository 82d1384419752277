#include "ops/option_args.h"

#include <string.h>

#include "support.h"

static const struct option_row rows[] = {
    {.name = "note", .arg = "TEXT", .type = OPTION_TEXT},
    {.name = "notes", .arg = "N", .type = OPTION_COUNT},
    {.name = "loud", .type = OPTION_FLAG},
};

static struct option_arg a;

static bool match(const char *arg)
{
    return option_match(rows, 3, arg, &a);
}

START_TEST(a_name_is_matched_whole)
{
    ck_assert(match("--note"));
    ck_assert_ptr_eq(a.row, &rows[0]);
    ck_assert_ptr_null(a.value);
    ck_assert(match("--notes=a=b"));
    ck_assert_ptr_eq(a.row, &rows[1]);
    ck_assert_str_eq(a.value, "a=b");
    ck_assert(match("--loud="));
    ck_assert_str_eq(a.value, "");
    for (size_t i = 0; i < 3; i++)
        ck_assert_ptr_eq(option_find(rows, 3, slice_of(rows[i].name)), &rows[i]);
    ck_assert_ptr_null(option_find(rows, 3, slice_of("not")));
}
END_TEST

START_TEST(other_arguments_match_nothing)
{
    static const char *const others[] = {"",      "-",     "--",       "--=x", "note",
                                         "-note", "--not", "--notesx", "-n",   "--Note"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_msg(!match(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(a_value_follows_unless_it_is_attached_or_not_wanted)
{
    char *argv[] = {"program", "--note", "--loud", NULL};
    int i = 1;
    ck_assert(match(argv[i]) && option_take_value(&a, 3, argv, &i));
    ck_assert_str_eq(a.value, "--loud");
    ck_assert_int_eq(i, 2);

    i = 1;
    ck_assert(match("--note=x") && option_take_value(&a, 3, argv, &i));
    ck_assert_int_eq(i, 1);
    ck_assert(match("--loud") && option_take_value(&a, 3, argv, &i));
    ck_assert_ptr_null(a.value);
    ck_assert_int_eq(i, 1);

    i = 2;
    ck_assert(match("--note") && !option_take_value(&a, 3, argv, &i));
    ck_assert_int_eq(i, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("option_args");
    TCase *tests = one_case(suite, "option_args");
    tcase_add_test(tests, a_name_is_matched_whole);
    tcase_add_test(tests, other_arguments_match_nothing);
    tcase_add_test(tests, a_value_follows_unless_it_is_attached_or_not_wanted);
    return run_suite(suite);
}
