#include "auth/pattern.h"

#include <string.h>

#include "support.h"

#define HUB "hub.example:8080"

static char why[PATTERN_WHY_MAX];

static bool matches_at(enum pattern_kind kind, const char *pattern, const char *topic,
                       const char *hub)
{
    struct topic t;
    struct slice prefix, text;
    bool indexed = false;
    struct pattern *p = pattern_new(kind, slice_of(pattern), slice_of(hub), why);
    ck_assert_msg(p, "%s: %s", pattern, why);
    topic_begin(&t, slice_of(topic));
    bool found = pattern_matches_topic(p, &t), again = pattern_matches_topic(p, &t);
    ck_assert_int_eq(found, again);

    for (enum topic_form form = 0; form < TOPIC_FORMS; form++)
        if (topic_form(&t, form, &text) && pattern_prefix(p, form, &prefix))
            indexed |= slice_begins(text, prefix);
    ck_assert_msg(!found || indexed, "%s matches %s, and is not found", pattern, topic);
    pattern_unref(&p);
    return found;
}

static void template_matches(const char *pattern, const char *topic)
{
    ck_assert_msg(matches_at(PATTERN_TEMPLATE, pattern, topic, HUB), "%s does not match %s",
                  pattern, topic);
}

static void template_differs(const char *pattern, const char *topic)
{
    ck_assert_msg(!matches_at(PATTERN_TEMPLATE, pattern, topic, HUB), "%s matches %s", pattern,
                  topic);
}

static void url_matches(const char *pattern, const char *topic)
{
    ck_assert_msg(matches_at(PATTERN_URL, pattern, topic, HUB), "%s does not match %s", pattern,
                  topic);
}

static void url_differs(const char *pattern, const char *topic)
{
    ck_assert_msg(!matches_at(PATTERN_URL, pattern, topic, HUB), "%s matches %s", pattern, topic);
}

static void refused(enum pattern_kind kind, const char *pattern, const char *says)
{
    ck_assert_msg(!pattern_new(kind, slice_of(pattern), slice_of(HUB), why), "%s is accepted",
                  pattern);
    ck_assert_msg(strstr(why, says), "%s: %s", pattern, why);
    ck_assert_msg(strstr(why, "accepted: ") && strlen(why) < PATTERN_WHY_MAX - 1, "%s", why);
}

/* --- URI templates --- */

START_TEST(a_variable_is_a_value)
{
    template_matches("https://example.com/books/{id}", "https://example.com/books/1");
    template_matches("https://example.com/books/{id}", "https://example.com/books/");
    template_matches("https://example.com/books/{id}", "https://example.com/books/a-b.c_d~e,f");
    template_matches("https://example.com/books/{id}", "https://example.com/books/caf%C3%A9");
    template_differs("https://example.com/books/{id}", "https://example.com/books/1/2");
    template_differs("https://example.com/books/{id}", "https://example.com/books/1?x");
    template_differs("https://example.com/books/{id}", "https://example.com/book");
    template_differs("https://example.com/books/{id}", "https://example.com/books/50%");
    template_differs("https://example.com/books/{id}", "https://example.com/books/caf\303\251");
    template_matches("{a}/{b}", "x/y");
    template_matches("{a}-{b}-{c}", "1-2-3-4");
    template_differs("{a}-{b}-{c}", "1-2");
    template_matches("{name}", "anything");
    template_matches("/{%41.b_c}", "/x");
}
END_TEST

START_TEST(an_escape_is_one_character)
{
    template_matches("{a}%31", "x%31");
    template_matches("{a}1", "%311");
    template_differs("{a}1", "%31");
    template_differs("{a}31", "%31");
    template_matches("%C3%A9{a}", "%C3%A9");
}
END_TEST

