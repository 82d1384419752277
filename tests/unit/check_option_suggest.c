#include "ops/option_suggest.h"

#include "support.h"

static const struct option_row rows[] = {
    {.name = "feed"}, {.name = "history-events"}, {.name = "x"}};

static const struct {
    struct slice name;
    const char *meant; /* NULL: none */
} names[] = {
    {S_INIT("feed"), "feed"},
    {S_INIT("fed"), "feed"},
    {S_INIT("feeed"), "feed"},
    {S_INIT("feet"), "feed"},
    {S_INIT("efed"), "feed"},
    {S_INIT("fede"), "feed"},
    {S_INIT("eed"), "feed"},
    {S_INIT("feedx"), "feed"},
    {S_INIT("history-event"), "history-events"},
    {S_INIT("histroy-events"), "history-events"},
    {S_INIT("history_events"), "history-events"},
    {S_INIT("y"), "x"},
    {S_INIT(""), "x"},
    {S_INIT("deef"), NULL},
    {S_INIT("fe"), NULL},
    {S_INIT("feedxx"), NULL},
    {S_INIT("history"), NULL},
    {S_INIT("defe"), NULL},
};

START_TEST(a_name_with_one_wrong_letter_is_recognized)
{
    ck_assert_pstr_eq(option_suggest(rows, sizeof rows / sizeof rows[0], names[_i].name),
                      names[_i].meant);
}
END_TEST

START_TEST(without_rows_nothing_was_meant)
{
    ck_assert_ptr_null(option_suggest(rows, 0, S("feed")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("option_suggest");
    TCase *tests = one_case(suite, "option_suggest");
    tcase_add_loop_test(tests, a_name_with_one_wrong_letter_is_recognized, 0,
                        sizeof names / sizeof names[0]);
    tcase_add_test(tests, without_rows_nothing_was_meant);
    return run_suite(suite);
}
