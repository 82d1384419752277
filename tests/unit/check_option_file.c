#include "ops/option_file.h"

#include <string.h>

#include "support.h"

static struct option_file file;

/* Read a file of these bytes. */
static void begin(const char *text, size_t len)
{
    file = (struct option_file){.file = tmpfile()};
    ck_assert_ptr_nonnull(file.file);
    ck_assert_uint_eq(fwrite(text, 1, len, file.file), len);
    rewind(file.file);
}

#define BEGIN(text) begin(text, sizeof(text) - 1)

static void finish(void)
{
    if (file.file)
        fclose(file.file);
    file.file = NULL;
}

static void assert_pair(size_t line, const char *name, const char *value)
{
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_PAIR);
    ck_assert_uint_eq(file.line, line);
    ck_assert_str_eq(file.name, name);
    ck_assert_str_eq(file.value, value);
}

START_TEST(pairs_are_read_and_comments_skipped)
{
    BEGIN("# one\n; two\n\n a = b \n\tc=\r\n  # three\nd : e = f ; g # h\ni=j");
    assert_pair(4, "a", "b");
    assert_pair(5, "c", "");
    assert_pair(7, "d", "e = f ; g # h");
    assert_pair(8, "i", "j");
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_END);
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_END);
}
END_TEST

START_TEST(a_byte_order_mark_is_skipped_at_the_beginning_only)
{
    BEGIN("\xef\xbb\xbf"
          "a = b\n\xef\xbb\xbf"
          "c = d\n");
    assert_pair(1, "a", "b");
    assert_pair(2,
                "\xef\xbb\xbf"
                "c",
                "d");
}
END_TEST

START_TEST(other_lines_are_told_apart)
{
    BEGIN("[section]\nword\na = b\0c\na\0= b\n = x\n");
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_SECTION);
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_BAD);
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_BAD);
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_BAD);
    ck_assert_uint_eq(file.line, 4);
    assert_pair(5, "", "x");
}
END_TEST

/* A line of len bytes with this beginning, and a second line. */
static void begin_long(const char *beginning, size_t len)
{
    static char text[OPTION_LINE_MAX + 1000];
    memset(text, 'x', sizeof text);
    memcpy(text, beginning, strlen(beginning));
    strcpy(text + len, "\na = b\n");
    begin(text, strlen(text));
}

START_TEST(a_line_has_a_bound_and_a_comment_has_none)
{
    begin_long("n = ", OPTION_LINE_MAX);
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_PAIR);
    ck_assert_uint_eq(strlen(file.value), OPTION_LINE_MAX - 4);
    assert_pair(2, "a", "b");
    finish();
    begin_long("n = ", OPTION_LINE_MAX + 1);
    ck_assert_int_eq(option_file_next(&file), OPTION_LINE_LONG);
    ck_assert_uint_eq(file.line, 1);
    finish();
    begin_long("  ; ", OPTION_LINE_MAX + 900);
    assert_pair(2, "a", "b");
}
END_TEST

START_TEST(white_space_is_trimmed)
{
    ck_assert(slice_equal(option_trim(slice_of(" \t\r\n a b \v\f")), slice_of("a b")));
    ck_assert_uint_eq(option_trim(slice_of("  ")).len, 0);
    ck_assert_uint_eq(option_trim((struct slice){NULL, 0}).len, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("option_file");
    TCase *tests = one_case(suite, "lines");
    tcase_add_checked_fixture(tests, NULL, finish);
    tcase_add_test(tests, pairs_are_read_and_comments_skipped);
    tcase_add_test(tests, a_byte_order_mark_is_skipped_at_the_beginning_only);
    tcase_add_test(tests, other_lines_are_told_apart);
    tcase_add_test(tests, a_line_has_a_bound_and_a_comment_has_none);
    tcase_add_test(tests, white_space_is_trimmed);
    return run_suite(suite);
}