START_TEST(operators_of_templates)
{
    template_matches("/{+path}/here", "/a/b?c=d#e/here");
    template_matches("x{#part}", "x#a/b");
    template_matches("x{#part}", "x#");
    template_matches("x{#part}", "x");
    template_differs("x{#part}", "xa");
    template_matches("x{.a,b}", "x.1.2");
    template_differs("x{.a}", "x1");
    template_matches("{/a,b}/c", "/1/2/c");
    template_matches("{/a,b}/c", "/1/c");
    template_differs("{/a,b}/c", "/1/2/3/c");
    template_matches("{/a*}/c", "/1/2/3/c");
    template_matches("/p{;x,y}", "/p;x=1;y");
    template_matches("/p{;x,y}", "/p;y=");
    template_differs("/p{;x,y}", "/p;z=1");
    template_matches("/b{?page,size}", "/b?page=2&size=10");
    template_matches("/b{?page,size}", "/b?size=10");
    template_matches("/b{?page,size}", "/b");
    template_matches("/b{?page}", "/b?page=");
    template_differs("/b{?page,size}", "/b?size=10&page=2");
    template_differs("/b{?page}", "/b?page");
    template_differs("/b{?page}", "/b?other=2");
    template_differs("/b{?page}", "/b?page=2&x=1");
    template_matches("/b{?all*}", "/b?x=1&y=2");
    template_matches("/b?x=1{&y}", "/b?x=1&y=2");
    template_matches("{a,b}", "1,2");
    template_matches("{a*}", "x=1,y=2");
    template_differs("{a}", "x=1");
}
END_TEST

/* A template can be a topic, and such an update is for who subscribes to the template. */
START_TEST(a_template_matches_its_own_text)
{
    template_matches("/books/{id}", "/books/{id}");
    template_differs("/books/{id}", "/books/{ix}");
}
END_TEST

START_TEST(templates_that_are_refused)
{
    refused(PATTERN_TEMPLATE, "", "empty");
    refused(PATTERN_TEMPLATE, "/{id", "a { is not closed (byte 2)");
    refused(PATTERN_TEMPLATE, "/id}", "a } closes nothing (byte 4)");
    refused(PATTERN_TEMPLATE, "/{}", "no valid name (byte 3)");
    refused(PATTERN_TEMPLATE, "/{+}", "no valid name");
    refused(PATTERN_TEMPLATE, "/{a,}", "no valid name (byte 5)");
    refused(PATTERN_TEMPLATE, "/{a b}", "no valid name (byte 4)");
    refused(PATTERN_TEMPLATE, "/{a..b}", "no valid name");
    refused(PATTERN_TEMPLATE, "/{a{b}}", "no valid name");
    refused(PATTERN_TEMPLATE, "/{a:3}", "prefix modifiers");
    refused(PATTERN_TEMPLATE, "/{=a}", "reserved");
    refused(PATTERN_TEMPLATE, "/{|a}", "reserved");
    refused(PATTERN_TEMPLATE, "/%zz{a}", "% begins no escape (byte 2)");
    refused(PATTERN_TEMPLATE, "/{a}%4", "% begins no escape");
}
END_TEST

/* --- URL patterns --- */

START_TEST(names_and_stars_of_urls)
{
    url_matches("https://example.com/books/:id", "https://example.com/books/1");
    url_matches("https://example.com/books/:id", "https://example.com/books/1?x=y#z");
    url_differs("https://example.com/books/:id", "https://example.com/books/");
    url_differs("https://example.com/books/:id", "https://example.com/books/1/2");
    url_differs("https://example.com/books/:id", "https://example.com/books");
    url_differs("https://example.com/books/:id", "http://example.com/books/1");
    url_matches("https://example.com/books/*", "https://example.com/books/1/2");
    url_matches("https://example.com/books/*", "https://example.com/books/");
    url_differs("https://example.com/books/*", "https://example.com/books");
    url_matches("https://*.example.com/", "https://a.b.example.com/");
    url_differs("https://:one.example.com/", "https://a.b.example.com/");
    url_differs("https://*.com/", "https://evil.org/x.com/");
    url_differs("https://*/x", "https://user@host/x");
    url_matches("*://example.com/x", "wss://example.com/x");
    url_matches("http{s}?://example.com/x", "http://example.com/x");
    url_matches("http{s}?://example.com/x", "https://example.com/x");
    url_matches("https://example.com", "https://example.com/any/path?x#y");
    url_matches("urn\\:book\\:*", "urn:book:1:2");
    url_differs("urn\\:book\\:*", "urn:author:1");
    url_matches("urn:", "urn:");
}
END_TEST

