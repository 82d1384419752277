#include "ops/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"
#include "support.h"

#define MINUTE 60000

/* What was written, without the time in front of each line. */
static const char *lines(struct capture *c)
{
    static char out[sizeof c->text];
    size_t len = 0;
    for (const char *at = capture_end(c), *end; *at && (end = strchr(at, '\n')); at = end + 1) {
        const char *text = strstr(at, "Z ");
        ck_assert_ptr_nonnull(text);
        memcpy(out + len, text + 2, (size_t)(end + 1 - text - 2));
        len += (size_t)(end + 1 - text - 2);
    }
    out[len] = '\0';
    return out;
}

static void one_place(int n)
{
    log_warn("number %d", n);
}

/* When this test began: tests in one process share the places that were met. */
static int64_t began = 1000;

static void open_log(struct capture *c, enum log_level level)
{
    began += 10 * MINUTE;
    log_tick(began);
    log_open("prog", level);
    capture_begin(c, STDERR_FILENO);
}

START_TEST(a_line_names_the_program_the_part_of_it_and_what_is_wrong)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    log_error("cannot open %s", "this");
    log_warn("careful");
    log_info("ready on %d", 5570);
    ck_assert_str_eq(lines(&c),
                     "prog: error: check_log: cannot open this\nprog: warning: check_log: careful\n"
                     "prog: check_log: ready on 5570\n");
}
END_TEST

START_TEST(fields_follow_the_message)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    log_event(LOG_WARN, "a worker is lost", log_name("worker", "web 1"),
              log_count("connections", 12));
    ck_assert_str_eq(
        lines(&c), "prog: warning: check_log: a worker is lost worker=\"web 1\" connections=12\n");
}
END_TEST

START_TEST(what_is_above_the_level_is_not_written)
{
    struct capture c;
    open_log(&c, LOG_WARN);
    log_info("chatter");
    log_debug("more of it");
    ck_assert_str_eq(capture_end(&c), "");
}
END_TEST

START_TEST(the_level_can_be_changed)
{
    struct capture c;
    open_log(&c, LOG_WARN);
    log_set_level(LOG_INFO);
    log_info("heard");
    ck_assert_int_eq(log_level(), LOG_INFO);
    ck_assert_str_eq(lines(&c), "prog: check_log: heard\n");
}
END_TEST

START_TEST(debug_is_toggled_and_says_so)
{
    struct capture c;
    open_log(&c, LOG_ERROR);
    log_toggle_debug();
    log_debug("heard");
    log_toggle_debug();
    log_debug("not heard");
    log_warn("not heard either");
    ck_assert_str_eq(lines(&c), "prog: log: the log's level was changed level=debug by=signal\n"
                                "prog: debug: check_log: heard\n"
                                "prog: log: the log's level was changed level=error by=signal\n");
}
END_TEST

START_TEST(debug_that_was_asked_for_at_the_start_is_toggled_to_info)
{
    struct capture c;
    open_log(&c, LOG_DEBUG);
    log_toggle_debug();
    capture_end(&c);
    ck_assert_int_eq(log_level(), LOG_INFO);
}
END_TEST

START_TEST(what_repeats_is_written_once_and_then_counted_each_minute)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    for (int i = 0; i < 1235; i++)
        one_place(7);
    log_tick(began + MINUTE - 1);
    log_tick(began + MINUTE);
    log_tick(began + 2 * MINUTE);
    ck_assert_str_eq(lines(&c), "prog: warning: check_log: number 7\n"
                                "prog: warning: check_log: number 7 (1,234 times more)\n");
}
END_TEST

START_TEST(a_minute_later_it_is_news_again)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    one_place(8);
    log_tick(began + MINUTE);
    one_place(8);
    ck_assert_str_eq(lines(&c),
                     "prog: warning: check_log: number 8\nprog: warning: check_log: number 8\n");
}
END_TEST

START_TEST(lines_of_one_place_that_differ_are_written_up_to_a_bound)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    for (int i = 0; i < LOG_DISTINCT + 3; i++)
        one_place(100 + i);
    log_close();
    const char *text = lines(&c);
    ck_assert_ptr_nonnull(strstr(text, "number 100\n"));
    ck_assert_ptr_nonnull(strstr(text, "number 119\n"));
    ck_assert_ptr_null(strstr(text, "number 120\n"));
    ck_assert_ptr_nonnull(strstr(text, "number 122 (3 times more)\n"));
}
END_TEST

