#include "log.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "support.h"

START_TEST(a_line_names_the_program_and_what_is_wrong)
{
    struct capture c;
    log_open("prog", LOG_INFO);
    capture_begin(&c, STDERR_FILENO);
    log_error("cannot open %s", "this");
    log_warn("careful");
    log_info("ready on %d", 5570);
    ck_assert_str_eq(capture_end(&c), "prog: error: cannot open this\nprog: warning: careful\nprog: ready on 5570\n");
}
END_TEST

START_TEST(what_is_above_the_level_is_not_written)
{
    struct capture c;
    log_open("prog", LOG_WARN);
    capture_begin(&c, STDERR_FILENO);
    log_info("chatter");
    log_debug("more of it");
    ck_assert_str_eq(capture_end(&c), "");
}
END_TEST

START_TEST(nothing_in_the_text_begins_a_line_of_its_own)
{
    struct capture c;
    log_open("prog", LOG_INFO);
    capture_begin(&c, STDERR_FILENO);
    log_info("%s", "a\nprog: forged\r\x1b[31m\x7f\t");
    ck_assert_str_eq(capture_end(&c), "prog: a?prog: forged??[31m??\n");
}
END_TEST

START_TEST(a_text_of_any_length_is_one_line)
{
    struct capture c;
    static char text[10000];
    memset(text, 'x', sizeof text - 1);
    log_open("prog", LOG_INFO);
    capture_begin(&c, STDERR_FILENO);
    log_info("%s", text);
    const char *line = capture_end(&c);
    ck_assert_uint_eq(strlen(line), 2048);
    ck_assert_ptr_eq(strchr(line, '\n'), line + 2047);
}
END_TEST

START_TEST(errno_is_left_alone)
{
    struct capture c;
    log_open("prog", LOG_INFO);
    capture_begin(&c, STDERR_FILENO);
    errno = ENOENT;
    log_info("x");
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_str_eq(capture_end(&c), "prog: x\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = one_case(suite, "log");
    tcase_add_test(tests, a_line_names_the_program_and_what_is_wrong);
    tcase_add_test(tests, what_is_above_the_level_is_not_written);
    tcase_add_test(tests, nothing_in_the_text_begins_a_line_of_its_own);
    tcase_add_test(tests, a_text_of_any_length_is_one_line);
    tcase_add_test(tests, errno_is_left_alone);
    return run_suite(suite);
}
