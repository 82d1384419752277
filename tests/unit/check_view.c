/* Replies as people see them. */
#include "cli/view.h"

#include <errno.h>

#include "support.h"

#define NOW_MS 1000000

static void shows(const char *json, const struct view *view, const char *wanted)
{
    char *text = NULL;
    size_t len = 0;
    bool more = true;
    FILE *out = open_memstream(&text, &len);
    ck_assert_int_eq(view_show(view, slice_of(json), NOW_MS, out, &more), 0);
    fclose(out);
    ck_assert_str_eq(text, wanted);
    ck_assert(!more);
    free(text);
}

static int tells(const char *json, bool *more)
{
    const struct view view = {0};
    char text[64];
    FILE *out = fmemopen(text, sizeof text, "w");
    int err = view_show(&view, slice_of(json), NOW_MS, out, more);
    fclose(out);
    return err;
}

START_TEST(what_is_no_object_is_no_reply)
{
    bool more;
    ck_assert_int_eq(tells("", &more), -EBADMSG);
    ck_assert_int_eq(tells("[]", &more), -EBADMSG);
    ck_assert_int_eq(tells("{", &more), -EBADMSG);
}
END_TEST

START_TEST(fields_are_lines)
{
    const struct view view = {0};
    shows(
        "{\"ok\":true,\"seq\":9007199254740993,"
        "\"online\":2,\"x\":{\"a\":[1]},\"n\":null,\"t\":\"a\\nb\"}",
        &view,
        "seq     9007199254740993\nonline  2\nx       {\"a\":[1]}\nn       null\nt       a\\nb\n");
}
END_TEST

START_TEST(a_list_is_a_table)
{
    static const struct column columns[] = {
        {.field = "session", .heading = "SESSION"},
        {.field = "since", .heading = "SINCE", .form = FORM_TIME},
        {.field = "channels", .heading = "CHANNELS"},
        {.field = "to", .heading = "TO", .missing = "everyone"},
    };
    const struct view view = {.list = "list", .columns = columns, .count = 4};
    shows("{\"ok\":true,\"list\":[{\"session\":\"a\",\"since\":0,\"channels\":[\"x\","
          "\"y\"],\"to\":null},{\"session\":5,\"channels\":[],\"to\":{\"sessions\":[\"a\"]}}, 7]}",
          &view,
          "SESSION  SINCE                CHANNELS  TO\n"
          "a        1970-01-01 00:00:00  x,y       everyone\n"
          "5        -                    -         {\"sessions\":[\"a\"]}\n"
          "-        -                    -         everyone\n");
    shows("{\"ok\":true}", &view, "SESSION  SINCE  CHANNELS  TO\n");
}
END_TEST

START_TEST(times_are_compared_with_the_clock)
{
    static const struct column columns[] = {
        {.field = "at", .heading = "AGE", .form = FORM_AGE},
        {.field = "ttl", .heading = "LEFT", .form = FORM_LEFT},
        {.field = "x", .heading = "X"},
    };
    const struct view view = {.list = "list", .columns = columns, .count = 3};
    shows("{\"list\":[{\"at\":940000,\"ttl\":90,\"x\":1},{\"at\":1000500},"
          "{\"at\":100000,\"ttl\":1},{\"at\":-9223372036854775808,\"ttl\":9223372036854775807},"
          "{\"at\":\"then\",\"ttl\":false}]}",
          &view,
          "AGE     LEFT   X\n"
          "60 s    30 s   1\n"
          "0 s     -      -\n"
          "15 min  0 s    -\n"
          "0 s     0 s    -\n"
          "then    false  -\n");
}
END_TEST

START_TEST(a_text_is_written_as_it_is)
{
    const struct view view = {.text = "text"};
    bool more;
    FILE *out = fopen("/dev/null", "w");
    shows("{\"ok\":true,\"text\":\"a 1\\nb\\t\\\"\"}", &view, "a 1\nb\t\"");
    ck_assert_int_eq(view_show(&view, S("{\"ok\":true}"), NOW_MS, out, &more), -EBADMSG);
    fclose(out);
}
END_TEST

START_TEST(a_view_says_whether_there_is_more)
{
    bool more;
    ck_assert_int_eq(tells("{\"more\":true}", &more), 0);
    ck_assert(more);
    ck_assert_int_eq(tells("{\"more\":false}", &more), 0);
    ck_assert(!more);
}
END_TEST

START_TEST(json_is_told_from_text)
{
    char problem[256] = "";
    ck_assert(is_json(S("1"), problem, sizeof problem));
    ck_assert(is_json(S(" {\"a\":[1,\n\"b\"]} "), problem, sizeof problem));
    ck_assert(is_json(S("1e999"), problem, sizeof problem));
    ck_assert(is_json(S("123456789012345678901234567890"), problem, sizeof problem));
    ck_assert(is_json(S("{\"\\u0000\":\"\\u0000\"}"), problem, sizeof problem));
    ck_assert(!is_json(S("hello"), problem, sizeof problem));
    ck_assert_ptr_nonnull(strstr(problem, "line 1"));
    ck_assert(!is_json(S(""), problem, sizeof problem));
    ck_assert(!is_json(S("1 2"), problem, sizeof problem));
}
END_TEST

int main(void)
{
    setenv("TZ", "UTC", 1);
    Suite *suite = suite_create("view");
    TCase *tests = one_case(suite, "view");
    tcase_add_test(tests, what_is_no_object_is_no_reply);
    tcase_add_test(tests, fields_are_lines);
    tcase_add_test(tests, a_list_is_a_table);
    tcase_add_test(tests, times_are_compared_with_the_clock);
    tcase_add_test(tests, a_text_is_written_as_it_is);
    tcase_add_test(tests, a_view_says_whether_there_is_more);
    tcase_add_test(tests, json_is_told_from_text);
    return run_suite(suite);
}
