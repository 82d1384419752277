#include "codec/json_lex.h"

#include <stdlib.h>

#include "support.h"

static struct json_lexer lex;
static char *copy;

/* From memory of its own size, so that a sanitizer sees a read past its end. */
static void begin(struct slice text)
{
    free(copy);
    copy = malloc(text.len + !text.len);
    memcpy(copy, text.data, text.len);
    lex = (struct json_lexer){.p = copy, .end = copy + text.len};
}

static void end(void)
{
    free(copy);
    copy = NULL;
}

static const struct {
    const char *text;
    size_t len; /* of the number or word at its beginning; 0: there is none */
} scalars[] = {
    {"0", 1},     {"-0", 2},    {"12", 2},      {"01", 1},   {"0.5", 3},    {"1.50,", 4},
    {"1e9", 3},   {"1E+9]", 4}, {"-1.2e-3", 7}, {"true", 4}, {"false ", 5}, {"null}", 4},
    {"nulll", 4}, {"", 0},      {"-", 0},       {"+1", 0},   {".5", 0},     {"1.", 0},
    {"1.e1", 0},  {"1e", 0},    {"1e+", 0},     {"nul", 0},  {"True", 0},   {"\"", 0},
};

START_TEST(numbers_and_words_are_taken)
{
    begin(slice_of(scalars[_i].text));
    bool good = json_lex_scalar(&lex);
    ck_assert_msg(good == (scalars[_i].len > 0), "%s", scalars[_i].text);
    if (good)
        ck_assert_uint_eq((size_t)(lex.p - copy), scalars[_i].len);
    else
        ck_assert_ptr_nonnull(lex.what);
}
END_TEST

static void assert_string(const char *text, size_t inside_len, bool escaped)
{
    struct slice inside;
    bool found;
    begin(slice_of(text));
    ck_assert_msg(json_lex_string(&lex, false, &inside, &found), "%s: %s", text, lex.what);
    ck_assert(slice_equal(inside, (struct slice){text + 1, inside_len}));
    ck_assert(found == escaped);
    ck_assert_uint_eq((size_t)(lex.p - copy), inside_len + 2);
}

START_TEST(strings_are_taken)
{
    assert_string("\"\"", 0, false);
    assert_string("\"a\",", 1, false);
    assert_string("\"\xc3\xa9\x7f\"", 3, false);
    assert_string("\"\\\"\\\\\" \"", 4, true);
    assert_string("\"\\/\\b\\f\\n\\r\\t\\u0000\"", 18, true);
    assert_string("\"\\ud83d\\ude00\"", 12, true);
}
END_TEST

static const struct slice wrong[] = {
    S_INIT("\""),     S_INIT("\"a"),         S_INIT("\"\n\""),   S_INIT("\"\0\""),
    S_INIT("\"\\"),   S_INIT("\"\\\0\""),    S_INIT("\"\\x\""),  S_INIT("\"\\u12\""),
    S_INIT("\"\\u"),  S_INIT("\"\\u12g4\""), S_INIT("\"\xff\""), S_INIT("\"\xc3\""),
    S_INIT("\"\xc3"), S_INIT("\"\\ud83d"),
};

START_TEST(invalid_strings_are_refused)
{
    struct slice inside;
    bool escaped;
    for (int halves = 0; halves < 2; halves++) {
        begin(wrong[_i]);
        ck_assert(!json_lex_string(&lex, halves, &inside, &escaped));
        ck_assert_ptr_nonnull(lex.what);
        ck_assert(lex.p <= lex.end);
    }
}
END_TEST

/* Each byte at each place, because eight are looked at together. */
START_TEST(a_string_ends_at_the_first_byte_that_is_not_plain)
{
    enum { LEN = 20 };
    for (int byte = 0; byte < 256; byte++)
        for (size_t at = 1; at < LEN - 1; at++) {
            struct slice inside = {0};
            bool escaped, control = byte < 0x20, other = byte >= 0x80;
            char text[LEN + 1] = "\"aaaaaaaaaaaaaaaaaa\"";
            text[at] = (char)byte;
            text[at + 1] = byte == '\\' ? 'n' : text[at + 1];
            begin((struct slice){text, LEN});
            bool good = json_lex_string(&lex, false, &inside, &escaped);
            bool cut = byte == '\\' && at == LEN - 2;
            ck_assert_msg(good == !(control || other || cut), "byte %d at %zu", byte, at);
            if (good)
                ck_assert_uint_eq(inside.len, byte == '"' ? at - 1 : LEN - 2);
            else if (!cut)
                ck_assert_uint_eq((size_t)(lex.p - copy), at);
            ck_assert(!good || escaped == (byte == '\\'));
        }
}
END_TEST

START_TEST(halves_of_pairs_are_taken_where_they_are_accepted)
{
    struct slice inside;
    bool escaped;
    for (int halves = 0; halves < 2; halves++) {
        begin(S("\"\\ud83d\""));
        ck_assert(json_lex_string(&lex, halves, &inside, &escaped) == (halves == 1));
    }
}
END_TEST

START_TEST(space_and_single_bytes_are_taken)
{
    begin(S(" \t\r\n\v:"));
    json_lex_space(&lex);
    ck_assert_uint_eq((size_t)(lex.p - copy), 4);
    ck_assert(!json_lex_take(&lex, ':'));
    ck_assert(json_lex_take(&lex, '\v'));
    ck_assert(json_lex_take(&lex, ':'));
    ck_assert(!json_lex_take(&lex, ':'));
    json_lex_space(&lex);
    ck_assert_ptr_eq(lex.p, lex.end);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_lex");
    TCase *tests = one_case(suite, "json_lex");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_loop_test(tests, numbers_and_words_are_taken, 0,
                        (int)(sizeof scalars / sizeof scalars[0]));
    tcase_add_test(tests, strings_are_taken);
    tcase_add_loop_test(tests, invalid_strings_are_refused, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(tests, a_string_ends_at_the_first_byte_that_is_not_plain);
    tcase_add_test(tests, halves_of_pairs_are_taken_where_they_are_accepted);
    tcase_add_test(tests, space_and_single_bytes_are_taken);
    return run_suite(suite);
}
