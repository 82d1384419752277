#include "auth/origin.h"

#include <string.h>

#include "support.h"

static const char *const good[] = {
    "*",
    "https://example.org",
    "http://example.org",
    "https://example.org:8443",
    "http://example.org:443",
    "https://example.org:80",
    "http://localhost:65535",
    "https://a-b.c_d.example.org",
    "https://xn--mnchen-3ya.example",
    "http://127.0.0.1:8080",
    "http://[::1]:8080",
    "http://[2001:db8::1]",
    "chrome-extension://abcdefghijklmnop",
    "capacitor://localhost",
    "https://*.example.org",
    "https://*.example.org:8443",
    "http://*.localhost:3000",
};

START_TEST(what_a_browser_can_send_is_accepted)
{
    ck_assert_ptr_null(origin_check(good[_i]));
}
END_TEST

/* With what the error says, beside what is accepted. */
static const struct {
    const char *pattern, *says;
} bad[] = {
    {"", "scheme"},
    {"null", "sandbox"},
    {"example.org", "scheme"},
    {"//example.org", "scheme"},
    {"://example.org", ""},
    {"https:/example.org", "scheme"},
    {"https://", ""},
    {"https://example.org/", "without a path"},
    {"https://example.org/path", "without a path"},
    {"https://example.org?x", "without a path"},
    {"https://example.org#x", "without a path"},
    {"https://user@example.org", "user"},
    {"https://Example.org", "lower case"},
    {"HTTPS://example.org", ""},
    {"https://m\xc3\xbcnchen.example", "xn--"},
    {"https://example.org:443", "own port"},
    {"http://example.org:80", "own port"},
    {"https://*.example.org:443", "own port"},
    {"https://example.org:", ""},
    {"https://example.org:0", ""},
    {"https://example.org:08443", ""},
    {"https://example.org:65536", ""},
    {"https://example.org:99999999999999999999", ""},
    {"https://example.org:84a", ""},
    {"https://example.org:8443:1", ""},
    {"https://exa mple.org", ""},
    {"https://example.org\n", ""},
    {"https://example..org", ""},
    {"https://.example.org", ""},
    {"https://example.org.", ""},
    {"https://*", ""},
    {"https://*.", ""},
    {"*.example.org", "scheme"},
    {"*://example.org", ""},
    {"https://*example.org", ""},
    {"https://a.*.example.org", ""},
    {"https://*.*.example.org", ""},
    {"https://*.127.0.0.1", "address"},
    {"https://*.[::1]", "address"},
    {"http://127.1", ""},
    {"http://127.0.0.01", ""},
    {"http://0x7f.0x1", ""},
    {"http://256.0.0.1", ""},
    {"http://[0:0:0:0:0:0:0:1]", ""},
    {"http://[::ffff:1.2.3.4]", ""},
    {"http://[::1", ""},
    {"http://[]", ""},
    {"http://::1", ""},
};

START_TEST(what_no_browser_sends_is_refused)
{
    const char *accepted = origin_check(bad[_i].pattern);
    ck_assert_msg(accepted != NULL, "'%s' is accepted", bad[_i].pattern);
    ck_assert_msg(strstr(accepted, bad[_i].says) != NULL, "'%s': %s", bad[_i].pattern, accepted);
    ck_assert_ptr_nonnull(strstr(accepted, "https://*.example.org"));
}
END_TEST

START_TEST(a_long_pattern_is_refused)
{
    char pattern[300] = "https://";
    memset(pattern + 8, 'a', sizeof pattern - 9);
    ck_assert_ptr_nonnull(origin_check(pattern));
    pattern[255] = '\0';
    ck_assert_ptr_null(origin_check(pattern));
}
END_TEST

static const struct {
    const char *pattern, *origin;
    bool matches;
} pairs[] = {
    {"https://example.org", "https://example.org", true},
    {"https://example.org", "https://EXAMPLE.org", true},
    {"https://example.org", "http://example.org", false},
    {"https://example.org", "https://example.org:8443", false},
    {"https://example.org", "https://a.example.org", false},
    {"https://example.org", "null", false},
    {"https://*.example.org", "https://a.example.org", true},
    {"https://*.example.org", "https://a.b.c.example.org", true},
    {"https://*.example.org", "https://A.Example.org", true},
    {"https://*.example.org", "https://xn--mnchen-3ya.example.org", true},
    {"https://*.example.org", "https://example.org", false},
    {"https://*.example.org", "https://.example.org", false},
    {"https://*.example.org", "https://a..example.org", false},
    {"https://*.example.org", "https://evil-example.org", false},
    {"https://*.example.org", "https://example.org.evil", false},
    {"https://*.example.org", "https://a.example.org.evil", false},
    {"https://*.example.org", "https://a.example.org:8443", false},
    {"https://*.example.org", "http://a.example.org", false},
    {"https://*.example.org", "https://evil/.example.org", false},
    {"https://*.example.org", "https://evil?.example.org", false},
    {"https://*.example.org", "https://evil#.example.org", false},
    {"https://*.example.org", "https://evil:1.example.org", false},
    {"https://*.example.org", "https://evil@a.example.org", false},
    {"https://*.example.org", "https://a b.example.org", false},
    {"https://*.example.org", "https://evil\r\nX: .example.org", false},
    {"https://*.example.org", "https://\xc3\xbc.example.org", false},
    {"https://*.example.org", "https://*.example.org", false},
    {"https://*.example.org", "null", false},
    {"https://*.example.org", "", false},
    {"https://*.example.org", "https://", false},
    {"https://*.example.org:8443", "https://a.example.org:8443", true},
    {"https://*.example.org:8443", "https://a.example.org", false},
    {"https://*.example.org:8443", "https://a.example.org:443", false},
};

START_TEST(a_pattern_names)
{
    ck_assert_ptr_null(origin_check(pairs[_i].pattern));
    ck_assert_msg(origin_matches(pairs[_i].pattern, pairs[_i].origin) == pairs[_i].matches,
                  "%s, %s", pairs[_i].pattern, pairs[_i].origin);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("origin");
    TCase *tests = one_case(suite, "origin");
    tcase_add_loop_test(tests, what_a_browser_can_send_is_accepted, 0, COUNT(good));
    tcase_add_loop_test(tests, what_no_browser_sends_is_refused, 0, COUNT(bad));
    tcase_add_test(tests, a_long_pattern_is_refused);
    tcase_add_loop_test(tests, a_pattern_names, 0, COUNT(pairs));
    return run_suite(suite);
}
