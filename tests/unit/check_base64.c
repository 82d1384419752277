#include "base/base64.h"

#include <string.h>

#include "support.h"

/* Of RFC 4648, and each alphabet's own digits. */
static const struct {
    const char *bytes, *plain, *url;
} rows[] = {
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
};
#define ROWS ((int)(sizeof rows / sizeof rows[0]))

static void assert_decoded(enum base64_alphabet alphabet, const char *text, const char *bytes)
{
    char out[16];
    size_t len = base64_decode(alphabet, slice_of(text), out, sizeof out);
    ck_assert_msg(slice_equal((struct slice){out, len}, slice_of(bytes)), "'%s' became %zu bytes",
                  text, len);
}

START_TEST(both_alphabets_are_decoded)
{
    assert_decoded(BASE64_PLAIN, rows[_i].plain, rows[_i].bytes);
    assert_decoded(BASE64_URL, rows[_i].url, rows[_i].bytes);
}
END_TEST

START_TEST(padding_may_be_missing_from_the_plain_one)
{
    assert_decoded(BASE64_PLAIN, "Zg", "f");
    assert_decoded(BASE64_PLAIN, "Zg=", "f");
    assert_decoded(BASE64_PLAIN, "Zm8", "fo");
}
END_TEST

static const char *const wrong_url[] = {"",    "=",    "Zg==", "Zg=",  "Z",     "Zh",
                                        "Zm9", "Zg g", "Zg\n", "+/+/", "Zm9v.", "\xc3\xa4"};
static const char *const wrong_plain[] = {
    "", "=", "==", "Z", "Zh==", "-_-_", "Zg =", "Zg==Zg==", "Zm9v\r\n"};

START_TEST(what_no_encoder_writes_is_refused)
{
    char out[16];
    for (size_t i = 0; i < sizeof wrong_url / sizeof wrong_url[0]; i++)
        ck_assert_msg(!base64_decode(BASE64_URL, slice_of(wrong_url[i]), out, sizeof out), "%s",
                      wrong_url[i]);
    for (size_t i = 0; i < sizeof wrong_plain / sizeof wrong_plain[0]; i++)
        ck_assert_msg(!base64_decode(BASE64_PLAIN, slice_of(wrong_plain[i]), out, sizeof out), "%s",
                      wrong_plain[i]);
    ck_assert_uint_eq(base64_decode(BASE64_URL, (struct slice){"Zm9v\0", 5}, out, sizeof out), 0);
    ck_assert_uint_eq(base64_decode(BASE64_URL, (struct slice){NULL, 0}, out, sizeof out), 0);
}
END_TEST

START_TEST(a_byte_above_127_is_no_digit)
{
    char out[16];
    for (int byte = 128; byte < 256; byte++) {
        const char text[] = {'Z', 'm', '9', (char)byte};
        ck_assert_uint_eq(
            base64_decode(BASE64_URL, (struct slice){text, sizeof text}, out, sizeof out), 0);
        ck_assert_uint_eq(
            base64_decode(BASE64_PLAIN, (struct slice){text, sizeof text}, out, sizeof out), 0);
    }
}
END_TEST

START_TEST(room_is_a_bound)
{
    char out[4] = "xxx";
    ck_assert_uint_eq(base64_decode(BASE64_URL, slice_of("Zm9v"), out, 2), 0);
    ck_assert_int_eq(out[2], 'x');
    ck_assert_uint_eq(base64_decode(BASE64_URL, slice_of("Zm9v"), out, 3), 3);
    ck_assert_uint_eq(base64_decode(BASE64_URL, slice_of("Zg"), out, 0), 0);
}
END_TEST

START_TEST(the_url_alphabet_is_written)
{
    char out[BASE64_LEN(6) + 1];
    ck_assert_str_eq(base64_encode(BASE64_URL, slice_of(rows[_i].bytes), out), rows[_i].url);
}
END_TEST

START_TEST(no_bytes_are_an_empty_text)
{
    char out[1] = "x";
    ck_assert_str_eq(base64_encode(BASE64_URL, (struct slice){NULL, 0}, out), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base64");
    TCase *tests = one_case(suite, "base64");
    tcase_add_loop_test(tests, both_alphabets_are_decoded, 0, ROWS);
    tcase_add_test(tests, padding_may_be_missing_from_the_plain_one);
    tcase_add_test(tests, what_no_encoder_writes_is_refused);
    tcase_add_test(tests, a_byte_above_127_is_no_digit);
    tcase_add_test(tests, room_is_a_bound);
    tcase_add_loop_test(tests, the_url_alphabet_is_written, 0, ROWS);
    tcase_add_test(tests, no_bytes_are_an_empty_text);
    return run_suite(suite);
}
