#include "base/name.h"

#include "support.h"

static const struct slice good[] = {
    S_INIT("a"),
    S_INIT("room:7"),
    S_INIT(" "),
    S_INIT("a,b"),
    S_INIT("\xc2\x80"),
    S_INIT("\xdf\xbf"),
    S_INIT("\xe0\xa0\x80"),
    S_INIT("\xed\x9f\xbf"),
    S_INIT("\xee\x80\x80"),
    S_INIT("\xf0\x90\x80\x80"),
    S_INIT("\xf4\x8f\xbf\xbf"),
    S_INIT("x\xe2\x82\xac\x79"),
};

static const struct slice bad[] = {
    S_INIT(""),
    S_INIT("a\n"),
    S_INIT("\t"),
    S_INIT("\0"),
    S_INIT("a\x1f"),
    S_INIT("\x7f"),
    S_INIT("\x80"),
    S_INIT("\xc0\x80"),
    S_INIT("\xc1\xbf"),
    S_INIT("\xe0\x9f\xbf"),
    S_INIT("\xed\xa0\x80"),
    S_INIT("\xf0\x8f\xbf\xbf"),
    S_INIT("\xf4\x90\x80\x80"),
    S_INIT("\xf5\x80\x80\x80"),
    S_INIT("\xff"),
    S_INIT("a\xc3"),
    S_INIT("\xe2\x82"),
    S_INIT("\xf0\x90\x80"),
    S_INIT("\xc3("),
    S_INIT("\xe2\x28\xac"),
    S_INIT("\xe2\x82\x28"),
    S_INIT("\xf0\x90\x80\x28"),
};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(utf8_without_control_characters_is_a_name)
{
    ck_assert_msg(name_valid(good[_i]), "number %d is refused", _i);
}
END_TEST

START_TEST(other_texts_are_no_names)
{
    ck_assert_msg(!name_valid(bad[_i]), "number %d is accepted", _i);
}
END_TEST

START_TEST(a_name_has_255_bytes_at_most)
{
    char text[256];
    memset(text, 'x', sizeof text);
    ck_assert(name_valid((struct slice){text, 255}));
    ck_assert(!name_valid((struct slice){text, 256}));
}
END_TEST

static const struct {
    struct slice text;
    bool cursor, own_id;
} cursors[] = {
    {S_INIT("order-17"), true, true},
    {S_INIT("a\tb"), true, true},
    {S_INIT("a b"), true, true},
    {S_INIT("\"q\""), true, true},
    {S_INIT("\xc2\x85"), true, true},     /* U+0085 */
    {S_INIT("\xe2\x80\xa8"), true, true}, /* U+2028 */
    {S_INIT("\xef\xbb\xbfx"), true, true},
    {S_INIT("\xf0\x9f\x98\x80"), true, true},
    {S_INIT("-"), true, true},
    {S_INIT("+a1"), true, true},
    {S_INIT("12a"), true, true},
    {S_INIT("12"), true, false},
    {S_INIT("-1"), true, false},
    {S_INIT("+1x"), true, false},
    {S_INIT("1, 2"), true, false},
    {S_INIT("1,2"), true, false},
    {S_INIT("1,"), true, false},
    {S_INIT("1, a"), true, true},
    {S_INIT(","), true, true},
    {S_INIT(""), false, false},
    {S_INIT(" x"), false, false},
    {S_INIT("x "), false, false},
    {S_INIT("\tx"), false, false},
    {S_INIT("x\t"), false, false},
    {S_INIT(" "), false, false},
    {S_INIT("a\x01"
            "b"),
     false, false},
    {S_INIT("a\fb"), false, false},
    {S_INIT("a\x1f"), false, false},
    {S_INIT("a\x7f"), false, false},
    {S_INIT("a\nb"), false, false},
    {S_INIT("a\rb"), false, false},
    {S_INIT("a\0b"), false, false},
    {S_INIT("\xff"), false, false},
};

START_TEST(a_cursor_comes_back_from_a_header_as_it_was)
{
    ck_assert_msg(cursor_valid(cursors[_i].text) == cursors[_i].cursor, "number %d", _i);
    ck_assert_msg(own_id_valid(cursors[_i].text) == cursors[_i].own_id, "number %d", _i);
}
END_TEST