/* An operator who reloads twice gets two answers. */
START_TEST(a_line_of_log_each_may_repeat)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    for (int i = 0; i < 2; i++)
        log_each(LOG_INFO, "reloaded");
    for (int i = 0; i < 2; i++)
        log_each_event(LOG_WARN, "refused", log_name("why", "it is empty"));
    log_close();
    ck_assert_str_eq(lines(&c), "prog: check_log: reloaded\nprog: check_log: reloaded\n"
                                "prog: warning: check_log: refused why=\"it is empty\"\n"
                                "prog: warning: check_log: refused why=\"it is empty\"\n");
}
END_TEST

START_TEST(log_each_has_the_bound_of_a_minute_too)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    for (int i = 0; i < LOG_DISTINCT + 3; i++)
        log_each(LOG_INFO, "again");
    log_tick(began + MINUTE);
    const char *text = lines(&c), *at = text;
    int written = 0;
    while ((at = strstr(at, "again\n"))) {
        at++;
        written++;
    }
    ck_assert_int_eq(written, LOG_DISTINCT);
    ck_assert_ptr_nonnull(strstr(text, "again (3 times more)\n"));
}
END_TEST

START_TEST(two_places_do_not_silence_each_other)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    log_warn("the same");
    log_warn("the same");
    ck_assert_str_eq(lines(&c),
                     "prog: warning: check_log: the same\nprog: warning: check_log: the same\n");
}
END_TEST

START_TEST(the_fields_are_part_of_what_repeats)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    for (uint64_t i = 0; i < 6; i++)
        log_event(LOG_INFO, "hello", log_count("n", i / 3));
    log_close();
    ck_assert_str_eq(lines(&c), "prog: check_log: hello n=0\nprog: check_log: hello n=1\n"
                                "prog: check_log: hello (4 times more)\n");
}
END_TEST

START_TEST(debug_lines_are_all_written)
{
    struct capture c;
    open_log(&c, LOG_DEBUG);
    for (int i = 0; i < 3; i++)
        log_debug("again");
    ck_assert_str_eq(lines(&c), "prog: debug: check_log: again\n"
                                "prog: debug: check_log: again\nprog: debug: check_log: again\n");
}
END_TEST

START_TEST(errno_is_left_alone)
{
    struct capture c;
    open_log(&c, LOG_INFO);
    errno = ENOENT;
    log_info("x");
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_str_eq(lines(&c), "prog: check_log: x\n");
}
END_TEST

START_TEST(the_journal_is_recognised_by_the_stream_it_names)
{
    struct capture c;
    struct stat s;
    char stream[64];
    capture_begin(&c, STDERR_FILENO);
    fstat(STDERR_FILENO, &s);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)s.st_dev,
             (unsigned long long)s.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open("prog", LOG_INFO);
    log_error("one");
    log_info("two");
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_open("prog", LOG_INFO);
    log_info("three");
    unsetenv("JOURNAL_STREAM");
    const char *text = capture_end(&c);
    ck_assert_int_eq(strncmp(text, "<3>check_log: one\n<6>check_log: two\n20", 37), 0);
    ck_assert_ptr_nonnull(strstr(text, "Z prog: check_log: three\n"));
}
END_TEST

START_TEST(levels_and_formats_are_checked_by_name)
{
    ck_assert_ptr_null(log_check_level("warn"));
    ck_assert_str_eq(log_check_level("warning"), "error, warn, info or debug");
    ck_assert_ptr_null(log_check_format("json"));
    ck_assert_str_eq(log_check_format("xml"), "text or json");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = one_case(suite, "log");
    tcase_add_test(tests, a_line_names_the_program_the_part_of_it_and_what_is_wrong);
    tcase_add_test(tests, fields_follow_the_message);
    tcase_add_test(tests, what_is_above_the_level_is_not_written);
    tcase_add_test(tests, the_level_can_be_changed);
    tcase_add_test(tests, debug_is_toggled_and_says_so);
    tcase_add_test(tests, debug_that_was_asked_for_at_the_start_is_toggled_to_info);
    tcase_add_test(tests, what_repeats_is_written_once_and_then_counted_each_minute);
    tcase_add_test(tests, a_minute_later_it_is_news_again);
    tcase_add_test(tests, lines_of_one_place_that_differ_are_written_up_to_a_bound);
    tcase_add_test(tests, a_line_of_log_each_may_repeat);
    tcase_add_test(tests, log_each_has_the_bound_of_a_minute_too);
    tcase_add_test(tests, two_places_do_not_silence_each_other);
    tcase_add_test(tests, the_fields_are_part_of_what_repeats);
    tcase_add_test(tests, debug_lines_are_all_written);
    tcase_add_test(tests, errno_is_left_alone);
    tcase_add_test(tests, the_journal_is_recognised_by_the_stream_it_names);
    tcase_add_test(tests, levels_and_formats_are_checked_by_name);
    return run_suite(suite);
}
