#include "stream/mercure.h"

#include "support.h"

static char *origins[4];
static struct option_list cors_origins = {origins, 0};
static struct mercure_rules rules;
static struct token token;
static struct request request;
static struct selector granted;

static void setup(void)
{
    rules = (struct mercure_rules){
        .max_topics = 3, .max_topic_bytes = 20, .max_patterns = 10, .cors_origins = &cors_origins};
    granted = selector_of_match(S("mine"));
    token = (struct token){
        .verdict = TOKEN_GOOD, .expires_ms = 1234, .mercure.subscribe = {&granted, 1}};
    cors_origins.count = 0;
}

static void teardown(void)
{
    request_release(&request);
}

static void read_list(char *const *list)
{
    struct params params = {0};
    request_release(&request);
    ck_assert_int_eq(params_copy(&params, list), 0);
    ck_assert_int_eq(mercure_read(&params, &rules, &token, &request), 0);
    params_release(&params); /* the request holds nothing of it */
}

#define get(...) read_list((char *[]){"REQUEST_METHOD=GET", __VA_ARGS__, NULL})

static void assert_refused(int status, const char *error)
{
    ck_assert_int_eq(request.kind, REQUEST_REFUSED);
    ck_assert_int_eq(request.status, status);
    ck_assert_str_eq(request.error, error);
    ck_assert_uint_gt(strlen(request.message), 10);
}

START_TEST(the_parameters_say_the_dialect)
{
    get("QUERY_STRING=topic=a%2fb&topic=c&topic=c");
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    ck_assert(request.hub == HUB_0_X && request.channel_count == 2 && !request.every_channel &&
              !request.session);
    assert_slice(request.channels[0], S("a/b"));
    assert_slice(request.channels[1], S("c"));

    get("QUERY_STRING=match=a&match_exact=b&unknown=c");
    ck_assert(request.kind == REQUEST_STREAM && request.hub == HUB_1_0 &&
              request.channel_count == 2);
}
END_TEST

START_TEST(the_star_is_every_topic)
{
    get("QUERY_STRING=topic=*");
    ck_assert(request.every_channel && !request.channel_count);
    get("QUERY_STRING=match_urlpattern=*");
    ck_assert(request.kind == REQUEST_STREAM && request.every_channel);
}
END_TEST

START_TEST(selectors_that_are_refused)
{
    get("QUERY_STRING=");
    assert_refused(400, "missing_topic");
    read_list((char *[]){"REQUEST_METHOD=GET", NULL});
    assert_refused(400, "missing_topic");
    get("QUERY_STRING=topic=a&match=b");
    assert_refused(400, "invalid_request");
    get("QUERY_STRING=match=a&matching=b");
    assert_refused(400, "invalid_request");
    get("QUERY_STRING=match=a&%6datching=b");
    assert_refused(400, "invalid_request");
    get("QUERY_STRING=match=a&matching");
    assert_refused(400, "invalid_request");
    get("QUERY_STRING=match=a&MATCH_EXACT=b");
    assert_refused(400, "invalid_request");
    get("QUERY_STRING=topic=a&topic=/%7Bid");
    assert_refused(400, "bad_pattern");
    ck_assert_ptr_nonnull(
        strstr(request.message, "topic 2: a { is not closed (byte 2); accepted: text, {name}"));
    get("QUERY_STRING=match_urlpattern=/(x)");
    assert_refused(400, "bad_pattern");
    ck_assert_ptr_nonnull(strstr(
        request.message,
        "match_urlpattern 1: regular expressions are not supported (byte 2); accepted: SCHEME"));
    get("QUERY_STRING=match_urlpattern=/a&"
        "match=*&match=a&match_urlpattern=/a&match_urlpattern=/(x)");
    assert_refused(400, "bad_pattern");
    ck_assert_ptr_nonnull(strstr(request.message, "match_urlpattern 3: regular expressions"));
    get("QUERY_STRING=matchExact=a&match=b&match=b&match=%C2%AD");
    assert_refused(400, "bad_topic");
    ck_assert_ptr_nonnull(
        strstr(request.message, "match 3 is not valid; accepted: text without control"));
    get("QUERY_STRING=topic=");
    assert_refused(400, "bad_topic");
    get("QUERY_STRING=topic=a&topic");
    assert_refused(400, "bad_topic");
    get("QUERY_STRING=topic=%00");
    assert_refused(400, "bad_topic");
    get("QUERY_STRING=topic=123456789012345678901");
    assert_refused(400, "bad_topic");
    get("QUERY_STRING=topic=1&topic=2&topic=3&topic=4");
    assert_refused(400, "too_many_topics");
    get("QUERY_STRING=topic=1&topic=%7Ba%7D&topic=3&topic=%7Bb%7D");
    assert_refused(400, "too_many_topics");
    get("QUERY_STRING=match_urlpattern=/:a&"
        "match_urlpattern=/:b&match_urlpattern=/:c&match_urlpattern=/:d");
    assert_refused(400, "too_many_topics");
}
END_TEST

