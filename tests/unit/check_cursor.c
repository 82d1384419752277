#include "stream/cursor.h"

#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct params params;
static char *cursor;

static void tear_down(void)
{
    free(cursor);
    cursor = NULL;
    params_release(&params);
}

static void set(char *const *list)
{
    tear_down();
    ck_assert_int_eq(params_copy(&params, list), 0);
}

/* The cursor of headers Last-Event-ID, each a parameter. */
#define header(seqs, ...)                                                                          \
    (set((char *[]){"REQUEST_METHOD=GET", __VA_ARGS__, NULL}),                                     \
     cursor = cursor_from_header(&params, (seqs)))

/* What a web server makes of two headers, and the cursor. */
static const struct {
    const char *header, *plain, *of_hub;
} lists[] = {
    {"5, 7", "7", "7"},
    {"7, 5", "7", "7"},
    {"9,10", "10", "10"},
    {", 7", "7", "7"},
    {"7,", "7", "7"},
    {"7, 7", "7", "7"},
    {"5, 7, 6", "7", "7"},
    {" 5\t", "5", "5"},
    {"5", "5", "5"},
    {"#5, #7", "#5, #7", "#7"},
    {"5, #7", "5, #7", "#7"},
    {"#5", "#5", "#5"},
    {"5, +7", "5, +7", "5, +7"},
    {"5 7", "5 7", "5 7"},
    {"5, 0", "5", "5"}, /* 0 is before every seq */
    {"a, 5", "a, 5", "a, 5"},
    {"earliest, #5", "earliest, #5", "earliest, #5"},
    {",", ",", ","},
    {"5, 99999999999999999999", "5, 99999999999999999999", "5, 99999999999999999999"},
    {"5, 000000000000000000000000000007", "5, 000000000000000000000000000007",
     "5, 000000000000000000000000000007"},
};

START_TEST(the_newest_seq_of_a_list_counts)
{
    char text[128];
    snprintf(text, sizeof text, "HTTP_LAST_EVENT_ID=%s", lists[_i].header);
    ck_assert_str_eq(header(CURSOR_SEQS_PLAIN, text), lists[_i].plain);
    ck_assert_str_eq(header(CURSOR_SEQS_OF_HUB, text), lists[_i].of_hub);
}
END_TEST

START_TEST(several_parameters_are_a_list)
{
    ck_assert_str_eq(
        header(CURSOR_SEQS_PLAIN, "HTTP_LAST_EVENT_ID=7", "A=b", "HTTP_LAST_EVENT_ID=5"), "7");
    ck_assert_str_eq(header(CURSOR_SEQS_PLAIN, "HTTP_LAST_EVENT_ID=", "HTTP_LAST_EVENT_ID=order-1"),
                     "order-1");
    ck_assert_str_eq(
        header(CURSOR_SEQS_PLAIN, "HTTP_LAST_EVENT_ID=order-1", "HTTP_LAST_EVENT_ID=order-2"),
        "order-1, order-2"); /* names no event: a gap */
}
END_TEST

START_TEST(an_empty_header_is_no_cursor)
{
    ck_assert_ptr_null(header(CURSOR_SEQS_PLAIN, "HTTP_LAST_EVENT_ID="));
    ck_assert_ptr_null(header(CURSOR_SEQS_PLAIN, "HTTP_LAST_EVENT_ID= \t "));
    ck_assert_ptr_null(header(CURSOR_SEQS_PLAIN, "HTTP_LAST_EVENT_IDS=5"));
    set((char *[]){NULL});
    ck_assert_ptr_null(cursor_from_header(&params, CURSOR_SEQS_PLAIN));
}
END_TEST

static const struct {
    char *query;
    const char *cursor;
} queries[] = {
    {"QUERY_STRING=a=5", "5"},         {"QUERY_STRING=a=5&a=7&a=", "7"},
    {"QUERY_STRING=b=5&a=7", "7"},     {"QUERY_STRING=b=5&a=&b=6", "6"},
    {"QUERY_STRING=a=5%2C+7", "5, 7"}, /* nobody joins these */
    {"QUERY_STRING=a=&b=", NULL},      {"QUERY_STRING=", NULL},
};

START_TEST(of_the_query_the_last_value_counts)
{
    static const char *const names[] = {"a", "b", NULL};
    set((char *[]){queries[_i].query, NULL});
    cursor = cursor_from_query(&params, names);
    ck_assert_pstr_eq(cursor, queries[_i].cursor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cursor");
    TCase *tests = one_case(suite, "cursor");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_loop_test(tests, the_newest_seq_of_a_list_counts, 0, COUNT(lists));
    tcase_add_test(tests, several_parameters_are_a_list);
    tcase_add_test(tests, an_empty_header_is_no_cursor);
    tcase_add_loop_test(tests, of_the_query_the_last_value_counts, 0, COUNT(queries));
    return run_suite(suite);
}
