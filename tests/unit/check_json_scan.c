/* Where things stand in JSON, and what jansson cannot hold made harmless;
 * random texts keep to what a parser says. */
#include "codec/json_scan.h"

#include <jansson.h>

#include "support.h"

static void softens(const char *text, const char *wanted)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    json_soften(copy, strlen(copy));
    ck_assert_str_eq(copy, wanted);
}

START_TEST(fields_are_found)
{
    struct slice rest = json_inside(
                     S("{ \"a\" : [1, {\"x\":\"}\"}] ,\"b\\\"\":\"\\\\\",\n\"c\":-1e5 }")),
                 key, value;
    ck_assert(json_next_field(&rest, &key, &value));
    assert_slice(key, S("\"a\""));
    assert_slice(value, S("[1, {\"x\":\"}\"}]"));
    ck_assert(json_next_field(&rest, &key, &value));
    assert_slice(key, S("\"b\\\"\""));
    assert_slice(value, S("\"\\\\\""));
    ck_assert(json_next_field(&rest, &key, &value));
    assert_slice(value, S("-1e5"));
    ck_assert(!json_next_field(&rest, &key, &value));
}
END_TEST

START_TEST(numbers_that_may_not_fit_become_zero)
{
    softens("[1e999,-1e999,1E+5]", "[0.000,0.0000,0.00]");
    softens("[123456789012345678,9223372036854775807,-9223372036854775808,0.1234567890123456]",
            "[123456789012345678,9223372036854775807,-9223372036854775808,0.1234567890123456]");
    softens("[9223372036854775808,-9223372036854775809,12345678901234567890]",
            "[0.00000000000000000,0.000000000000000000,0.000000000000000000]");
    softens("[1.5,0,-7,12]", "[1.5,0,-7,12]");
    softens("1e999", "0.000");
}
END_TEST

START_TEST(what_is_no_number_stays)
{
    softens("[--1e999,1e5e999,01e999,1.e999,1e999x,x1e999,+1e999]",
            "[--1e999,1e5e999,01e999,1.e999,1e999x,x1e999,+1e999]");
    softens("[\"1e999\",\"\\\"1e999\"]", "[\"1e999\",\"\\\"1e999\"]");
}
END_TEST

START_TEST(nul_is_replaced_in_keys_only)
{
    softens("{\"\\u0000\":\"\\u0000\"}", "{\"\\ufffe\":\"\\u0000\"}");
    softens("{\"a\\\\u0000\" : 1}", "{\"a\\\\u0000\" : 1}");
}
END_TEST

enum verdict { INVALID, VALID, TOO_LARGE };

static enum verdict judge(const char *text, size_t len)
{
    json_error_t error;
    json_t *tree = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    json_decref(tree);
    if (tree)
        return VALID;
    return json_error_code(&error) == json_error_numeric_overflow ? TOO_LARGE : INVALID;
}

/* Pieces that make valid and nearly valid texts likely. */
static size_t random_text(struct dice *d, char *out, size_t size)
{
    static const char *const pieces[] = {"{",      "}",        "[",  "]",
                                         "\"a\":", "\"b\":",   ",",  "1",
                                         "1e5",    "-",        ".5", "\"x\"",
                                         "1E9",    "\"\\\"\"", " ",  "null",
                                         "0",      "e1",       "\"", "123456789012345678"};
    size_t len = 0;
    for (uint64_t n = 1 + roll(d, 9); n > 0; n--)
        len += (size_t)snprintf(out + len, size - len, "%s",
                                pieces[roll(d, sizeof pieces / sizeof pieces[0])]);
    return len;
}

START_TEST(softening_never_changes_what_is_valid)
{
    struct dice d = dice_new();
    uint64_t seed = d.state;
    for (int i = 0; i < 200000; i++) {
        char text[256], soft[256];
        size_t len = random_text(&d, text, sizeof text);
        memcpy(soft, text, len + 1);
        json_soften(soft, len);
        enum verdict before = judge(text, len), after = judge(soft, len);
        ck_assert_msg(before == TOO_LARGE || before == after, "SEED=%" PRIu64 ": '%s' became '%s'",
                      seed, text, soft);
    }
}
END_TEST

/* Within the bytes given, whatever they are: the sanitizers watch. */
START_TEST(scanning_stays_within_the_text)
{
    struct dice d = dice_new();
    for (int i = 0; i < 200000; i++) {
        char text[256];
        size_t len = random_text(&d, text, sizeof text);
        char *exact = malloc(len);
        memcpy(exact, text, len);
        struct slice rest = json_inside((struct slice){exact, len}), key, value;
        while (json_next_field(&rest, &key, &value))
            ck_assert(value.data >= exact && value.data + value.len <= exact + len);
        json_soften(exact, len);
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_scan");
    TCase *tests = one_case(suite, "json_scan");
    tcase_add_test(tests, fields_are_found);
    tcase_add_test(tests, numbers_that_may_not_fit_become_zero);
    tcase_add_test(tests, what_is_no_number_stays);
    tcase_add_test(tests, nul_is_replaced_in_keys_only);
    tcase_add_test(tests, softening_never_changes_what_is_valid);
    tcase_add_test(tests, scanning_stays_within_the_text);
    return run_suite(suite);
}
