#include "base/hex.h"

#include "support.h"

START_TEST(each_digit_has_its_value)
{
    static const char digits[] = "0123456789abcdef", large[] = "0123456789ABCDEF";
    for (int i = 0; i < 16; i++) {
        ck_assert_int_eq(hex_digit(digits[i]), i);
        ck_assert_int_eq(hex_digit(large[i]), i);
    }
}
END_TEST

START_TEST(other_bytes_are_no_digits)
{
    int digits = 0;
    for (int c = -128; c < 128; c++)
        digits += hex_digit((char)c) >= 0;
    ck_assert_int_eq(digits, 22);
}
END_TEST

static const struct {
    const char *text;
    int byte;
} escapes[] = {
    {"%41", 'A'}, {"%ff", 255}, {"%00", 0},  {"%FFx", 255}, {"%4", -1},
    {"%", -1},    {"%4g", -1},  {"%g4", -1}, {"41%", -1},
};

START_TEST(an_escape_is_a_byte)
{
    const char *text = escapes[_i].text;
    ck_assert_int_eq(hex_escape(text, text + strlen(text)), escapes[_i].byte);
}
END_TEST

START_TEST(an_escape_ends_before_the_end)
{
    static const char text[] = "%41";
    ck_assert_int_eq(hex_escape(text, text + 2), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hex");
    TCase *tests = tcase_create("hex");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, each_digit_has_its_value);
    tcase_add_test(tests, other_bytes_are_no_digits);
    tcase_add_loop_test(tests, an_escape_is_a_byte, 0, sizeof escapes / sizeof escapes[0]);
    tcase_add_test(tests, an_escape_ends_before_the_end);
    return run_suite(suite);
}
