/* JSON as it is written: always valid, whatever the texts hold. */
#include "base/json_out.h"
#include "support.h"

static void wrote(struct buf *out, const char *wanted)
{
    ck_assert(!out->failed);
    assert_slice(((struct slice){out->data, out->len}), slice_of(wanted));
    out->len = 0;
}

START_TEST(lists_and_objects_get_their_commas)
{
    struct buf out = {0};
    json_begin_object(&out, NULL);
    json_begin_list(&out, "seqs");
    json_put_count(&out, NULL, 1);
    json_put_int(&out, NULL, INT64_MIN);
    json_end_list(&out);
    json_begin_list(&out, "list");
    json_begin_object(&out, NULL);
    json_put_flag(&out, "a", false);
    json_put_null(&out, "b");
    json_end_object(&out);
    json_begin_object(&out, NULL);
    json_end_object(&out);
    json_end_list(&out);
    json_end_object(&out);
    wrote(&out, "{\"seqs\":[1,-9223372036854775808],\"list\":[{\"a\":false,\"b\":null},{}]}");
    buf_release(&out);
}
END_TEST

START_TEST(texts_are_escaped_and_always_utf8)
{
    struct buf out = {0};
    json_put_text(&out, NULL, (struct slice){"a\"\\\n\x01\0\x7f\xc3\xa9\xff\xf0\x9f", 12});
    wrote(&out, "\"a\\\"\\\\\\n\\u0001\\u0000\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_release(&out);
}
END_TEST

#define BROKEN "\xef\xbf\xbd"

START_TEST(what_is_no_utf8_is_replaced_as_browsers_do)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"c\xe2\x82"
         "d",
         "\"c" BROKEN "d\""},
        {"\xe2\x82", "\"" BROKEN "\""},
        {"\xf0\x9f\x92\n", "\"" BROKEN "\\n\""},
        {"\xf0\x9f\xf0\x9f\x92\xa9", "\"" BROKEN "\xf0\x9f\x92\xa9\""},
        {"\xe2(\xa1", "\"" BROKEN "(" BROKEN "\""},
        {"\x80\xbf", "\"" BROKEN BROKEN "\""},
        {"\xc0\xaf", "\"" BROKEN BROKEN "\""},
        {"\xed\xa0\x80", "\"" BROKEN BROKEN BROKEN "\""},
        {"\xf4\x90\x80\x80", "\"" BROKEN BROKEN BROKEN BROKEN "\""},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_put_text(&out, NULL, slice_of(rows[i].text));
        wrote(&out, rows[i].wanted);
    }
    buf_release(&out);
}
END_TEST

START_TEST(a_text_ending_in_a_brace_still_gets_its_comma)
{
    struct buf out = {0};
    json_begin_list(&out, NULL);
    json_put_text(&out, NULL, slice_of("{"));
    json_put_text(&out, NULL, slice_of("["));
    json_end_list(&out);
    wrote(&out, "[\"{\",\"[\"]");
    buf_release(&out);
}
END_TEST

START_TEST(a_long_text_grows)
{
    enum { COUNT = 10000 };
    struct buf out = {0};
    json_begin_list(&out, NULL);
    for (int i = 0; i < COUNT; i++)
        json_put_count(&out, NULL, 7);
    json_end_list(&out);
    ck_assert_uint_eq(out.len, 2 * COUNT + 1);
    buf_release(&out);
    ck_assert_ptr_null(out.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_out");
    TCase *tests = one_case(suite, "json_out");
    tcase_add_test(tests, lists_and_objects_get_their_commas);
    tcase_add_test(tests, texts_are_escaped_and_always_utf8);
    tcase_add_test(tests, what_is_no_utf8_is_replaced_as_browsers_do);
    tcase_add_test(tests, a_text_ending_in_a_brace_still_gets_its_comma);
    tcase_add_test(tests, a_long_text_grows);
    return run_suite(suite);
}
