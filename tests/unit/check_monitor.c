#include "service/monitor.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define TOKEN "0123456789abcdef-tok"

static char token_path[64];
static struct monitor *monitor;
static char *host_items[] = {(char *)"monitor.example.org"};
static const struct option_list hosts = {host_items, 1};

static void write_token(const char *text, mode_t mode)
{
    FILE *file = fopen(token_path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(token_path, mode), 0);
}

static void setup(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(token_path, sizeof token_path, "%s/check_monitor_XXXXXX", folder ? folder : "/tmp");
    close(mkstemp(token_path));
    write_token(TOKEN "\n", 0600);
}

static void teardown(void)
{
    monitor_free(&monitor);
    monitor_free(&monitor);
    unlink(token_path);
}

static struct monitor *make(const char *token_file, char **items, size_t count)
{
    monitor_free(&monitor);
    monitor = monitor_new(&(struct option_list){items, count}, &hosts, token_file);
    return monitor;
}

/* A monitor with this list of addresses. */
#define make_from(token_file, ...)                                                                 \
    make(token_file, (char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *))

static bool allows(char *const *list)
{
    struct params params = {0};
    ck_assert_int_eq(params_copy(&params, list), 0);
    enum monitor_verdict verdict = monitor_judge(monitor, &params, false);
    bool allowed = verdict == MONITOR_SHOWN ||
                   (verdict == MONITOR_TOKEN && monitor_token_good(monitor, &params));
    params_release(&params);
    return allowed;
}

static bool allows_address(const char *address)
{
    char text[300];
    snprintf(text, sizeof text, "REMOTE_ADDR=%s", address);
    return allows((char *[]){text, NULL});
}

static bool allows_header(const char *header)
{
    char text[2000];
    snprintf(text, sizeof text, "HTTP_AUTHORIZATION=%s", header);
    return allows((char *[]){"REMOTE_ADDR=192.0.2.1", text, NULL});
}

/* --- the items --- */

static const char *const good[] = {"127.0.0.1", "127.0.0.0/8", "0.0.0.0/0",     "10.1.2.3/32",
                                   "::1",       "::1/128",     "2001:db8::/32", "::ffff:10.0.0.1",
                                   "::/0",      "none"};

START_TEST(addresses_and_ranges_are_accepted)
{
    ck_assert_ptr_null(monitor_check_from(good[_i]));
}
END_TEST

