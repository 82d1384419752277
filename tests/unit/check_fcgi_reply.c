#include "stream/reply.h"

#include <stdlib.h>
#include <string.h>

#include "support.h"

static char *header_items[4], *origin_items[4];
static struct option_list headers = {header_items, 0}, origins = {origin_items, 0};
static const struct reply_rules rules = {&headers, &origins};
static char text[32768];

static void setup(void)
{
    headers.count = origins.count = 0;
}

static void add(struct option_list *list, const char *item)
{
    list->items[list->count++] = (char *)item;
}

/* The text of an answer; gives it up. */
static const char *said(struct event *e)
{
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(e->kind, EVENT_TEXT);
    ck_assert_uint_lt(e->text.len, sizeof text);
    memcpy(text, e->text.data, e->text.len);
    text[e->text.len] = '\0';
    event_unref(&e);
    return text;
}

#define STREAM_HEAD                                                                                \
    "Status: 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache, "               \
    "no-transform\r\nX-Accel-Buffering: no\r\n"

static struct request request_from(const char *origin)
{
    return (struct request){.kind = REQUEST_STREAM, .origin = (char *)origin};
}

/* --- heads --- */

START_TEST(a_stream_has_its_head)
{
    struct request r = request_from(NULL);
    ck_assert_str_eq(said(reply_stream(&rules, &r, "w-1-2")),
                     STREAM_HEAD "Ssecast-Connection: w-1-2\r\n\r\n");
    ck_assert_str_eq(said(reply_stream(&rules, &r, NULL)), STREAM_HEAD "\r\n");
}
END_TEST

START_TEST(a_redirect_carries_the_query_along)
{
    ck_assert_str_eq(said(reply_redirect("/sse-fcgi", NULL, "session=a&b=%20")),
                     "Status: 200 OK\r\nLocation: /sse-fcgi?session=a&b=%20\r\n\r\n");
    ck_assert_str_eq(said(reply_redirect("/sse-fcgi", NULL, NULL)),
                     "Status: 200 OK\r\nLocation: /sse-fcgi\r\n\r\n");
    ck_assert_str_eq(said(reply_redirect("/handoff/1", "connection=x", "session=a")),
                     "Status: 200 OK\r\nLocation: /handoff/1?connection=x&session=a\r\n\r\n");
    ck_assert_str_eq(said(reply_redirect("/handoff/1", "connection=x", "")),
                     "Status: 200 OK\r\nLocation: /handoff/1?connection=x&\r\n\r\n");
}
END_TEST

/* Each is always there, so that the client's query cannot stand for one. */
START_TEST(what_decides_the_head_goes_along)
{
    struct request plain = request_from(NULL), cross = request_from("https://app.example:8443");
    char *parameters = reply_head_parameters(&rules, &plain, "w-1-2");
    ck_assert_str_eq(parameters, "connection=w-1-2&vary=&origin=");
    free(parameters);

    add(&origins, "https://app.example:8443");
    parameters = reply_head_parameters(&rules, &cross, "w-1-2");
    ck_assert_str_eq(parameters, "connection=w-1-2&vary=origin&origin=https://app.example:8443");
    free(parameters);
}
END_TEST

START_TEST(extra_headers_are_added)
{
    struct request r = request_from(NULL);
    add(&headers, "X-One: 1");
    add(&headers, "X-Two: 2, 3");
    ck_assert_str_eq(said(reply_stream(&rules, &r, NULL)),
                     STREAM_HEAD "X-One: 1\r\nX-Two: 2, 3\r\n\r\n");
}
END_TEST

START_TEST(an_allowed_origin_may_use_credentials)
{
    struct request r = request_from("https://a.example");
    add(&origins, "https://a.example");
    ck_assert_str_eq(said(reply_stream(&rules, &r, NULL)),
                     STREAM_HEAD "Access-Control-Allow-Origin: https://a.example\r\n"
                                 "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n\r\n");
}
END_TEST

