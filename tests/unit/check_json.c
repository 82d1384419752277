/* Requests read and replies written: what is accepted, what is said about the rest, and that
 * nothing handed on changes. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "support.h"

static struct json_fault fault;

static struct json *parse(const char *text)
{
    return json_parse(slice_of(text), &fault);
}

static struct json *parsed(const char *text)
{
    struct json *j = parse(text);
    ck_assert_msg(j != NULL, "%s: %s", text, fault.message);
    return j;
}

static void is(struct slice got, const char *wanted)
{
    ck_assert_msg(slice_equal(got, slice_of(wanted)), "%.*s is not %s", (int)got.len, got.data,
                  wanted);
}

static void says(const char *part)
{
    ck_assert_msg(strstr(fault.message, part) != NULL, "\"%s\" is not in \"%s\"", part,
                  fault.message);
}

static void refused(const char *text, const char *code, const char *part)
{
    ck_assert_msg(parse(text) == NULL, "%s was accepted", text);
    ck_assert_str_eq(fault.code, code);
    says(part);
}

/* ---- parsing ---- */

START_TEST(what_is_not_json_is_refused_with_its_place)
{
    refused("", "bad_json", "byte 0");
    refused("{", "bad_json", "byte 1");
    refused("{\"op\":\"ping\",}", "bad_json", "byte 14");
    refused("{\"op\":\"ping\"} x", "bad_json", "byte");
    refused("{\"op\":\"\xff\"}", "bad_json", "not valid JSON");
    refused("{\"op\":1,\"op\":2}", "bad_json", "duplicate field in this object: `op`");
    refused("{\"op\":\"\\ud800\"}", "bad_json", "not valid JSON");
    refused("{\"op\":\"a\",\"op\":\"b\"}", "bad_json", "duplicate");
    refused("nonsense", "bad_json", "line 1");
}
END_TEST

START_TEST(a_nul_byte_outside_of_texts_is_refused)
{
    static const struct slice texts[] = {S_INIT("{\"a\":1\0}"), S_INIT("{\"a\":1}\0"),
                                         S_INIT("{\"a\":1e999\0}")};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_ptr_null(json_parse(texts[i], &fault));
        ck_assert_str_eq(fault.code, "bad_json");
        ck_assert_ptr_nonnull(strstr(fault.message, "a NUL byte"));
    }
}
END_TEST

START_TEST(what_is_not_an_object_is_refused)
{
    refused("[]", "bad_request", "not a list");
    refused("1e999", "bad_request", "not a number");
    refused("null", "bad_request", "not null");
}
END_TEST

START_TEST(depth_is_bounded)
{
    enum { LEVELS = 100000 };
    static char text[LEVELS + 10] = "{\"data\":";
    memset(text + 8, '[', LEVELS);
    refused(text, "bad_json", "depth");
}
END_TEST

START_TEST(a_nul_byte_is_allowed_in_texts)
{
    struct json *j = parsed("{\"text\":\"a\\u0000b\"}");
    struct slice text = {0};
    ck_assert_int_eq(json_get_text(json_root(j), "text", &text, &fault), 0);
    ck_assert_uint_eq(text.len, 3);
    json_free(&j);
    ck_assert_ptr_null(j);
    json_free(&j);
}
END_TEST

/* ---- source text ---- */

static void raw_is(const char *request, const char *name, const char *wanted)
{
    struct json *j = parsed(request);
    is(json_raw(json_root(j), name), wanted);
    json_free(&j);
}

START_TEST(a_value_is_handed_on_as_it_was_sent)
{
    raw_is("{\"data\":0.1}", "data", "0.1");
    raw_is("{\"data\":123456789012345678901234567890}", "data", "123456789012345678901234567890");
    raw_is("{\"data\":1e999,\"ref\":-1E+9999}", "data", "1e999");
    raw_is("{\"data\":1e999,\"ref\":-1E+9999}", "ref", "-1E+9999");
    raw_is(" { \"ref\" : [ 1 , { \"a\" : \"}]\\\"\" } ] , \"data\" : 2 } ", "ref",
           "[ 1 , { \"a\" : \"}]\\\"\" } ]");
    raw_is("\r\n\t {\"data\":2}\n\t\r ", "data", "2");
    raw_is("{\"data\":\"\\u00e9\\\\\",\"x\":1}", "data", "\"\\u00e9\\\\\"");
    raw_is("{\"data\":null}", "data", "null");
    raw_is("{\"x\":{\"data\":1}}", "data", "");
    raw_is("{\n\t\"data\": {\n\t\t\"a\": 1\n\t}\r\n}", "data", "{\n\t\t\"a\": 1\n\t}");
}
END_TEST