static const char *const bad[] = {"",
                                  "localhost",
                                  "127.0.0",
                                  "127.0.0.1/33",
                                  "127.0.0.1/",
                                  "127.0.0.1/-1",
                                  "1.2.3.4/ 8",
                                  "1.2.3.4/8 ",
                                  "256.0.0.1",
                                  "::1/129",
                                  ":::1",
                                  "*",
                                  "all",
                                  "None",
                                  "fe80::1%lo",
                                  "1.2.3.4/0008",
                                  "1.2.3.4/+8",
                                  "1.2.3.4:80",
                                  "[::1]",
                                  "1.2.3.4/8/8",
                                  "0x7f.0.0.1",
                                  "/8",
                                  "127.0.0.1\t",
                                  "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};

START_TEST(other_values_of_monitor_from_are_refused)
{
    ck_assert_msg(monitor_check_from(bad[_i]) != NULL, "'%s'", bad[_i]);
}
END_TEST

/* --- addresses --- */

START_TEST(a_range_holds_what_begins_alike)
{
    make_from(NULL, "127.0.0.0/8", "10.32.0.0/11", "192.0.2.7", "2001:db8:8000::/33", "::1");
    ck_assert(allows_address("127.0.0.1") && allows_address("127.255.255.255"));
    ck_assert(!allows_address("126.255.255.255") && !allows_address("128.0.0.0"));
    ck_assert(allows_address("10.32.0.0") && allows_address("10.63.255.255"));
    ck_assert(!allows_address("10.31.255.255") && !allows_address("10.64.0.0"));
    ck_assert(allows_address("192.0.2.7"));
    ck_assert(!allows_address("192.0.2.6") && !allows_address("192.0.2.8"));
    ck_assert(allows_address("2001:db8:8000::") && allows_address("2001:db8:ffff::1"));
    ck_assert(!allows_address("2001:db8:7fff::1") && !allows_address("2001:db9:8000::"));
    ck_assert(allows_address("::1"));
    ck_assert(!allows_address("::2") && !allows_address("::"));
}
END_TEST

START_TEST(an_ipv4_address_may_be_written_as_ipv6)
{
    make_from(NULL, "192.0.2.0/24");
    ck_assert(allows_address("::ffff:192.0.2.9") && allows_address("::FFFF:c000:0209"));
    ck_assert(!allows_address("::ffff:192.0.3.9") && !allows_address("::192.0.2.9"));
    make_from(NULL, "::ffff:192.0.2.9");
    ck_assert(allows_address("192.0.2.9") && !allows_address("192.0.2.8"));
}
END_TEST

START_TEST(everybody_of_one_family_is_not_the_other)
{
    make_from(NULL, "::/0");
    ck_assert(allows_address("2001:db8::1") && allows_address("fe80::1%eth0"));
    ck_assert(!allows_address("192.0.2.1") && !allows_address("::ffff:192.0.2.1"));
    make_from(NULL, "0.0.0.0/0");
    ck_assert(allows_address("192.0.2.1") && allows_address("::ffff:192.0.2.1"));
    ck_assert(!allows_address("2001:db8::1"));
}
END_TEST

START_TEST(none_admits_no_address)
{
    make_from(NULL, "none");
    ck_assert(!allows_address("127.0.0.1") && !allows_address("::1"));
    make(NULL, NULL, 0);
    ck_assert(!allows_address("127.0.0.1"));
    monitor_free(&monitor);
    ck_assert(!allows_address("127.0.0.1"));
}
END_TEST

START_TEST(what_is_no_address_is_nobody)
{
    make_from(NULL, "0.0.0.0/0", "::/0");
    ck_assert(!allows_address("") && !allows_address("unix") && !allows_address("/run/web.sock"));
    ck_assert(!allows_address("127.0.0.1, 10.0.0.1") && !allows_address(" 127.0.0.1") &&
              !allows_address("1.2.3.4:80"));
    ck_assert(!allows((char *[]){"OTHER=127.0.0.1", NULL}));
    ck_assert(!allows((char *[]){"HTTP_X_FORWARDED_FOR=127.0.0.1", "REMOTE_ADDR=", NULL}));
}
END_TEST

/* --- the host name --- */

static enum monitor_verdict judge_host(const char *host, bool guarded)
{
    struct params params = {0};
    char text[400];
    snprintf(text, sizeof text, "HTTP_HOST=%s", host ? host : "");
    ck_assert_int_eq(
        params_copy(&params, (char *[]){"REMOTE_ADDR=127.0.0.1", host ? text : "A=b", NULL}), 0);
    enum monitor_verdict verdict = monitor_judge(monitor, &params, guarded);
    params_release(&params);
    return verdict;
}

static const char *const known_hosts[] = {"127.0.0.1",
                                          "127.0.0.1:8080",
                                          "192.0.2.7",
                                          "[::1]",
                                          "[::1]:80",
                                          "[2001:db8::1]:443",
                                          "localhost",
                                          "LocalHost:8080",
                                          "monitor.example.org",
                                          "Monitor.Example.ORG:443",
                                          "",
                                          NULL};
static const char *const made_up[] = {"evil.example",
                                      "127.0.0.1.evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1@evil.example",
                                      "evil.example:80",
                                      "monitor.example.org.",
                                      "xmonitor.example.org",
                                      "[::1].evil.example",
                                      "[::1",
                                      "local host",
                                      "1.2.3",
                                      "2130706433",
                                      ":80",
                                      "[evil.example]"};

START_TEST(a_name_that_a_page_made_up_shows_nothing)
{
    make_from(NULL, "127.0.0.0/8");
    for (size_t i = 0; i < sizeof known_hosts / sizeof *known_hosts; i++)
        ck_assert_msg(judge_host(known_hosts[i], true) == MONITOR_SHOWN, "%s", known_hosts[i]);
    for (size_t i = 0; i < sizeof made_up / sizeof *made_up; i++) {
        ck_assert_msg(judge_host(made_up[i], true) == MONITOR_HOST, "%s", made_up[i]);
        ck_assert_int_eq(judge_host(made_up[i], false), MONITOR_SHOWN);
    }
    make_from(NULL, "none");
    ck_assert_int_eq(judge_host("localhost", true), MONITOR_HIDDEN);
}
END_TEST

START_TEST(the_token_needs_no_host_name)
{
    struct params params = {0};
    ck_assert_ptr_nonnull(make_from(token_path, "127.0.0.1"));
    char *list[] = {"REMOTE_ADDR=127.0.0.1", "HTTP_HOST=evil.example",
                    "HTTP_AUTHORIZATION=Bearer " TOKEN, NULL};
    ck_assert_int_eq(params_copy(&params, list), 0);
    ck_assert_int_eq(monitor_judge(monitor, &params, true), MONITOR_TOKEN);
    ck_assert(monitor_token_good(monitor, &params));
    params_release(&params);
}
END_TEST

START_TEST(host_names_are_checked)
{
    static const char *const no_names[] = {"", "a:80", "a b", "a/b", "http://a", "*"};
    ck_assert_ptr_null(monitor_check_host("a-1.example.org"));
    for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++)
        ck_assert_msg(monitor_check_host(no_names[i]) != NULL, "%s", no_names[i]);
}
END_TEST

/* --- the token --- */