START_TEST(a_page_of_an_allowed_origin_may_read_the_connection)
{
    struct request r = request_from("*");
    add(&origins, "*");
    ck_assert_str_eq(said(reply_stream(&rules, &r, "w-1-2")),
                     STREAM_HEAD "Ssecast-Connection: w-1-2\r\n"
                                 "Access-Control-Allow-Origin: *\r\n"
                                 "Access-Control-Expose-Headers: Ssecast-Connection\r\n\r\n");
}
END_TEST

START_TEST(what_depends_on_the_origin_says_so)
{
    struct request r = request_from(NULL);
    add(&origins, "https://a.example");
    ck_assert_str_eq(said(reply_stream(&rules, &r, NULL)), STREAM_HEAD "Vary: Origin\r\n\r\n");
}
END_TEST

START_TEST(any_origin_gets_no_credentials)
{
    struct request r = request_from("*");
    add(&origins, "*");
    ck_assert_str_eq(said(reply_stream(&rules, &r, NULL)),
                     STREAM_HEAD "Access-Control-Allow-Origin: *\r\n\r\n");
}
END_TEST

START_TEST(an_overloaded_worker_says_when_to_come_back)
{
    struct request r = request_from(NULL);
    ck_assert_str_eq(said(reply_come_back(&rules, &r, 1234)), STREAM_HEAD "\r\nretry: 1234\n\n");
}
END_TEST

START_TEST(no_content_stops_for_good)
{
    struct request r = request_from("*");
    add(&origins, "*");
    ck_assert_str_eq(said(reply_no_content(&rules, &r)),
                     "Status: 204 No Content\r\nCache-Control: no-store\r\n"
                     "Access-Control-Allow-Origin: *\r\n\r\n");
}
END_TEST

START_TEST(a_preflight_is_answered)
{
    struct request r = request_from("https://a.example");
    add(&origins, "https://a.example");
    const char *answer = said(reply_preflight(&rules, r.origin, REQUEST_METHODS, REQUEST_HEADERS));
    ck_assert_int_eq(strncmp(answer, "Status: 204 No Content\r\n", 24), 0);
    ck_assert_ptr_nonnull(strstr(answer, "\r\nAccess-Control-Allow-Origin: https://a.example\r\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\r\nAccess-Control-Allow-Credentials: true\r\n"));
    ck_assert_ptr_nonnull(
        strstr(answer, "\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"));
    ck_assert_ptr_nonnull(strstr(
        answer,
        "\r\nAccess-Control-Allow-Headers: Last-Event-ID, Cache-Control, Authorization\r\n"));
    ck_assert_ptr_nonnull(strstr(answer, "\r\nVary: Origin\r\n"));
    ck_assert_str_eq(answer + strlen(answer) - 4, "\r\n\r\n");
}
END_TEST

START_TEST(a_preflight_from_elsewhere_is_given_nothing)
{
    struct request r = request_from(NULL);
    ck_assert_ptr_null(
        strstr(said(reply_preflight(&rules, r.origin, REQUEST_METHODS, REQUEST_HEADERS)),
               "Access-Control"));
}
END_TEST

/* --- refusals --- */

static struct request refusal(int status, const char *error, const char *message)
{
    struct request r = {.kind = REQUEST_REFUSED, .status = status, .error = error};
    snprintf(r.message, sizeof r.message, "%s", message);
    return r;
}

START_TEST(a_refusal_says_what_is_wrong)
{
    struct request r = refusal(400, "missing_session", "who?");
    ck_assert_str_eq(said(reply_refused(&rules, &r)),
                     "Status: 400 Bad Request\r\n"
                     "Content-Type: application/json\r\nCache-Control: no-store\r\n\r\n"
                     "{\"error\":\"missing_session\",\"message\":\"who?\"}\n");
    r = refusal(405, "method_not_allowed", "no");
    ck_assert_str_eq(
        said(reply_refused(&rules, &r)),
        "Status: 405 Method Not Allowed\r\n"
        "Content-Type: application/json\r\nCache-Control: no-store\r\n"
        "Allow: GET, HEAD, OPTIONS\r\n\r\n{\"error\":\"method_not_allowed\",\"message\":\"no\"}\n");
}
END_TEST

