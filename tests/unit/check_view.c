/* Replies as people see them. */
#include "client/view.h"
#include "support.h"

static void shows(const char *json, const struct view *view, const char *wanted)
{
    char *text = NULL;
    size_t len = 0;
    struct reply *r = reply_parse(slice_of(json));
    ck_assert_ptr_nonnull(r);
    FILE *out = open_memstream(&text, &len);
    ck_assert_int_eq(reply_show(r, view, out), 0);
    fclose(out);
    ck_assert_str_eq(text, wanted);
    free(text);
    reply_free(&r);
}

START_TEST(what_is_no_object_is_no_reply)
{
    ck_assert_ptr_null(reply_parse(S("")));
    ck_assert_ptr_null(reply_parse(S("[]")));
    ck_assert_ptr_null(reply_parse(S("{")));
}
END_TEST

START_TEST(a_refusal_says_why)
{
    struct reply *r = reply_parse(S("{\"ok\":false,\"error\":\"too_large\",\"message\":\"5\"}"));
    ck_assert(!reply_ok(r));
    ck_assert_str_eq(reply_error(r), "too_large");
    ck_assert_str_eq(reply_message(r), "5");
    reply_free(&r);
    r = reply_parse(S("{\"ok\":1,\"error\":{}}"));
    ck_assert(!reply_ok(r));
    ck_assert_str_eq(reply_error(r), "?");
    ck_assert_str_eq(reply_message(r), "");
    reply_free(&r);
    reply_free(&r);
}
END_TEST

START_TEST(fields_are_lines)
{
    const struct view view = {0};
    shows("{\"ok\":true,\"seq\":9007199254740993,\"online\":2,\"x\":{\"a\":[1]},\"n\":null,\"t\":\"a\\nb\"}", &view,
          "seq     9007199254740993\nonline  2\nx       {\"a\":[1]}\nn       null\nt       a\\nb\n");
}
END_TEST

START_TEST(a_list_is_a_table)
{
    static const struct column columns[] = {
        {.field = "session", .heading = "SESSION"},
        {.field = "since", .heading = "SINCE", .is_time = true},
        {.field = "channels", .heading = "CHANNELS"},
        {.field = "to", .heading = "TO", .missing = "everyone"},
    };
    const struct view view = {"list", columns, 4, NULL};
    shows("{\"ok\":true,\"list\":[{\"session\":\"a\",\"since\":0,\"channels\":[\"x\",\"y\"],\"to\":null},"
          "{\"session\":5,\"channels\":[],\"to\":{\"sessions\":[\"a\"]}}, 7]}",
          &view,
          "SESSION  SINCE                CHANNELS  TO\n"
          "a        1970-01-01 00:00:00  x,y       everyone\n"
          "5        -                    -         {\"sessions\":[\"a\"]}\n"
          "-        -                    -         everyone\n");
    shows("{\"ok\":true}", &view, "SESSION  SINCE  CHANNELS  TO\n");
}
END_TEST

START_TEST(more_is_told)
{
    struct reply *r = reply_parse(S("{\"more\":true}"));
    ck_assert(reply_more(r));
    reply_free(&r);
    r = reply_parse(S("{\"more\":false}"));
    ck_assert(!reply_more(r));
    reply_free(&r);
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
    Suite *suite = suite_create("reply");
    TCase *tests = one_case(suite, "reply");
    tcase_add_test(tests, what_is_no_object_is_no_reply);
    tcase_add_test(tests, a_refusal_says_why);
    tcase_add_test(tests, fields_are_lines);
    tcase_add_test(tests, a_list_is_a_table);
    tcase_add_test(tests, more_is_told);
    tcase_add_test(tests, json_is_told_from_text);
    return run_suite(suite);
}