START_TEST(modifiers_and_braces_repeat_or_leave_out_a_part)
{
    url_matches("https://e.x/books/:id?", "https://e.x/books/1");
    url_matches("https://e.x/books/:id?", "https://e.x/books");
    url_differs("https://e.x/books/:id?", "https://e.x/books/");
    url_matches("https://e.x/books/:path+", "https://e.x/books/1/2/3");
    url_differs("https://e.x/books/:path+", "https://e.x/books");
    url_matches("https://e.x/books/:path*", "https://e.x/books");
    url_differs("https://e.x/books/:path*", "https://e.x/books/1//2");
    url_matches("https://e.x/books{/:id}?", "https://e.x/books");
    url_matches("https://e.x/a{b}?c", "https://e.x/ac");
    url_matches("https://e.x/a{b}+c", "https://e.x/abbbc");
    url_differs("https://e.x/a{b}+c", "https://e.x/ac");
    url_matches("https://e.x/{-:x-}*z", "https://e.x/-1--2-z");
    url_matches("https://e.x/{*}*", "https://e.x/1/2");
    url_matches("https://e.x/\\:id", "https://e.x/:id");
}
END_TEST

START_TEST(search_and_fragment)
{
    url_matches("https://e.x/b?page=:n", "https://e.x/b?page=2");
    url_differs("https://e.x/b?page=:n", "https://e.x/b");
    url_matches("https://e.x/b?page=:n", "https://e.x/b?page=2#x");
    url_matches("https://e.x/b?*", "https://e.x/b");
    url_differs("https://e.x/b#", "https://e.x/b?x");
    url_matches("https://e.x/b#top", "https://e.x/b#top");
    url_differs("https://e.x/b#top", "https://e.x/b?x#top");
    url_matches("https://e.x?x=1", "https://e.x/?x=1");
    url_matches("https://e.x/:a\\?b", "https://e.x/1?b");
}
END_TEST

START_TEST(urls_are_tidied_up)
{
    url_matches("https://Example.COM/Books/:id", "HTTPS://example.com:443/Books/1");
    url_differs("https://example.com/Books/:id", "https://example.com/books/1");
    url_matches("https://example.com:443/x", "https://example.com/x");
    url_matches("https://example.com:8443/x", "https://example.com:8443/x");
    url_differs("https://example.com/x", "https://example.com:8443/x");
    url_matches("https://example.com:*/x", "https://example.com:8443/x");
    url_matches("https://example.com:*/x", "https://example.com/x");
    url_matches("https://example.com/", "https://example.com");
    url_differs("https://example.com/*", "not a URL");
    url_differs("https://*/*", "name");
}
END_TEST

START_TEST(paths_are_relative_to_the_hub)
{
    url_matches("/books/:id", "/books/1");
    url_matches("/books/:id", "https://hub.example:8080/books/1");
    url_matches("/books/:id", "http://hub.example:8080/books/1");
    url_differs("/books/:id", "https://hub.example/books/1");
    url_differs("/books/:id", "ftp://hub.example:8080/books/1");
    url_matches("https://HUB.example:8080/books/:id", "/books/1");
    url_matches("*://*:*/books/:id", "/books/1");
    url_differs("https://example.com/books/:id", "/books/1");
    url_differs("/*", "//books/1");
    url_differs("/*", "books");
    ck_assert(matches_at(PATTERN_URL, "/books/:id", "/books/1", ""));
    ck_assert(!matches_at(PATTERN_URL, "/books/:id", "https://hub.example:8080/books/1", ""));
    ck_assert(!matches_at(PATTERN_URL, "/:id", "https://a/b/1", "a/b"));
    ck_assert(matches_at(PATTERN_URL, "/:id", "http://hub/1", "HUB"));
}
END_TEST

