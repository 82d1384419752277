#include "http/route.h"

#include "support.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct params params;

static void teardown(void)
{
    params_release(&params);
}

/* What the path names, as text: "-" nothing, "streams", the name of a service,
 * or that with a ? behind it. */
static const char *route(const struct route_rules *rules, const char *uri, const char *script,
                         const char *software)
{
    static char out[300];
    char texts[3][300];
    char *list[4] = {NULL};
    size_t count = 0;
    const char *const names[] = {"REQUEST_URI", "SCRIPT_NAME", "SERVER_SOFTWARE"},
                      *const values[] = {uri, script, software};
    for (size_t i = 0; i < 3; i++)
        if (values[i]) {
            snprintf(texts[count], sizeof texts[count], "%s=%s", names[i], values[i]);
            list[count] = texts[count];
            count++;
        }
    params_release(&params);
    ck_assert_int_eq(params_copy(&params, list), 0);
    struct route r = route_find(rules, &params);
    switch (r.kind) {
    case ROUTE_NOTHING:
        return "-";
    case ROUTE_STREAMS:
        return "streams";
    default:
        snprintf(out, sizeof out, "%.*s%s", (int)r.name.len, r.name.data,
                 r.kind == ROUTE_EITHER ? "?" : "");
        return out;
    }
}

static const struct {
    const char *uri, *named;
} usual[] = {
    {"/", "streams"},
    {"/?x=/sse/publish", "streams"},
    {"/sse", "sse?"},
    {"/sse?session=a", "sse?"},
    {"/publish", "publish?"},
    {"/sse/", "streams"},
    {"/sse/publish", "publish"},
    {"/sse/publish?a=/b", "publish"},
    {"/sse/publish#x", "publish"},
    {"/sse/other", "other"},
    {"/sse/publish/", "-"},
    {"/sse/x/publish", "-"},
    {"/sse//publish", "-"},
    {"//sse/publish", "-"},
    {"//publish", "-"},
    {"/sse/./publish", "-"},
    {"/sse/../publish", "-"},
    {"/./publish", "-"},
    {"/../publish", "-"},
    {"/sse/x/../publish", "-"},
    {"/sse/..", "-"},
    {"/sse/.", "-"},
    {"/sse%2fx/publish", "-"},
    {"/sse/%70ublish", "-"},
    {"/sse//", "-"},
    {"//", "-"},
    {"", "-"},
    {"publish", "-"},
    {"sse/publish", "-"},
    {"http://host/sse/publish", "publish"},
    {"http://host/sse?session=a", "sse?"},
    {"HTTPS://host:8443/sse/publish?a=/b", "publish"},
    {"http://host/sse//publish", "-"},
    {"http://host", "-"},
    {"http://host?/sse", "-"},
    {"ftp://host/sse", "-"},
    {"*", "-"},
};

START_TEST(without_an_option_the_mount_point_is_one_segment)
{
    static const struct route_rules rules;
    ck_assert_str_eq(route(&rules, usual[_i].uri, NULL, NULL), usual[_i].named);
    /* It is not asked. */
    ck_assert_str_eq(route(&rules, usual[_i].uri, "/a/b", "nginx/1.26"), usual[_i].named);
}
END_TEST

static const struct {
    const char *uri, *script, *named;
} said[] = {
    {"/sse", "/sse", "streams"},
    {"/sse/", "/sse", "streams"},
    {"/sse/publish", "/sse", "publish"},
    {"/a/b/sse", "/a/b/sse", "streams"},
    {"/a/b/sse/publish?x", "/a/b/sse", "publish"},
    {"/cgi-bin/ssecast.cgi", "/cgi-bin/ssecast.cgi", "streams"},
    {"/publish", "/publish", "streams"}, /* a mount point is called so */
    {"/sse/x/publish", "/sse", "-"},
    {"/sse//publish", "/sse", "-"},
    {"/sse/./publish", "/sse", "-"},
    {"/sse%2fx/publish", "/sse", "-"},
    {"/sse-x/publish", "/sse", "-"},
    {"/other/publish", "/sse", "publish"}, /* it was rewritten: as if nothing were said */
    {"/", "/", "streams"},
};

START_TEST(lighttpd_and_cgi_say_the_mount_point)
{
    static const struct route_rules none, cgi = {.cgi = true};
    ck_assert_str_eq(route(&none, said[_i].uri, said[_i].script, "lighttpd/1.4.79"),
                     said[_i].named);
    ck_assert_str_eq(route(&cgi, said[_i].uri, said[_i].script, "Apache"), said[_i].named);
}
END_TEST

static const struct {
    const char *uri, *named;
} configured[] = {
    {"/sse", "streams"},
    {"/sse/", "streams"},
    {"/sse?x", "streams"},
    {"/sse/publish", "publish"},
    {"/api/v1/events", "streams"},
    {"/api/v1/events/status", "status"},
    {"/api/v1", "-"},
    {"/api", "-"},
    {"/ssex", "-"},
    {"/sse-x/publish", "-"},
    {"/publish", "-"},
    {"/", "-"},
    {"/sse/x/publish", "-"},
    {"/x/publish", "-"},
    {"/sse/.", "-"},
    {"/sse//publish", "-"},
};

