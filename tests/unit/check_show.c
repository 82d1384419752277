/* What a terminal is shown: nothing that it would obey, and columns that stand under each other. */
#include "cli/show.h"
#include "support.h"

static char *text;
static size_t len;

static FILE *begin(void)
{
    free(text);
    text = NULL;
    return open_memstream(&text, &len);
}

static void shows(struct slice raw, const char *wanted, size_t columns)
{
    FILE *out = begin();
    ck_assert_uint_eq(show_text(out, raw), columns);
    fclose(out);
    ck_assert_str_eq(text, wanted);
    ck_assert_uint_eq(show_text(NULL, raw), columns);
}

START_TEST(plain_text_is_shown_as_it_is)
{
    shows(S(""), "", 0);
    shows(S("a \\ \"b\" ~"), "a \\ \"b\" ~", 9);
    shows(S("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 4);
    shows(S("\xc2\xa0\xe2\x80\x94"), "\xc2\xa0\xe2\x80\x94", 2);
}
END_TEST

START_TEST(what_a_terminal_obeys_is_escaped)
{
    shows(S("\x1b[2J"), "\\x1b[2J", 7);
    shows(S("a\nb\tc\r\0\x7f"), "a\\nb\\tc\\x0d\\x00\\x7f", 19);
    shows(S("\xc2\x9b"
            "2J\xc2\x80"),
          "\\xc2\\x9b2J\\xc2\\x80", 18);
}
END_TEST

START_TEST(what_turns_text_around_is_escaped)
{
    shows(S("\xe2\x80\xae"), "\\xe2\\x80\\xae", 12); /* U+202E */
    shows(S("\xe2\x80\x8f"), "\\xe2\\x80\\x8f", 12); /* U+200F */
    shows(S("\xe2\x81\xa6"), "\\xe2\\x81\\xa6", 12); /* U+2066 */
    shows(S("\xe2\x81\xaa"), "\xe2\x81\xaa", 1);
}
END_TEST

START_TEST(stray_bytes_are_escaped)
{
    shows(S("\xff"
            "a\xc3"),
          "\\xffa\\xc3", 9);
    shows(S("\xed\xa0\x80"), "\\xed\\xa0\\x80", 12);
    free(text);
    text = NULL;
}
END_TEST

START_TEST(a_word_is_for_a_shell)
{
    FILE *out = begin();
    show_word(out, S("it's\na\\b \x1b$`\xc3\xa9"));
    fclose(out);
    ck_assert_str_eq(text, "$'it\\'s\\na\\\\b \\x1b$`\xc3\xa9'");
    free(text);
    text = NULL;
}
END_TEST

START_TEST(durations_are_short)
{
    char out[SHOW_DURATION];
    ck_assert_str_eq(show_duration(0, out), "0 s");
    ck_assert_str_eq(show_duration(1499, out), "1 s");
    ck_assert_str_eq(show_duration(119499, out), "119 s");
    ck_assert_str_eq(show_duration(119500, out), "2 min");
    ck_assert_str_eq(show_duration(7200000, out), "2 h");
    ck_assert_str_eq(show_duration(172800000, out), "2 d");
    ck_assert_str_eq(show_duration(UINT64_MAX, out), "213503982334 d");
}
END_TEST

START_TEST(a_worker_that_reports_was_heard_now)
{
    char out[SHOW_DURATION];
    ck_assert_str_eq(show_silence(0, out), "now");
    ck_assert_str_eq(show_silence(2999, out), "now");
    ck_assert_str_eq(show_silence(3000, out), "3 s");
}
END_TEST

START_TEST(columns_stand_under_each_other)
{
    static const char *const headings[] = {"NAME", "N", "LAST", NULL};
    struct grid *g = grid_new(headings, 0);
    for (size_t i = 0; i < 100; i++) {
        ck_assert_int_eq(grid_add(g, i ? S("\xe6\x9d\x8e") : S("long \xc3\xa9\n")), 0);
        ck_assert_int_eq(grid_add(g, S("12")), 0);
        ck_assert_int_eq(grid_add(g, S("end")), 0);
    }
    FILE *out = begin();
    grid_show(g, out);
    fclose(out);
    const char *wanted = "NAME      N   LAST\n"
                         "long \xc3\xa9\\n  12  end\n"
                         "\xe6\x9d\x8e        12  end\n";
    ck_assert_msg(!strncmp(text, wanted, strlen(wanted)), "%s", text);
    grid_free(&g);
    grid_free(&g);
    free(text);
    text = NULL;
}
END_TEST

START_TEST(a_table_needs_no_headings)
{
    struct grid *g = grid_new(NULL, 2);
    ck_assert_int_eq(grid_add(g, S("seq")), 0);
    ck_assert_int_eq(grid_add(g, S("1")), 0);
    ck_assert_int_eq(grid_add(g, S("online")), 0);
    ck_assert_int_eq(grid_add(g, S("")), 0);
    FILE *out = begin();
    grid_show(g, out);
    fclose(out);
    ck_assert_str_eq(text, "seq     1\nonline  \n");
    grid_free(&g);
    free(text);
    text = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("show");
    TCase *tests = one_case(suite, "show");
    tcase_add_test(tests, plain_text_is_shown_as_it_is);
    tcase_add_test(tests, what_a_terminal_obeys_is_escaped);
    tcase_add_test(tests, what_turns_text_around_is_escaped);
    tcase_add_test(tests, stray_bytes_are_escaped);
    tcase_add_test(tests, a_word_is_for_a_shell);
    tcase_add_test(tests, durations_are_short);
    tcase_add_test(tests, a_worker_that_reports_was_heard_now);
    tcase_add_test(tests, columns_stand_under_each_other);
    tcase_add_test(tests, a_table_needs_no_headings);
    return run_suite(suite);
}
