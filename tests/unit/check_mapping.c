/* What other systems send as fields of a publish; hostile objects too. */
#include <errno.h>

#include "frame/mapping.h"
#include "support.h"

#define JSON_DEEP 2000 /* levels */

static struct buf out;
static char why[MAPPING_WHY];

static const struct mapping plain = {.channel = "c:%s", .event = "%s", .payload = PAYLOAD_TEXT};

static int event_of(enum mapping_payload payload, struct slice bytes)
{
    const struct mapping m = {
        .channel = "%s", .event = "e", .payload = payload, .name_field = "topic"};
    const struct mapping_source s = {.name = S("t/1"), .payload = bytes, .id = "i"};
    return mapping_event(&m, &s, &out, why);
}

static int row(const char *object)
{
    return mapping_row(slice_of(object), "i", &out, why);
}

#define is(call, text)                                                                             \
    do {                                                                                           \
        ck_assert_int_eq((call), 0);                                                               \
        assert_slice(buf_slice(&out), S(text));                                                    \
    } while (0)

#define refused(call, part)                                                                        \
    do {                                                                                           \
        why[0] = '\0';                                                                             \
        ck_assert_int_eq((call), -EINVAL);                                                         \
        ck_assert_msg(strstr(why, part), "'%s' does not say '%s'", why, part);                     \
    } while (0)

START_TEST(names_come_from_patterns)
{
    struct mapping_source s = {.name = S("a/b"), .payload = S("x\n\"y\""), .id = "i"};
    is(mapping_event(&plain, &s, &out, why), "{\"event\":\"a/b\",\"text\":\"x\\n\\\"y\\\"\","
                                             "\"to\":{\"channels\":[\"c:a/b\"]},\"id\":\"i\"}");
    const struct mapping everyone = {.channel = "", .event = "", .payload = PAYLOAD_TEXT};
    is(mapping_event(&everyone, &s, &out, why), "{\"text\":\"x\\n\\\"y\\\"\",\"id\":\"i\"}");
    s.name = S("a\001");
    refused(mapping_event(&plain, &s, &out, why), "name");
    s.name = S("\xff");
    refused(mapping_event(&plain, &s, &out, why), "name");
}
END_TEST

START_TEST(a_pattern_has_one_place_at_most)
{
    ck_assert_ptr_null(mapping_check(""));
    ck_assert_ptr_null(mapping_check("%s"));
    ck_assert_ptr_null(mapping_check("100%"));
    ck_assert_ptr_nonnull(mapping_check("%s%s"));
    ck_assert_ptr_nonnull(mapping_check("a\tb"));
    ck_assert_ptr_null(mapping_check_event(""));
    ck_assert_ptr_null(mapping_check_event("ssecast"));
    ck_assert_ptr_nonnull(mapping_check_event("ssecast.%s"));
    ck_assert_ptr_nonnull(mapping_check_event("%s%s"));
}
END_TEST

START_TEST(payloads_are_read_as_they_are_said_to_be)
{
    is(event_of(PAYLOAD_JSON, S("[1.10]")),
       "{\"event\":\"e\",\"data\":[1.10],\"to\":{\"channels\":[\"t/1\"]},\"id\":\"i\"}");
    is(event_of(PAYLOAD_BASE64, S("\0\xff")),
       "{\"event\":\"e\",\"text\":\"AP8=\",\"to\":{\"channels\":[\"t/1\"]},\"id\":\"i\"}");
    is(event_of(PAYLOAD_BASE64, S("")),
       "{\"event\":\"e\",\"text\":\"\",\"to\":{\"channels\":[\"t/1\"]},\"id\":\"i\"}");
    is(event_of(PAYLOAD_WRAPPED, S("x")),
       "{\"event\":\"e\",\"data\":{\"topic\":\"t/1\",\"payload\":\"x\"},"
       "\"to\":{\"channels\":[\"t/1\"]},\"id\":\"i\"}");
    is(event_of(PAYLOAD_TEXT, S("a\0b")),
       "{\"event\":\"e\",\"text\":\"a\\u0000b\",\"to\":{\"channels\":[\"t/1\"]},\"id\":\"i\"}");
    refused(event_of(PAYLOAD_TEXT, S("\xc3")), "UTF-8");
    refused(event_of(PAYLOAD_WRAPPED, S("\xc3")), "UTF-8");
    ck_assert_int_eq(event_of(PAYLOAD_JSON, S("\"\\ud83d\"")), 0); /* as the broker reads `data` */
    refused(event_of(PAYLOAD_MESSAGE, S("{\"text\":\"\\ud83d\"}")), "JSON");
    refused(event_of(PAYLOAD_JSON, S("1 2")), "JSON");
    refused(event_of(PAYLOAD_JSON, S("")), "JSON");
    refused(event_of(PAYLOAD_JSON, S("1]}")), "JSON");
    refused(event_of(PAYLOAD_JSON, S("1\0")), "JSON");
}
END_TEST