START_TEST(the_token_opens_from_anywhere)
{
    ck_assert_ptr_nonnull(make_from(token_path, "127.0.0.1"));
    ck_assert(allows_header("Bearer " TOKEN) && allows_header("bearer  " TOKEN));
    ck_assert(allows_address("127.0.0.1") && !allows_address("192.0.2.1"));
}
END_TEST

static const char *const wrong[] = {"",
                                    "Bearer",
                                    "Bearer ",
                                    "Bearer x" TOKEN,
                                    "Bearer " TOKEN "x",
                                    "Bearer " TOKEN " ",
                                    "Basic " TOKEN,
                                    TOKEN,
                                    "Bearer" TOKEN,
                                    "Bearer 0123456789abcdef-toK",
                                    "Bearer 0123456789abcdef-to",
                                    "Bearer 1123456789abcdef-tok",
                                    "Bearer " TOKEN TOKEN};

START_TEST(nothing_but_the_token_does)
{
    ck_assert_ptr_nonnull(make_from(token_path, "none"));
    ck_assert_msg(!allows_header(wrong[_i]), "'%s'", wrong[_i]);
}
END_TEST

START_TEST(without_a_token_none_is_right)
{
    make_from(NULL, "none");
    ck_assert(!allows_header("Bearer ") && !allows_header("Bearer x") &&
              !allows_header("Bearer " TOKEN));
}
END_TEST

static const struct {
    const char *text;
    mode_t mode;
} unusable[] = {
    {TOKEN "\n", 0644},
    {TOKEN, 0602},
    {"", 0600},
    {"short\n", 0600},
    {"\n\n", 0600},
    {TOKEN "\n" TOKEN, 0600},
    {"two words in it here", 0600},
    {"\n" TOKEN, 0600},
    {"0123456789abcdef\xc3\xa4", 0600},
};

START_TEST(a_file_that_cannot_be_used_is_an_error)
{
    write_token(unusable[_i].text, unusable[_i].mode);
    ck_assert_msg(!make_from(token_path, "none"), "mode %o: %s", unusable[_i].mode,
                  unusable[_i].text);
}
END_TEST

START_TEST(tokens_have_limits)
{
    char text[600];
    memset(text, 'x', sizeof text);
    text[512] = '\0';
    write_token(text, 0640);
    ck_assert_ptr_nonnull(make_from(token_path, "none"));
    text[512] = 'x';
    text[513] = '\0';
    write_token(text, 0640);
    ck_assert_ptr_null(make_from(token_path, "none"));
}
END_TEST

START_TEST(the_token_may_change)
{
    ck_assert_ptr_nonnull(make_from(token_path, "none"));
    write_token("another-secret-of-ours", 0600);
    ck_assert(allows_header("Bearer " TOKEN));
    monitor_reload(monitor);
    ck_assert(!allows_header("Bearer " TOKEN) && allows_header("Bearer another-secret-of-ours"));
    write_token("short", 0600); /* cannot be used: it stays as it was */
    monitor_reload(monitor);
    ck_assert(allows_header("Bearer another-secret-of-ours"));
    unlink(token_path);
    monitor_reload(monitor);
    ck_assert(allows_header("Bearer another-secret-of-ours"));
    make_from(NULL, "none");
    monitor_reload(monitor);
}
END_TEST

START_TEST(what_is_no_file_is_an_error)
{
    ck_assert_ptr_null(make_from("/no/such/file", "none"));
    ck_assert_ptr_null(make_from("/", "none"));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("monitor");
    TCase *tests = one_case(suite, "monitor");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, addresses_and_ranges_are_accepted, 0, COUNT(good));
    tcase_add_loop_test(tests, other_values_of_monitor_from_are_refused, 0, COUNT(bad));
    tcase_add_test(tests, a_range_holds_what_begins_alike);
    tcase_add_test(tests, an_ipv4_address_may_be_written_as_ipv6);
    tcase_add_test(tests, everybody_of_one_family_is_not_the_other);
    tcase_add_test(tests, none_admits_no_address);
    tcase_add_test(tests, what_is_no_address_is_nobody);
    tcase_add_test(tests, the_token_opens_from_anywhere);
    tcase_add_loop_test(tests, nothing_but_the_token_does, 0, COUNT(wrong));
    tcase_add_test(tests, without_a_token_none_is_right);
    tcase_add_loop_test(tests, a_file_that_cannot_be_used_is_an_error, 0, COUNT(unusable));
    tcase_add_test(tests, tokens_have_limits);
    tcase_add_test(tests, the_token_may_change);
    tcase_add_test(tests, what_is_no_file_is_an_error);
    tcase_add_test(tests, a_name_that_a_page_made_up_shows_nothing);
    tcase_add_test(tests, the_token_needs_no_host_name);
    tcase_add_test(tests, host_names_are_checked);
    return run_suite(suite);
}
