#include "codec/surrogate.h"

#include <stdlib.h>

#include "support.h"

static const struct {
    const char *text;
    int32_t c;
    size_t len;
} escapes[] = {
    {"0041", 0x41, 4},
    {"00e9x", 0xe9, 4},
    {"d83d", 0xd83d, 4},
    {"de00\\ud83d", 0xde00, 4},
    {"d83d\\ude00", 0x1f600, 10},
    {"D83D\\uDE00", 0x1f600, 10},
    {"dbff\\udfff", 0x10ffff, 10},
    {"d83d\\u0041", 0xd83d, 4},
    {"d83d\\ud83d\\ude00", 0xd83d, 4},
    {"d83d\\ude0", 0xd83d, 4},
    {"d83d\\nde00", 0xd83d, 4},
    {"d83d\\ude0g", 0xd83d, 4},
    {"ffff", 0xffff, 4},
    {"004", -1, 4},
    {"g041", -1, 4},
    {"", -1, 4},
};

START_TEST(an_escape_is_read)
{
    struct slice text = slice_of(escapes[_i].text);
    char *exact = malloc(text.len + 1); /* so that a sanitizer sees what is read behind it */
    size_t len;
    memcpy(exact, text.data, text.len);
    exact = realloc(exact, text.len ? text.len : 1);
    ck_assert_int_eq(surrogate_read(exact, exact + text.len, &len), escapes[_i].c);
    ck_assert_uint_eq(len, escapes[_i].len);
    free(exact);
}
END_TEST

static const struct {
    const char *text, *softened;
} texts[] = {
    {"", ""},
    {"\"plain\"", "\"plain\""},
    {"\"cut \\ud83d\"", "\"cut \\ufffd\""},
    {"\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\""},
    {"\"\\ud83d\\ud83d\\ude00\"", "\"\\ufffd\\ud83d\\ude00\""},
    {"\"\\ude00\\ud83d\"", "\"\\ufffd\\ufffd\""},
    {"\"\\\\ud83d\"", "\"\\\\ud83d\""},
    {"\"\\\\\\ud83d\"", "\"\\\\\\ufffd\""},
    {"\"\\u0000\\n\"", "\"\\u0000\\n\""},
    {"\\", "\\"},
    {"\\u", "\\u"},
    {"\\ud8", "\\ud8"},
};

START_TEST(halves_become_another_character)
{
    char *softened = surrogate_softened(slice_of(texts[_i].text));
    ck_assert_str_eq(softened, texts[_i].softened);
    free(softened);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("surrogate");
    TCase *tests = one_case(suite, "surrogate");
    tcase_add_loop_test(tests, an_escape_is_read, 0, COUNT(escapes));
    tcase_add_loop_test(tests, halves_become_another_character, 0, COUNT(texts));
    return run_suite(suite);
}