START_TEST(url_patterns_that_are_refused)
{
    refused(PATTERN_URL, "", "empty");
    refused(PATTERN_URL, "books/:id", "neither a URL nor a path");
    refused(PATTERN_URL, "//e.x/a", "neither a URL nor a path");
    refused(PATTERN_URL, "?x", "neither a URL nor a path");
    refused(PATTERN_URL, "/(\\d+)", "regular expressions are not supported (byte 2)");
    refused(PATTERN_URL, "/:id([0-9]+)", "regular expressions");
    refused(PATTERN_URL, "/a\\", "escapes nothing (byte 3)");
    refused(PATTERN_URL, "\\", "escapes nothing (byte 1)");
    refused(PATTERN_URL, "/{a", "braces have text");
    refused(PATTERN_URL, "/a}", "a } closes nothing (byte 3)");
    refused(PATTERN_URL, "/{a{b}}", "braces have text");
    refused(PATTERN_URL, "/{:a:b}", "braces have text");
    refused(PATTERN_URL, "/{}", "braces are empty");
    refused(PATTERN_URL, "/a+", "modifies nothing (byte 3)");
    refused(PATTERN_URL, "https://user@e.x/", "users are not supported");
    refused(PATTERN_URL, "https://e.x{/:id}?", "no host");
    refused(PATTERN_URL, "https:/e.x", "not followed by //");
    refused(PATTERN_URL, "/a:/b", "no scheme");
    refused(PATTERN_URL, "https://e.x/{?a}", "braces");
}
END_TEST

/* --- bounds --- */

static void refuse_long(enum pattern_kind kind, const char *unit, size_t count, const char *says)
{
    static char text[4096];
    text[0] = '/';
    text[1] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(text, unit);
    refused(kind, text, says);
}

START_TEST(what_is_too_long_is_refused)
{
    char longest[PATTERN_BYTES_MAX + 1];
    memset(longest, 'x', PATTERN_BYTES_MAX);
    longest[0] = '/';
    longest[PATTERN_BYTES_MAX] = '\0';
    ck_assert(!matches_at(PATTERN_TEMPLATE, longest, "/x", HUB)); /* no topic is as long */
    ck_assert(!matches_at(PATTERN_URL, longest, "/x", HUB));

    refuse_long(PATTERN_TEMPLATE, "xxxxxxxx", 64, "513 bytes");
    refuse_long(PATTERN_URL, "xxxxxxxx", 64, "513 bytes");
    refuse_long(PATTERN_TEMPLATE, "{a}b", 60, "too many parts");
    refuse_long(PATTERN_URL, ":a-", 128, "too many parts");
    refuse_long(PATTERN_URL, "{x}", 128, "too many parts");
}
END_TEST

/* The patterns that take an exponential time where every way is tried. */
START_TEST(matching_takes_linear_time)
{
    char topic[NAME_BYTES_MAX + 1], pattern[PATTERN_BYTES_MAX + 1] = "/";
    memset(topic, 'a', NAME_BYTES_MAX);
    topic[0] = '/';
    topic[NAME_BYTES_MAX] = '\0';
    for (int i = 0; i < 30; i++)
        strcat(pattern, "{x}a");
    template_matches(pattern, topic);
    strcat(pattern, "b");
    template_differs(pattern, topic);

    strcpy(pattern, "/");
    for (int i = 0; i < 20; i++)
        strcat(pattern, "{*a}+");
    url_matches(pattern, topic);
    strcat(pattern, "b");
    url_differs(pattern, topic);
}
END_TEST

static unsigned weight_of(enum pattern_kind kind, const char *part, int times)
{
    char text[PATTERN_BYTES_MAX] = "https://hub.example/";
    for (int i = 0; i < times; i++)
        strcat(text, part);
    struct pattern *p = pattern_new(kind, slice_of(text), S(HUB), why);
    ck_assert_msg(p, "%s", why);
    unsigned weight = pattern_weight(p);
    pattern_unref(&p);
    return weight;
}