START_TEST(patterns_are_selectors_of_both_dialects)
{
    get("QUERY_STRING=topic=/%7Bid%7D&topic=/%7Bid%7D&topic=b&topic=a%7B?q%7D");
    ck_assert(request.kind == REQUEST_STREAM && request.hub == HUB_0_X &&
              request.channel_count == 1);
    ck_assert(request.patterns && request.patterns->count == 2);
    assert_slice(request.patterns->items[0].text, S("/{id}"));
    ck_assert(selectors_match(request.patterns, S("/1")) &&
              !selectors_match(request.patterns, S("b")));

    get("QUERY_STRING=match_urlpattern=/:id&matchURLPattern=/:id&matchExact=/%7Bid%7D",
        "HTTP_HOST=hub");
    ck_assert(request.kind == REQUEST_STREAM && request.hub == HUB_1_0 &&
              request.channel_count == 1);
    ck_assert(request.patterns && request.patterns->count == 1);
    ck_assert(selectors_match(request.patterns, S("https://hub/1")));
    ck_assert(!selectors_match(request.patterns, S("https://other/1")));

    get("QUERY_STRING=topic=a");
    ck_assert_ptr_null(request.patterns);
}
END_TEST

START_TEST(topics_of_the_second_dialect_are_visible)
{
    static const char *const hidden[] = {"match=a%C2%85b", "match_exact=%E2%80%8E",
                                         "match_urlpattern=/%C2%9F/:a",
                                         "match=good&match=%F0%93%90%B0"};
    char query[64];
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        snprintf(query, sizeof query, "QUERY_STRING=%s", hidden[i]);
        get(query);
        assert_refused(400, "bad_topic");
    }

    get("QUERY_STRING=topic=a%E2%80%8Db"); /* 0.x has no such rule */
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    get("QUERY_STRING=match=a%C2%A0b");
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
}
END_TEST

START_TEST(cursors_of_the_dialects)
{
    get("QUERY_STRING=topic=a&lastEventID=x");
    ck_assert(request.asks_cursor);
    ck_assert_str_eq(request.last_id, "x");
    get("QUERY_STRING=topic=a&Last-Event-ID=y");
    ck_assert_str_eq(request.last_id, "y");
    get("QUERY_STRING=match=a&last_event_id=z");
    ck_assert_str_eq(request.last_id, "z");
    get("QUERY_STRING=match=a&last_event_id=z&lastEventID=y");
    ck_assert_str_eq(request.last_id, "z");
    get("QUERY_STRING=matchExact=a&lastEventID=z"); /* spelling of another draft */
    ck_assert_str_eq(request.last_id, "z");
    get("QUERY_STRING=match=a&Last-Event-ID=z");
    ck_assert(!request.last_id && !request.asks_cursor);
    get("QUERY_STRING=topic=a&lastEventID=x", "HTTP_LAST_EVENT_ID=header");
    ck_assert_str_eq(request.last_id, "header");
}
END_TEST

START_TEST(the_newer_of_two_cursors_counts)
{
    get("QUERY_STRING=topic=a&lastEventID=%237", "HTTP_LAST_EVENT_ID=#5");
    ck_assert_str_eq(request.last_id, "5");
    ck_assert_str_eq(request.other_id, "7"); /* the newer one is found when the stream opens */
    get("QUERY_STRING=topic=a", "HTTP_LAST_EVENT_ID=#9, #10");
    ck_assert_str_eq(request.last_id, "10");
    get("QUERY_STRING=topic=a&lastEventID=%237&lastEventID=%239&lastEventID=");
    ck_assert_str_eq(request.last_id, "9");
    get("QUERY_STRING=topic=a&lastEventId=%237"); /* what a polyfill appends */
    ck_assert_str_eq(request.last_id, "7");
    get("QUERY_STRING=topic=a&lastEventID=%237", "HTTP_LAST_EVENT_ID=earliest");
    ck_assert(request.start.kind == START_AFTER && !request.other_id);
    ck_assert_str_eq(request.last_id, "7");
    get("QUERY_STRING=topic=a&lastEventID=earliest", "HTTP_LAST_EVENT_ID=x");
    ck_assert_str_eq(request.last_id, "x");
    ck_assert(request.start.kind == START_AFTER && !request.other_id);
}
END_TEST

START_TEST(the_hub_s_own_ids_are_seqs)
{
    get("QUERY_STRING=topic=a&lastEventID=%2312");
    ck_assert_str_eq(request.last_id, "12");
    get("QUERY_STRING=topic=a&lastEventID=%23");
    ck_assert_str_eq(request.last_id, "#");
    get("QUERY_STRING=topic=a&lastEventID=%2312x");
    ck_assert_str_eq(request.last_id, "#12x");
}
END_TEST

START_TEST(earliest_and_empty_cursors)
{
    get("QUERY_STRING=topic=a", "HTTP_LAST_EVENT_ID=earliest");
    ck_assert(request.start.kind == START_EARLIEST && !request.last_id && request.asks_cursor);
    get("QUERY_STRING=topic=a&lastEventID=");
    ck_assert(!request.asks_cursor && !request.last_id && request.start.kind == START_AFTER);
    get("QUERY_STRING=match=a&last_event_id=");
    ck_assert(request.asks_cursor && !request.last_id);
}
END_TEST