START_TEST(a_message_has_its_own_fields)
{
    is(event_of(PAYLOAD_MESSAGE, S(" {\"data\" : 0.10 , \"x\":[]}")),
       "{\"data\":0.10,\"x\":[],\"id\":\"i\",\"event\":\"e\",\"to\":{\"channels\":[\"t/1\"]}}");
    is(event_of(PAYLOAD_MESSAGE, S("{\"id\":\"own\",\"event\":\"mine\","
                                   "\"text\":\"t\",\"channel\":\"c\",\"session\":\"s\"}")),
       "{\"id\":\"own\",\"event\":\"mine\","
       "\"text\":\"t\",\"to\":{\"sessions\":[\"s\"],\"channels\":[\"c\"]}}");
    is(event_of(PAYLOAD_MESSAGE, S("{}")),
       "{\"id\":\"i\",\"data\":null,\"event\":\"e\",\"to\":{\"channels\":[\"t/1\"]}}");
    refused(event_of(PAYLOAD_MESSAGE, S("{\"channel\":\"c\",\"to\":{}}")), "`to`");
    refused(event_of(PAYLOAD_MESSAGE, S("[]")), "object");
    refused(event_of(PAYLOAD_MESSAGE, S("\"{\"")), "object");
    refused(event_of(PAYLOAD_MESSAGE, S("{\"a\":1,\"a\":2}")), "JSON");
    refused(event_of(PAYLOAD_MESSAGE, S("{\"a\":1}]},{")), "JSON");
}
END_TEST

START_TEST(deep_json_is_refused)
{
    static char deep[2 * JSON_DEEP];
    memset(deep, '[', JSON_DEEP);
    memset(deep + JSON_DEEP, ']', JSON_DEEP);
    refused(event_of(PAYLOAD_JSON, (struct slice){deep, sizeof deep}), "deep");
}
END_TEST

START_TEST(state_has_its_name_as_the_key)
{
    const struct mapping m = {
        .channel = "%s", .event = "", .payload = PAYLOAD_TEXT, .name_field = "topic"};
    struct mapping_source s = {.name = S("t"), .payload = S("x"), .id = "i", .keyed = true};
    is(mapping_event(&m, &s, &out, why),
       "{\"text\":\"x\",\"to\":{\"channels\":[\"t\"]},\"id\":\"i\",\"key\":\"t\"}");
    s.payload = S("");
    s.remove = true;
    is(mapping_event(&m, &s, &out, why),
       "{\"data\":null,\"to\":{\"channels\":[\"t\"]},\"id\":\"i\",\"key\":\"t\",\"remove\":true}");
    const struct mapping message = {.channel = "", .event = "", .payload = PAYLOAD_MESSAGE};
    is(mapping_event(&message, &s, &out, why),
       "{\"data\":null,\"id\":\"i\",\"key\":\"t\",\"remove\":true}");
}
END_TEST

START_TEST(a_row_has_the_columns_that_are_fields)
{
    is(row("{\"id\":7,\"channel\":\"c\","
           "\"event\":null,\"data\":{\"a\":null},\"created\":\"now\",\"error\":null}"),
       "{\"data\":{\"a\":null},\"id\":\"i\",\"to\":{\"channels\":[\"c\"]}}");
    is(row("{\"id\":7,\"session\":null,\"text\":null,\"remove\":true,\"key\":\"k\",\"to\":null}"),
       "{\"remove\":true,\"key\":\"k\",\"id\":\"i\",\"data\":null}");
    refused(row("{\"channel\":\"c\",\"to\":{\"sessions\":[]}}"), "`to`");
}
END_TEST

START_TEST(payloads_have_names)
{
    ck_assert_int_eq(mapping_payload_of("text"), PAYLOAD_TEXT);
    ck_assert_int_eq(mapping_payload_of("message"), PAYLOAD_MESSAGE);
    ck_assert_int_eq(mapping_payload_of("xml"), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mapping");
    TCase *tests = one_case(suite, "mapping");
    tcase_add_test(tests, names_come_from_patterns);
    tcase_add_test(tests, a_pattern_has_one_place_at_most);
    tcase_add_test(tests, payloads_are_read_as_they_are_said_to_be);
    tcase_add_test(tests, a_message_has_its_own_fields);
    tcase_add_test(tests, deep_json_is_refused);
    tcase_add_test(tests, state_has_its_name_as_the_key);
    tcase_add_test(tests, a_row_has_the_columns_that_are_fields);
    tcase_add_test(tests, payloads_have_names);
    int status = run_suite(suite);
    buf_release(&out);
    return status;
}