START_TEST(a_name_may_be_written_with_escapes)
{
    raw_is("{\"\\u0064ata\":7}", "data", "7");
    raw_is("{\"x\\\"y\":1,\"d\\u0061ta\":7}", "data", "7");
}
END_TEST

START_TEST(a_key_with_nul_is_json_too)
{
    raw_is("{\"data\":{\"a\\u0000b\":1,\"\\\\u0000\":2}}", "data",
           "{\"a\\u0000b\":1,\"\\\\u0000\":2}");
}
END_TEST

START_TEST(a_large_number_does_not_hide_what_is_wrong)
{
    refused("{\"data\":[1e999,01]}", "bad_json", "");
    refused("{\"data\":[1e999,--1e999]}", "bad_json", "");
    refused("{\"data\":[1e999,1e5e999]}", "bad_json", "");
    refused("{\"data\":[1e999,1.]}", "bad_json", "");
    refused("{\"data\":[1e999,1e999a]}", "bad_json", "");
    refused("{\"data\":[1e999,012345678901234567890]}", "bad_json", "");
    refused("{\"data\":1e999,\"x", "bad_json", "");
}
END_TEST

START_TEST(a_large_number_does_not_change_its_neighbours)
{
    struct json *j = parsed(
        "{\"data\":[1e999],\"limit\":123456789012345678,\"text\":\"12345678901234567890 1e999\"}");
    uint64_t limit = 0;
    struct slice text = {0};
    ck_assert_int_eq(json_get_count(json_root(j), "limit", 0, INT64_MAX, &limit, &fault), 0);
    ck_assert_uint_eq(limit, 123456789012345678);
    ck_assert_int_eq(json_get_text(json_root(j), "text", &text, &fault), 0);
    is(text, "12345678901234567890 1e999");
    json_free(&j);
}
END_TEST

/* ---- getters ---- */

