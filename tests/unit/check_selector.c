#include "auth/selector.h"

#include <stdlib.h>

#include "support.h"

static char why[PATTERN_WHY_MAX];

/* The selector is released. */
static bool matches(struct selector s, const char *text)
{
    struct topic topic;
    topic_begin(&topic, slice_of(text));
    bool found = selector_matches(&s, &topic);
    selector_release(&s);
    ck_assert(s.kind == SELECTOR_INVALID && !s.pattern);
    return found;
}

static bool topic_matches(const char *selector, const char *topic)
{
    return matches(selector_of_topic(slice_of(selector), why), topic);
}

static bool url_matches(const char *selector, const char *topic)
{
    return matches(selector_of_url_pattern(slice_of(selector), S("hub"), why), topic);
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
    struct selector match = selector_of_match(S("*")),
                    pattern = selector_of_url_pattern(S("*"), S("hub"), why);
    ck_assert(topic_matches("*", "anything") && topic_matches("*", "*"));
    ck_assert(match.kind == SELECTOR_ALL && pattern.kind == SELECTOR_ALL);
}
END_TEST

START_TEST(templates_and_url_patterns_match)
{
    ck_assert(topic_matches("/{id}", "/1") && topic_matches("/{id}", "/{id}") &&
              !topic_matches("/{id}", "/1/2"));
    ck_assert(url_matches("/:id", "/1") && url_matches("/:id", "http://hub/1") &&
              !url_matches("/:id", "/1/2"));
    ck_assert(!topic_matches("/:id", "/1") && !url_matches("/1", "/2"));
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    struct selector s = selector_of_topic(S("/{id"), why);
    ck_assert(s.kind == SELECTOR_INVALID && !s.pattern && strstr(why, "is not closed"));
    s = selector_of_topic(S("/id}"), why);
    ck_assert(s.kind == SELECTOR_INVALID && strstr(why, "closes nothing"));
    s = selector_of_url_pattern(S("/(x)"), S("hub"), why);
    ck_assert(s.kind == SELECTOR_INVALID && strstr(why, "regular expressions"));
    ck_assert(!matches(s, "/x"));
    s = selector_of_topic(S("/id"), why);
    ck_assert(s.kind == SELECTOR_EXACT && !*why);
}
END_TEST

START_TEST(a_brace_is_a_character_in_the_second_dialect)
{
    ck_assert(matches(selector_of_match(S("/{id}")), "/{id}") &&
              !matches(selector_of_match(S("/{id}")), "/1"));
}
END_TEST

START_TEST(a_pattern_of_ours_may_end_with_a_star)
{
    struct selector s = {.kind = SELECTOR_PREFIX, .text = S("room-*")};
    ck_assert(matches(s, "room-1") && !matches(s, "rooms"));
}
END_TEST

START_TEST(an_event_is_matched_by_one_of_its_channels)
{
    struct slice channels[] = {S("a"), S("b")}, sessions[] = {S("c")};
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
    spec.lists[TO_CHANNELS] = (struct names){channels, 2};
    spec.lists[TO_SESSIONS] = (struct names){sessions, 1};
    struct event *e = event_new(&spec);
    struct selector mine[] = {selector_of_match(S("x")), selector_of_match(S("b"))},
                    other = selector_of_match(S("c"));
    struct selector pattern = selector_of_topic(S("{any}"), why),
                    none = selector_of_topic(S("{any}/"), why);

    ck_assert(selectors_match_event(&(struct selectors){mine, 2}, e));
    ck_assert(!selectors_match_event(&(struct selectors){mine, 1}, e));
    /* A session is no topic. */
    ck_assert(!selectors_match_event(&(struct selectors){&other, 1}, e));
    ck_assert(!selectors_match_event(&(struct selectors){0}, e));
    ck_assert(selectors_match_event(&(struct selectors){&pattern, 1}, e));
    ck_assert(!selectors_match_event(&(struct selectors){&none, 1}, e));
    selector_release(&pattern);
    selector_release(&none);
    event_unref(&e);
}
END_TEST

static bool one_topic_matches(const struct selectors *list, const struct event *e)
{
    struct slice topic;
    for (size_t cursor = 0; event_next_name(e, TO_CHANNELS, &cursor, &topic);)
        if (selectors_match(list, topic))
            return true;
    return false;
}

/* Any selectors and any channels: it is as if each channel were compared with each selector. */
START_TEST(an_event_is_matched_as_each_of_its_channels_is)
{
    struct dice d = dice_new();
    uint64_t seed = d.state;
    struct slice names[] = {S("a"), S("b"), S("a/1"), S("a/2"), S("c")};
    struct selector kinds[] = {
        selector_of_match(S("a")),          selector_of_match(S("c")),
        selector_of_match(S("*")),          {.kind = SELECTOR_PREFIX, .text = S("a/*")},
        selector_of_topic(S("{b}/2"), why), {.kind = SELECTOR_INVALID}};
    for (int round = 0; round < 2000; round++) {
        struct slice channels[3];
        struct selector items[3];
        struct selectors list = {items, roll(&d, 4)};
        struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = 1, .has_to = true};
        spec.lists[TO_CHANNELS] = (struct names){channels, roll(&d, 4)};
        for (size_t i = 0; i < 3; i++) {
            channels[i] = names[roll(&d, 5)];
            items[i] = kinds[roll(&d, 6)];
        }
        struct event *e = event_new(&spec);
        ck_assert_msg(selectors_match_event(&list, e) == one_topic_matches(&list, e),
                      "SEED=%" PRIu64, seed);
        event_unref(&e);
    }
    selector_release(&kinds[4]);
}
END_TEST

START_TEST(a_copy_stands_for_itself)
{
    char text[] = "one";
    struct selector pattern = selector_of_topic(S("/{id}"), why);
    struct selector items[] = {{.kind = SELECTOR_EXACT, .text = {text, 3}},
                               {.kind = SELECTOR_ALL, .text = S("*")},
                               {.kind = SELECTOR_EXACT},
                               pattern};
    struct selectors *copy = selectors_copy(&(struct selectors){items, 4});
    ck_assert_ptr_nonnull(copy);
    text[0] = 'x';
    selector_release(&pattern);
    ck_assert_uint_eq(copy->count, 4);
    assert_slice(copy->items[0].text, S("one"));
    ck_assert_int_eq(copy->items[1].kind, SELECTOR_ALL);
    assert_slice(copy->items[3].text, S("/{id}"));
    assert_slice(pattern_text(copy->items[3].pattern), S("/{id}"));
    selectors_free(&copy);
    ck_assert_ptr_null(copy);
    selectors_free(&copy);

    copy = selectors_copy(&(struct selectors){0});
    ck_assert(copy && !copy->count && !selectors_match(copy, S("a")));
    selectors_free(&copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selector");
    TCase *tests = one_case(suite, "selector");
    tcase_add_test(tests, a_topic_is_matched_byte_by_byte);
    tcase_add_test(tests, the_star_matches_everything);
    tcase_add_test(tests, templates_and_url_patterns_match);
    tcase_add_test(tests, what_is_wrong_is_said);
    tcase_add_test(tests, a_brace_is_a_character_in_the_second_dialect);
    tcase_add_test(tests, a_pattern_of_ours_may_end_with_a_star);
    tcase_add_test(tests, an_event_is_matched_by_one_of_its_channels);
    tcase_add_test(tests, an_event_is_matched_as_each_of_its_channels_is);
    tcase_add_test(tests, a_copy_stands_for_itself);
    return run_suite(suite);
}