START_TEST(what_costs_more_is_heavier)
{
    ck_assert_uint_eq(weight_of(PATTERN_URL, "users/:id/books/:book", 1), 1);
    ck_assert_uint_eq(weight_of(PATTERN_TEMPLATE, "{user}/{book}", 1), 1);
    ck_assert_uint_ge(weight_of(PATTERN_URL, "{a}?", 55), 5);
    ck_assert_uint_ge(weight_of(PATTERN_URL, "{/:a}*", 35), 5);
    ck_assert_uint_ge(weight_of(PATTERN_TEMPLATE, "{+a,b,c}", 16), 5);
    ck_assert_uint_ge(weight_of(PATTERN_URL, "{aaaaaaaaaaaaaaaaaaaaaaaaaaa}?", 16), 4);
}
END_TEST

START_TEST(a_topic_of_any_length_is_read)
{
    char topic[2049];
    struct topic t;
    struct pattern *p = pattern_new(PATTERN_TEMPLATE, S("{+any}"), (struct slice){0}, why);
    for (size_t len = 1; len <= 2048; len++) {
        memset(topic, 'a', len);
        topic_begin(&t, (struct slice){topic, len});
        ck_assert_int_eq(pattern_matches_topic(p, &t), len <= NAME_BYTES_MAX);
    }
    pattern_unref(&p);

    /* A path may be added to the longest. */
    p = pattern_new(PATTERN_URL, S("a://*"), (struct slice){0}, why);
    for (size_t len = 4; len <= NAME_BYTES_MAX; len++) {
        memset(topic, 'b', len);
        memcpy(topic, "a://", 4);
        topic_begin(&t, (struct slice){topic, len});
        ck_assert_int_eq(pattern_matches_topic(p, &t), len < NAME_BYTES_MAX);
    }
    pattern_unref(&p);
}
END_TEST

START_TEST(patterns_are_told_apart)
{
    struct pattern *a = pattern_new(PATTERN_URL, S("/:x"), S("one"), why);
    struct pattern *b = pattern_new(PATTERN_URL, S("/:x"), S("ONE"), why);
    struct pattern *c = pattern_new(PATTERN_URL, S("/:x"), S("two"), why);
    struct pattern *d = pattern_new(PATTERN_TEMPLATE, S("/:x"), S("one"), why);
    struct pattern *e = pattern_new(PATTERN_URL, S("https://e.x/:x"), S("one"), why);
    struct pattern *f = pattern_new(PATTERN_URL, S("https://e.x/:x"), S("two"), why);
    assert_slice(pattern_identity(a), pattern_identity(b));
    assert_slice(pattern_identity(e), pattern_identity(f)); /* the hub does not matter */
    ck_assert(!slice_equal(pattern_identity(a), pattern_identity(c)));
    ck_assert(!slice_equal(pattern_identity(a), pattern_identity(d)));
    assert_slice(pattern_text(c), S("/:x"));
    ck_assert(pattern_kind(a) == PATTERN_URL && pattern_kind(d) == PATTERN_TEMPLATE);

    struct pattern *more = pattern_ref(a);
    pattern_unref(&a);
    assert_slice(pattern_text(more), S("/:x"));
    pattern_unref(&more);
    pattern_unref(&more);
    pattern_unref(&b);
    pattern_unref(&c);
    pattern_unref(&d);
    pattern_unref(&e);
    pattern_unref(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pattern");
    TCase *tests = one_case(suite, "pattern");
    tcase_add_test(tests, a_variable_is_a_value);
    tcase_add_test(tests, an_escape_is_one_character);
    tcase_add_test(tests, operators_of_templates);
    tcase_add_test(tests, a_template_matches_its_own_text);
    tcase_add_test(tests, templates_that_are_refused);
    tcase_add_test(tests, names_and_stars_of_urls);
    tcase_add_test(tests, modifiers_and_braces_repeat_or_leave_out_a_part);
    tcase_add_test(tests, search_and_fragment);
    tcase_add_test(tests, urls_are_tidied_up);
    tcase_add_test(tests, paths_are_relative_to_the_hub);
    tcase_add_test(tests, url_patterns_that_are_refused);
    tcase_add_test(tests, what_is_too_long_is_refused);
    tcase_add_test(tests, matching_takes_linear_time);
    tcase_add_test(tests, what_costs_more_is_heavier);
    tcase_add_test(tests, a_topic_of_any_length_is_read);
    tcase_add_test(tests, patterns_are_told_apart);
    return run_suite(suite);
}