START_TEST(an_own_id_has_255_bytes_at_most)
{
    char text[256];
    memset(text, 'x', sizeof text);
    ck_assert(own_id_valid((struct slice){text, 255}));
    ck_assert(!own_id_valid((struct slice){text, 256}));
}
END_TEST

START_TEST(a_sequence_is_not_read_past_its_end)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        for (size_t len = 1; len <= good[i].len; len++) {
            char *copy = malloc(len); /* of its own size, for a sanitizer */
            memcpy(copy, good[i].data, len);
            ck_assert_uint_le(utf8_sequence((struct slice){copy, len}), len);
            free(copy);
        }
}
END_TEST

START_TEST(what_cannot_be_seen_is_found)
{
    static const struct slice seen[] = {S_INIT(""),
                                        S_INIT("a\x7f"),
                                        S_INIT("\xc2\xa0"),
                                        S_INIT("\xc3\xa9\xe2\x82\xac"),
                                        S_INIT("\xe2\x80\xa8"),     /* U+2028 */
                                        S_INIT("\xf0\x9f\x98\x80"), /* U+1F600 */
                                        S_INIT("\xf3\xa0\x82\x80"), /* U+E0080 */
                                        S_INIT("\xf4\x8f\xbf\xbf")};
    static const struct slice unseen[] = {S_INIT("a\xc2\x80"),
                                          S_INIT("\xc2\x9f"),
                                          S_INIT("\xc2\xad"),
                                          S_INIT("\xd8\x80"),
                                          S_INIT("\xe2\x80\x8d"),
                                          S_INIT("x\xe2\x80\xaex"),
                                          S_INIT("\xef\xbb\xbf"),
                                          S_INIT("\xf3\xa0\x80\xa0"),
                                          S_INIT("\xf3\xa0\x81\xbf"),
                                          S_INIT("a\xff"),
                                          S_INIT("\xc3")};
    for (int i = 0; i < COUNT(seen); i++)
        ck_assert_msg(utf8_visible(seen[i]), "number %d", i);
    for (int i = 0; i < COUNT(unseen); i++)
        ck_assert_msg(!utf8_visible(unseen[i]), "number %d", i);
}
END_TEST

START_TEST(columns_of_a_terminal_are_counted)
{
    static const struct {
        const char *text;
        size_t columns;
    } rows[] = {{"a", 1},
                {"\xc3\xa4", 1},         /* ae */
                {"\xcc\x88", 0},         /* a diaeresis that combines */
                {"\xd8\xa7", 1},         /* alef */
                {"\xe2\x82\xac", 1},     /* euro */
                {"\xe6\x9d\x8e", 2},     /* a Chinese character */
                {"\xed\x95\x9c", 2},     /* a Korean one */
                {"\xef\xbc\xa1", 2},     /* a full-width A */
                {"\xf0\x9f\x98\x80", 2}, /* a smile */
                {"\xf0\xa0\x80\x80", 2}, /* U+20000 */
                {"\xf4\x8f\xbf\xbf", 1}};
    for (int i = 0; i < COUNT(rows); i++)
        ck_assert_msg(utf8_columns(rows[i].text, strlen(rows[i].text)) == rows[i].columns,
                      "number %d", i);
}
END_TEST

START_TEST(utf8_is_told)
{
    ck_assert(utf8_valid(S("")));
    ck_assert(utf8_valid(S("a\0\xc3\xa9\xf0\x9f\x98\x80")));
    ck_assert(!utf8_valid(S("a\xc3")));
    ck_assert(!utf8_valid(S("\xc0\x80")));
    ck_assert(!utf8_valid(S("\xed\xa0\x80")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("name");
    TCase *tests = one_case(suite, "name");
    tcase_add_loop_test(tests, utf8_without_control_characters_is_a_name, 0, COUNT(good));
    tcase_add_loop_test(tests, other_texts_are_no_names, 0, COUNT(bad));
    tcase_add_test(tests, a_name_has_255_bytes_at_most);
    tcase_add_test(tests, columns_of_a_terminal_are_counted);
    tcase_add_loop_test(tests, a_cursor_comes_back_from_a_header_as_it_was, 0, COUNT(cursors));
    tcase_add_test(tests, an_own_id_has_255_bytes_at_most);
    tcase_add_test(tests, a_sequence_is_not_read_past_its_end);
    tcase_add_test(tests, what_cannot_be_seen_is_found);
    tcase_add_test(tests, utf8_is_told);
    return run_suite(suite);
}