START_TEST(the_option_says_it_exactly)
{
    static char *items[] = {(char *)"/sse", (char *)"/api/v1/events"};
    static const struct option_list mounts = {items, 2};
    const struct route_rules rules = {.mounts = &mounts};
    ck_assert_str_eq(route(&rules, configured[_i].uri, NULL, NULL), configured[_i].named);
    ck_assert_str_eq(route(&rules, configured[_i].uri, "/x", "lighttpd/1.4.79"),
                     configured[_i].named);
}
END_TEST

START_TEST(the_root_may_be_the_mount_point)
{
    static char *items[] = {(char *)"/"};
    static const struct option_list mounts = {items, 1};
    const struct route_rules rules = {.mounts = &mounts};
    ck_assert_str_eq(route(&rules, "/", NULL, NULL), "streams");
    ck_assert_str_eq(route(&rules, "/publish", NULL, NULL), "publish");
    ck_assert_str_eq(route(&rules, "/sse/publish", NULL, NULL), "-");
}
END_TEST

START_TEST(without_a_path_it_is_the_streams)
{
    static const struct route_rules rules;
    ck_assert_str_eq(route(&rules, NULL, NULL, NULL), "streams");
    ck_assert_str_eq(route(&rules, NULL, "/sse/publish", NULL), "publish");
}
END_TEST

static enum route_kind hub_route(bool on, const char *uri, const char *info)
{
    char texts[2][300];
    snprintf(texts[0], sizeof texts[0], "REQUEST_URI=%s", uri);
    snprintf(texts[1], sizeof texts[1], "PATH_INFO=%s", info);
    params_release(&params);
    ck_assert_int_eq(params_copy(&params, (char *[]){texts[0], texts[1], NULL}), 0);
    return route_find(&(struct route_rules){.mercure = on}, &params).kind;
}

START_TEST(the_hub_has_any_prefix)
{
    ck_assert_int_eq(hub_route(true, "/.well-known/mercure", ""), ROUTE_MERCURE);
    ck_assert_int_eq(hub_route(true, "/a/b/.well-known/mercure?topic=x", ""), ROUTE_MERCURE);
    ck_assert_int_eq(hub_route(true, "/hub", "/.well-known/mercure"), ROUTE_MERCURE);
    ck_assert_int_ne(hub_route(true, "/sse?/.well-known/mercure", ""), ROUTE_MERCURE);
    ck_assert_int_eq(hub_route(true, "/sse/.well-known/mercure/subscriptions", ""),
                     ROUTE_SUBSCRIPTIONS);
    ck_assert_int_eq(hub_route(true, "/.well-known/mercure/subscriptions/a%2Fb/c?x", ""),
                     ROUTE_SUBSCRIPTIONS);
    ck_assert_int_eq(hub_route(false, "/.well-known/mercure/subscriptions", ""), ROUTE_NOTHING);
    ck_assert_int_eq(hub_route(true, "/.well-known/mercure/subscriptionss", ""), ROUTE_NOTHING);
    ck_assert_int_ne(hub_route(true, "/sse/.well-known/mercure/", ""), ROUTE_MERCURE);
    ck_assert_int_eq(hub_route(true, "/a/../.well-known/mercure", ""), ROUTE_NOTHING);
    ck_assert_int_eq(hub_route(false, "/sse/.well-known/mercure", ""), ROUTE_NOTHING);
}
END_TEST

START_TEST(mount_points_are_checked)
{
    static const char *const good[] = {"/", "/sse", "/api/v1/sse", "/%C3%A4", "/a.b"};
    static const char *const bad[] = {"",     "sse", "/sse/", "//",   "/a//b", "/a/../b",
                                      "/a/.", "/..", "/a?b",  "/a b", "/a#",   "/a\\b"};
    for (int i = 0; i < COUNT(good); i++)
        ck_assert_msg(!route_check_mount(good[i]), "%s", good[i]);
    for (int i = 0; i < COUNT(bad); i++)
        ck_assert_msg(route_check_mount(bad[i]) != NULL, "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("route");
    TCase *tests = one_case(suite, "route");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_loop_test(tests, without_an_option_the_mount_point_is_one_segment, 0, COUNT(usual));
    tcase_add_loop_test(tests, lighttpd_and_cgi_say_the_mount_point, 0, COUNT(said));
    tcase_add_loop_test(tests, the_option_says_it_exactly, 0, COUNT(configured));
    tcase_add_test(tests, the_root_may_be_the_mount_point);
    tcase_add_test(tests, without_a_path_it_is_the_streams);
    tcase_add_test(tests, the_hub_has_any_prefix);
    tcase_add_test(tests, mount_points_are_checked);
    return run_suite(suite);
}
