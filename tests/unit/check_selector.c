#include "auth/selector.h"

#include <stdlib.h>

#include "support.h"

static bool topic_matches(const char *selector, const char *topic)
{
    struct selector s = selector_of_topic(slice_of(selector));
    return selector_matches(&s, slice_of(topic));
}

START_TEST(a_topic_is_matched_byte_by_byte)
{
    ck_assert(topic_matches("https://example.com/1", "https://example.com/1"));
    ck_assert(!topic_matches("https://example.com/1", "https://example.com/12"));
    ck_assert(!topic_matches("https://example.com/1", "https://EXAMPLE.com/1"));
    ck_assert(!topic_matches("a*", "ab"));
    ck_assert(topic_matches("a*", "a*"));
}
END_TEST

START_TEST(the_star_matches_everything)
{
    struct selector match = selector_of_match(S("*"), false), pattern = selector_of_match(S("*"), true);
    ck_assert(topic_matches("*", "anything") && topic_matches("*", "*"));
    ck_assert(match.kind == SELECTOR_ALL && pattern.kind == SELECTOR_ALL);
}
END_TEST

START_TEST(templates_and_url_patterns_match_nothing)
{
    struct selector pattern = selector_of_match(S("/:id"), true);
    ck_assert(!topic_matches("/{id}", "/1") && !topic_matches("/{id}", "/{id}"));
    ck_assert(!selector_matches(&pattern, S("/1")) && !selector_matches(&pattern, S("/:id")));
}
END_TEST

START_TEST(a_brace_is_a_character_in_the_second_dialect)
{
    struct selector s = selector_of_match(S("/{id}"), false);
    ck_assert(selector_matches(&s, S("/{id}")) && !selector_matches(&s, S("/1")));
}
END_TEST

START_TEST(a_pattern_of_ours_may_end_with_a_star)
{
    struct selector s = {SELECTOR_PREFIX, S("room-*")};
    ck_assert(selector_matches(&s, S("room-1")) && !selector_matches(&s, S("rooms")));
}
END_TEST

START_TEST(an_event_is_matched_by_one_of_its_channels)
{
    struct slice channels[] = {S("a"), S("b")}, sessions[] = {S("c")};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    spec.lists[TO_CHANNELS] = (struct names){channels, 2};
    spec.lists[TO_SESSIONS] = (struct names){sessions, 1};
    struct event *e = event_new(&spec);
    struct selector mine[] = {selector_of_topic(S("x")), selector_of_topic(S("b"))}, other = selector_of_topic(S("c"));

    ck_assert(selectors_match_event(&(struct selectors){mine, 2}, e));
    ck_assert(!selectors_match_event(&(struct selectors){mine, 1}, e));
    ck_assert(!selectors_match_event(&(struct selectors){&other, 1}, e)); /* a session is no topic */
    ck_assert(!selectors_match_event(&(struct selectors){0}, e));
    event_unref(&e);
}
END_TEST

START_TEST(a_copy_stands_for_itself)
{
    char text[] = "one";
    struct selector items[] = {{SELECTOR_EXACT, {text, 3}}, {SELECTOR_ALL, S("*")}, {SELECTOR_EXACT, {NULL, 0}}};
    struct selectors *copy = selectors_copy(&(struct selectors){items, 3});
    ck_assert_ptr_nonnull(copy);
    text[0] = 'x';
    ck_assert_uint_eq(copy->count, 3);
    assert_slice(copy->items[0].text, S("one"));
    ck_assert_int_eq(copy->items[1].kind, SELECTOR_ALL);
    free(copy);

    copy = selectors_copy(&(struct selectors){0});
    ck_assert(copy && !copy->count && !selectors_match(copy, S("a")));
    free(copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selector");
    TCase *tests = one_case(suite, "selector");
    tcase_add_test(tests, a_topic_is_matched_byte_by_byte);
    tcase_add_test(tests, the_star_matches_everything);
    tcase_add_test(tests, templates_and_url_patterns_match_nothing);
    tcase_add_test(tests, a_brace_is_a_character_in_the_second_dialect);
    tcase_add_test(tests, a_pattern_of_ours_may_end_with_a_star);
    tcase_add_test(tests, an_event_is_matched_by_one_of_its_channels);
    tcase_add_test(tests, a_copy_stands_for_itself);
    return run_suite(suite);
}
