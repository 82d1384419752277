/* What may be put into a request as it is. */
#include "lib/json_text.h"

#include "support.h"

static const struct slice good[] = {
    S_INIT("0"),
    S_INIT("-0"),
    S_INIT("-12.5e+10"),
    S_INIT("1E-7"),
    S_INIT("123456789012345678901234567890"),
    S_INIT("1e999"),
    S_INIT(" true "),
    S_INIT("false"),
    S_INIT("null\n"),
    S_INIT("\"\""),
    S_INIT("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\""),
    S_INIT("\"\\ud83d\\ude00\""),
    S_INIT("\"\\ud83d\""),
    S_INIT("\"\\ude00\""),
    S_INIT("\"\\ud83d\\u0041\""),
    S_INIT("\"\\ud83d\\ud83d\\ude00\""),
    S_INIT("\"\xf0\x9f\x98\x80 \xc3\xa9 \x7f\""),
    S_INIT("[]"),
    S_INIT("[ ]"),
    S_INIT("[1,[2],{}]"),
    S_INIT("{}"),
    S_INIT("{ \"a\" : 1 , \"a\":{\"b\":[null]}}"),
};

static const struct slice bad[] = {
    S_INIT(""),
    S_INIT(" "),
    S_INIT("1 2"),
    S_INIT("01"),
    S_INIT("+1"),
    S_INIT("-"),
    S_INIT("1."),
    S_INIT(".5"),
    S_INIT("1e"),
    S_INIT("NaN"),
    S_INIT("nul"),
    S_INIT("nulll"),
    S_INIT("True"),
    S_INIT("\""),
    S_INIT("\"a"),
    S_INIT("'a'"),
    S_INIT("\"\n\""),
    S_INIT("\"\0\""),
    S_INIT("\"\\\0\""),
    S_INIT("\"\\x\""),
    S_INIT("\"\\u12\""),
    S_INIT("\"\\u12g4\""),
    S_INIT("\"\\ud83d\\u12\""),
    S_INIT("\"\xff\""),
    S_INIT("\"\xc3\""),
    S_INIT("["),
    S_INIT("]"),
    S_INIT("[1"),
    S_INIT("[1,]"),
    S_INIT("[,1]"),
    S_INIT("[1 2]"),
    S_INIT("{"),
    S_INIT("{\"a\"}"),
    S_INIT("{\"a\":}"),
    S_INIT("{\"a\":1,}"),
    S_INIT("{a:1}"),
    S_INIT("{1:1}"),
    S_INIT("[}"),
    S_INIT("1,\"to\":{}"),
    S_INIT("1}"),
    S_INIT("1\0"),
    S_INIT("// 1\n1"),
    S_INIT("\xef\xbb\xbf"
           "1"),
};

/* From memory of its own size, so that a sanitizer sees a read past its end. */
static bool valid(struct slice text)
{
    char *copy = malloc(text.len + !text.len);
    memcpy(copy, text.data, text.len);
    bool is = json_text_valid((struct slice){copy, text.len});
    free(copy);
    return is;
}

START_TEST(a_value_is_valid)
{
    ck_assert_msg(valid(good[_i]), "%.*s", (int)good[_i].len, good[_i].data);
}
END_TEST

START_TEST(other_texts_are_no_json_value)
{
    ck_assert_msg(!valid(bad[_i]), "%.*s", (int)bad[_i].len, bad[_i].data);
}
END_TEST

START_TEST(a_piece_of_a_value_is_not)
{
    const struct slice whole = S("{\"a\":[true,\"\\ud83d\\ude00\",\"\xc3\xa9\"]}");
    for (size_t len = 0; len < whole.len; len++)
        ck_assert_msg(!valid((struct slice){whole.data, len}), "%zu", len);
    ck_assert(valid(whole));
}
END_TEST

static bool nested(size_t depth)
{
    char *text = malloc(2 * depth);
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    bool is = json_text_valid((struct slice){text, 2 * depth});
    free(text);
    return is;
}

START_TEST(depth_is_bounded)
{
    ck_assert(nested(JSON_TEXT_DEPTH));
    ck_assert(!nested(JSON_TEXT_DEPTH + 2));
    ck_assert(!nested(1000000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_text");
    TCase *tests = one_case(suite, "json_text");
    tcase_add_loop_test(tests, a_value_is_valid, 0, (int)(sizeof good / sizeof *good));
    tcase_add_loop_test(tests, other_texts_are_no_json_value, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_test(tests, a_piece_of_a_value_is_not);
    tcase_add_test(tests, depth_is_bounded);
    return run_suite(suite);
}