START_TEST(a_message_is_a_json_string_whatever_it_holds)
{
    struct request r = refusal(400, "e", "\"\\\r\n\t\x01\x7f\xc3\xa9\xff\xe2\x82");
    ck_assert_ptr_nonnull(
        strstr(said(reply_refused(&rules, &r)),
               "\"message\":"
               "\"\\\"\\\\\\u000d\\n\\u0009\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"}\n"));
}
END_TEST

/* --- headers that may be added --- */

static const char *const good_headers[] = {
    "X: y", "X:y", "Strict-Transport-Security: max-age=1; includeSubDomains", "X-A_b.c~1:"};
static const char *const bad_headers[] = {"",
                                          "X",
                                          ": y",
                                          "X y: z",
                                          " X: y",
                                          "X : y",
                                          "X: y\r\nEvil: z",
                                          "X: y\n",
                                          "X: \r",
                                          "(X): y",
                                          "\xc3\xa9: y",
                                          "Status: 404",
                                          "status:404",
                                          "Content-Type: text/html",
                                          "CONTENT-LENGTH: 5",
                                          "Cache-Control: public",
                                          "Transfer-Encoding: chunked",
                                          "Connection: close"};

START_TEST(a_header_is_one_line_and_not_one_of_ours)
{
    for (size_t i = 0; i < sizeof good_headers / sizeof good_headers[0]; i++)
        ck_assert_msg(!reply_check_header(good_headers[i]), "'%s' is refused", good_headers[i]);
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++)
        ck_assert_msg(reply_check_header(bad_headers[i]) != NULL, "'%s' is accepted",
                      bad_headers[i]);
}
END_TEST

/* --- blocks --- */

START_TEST(a_block_moves_the_cursor_and_no_more)
{
    ck_assert_str_eq(
        said(reply_block(&(struct block){.has_retry = true, .retry = 15000, .id = S("42")})),
        "retry: 15000\nid: 42\n\n");
    ck_assert_str_eq(said(reply_block(&(struct block){.id = S("7")})), "id: 7\n\n");
}
END_TEST

START_TEST(a_checkpoint_is_an_event)
{
    ck_assert_str_eq(said(reply_block(&(struct block){.id = S("7"), .checkpoint = true})),
                     "event: ssecast.checkpoint\nid: 7\ndata: {}\n\n");
    ck_assert_str_eq(
        said(reply_block(&(struct block){.has_retry = true, .retry = 1, .checkpoint = true})),
        "retry: 1\n\n");
}
END_TEST

START_TEST(the_first_checkpoint_names_the_connection)
{
    struct block block = {.has_retry = true,
                          .retry = 15000,
                          .id = S("42"),
                          .checkpoint = true,
                          .connection = "w-1-2",
                          .heartbeat_ms = 15000};
    ck_assert_str_eq(said(reply_block(&block)),
                     "retry: 15000\nevent: ssecast.checkpoint\nid: 42\n"
                     "data: {\"connection\":\"w-1-2\",\"heartbeat\":15000}\n\n");
}
END_TEST

START_TEST(the_first_checkpoint_may_name_the_owner)
{
    struct block block = {.id = S("42"),
                          .checkpoint = true,
                          .connection = "w-1-2",
                          .heartbeat_ms = 15000,
                          .owner = "ab"};
    ck_assert_str_eq(said(reply_block(&block)),
                     "event: ssecast.checkpoint\nid: 42\n"
                     "data: {\"connection\":\"w-1-2\",\"heartbeat\":15000,\"owner\":\"ab\"}\n\n");
}
END_TEST

START_TEST(a_visible_beat_leaves_the_cursor_where_it_is)
{
    ck_assert_str_eq(said(reply_beat()), "event: ssecast.checkpoint\ndata: {}\n\n");
}
END_TEST

START_TEST(a_keep_alive_is_one_line)
{
    ck_assert_str_eq(said(reply_keep_alive()), ": keep-alive\n");
}
END_TEST

