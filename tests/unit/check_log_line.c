#include "ops/log_line.h"

#include <string.h>

#include "support.h"

#define AT 1795257540123 /* 2026-11-21T10:39:00.123Z */

static const char *line(const struct log_record *r, enum log_format format)
{
    static char out[LOG_LINE_MAX + 1];
    size_t len = log_line(out, r, format);
    ck_assert_uint_le(len, LOG_LINE_MAX);
    out[len] = '\0';
    ck_assert_ptr_eq(strchr(out, '\n'), out + len - 1);
    return out;
}

static struct log_record record(enum log_level level, const char *message)
{
    return (struct log_record){.at_ms = AT,
                               .level = level,
                               .program = "prog",
                               .subsystem = slice_of("sync"),
                               .message = message};
}

START_TEST(text_has_the_time_and_the_level)
{
    struct log_record r = record(LOG_WARN, "a worker is lost");
    ck_assert_str_eq(line(&r, LOG_FORMAT_TEXT),
                     "2026-11-21T10:39:00.123Z prog: warning: sync: a worker is lost\n");
}
END_TEST

START_TEST(the_journal_gets_priorities_and_no_time)
{
    static const char *const expected[] = {"<3>sync: x\n", "<4>sync: x\n", "<6>sync: x\n",
                                           "<7>sync: x\n"};
    for (int level = LOG_ERROR; level < LOG_LEVELS; level++) {
        struct log_record r = record((enum log_level)level, "x");
        ck_assert_str_eq(line(&r, LOG_FORMAT_JOURNAL), expected[level]);
    }
}
END_TEST

START_TEST(values_are_quoted_when_they_are_more_than_a_word)
{
    const struct log_field fields[] = {log_name("a", "web1-4711"), log_name("b", "two words"),
                                       log_name("c", ""), log_name("d", "q\"\\"),
                                       log_count("e", 18446744073709551615u)};
    struct log_record r = record(LOG_INFO, "m");
    r.fields = fields;
    r.field_count = 5;
    ck_assert_str_eq(
        line(&r, LOG_FORMAT_JOURNAL),
        "<6>sync: m a=web1-4711 b=\"two words\" c=\"\" d=\"q\\\"\\\\\" e=18446744073709551615\n");
}
END_TEST

START_TEST(nothing_in_a_text_reaches_the_terminal_as_an_order)
{
    const struct log_field fields[] = {
        log_name("session", "a\nprog: forged\x1b[31m\xc2\x9b\xff\xe2\x80\xae")};
    struct log_record r = record(LOG_INFO, "a\r\x7f\tb");
    r.fields = fields;
    r.field_count = 1;
    ck_assert_str_eq(line(&r, LOG_FORMAT_JOURNAL),
                     "<6>sync: a\\x0d\\x7f\\x09b "
                     "session=\"a\\x0aprog: forged\\x1b[31m\\xc2\\x9b\\xff\\xe2\\x80\\xae\"\n");
}
END_TEST

START_TEST(json_is_one_object_with_everything_in_it)
{
    const struct log_field fields[] = {log_name("worker", "w\n\"1\""),
                                       log_count("connections", 12)};
    struct log_record r = record(LOG_ERROR, "gone");
    r.fields = fields;
    r.field_count = 2;
    const char *expected =
        "{\"time\":\"2026-11-21T10:39:00.123Z\","
        "\"level\":\"error\",\"program\":\"prog\",\"subsystem\":\"sync\","
        "\"message\":\"gone\",\"worker\":\"w\\n\\\"1\\\"\",\"connections\":12}\n";
    ck_assert_str_eq(line(&r, LOG_FORMAT_JSON), expected);
    ck_assert_int_eq(strncmp(line(&r, LOG_FORMAT_JOURNAL_JSON), "<3>{\"time\":", 11), 0);
}
END_TEST

START_TEST(repetitions_are_a_number)
{
    struct log_record r = record(LOG_INFO, "again");
    r.repeated = 1234567;
    ck_assert_str_eq(line(&r, LOG_FORMAT_JOURNAL), "<6>sync: again (1,234,567 times more)\n");
    ck_assert_ptr_nonnull(
        strstr(line(&r, LOG_FORMAT_JSON), "\"message\":\"again\",\"repeated\":1234567}"));
}
END_TEST

START_TEST(a_text_of_any_length_is_one_line)
{
    static char text[10000];
    for (int filler = 0; filler < 2; filler++) {
        memset(text, filler ? 1 : 'x', sizeof text - 1);
        const struct log_field fields[] = {log_name("a", text), log_name("b", text),
                                           log_name("c", text)};
        struct log_record r = record(LOG_INFO, text);
        r.fields = fields;
        r.field_count = 3;
        line(&r, LOG_FORMAT_TEXT);
        const char *json = line(&r, LOG_FORMAT_JSON);
        ck_assert_str_eq(json + strlen(json) - 2, "}\n");
        ck_assert_int_eq(json[0], '{');
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_line");
    TCase *tests = one_case(suite, "log_line");
    tcase_add_test(tests, text_has_the_time_and_the_level);
    tcase_add_test(tests, the_journal_gets_priorities_and_no_time);
    tcase_add_test(tests, values_are_quoted_when_they_are_more_than_a_word);
    tcase_add_test(tests, nothing_in_a_text_reaches_the_terminal_as_an_order);
    tcase_add_test(tests, json_is_one_object_with_everything_in_it);
    tcase_add_test(tests, repetitions_are_a_number);
    tcase_add_test(tests, a_text_of_any_length_is_one_line);
    return run_suite(suite);
}
