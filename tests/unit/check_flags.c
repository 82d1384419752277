/* A verb's flags, in every way people write them. */
#include <errno.h>

#include "cli/flags.h"
#include "support.h"

struct values {
    bool text;
    const char *id;
    struct flag_list sessions;
    struct flag_count limit, ttl;
};

static const struct option_row rows[] = {
    {.name = "text", .help = "text", .type = OPTION_FLAG, .offset = offsetof(struct values, text)},
    {.name = "id",
     .arg = "ID",
     .help = "id",
     .type = OPTION_TEXT,
     .offset = offsetof(struct values, id)},
    {.name = "session",
     .arg = "SESSION",
     .help = "to",
     .type = OPTION_LINES,
     .offset = offsetof(struct values, sessions)},
    {.name = "limit",
     .arg = "N",
     .help = "at most",
     .type = OPTION_COUNT,
     .offset = offsetof(struct values, limit),
     .max = 100},
    {.name = "ttl",
     .arg = "TIME",
     .help = "ttl",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct values, ttl),
     .min = 1000,
     .max = 86400000},
};

static const struct flags flags = {.rows = rows, .count = 5, .letter = 's', .lettered = "session"};

static char *args[16];
static struct values values;
static char problem[128];

/* The line's words, cut at spaces; "_" stands for an empty one. */
static int parse(const char *line)
{
    static char words[256];
    int argc = 0;
    flags_release(&flags, &values);
    values = (struct values){0};
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        args[argc++] = *word == '_' ? words + strlen(line) : word;
    return flags_parse(&flags, argc, args, &values, problem, sizeof problem);
}

static void refused(const char *line, const char *said)
{
    ck_assert_int_eq(parse(line), -EINVAL);
    ck_assert_msg(strstr(problem, said) != NULL, "\"%s\" is not in \"%s\"", said, problem);
    flags_release(&flags, &values);
}

START_TEST(flags_stand_anywhere)
{
    ck_assert_int_eq(parse("--text one --id=a two --session x -s y -sz three"), 3);
    ck_assert_str_eq(args[0], "one");
    ck_assert_str_eq(args[2], "three");
    ck_assert(values.text);
    ck_assert_str_eq(values.id, "a");
    ck_assert_uint_eq(values.sessions.count, 3);
    ck_assert_str_eq(values.sessions.items[2], "z");
    flags_release(&flags, &values);
    ck_assert_uint_eq(values.sessions.count, 0);
}
END_TEST

START_TEST(what_is_no_flag_is_an_argument)
{
    ck_assert_int_eq(parse("- -5 -.5 _ -- --text -s --"), 7);
    ck_assert_str_eq(args[0], "-");
    ck_assert_str_eq(args[3], "");
    ck_assert_str_eq(args[4], "--text");
    ck_assert_str_eq(args[6], "--");
    ck_assert(!values.text);
}
END_TEST

START_TEST(a_value_may_look_like_a_flag)
{
    ck_assert_int_eq(parse("--id --text --session=--id"), 0);
    ck_assert_str_eq(values.id, "--text");
    ck_assert_str_eq(values.sessions.items[0], "--id");
    flags_release(&flags, &values);
}
END_TEST

START_TEST(numbers_are_whole_and_bounded)
{
    ck_assert_int_eq(parse("--limit 100"), 0);
    ck_assert(values.limit.given);
    ck_assert_uint_eq(values.limit.value, 100);
    ck_assert_int_eq(parse(""), 0);
    ck_assert(!values.limit.given);
    refused("--limit 101", "a whole number, at most 100, not '101'");
    refused("--limit -1", "not '-1'");
    refused("--limit 1x", "not '1x'");
    refused("--limit=", "not ''");
    refused("--limit +1", "not '+1'");
    refused("--limit 99999999999999999999999", "at most 100");
}
END_TEST

START_TEST(durations_are_whole_seconds)
{
    ck_assert_int_eq(parse("--ttl 30"), 0);
    ck_assert(values.ttl.given);
    ck_assert_uint_eq(values.ttl.value, 30);
    ck_assert_int_eq(parse("--ttl=2m"), 0);
    ck_assert_uint_eq(values.ttl.value, 120);
    ck_assert_int_eq(parse("--ttl 3000ms"), 0);
    ck_assert_uint_eq(values.ttl.value, 3);
    refused("--ttl 0", "from 1s to 1d, not '0'");
    refused("--ttl 1500ms", "not '1500ms'");
    refused("--ttl 25h", "not '25h'");
    refused("--ttl soon", "--ttl must be a duration");
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
    refused("--tex", "--tex");
    refused("--texts", "--texts");
    refused("-x", "-x");
    refused("--text=1", "--text takes no value");
    refused("one --id", "--id needs a value: ID");
    refused("--session a --session", "--session needs a value");
}
END_TEST

START_TEST(help_has_a_line_for_each)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    flags_help(&flags, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "  -s, --session SESSION           to (repeatable)\n"));
    ck_assert_ptr_nonnull(strstr(text, "  --text                          text\n"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flags");
    TCase *tests = one_case(suite, "flags");
    tcase_add_test(tests, flags_stand_anywhere);
    tcase_add_test(tests, what_is_no_flag_is_an_argument);
    tcase_add_test(tests, a_value_may_look_like_a_flag);
    tcase_add_test(tests, numbers_are_whole_and_bounded);
    tcase_add_test(tests, durations_are_whole_seconds);
    tcase_add_test(tests, what_is_wrong_is_named);
    tcase_add_test(tests, help_has_a_line_for_each);
    return run_suite(suite);
}
