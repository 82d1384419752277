#include "codec/grant.h"

#include "support.h"

static const struct {
    const char *pattern, *name;
    bool matches;
} rows[] = {
    {"a", "a", true},
    {"a", "b", false},
    {"a", "ab", false},
    {"ab", "a", false},
    {"*", "a", true},
    {"*", "*", true},
    {"*", "", true},
    {"user-*", "user-1", true},
    {"user-*", "user-", true},
    {"user-*", "user", false},
    {"user-*", "xuser-1", false},
    {"user-**", "user-*1", true},
    {"user-**", "user-1", false},
    {"a*b", "a*b", true},
    {"a*b", "axb", false},
    {"A", "a", false},
};

START_TEST(a_pattern_matches)
{
    ck_assert_int_eq(pattern_matches(slice_of(rows[_i].pattern), slice_of(rows[_i].name)),
                     rows[_i].matches);
}
END_TEST

START_TEST(one_of_several_is_enough)
{
    struct slice items[] = {S_INIT("a"), S_INIT("b-*")};
    struct names patterns = {items, 2};
    ck_assert(patterns_match(&patterns, S("a")));
    ck_assert(patterns_match(&patterns, S("b-7")));
    ck_assert(!patterns_match(&patterns, S("c")));
    ck_assert(!patterns_match(&(struct names){0}, S("a")));
}
END_TEST

START_TEST(names_may_hold_any_byte)
{
    ck_assert(pattern_matches(S("\xc3\xa4*"), S("\xc3\xa4\xc3\xb6")));
    ck_assert(!pattern_matches(S("a"), S("a\0b")));
}
END_TEST

START_TEST(what_is_no_name_is_no_pattern)
{
    char longest[257];
    memset(longest, 'x', sizeof longest);
    ck_assert(pattern_valid(S("*")));
    ck_assert(pattern_valid((struct slice){longest, 255}));
    ck_assert(!pattern_valid((struct slice){longest, 256}));
    ck_assert(!pattern_valid(S("")));
    ck_assert(!pattern_valid(S("a\nb")));
    ck_assert(!pattern_valid(S("\xff")));
}
END_TEST

START_TEST(a_grant_limited_to_nothing_is_empty)
{
    static struct slice one[] = {S_INIT("a")};
    ck_assert(grant_is_empty(&(struct grant){.roles = ROLE_EVENTS, .limited = true}));
    ck_assert(!grant_is_empty(&(struct grant){.limited = true, .sessions = {one, 1}}));
    ck_assert(!grant_is_empty(&(struct grant){.limited = true, .channels = {one, 1}}));
    ck_assert(!grant_is_empty(&grant_everything));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grant");
    TCase *tests = one_case(suite, "grant");
    tcase_add_loop_test(tests, a_pattern_matches, 0, (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(tests, one_of_several_is_enough);
    tcase_add_test(tests, names_may_hold_any_byte);
    tcase_add_test(tests, what_is_no_name_is_no_pattern);
    tcase_add_test(tests, a_grant_limited_to_nothing_is_empty);
    return run_suite(suite);
}