START_TEST(padding_is_two_kilobytes_of_comment)
{
    const char *block = said(reply_block(&(struct block){.padding = true, .id = S("1")}));
    ck_assert_int_eq(block[0], ':');
    ck_assert_uint_ge(strcspn(block, "\n"), 2048);
    ck_assert_str_eq(block + strcspn(block, "\n"), "\nid: 1\n\n");
}
END_TEST

static const struct {
    struct slice last;
    const char *shown;
} gaps[] = {
    {S_INIT("42"), "42"},
    {S_INIT("0"), "0"},
    {S_INIT("18446744073709551615"), "18446744073709551615"},
    {S_INIT("123456789012345678901"), "\"123456789012345678901\""},
    {S_INIT("007"), "\"007\""},
    {S_INIT("-5"), "\"-5\""},
    {S_INIT("+5"), "\"+5\""},
    {S_INIT("1e5"), "\"1e5\""},
    {S_INIT(""), "\"\""},
    {S_INIT("order-17"), "\"order-17\""},
    {S_INIT("\"},\"x\":{\""), "\"\\\"},\\\"x\\\":{\\\"\""},
    {S_INIT("a\r\n\ndata: forged\n\n"), "\"a\\u000d\\n\\ndata: forged\\n\\n\""},
    {S_INIT("\xff\xc3\xa9"), "\"\xef\xbf\xbd\xc3\xa9\""},
};

START_TEST(a_gap_tells_the_clients_cursor)
{
    char should[256];
    snprintf(should, sizeof should, "event: ssecast.gap\ndata: {\"last\":%s,\"oldest\":7}\n\n",
             gaps[_i].shown);
    ck_assert_str_eq(said(reply_gap(gaps[_i].last, 7)), should);
}
END_TEST

START_TEST(a_gap_does_not_repeat_a_cursor_without_end)
{
    static char cursor[10240];
    memset(cursor, 'x', sizeof cursor);
    ck_assert_uint_lt(strlen(said(reply_gap((struct slice){cursor, sizeof cursor}, UINT64_MAX))),
                      400);
    ck_assert_ptr_nonnull(strstr(text, "\",\"oldest\":18446744073709551615}\n\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reply");
    TCase *tests = one_case(suite, "reply");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, a_stream_has_its_head);
    tcase_add_test(tests, extra_headers_are_added);
    tcase_add_test(tests, a_redirect_carries_the_query_along);
    tcase_add_test(tests, what_decides_the_head_goes_along);
    tcase_add_test(tests, an_allowed_origin_may_use_credentials);
    tcase_add_test(tests, a_page_of_an_allowed_origin_may_read_the_connection);
    tcase_add_test(tests, what_depends_on_the_origin_says_so);
    tcase_add_test(tests, any_origin_gets_no_credentials);
    tcase_add_test(tests, an_overloaded_worker_says_when_to_come_back);
    tcase_add_test(tests, no_content_stops_for_good);
    tcase_add_test(tests, a_preflight_is_answered);
    tcase_add_test(tests, a_preflight_from_elsewhere_is_given_nothing);
    tcase_add_test(tests, a_refusal_says_what_is_wrong);
    tcase_add_test(tests, a_message_is_a_json_string_whatever_it_holds);
    tcase_add_test(tests, a_header_is_one_line_and_not_one_of_ours);
    tcase_add_test(tests, a_block_moves_the_cursor_and_no_more);
    tcase_add_test(tests, a_checkpoint_is_an_event);
    tcase_add_test(tests, the_first_checkpoint_names_the_connection);
    tcase_add_test(tests, the_first_checkpoint_may_name_the_owner);
    tcase_add_test(tests, a_visible_beat_leaves_the_cursor_where_it_is);
    tcase_add_test(tests, a_keep_alive_is_one_line);
    tcase_add_test(tests, padding_is_two_kilobytes_of_comment);
    tcase_add_loop_test(tests, a_gap_tells_the_clients_cursor, 0,
                        (int)(sizeof gaps / sizeof gaps[0]));
    tcase_add_test(tests, a_gap_does_not_repeat_a_cursor_without_end);
    return run_suite(suite);
}