START_TEST(a_name_may_be_empty)
{
    static const struct {
        const char *text;
        bool has;
    } rows[] = {{"{\"\":5}", true}, {"{\"a\":5}", false}, {"{\"\\u0000\":5}", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json *j = parsed(rows[i].text);
        ck_assert_int_eq(json_has(json_root(j), ""), rows[i].has);
        json_free(&j);
    }
}
END_TEST

START_TEST(what_is_not_there_leaves_the_default)
{
    struct json *j = parsed("{}");
    uint64_t count = 7;
    struct names names = {NULL, 3};
    struct json_object to;
    ck_assert(!json_has(json_root(j), "limit"));
    ck_assert_int_eq(json_get_count(json_root(j), "limit", 1, 9, &count, &fault), 0);
    ck_assert_int_eq(json_get_names(json_root(j), "sessions", &names, &fault), 0);
    ck_assert_int_eq(json_get_object(json_root(j), "to", &to, &fault), 0);
    ck_assert_uint_eq(count, 7);
    ck_assert_uint_eq(names.count, 3);
    ck_assert_ptr_null(to.value);
    json_free(&j);
}
END_TEST

static void count_refused(const char *request, const char *message)
{
    struct json *j = parsed(request);
    uint64_t count = 7;
    ck_assert_int_eq(json_get_count(json_root(j), "limit", 1, 1000, &count, &fault), -EINVAL);
    ck_assert_str_eq(fault.code, "bad_request");
    ck_assert_str_eq(fault.message, message);
    ck_assert_uint_eq(count, 7);
    json_free(&j);
}

START_TEST(a_wrong_number_is_put_into_words)
{
    count_refused("{\"limit\":\"x\"}", "`limit` must be a whole number from 1 to 1000, not \"x\"");
    count_refused("{\"limit\":0}", "`limit` must be a whole number from 1 to 1000, not 0");
    count_refused("{\"limit\":1001}", "`limit` must be a whole number from 1 to 1000, not 1001");
    count_refused("{\"limit\":-1}", "`limit` must be a whole number from 1 to 1000, not -1");
    count_refused("{\"limit\":1.5}", "`limit` must be a whole number from 1 to 1000, not 1.5");
    count_refused("{\"limit\":1e999}", "`limit` must be a whole number from 1 to 1000, not 1e999");
    count_refused("{\"limit\":{}}", "`limit` must be a whole number from 1 to 1000, not an object");
    count_refused("{\"limit\":null}", "`limit` must be a whole number from 1 to 1000, not null");
    count_refused("{\"limit\":\""
                  "0123456789012345678901234567890123456789"
                  "\"}",
                  "`limit` must be a whole number from 1 to 1000, "
                  "not \"012345678901234567890123456789012345678...");
}
END_TEST

START_TEST(names_are_read_and_checked)
{
    struct json *j = parsed(
        "{\"good\":[\"a\",\"b\xc3\xa9\"],\"bad\":[\"a\",\"\"],\"number\":[5],\"text\":\"a\"}");
    struct names names = {0};
    ck_assert_int_eq(json_get_names(json_root(j), "good", &names, &fault), 0);
    ck_assert_uint_eq(names.count, 2);
    is(names.items[1], "b\xc3\xa9");
    ck_assert_int_eq(json_get_names(json_root(j), "bad", &names, &fault), -EINVAL);
    says("`bad[1]` must be a string of 1 to 255 bytes");
    ck_assert_int_eq(json_get_names(json_root(j), "number", &names, &fault), -EINVAL);
    says("`number[0]` must be a string");
    says("not 5");
    ck_assert_int_eq(json_get_names(json_root(j), "text", &names, &fault), -EINVAL);
    says("`text` must be a list of names, not \"a\"");
    json_free(&j);
}
END_TEST

START_TEST(one_name_and_flags_and_texts)
{
    struct json *j = parsed("{\"session\":\"a\",\"bad\":\"a\\n\",\"on\":true,\"off\":false}");
    struct slice name = {0};
    bool flag = false;
    ck_assert_int_eq(json_get_name(json_root(j), "session", &name, &fault), 0);
    is(name, "a");
    ck_assert_int_eq(json_get_name(json_root(j), "bad", &name, &fault), -EINVAL);
    says("not \"a\\n\"");
    ck_assert_int_eq(json_get_flag(json_root(j), "on", &flag, &fault), 0);
    ck_assert(flag);
    ck_assert_int_eq(json_get_flag(json_root(j), "off", &flag, &fault), 0);
    ck_assert(!flag);
    ck_assert_int_eq(json_get_flag(json_root(j), "session", &flag, &fault), -EINVAL);
    ck_assert_int_eq(json_get_text(json_root(j), "on", &name, &fault), -EINVAL);
    says("`on` must be a string, not true");
    json_free(&j);
}
END_TEST

START_TEST(a_fault_deep_inside_says_where)
{
    struct json *j = parsed("{\"events\":[{},{\"data\":0.10,\"to\":{\"sessions\":[\"a\",5]}}]}");
    const struct json_object *events = NULL;
    size_t count = 0;
    struct json_object to;
    struct names names;
    ck_assert_int_eq(json_get_objects(json_root(j), "events", 2, &events, &count, &fault), 0);
    ck_assert_uint_eq(count, 2);
    is(json_raw(&events[1], "data"), "0.10");
    ck_assert_int_eq(json_get_object(&events[1], "to", &to, &fault), 0);
    ck_assert_int_eq(json_get_names(&to, "sessions", &names, &fault), -EINVAL);
    says("`events[1].to.sessions[1]` must be a string");
    says("not 5");
    json_free(&j);
}
END_TEST

START_TEST(a_list_of_objects_is_bounded_and_checked)
{
    struct json *j = parsed("{\"events\":[{},{},{}],\"mixed\":[{}, 1]}");
    const struct json_object *events = NULL;
    size_t count = 0;
    ck_assert_int_eq(json_get_objects(json_root(j), "events", 2, &events, &count, &fault), -EINVAL);
    says("`events` must be a list of at most 2 objects, not 3");
    ck_assert_int_eq(json_get_objects(json_root(j), "mixed", 2, &events, &count, &fault), -EINVAL);
    says("`mixed[1]` must be an object, not 1");
    json_free(&j);
}
END_TEST

START_TEST(an_unknown_field_is_named_with_those_accepted)
{
    static const char *const accepted[] = {"op", "event", NULL};
    struct json *j = parsed("{\"op\":1,\"evnet\":2}");
    ck_assert_int_eq(json_check_fields(json_root(j), accepted, &fault), -EINVAL);
    ck_assert_str_eq(fault.message, "`evnet` is not a field here; accepted: op, event");
    json_free(&j);
    j = parsed("{\"event\":2}");
    ck_assert_int_eq(json_check_fields(json_root(j), accepted, &fault), 0);
    json_free(&j);
}
END_TEST

START_TEST(data_and_ref_are_read_as_source_only)
{
    struct json *j = parsed("{\"data\":\"x\",\"ref\":[]}");
    struct slice text = {0};
    struct names names;
    uint64_t count;
    ck_assert_int_eq(json_get_text(json_root(j), "data", &text, &fault), -EINVAL);
    ck_assert_str_eq(fault.message, "`data` must be a string, not \"x\"");
    ck_assert_int_eq(json_get_names(json_root(j), "ref", &names, &fault), -EINVAL);
    ck_assert_int_eq(json_get_count(json_root(j), "data", 0, 9, &count, &fault), -EINVAL);
    json_free(&j);
}
END_TEST

START_TEST(whole_numbers_are_read_to_their_limit)
{
    static const struct {
        const char *text;
        bool accepted;
        uint64_t value;
    } rows[] = {
        {"{\"n\":0}", true, 0},
        {"{\"n\":-0}", true, 0},
        {"{\"n\":9223372036854775807}", true, INT64_MAX},
        {"{\"n\":9223372036854775808}", false, 0},
        {"{\"n\":18446744073709551617}", false, 0},
        {"{\"n\":1e0}", false, 0},
        {"{\"n\":1.0}", false, 0},
        {"{\"n\":\"1\"}", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json *j = parsed(rows[i].text);
        uint64_t number = 0;
        int err = json_get_count(json_root(j), "n", 0, INT64_MAX, &number, &fault);
        ck_assert_msg((err == 0) == rows[i].accepted && number == rows[i].value, "%s",
                      rows[i].text);
        json_free(&j);
    }
}
END_TEST

/* More than the memory that a request has at first. */
START_TEST(many_names_with_escapes_are_decoded)
{
    char text[2000] = "{\"to\":[";
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"n\\u0061%d\"", i ? "," : "",
                 i);
    strcat(text, "]}");
    struct json *j = parsed(text);
    struct names names = {0};
    ck_assert_int_eq(json_get_names(json_root(j), "to", &names, &fault), 0);
    ck_assert_uint_eq(names.count, 100);
    is(names.items[0], "na0");
    is(names.items[99], "na99");
    json_free(&j);
}
END_TEST

/* ---- replies ---- */

static void wrote(struct buf *out, const char *wanted)
{
    ck_assert(!out->failed);
    is((struct slice){out->data, out->len}, wanted);
    out->len = 0;
}

START_TEST(a_reply_is_written)
{
    struct buf out = {0};
    json_reply_begin(&out);
    json_put_count(&out, "seq", UINT64_MAX);
    json_reply_end(&out, slice_of("{\"a\": 0.10}"));
    wrote(&out, "{\"ok\":true,\"seq\":18446744073709551615,\"ref\":{\"a\": 0.10}}");
    json_reply_begin(&out);
    json_reply_end(&out, (struct slice){NULL, 0});
    wrote(&out, "{\"ok\":true}");
    buf_release(&out);
}
END_TEST

START_TEST(a_fault_becomes_a_reply)
{
    struct buf out = {0};
    json_reply_begin(&out);
    json_fault(&fault, "too_large", "%d bytes", 5);
    json_reply_fault(&out, &fault, slice_of("1"));
    wrote(&out, "{\"ok\":false,\"error\":\"too_large\",\"message\":\"5 bytes\",\"ref\":1}");
    buf_release(&out);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_not_json_is_refused_with_its_place,
        a_nul_byte_outside_of_texts_is_refused,
        what_is_not_an_object_is_refused,
        depth_is_bounded,
        a_nul_byte_is_allowed_in_texts,
        a_value_is_handed_on_as_it_was_sent,
        a_name_may_be_written_with_escapes,
        a_key_with_nul_is_json_too,
        a_large_number_does_not_hide_what_is_wrong,
        a_large_number_does_not_change_its_neighbours,
        what_is_not_there_leaves_the_default,
        a_wrong_number_is_put_into_words,
        names_are_read_and_checked,
        one_name_and_flags_and_texts,
        a_fault_deep_inside_says_where,
        a_list_of_objects_is_bounded_and_checked,
        data_and_ref_are_read_as_source_only,
        whole_numbers_are_read_to_their_limit,
        many_names_with_escapes_are_decoded,
        an_unknown_field_is_named_with_those_accepted,
        a_name_may_be_empty,
        a_reply_is_written,
        a_fault_becomes_a_reply,
    };
    Suite *s = suite_create("json");
    TCase *t = one_case(s, "json");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(t, tests[i]);
    return run_suite(s);
}