START_TEST(a_token_grants_and_limits)
{
    get("QUERY_STRING=topic=a");
    ck_assert(request.bound && request.expires_ms == 1234);
    ck_assert(selectors_match(request.grants, S("mine")) &&
              !selectors_match(request.grants, S("a")));
}
END_TEST

START_TEST(without_a_token)
{
    token = (struct token){.verdict = TOKEN_MISSING};
    get("QUERY_STRING=topic=a");
    assert_refused(401, "missing_token");
    ck_assert_ptr_nonnull(
        strstr(request.message, "`authorization` (0.x), or the cookie __Secure-"));
    rules.anonymous = true;
    get("QUERY_STRING=topic=a");
    ck_assert(request.kind == REQUEST_STREAM && !request.grants && !request.bound);
    token.verdict = TOKEN_INVALID;
    get("QUERY_STRING=topic=a");
    assert_refused(401, "invalid_token");
}
END_TEST

START_TEST(a_stream_is_opened_with_get_or_head_only)
{
    read_list((char *[]){"REQUEST_METHOD=HEAD", "QUERY_STRING=topic=a", NULL});
    ck_assert_int_eq(request.kind, REQUEST_HEAD);
    read_list((char *[]){"REQUEST_METHOD=HEAD", "QUERY_STRING=", NULL});
    assert_refused(400, "missing_topic");
    read_list((char *[]){"REQUEST_METHOD=PUT", "QUERY_STRING=topic=a", NULL});
    assert_refused(405, "method_not_allowed");
    read_list((char *[]){"QUERY_STRING=topic=a", NULL});
    assert_refused(405, "method_not_allowed");
}
END_TEST

static bool trusts(const char *const *list)
{
    struct params params = {0};
    ck_assert_int_eq(params_copy(&params, (char *const *)list), 0);
    bool trusted = mercure_trusts_origin(&params, &cors_origins);
    params_release(&params);
    return trusted;
}

#define trusted(...) trusts((const char *[]){__VA_ARGS__, NULL})

START_TEST(listed_origins_and_the_host_s_own_are_trusted)
{
    cors_origins.items[cors_origins.count++] = (char *)"https://app.example";
    cors_origins.items[cors_origins.count++] = (char *)"*";
    ck_assert(trusted("HTTP_ORIGIN=https://app.example"));
    ck_assert(trusted("HTTP_REFERER=https://app.example/page"));
    ck_assert(trusted("HTTP_HOST=hub.example", "HTTP_ORIGIN=http://hub.example"));
    ck_assert(
        trusted("HTTP_HOST=hub.example:81", "HTTPS=on", "HTTP_ORIGIN=https://hub.example:81"));
}
END_TEST

START_TEST(other_origins_are_not_trusted)
{
    cors_origins.items[cors_origins.count++] = (char *)"https://app.example";
    cors_origins.items[cors_origins.count++] = (char *)"*";
    ck_assert(!trusted("HTTP_HOST=hub.example"));
    ck_assert(!trusted("HTTP_HOST=hub.example", "HTTP_ORIGIN=null"));
    ck_assert(!trusted("HTTP_HOST=hub.example", "HTTP_ORIGIN=https://evil.example"));
    ck_assert(
        !trusted("HTTP_HOST=hub.example", "HTTP_REFERER=https://evil.example/https://app.example"));
    ck_assert(!trusted("HTTP_HOST=hub.example", "HTTP_REFERER=https://app.example.evil.example/"));
    ck_assert(!trusted("HTTP_HOST=hub.example", "HTTPS=on", "HTTP_ORIGIN=http://hub.example"));
    ck_assert(!trusted("HTTP_HOST=hub.example", "HTTP_ORIGIN=ftp://hub.example"));
    ck_assert(!trusted("HTTP_HOST=", "HTTP_ORIGIN=http://"));
    ck_assert(!trusted("HTTP_ORIGIN=https://evil.example", "HTTP_REFERER=https://app.example/"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mercure");
    TCase *tests = one_case(suite, "mercure");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_parameters_say_the_dialect);
    tcase_add_test(tests, the_star_is_every_topic);
    tcase_add_test(tests, selectors_that_are_refused);
    tcase_add_test(tests, patterns_are_selectors_of_both_dialects);
    tcase_add_test(tests, topics_of_the_second_dialect_are_visible);
    tcase_add_test(tests, cursors_of_the_dialects);
    tcase_add_test(tests, the_newer_of_two_cursors_counts);
    tcase_add_test(tests, the_hub_s_own_ids_are_seqs);
    tcase_add_test(tests, earliest_and_empty_cursors);
    tcase_add_test(tests, a_token_grants_and_limits);
    tcase_add_test(tests, without_a_token);
    tcase_add_test(tests, a_stream_is_opened_with_get_or_head_only);
    tcase_add_test(tests, listed_origins_and_the_host_s_own_are_trusted);
    tcase_add_test(tests, other_origins_are_not_trusted);
    return run_suite(suite);
}
