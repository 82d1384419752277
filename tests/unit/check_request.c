#include "stream/request.h"

#include <string.h>

#include "support.h"

static char *session_sources[8], *channel_sources[8], *origins[8], *meta_items[8];
static struct option_list session_from = {session_sources, 0}, channels_from = {channel_sources, 0},
                          cors_origins = {origins, 0}, meta = {meta_items, 0};
static const struct request_rules rules = {.session_from = &session_from,
                                           .channels_from = &channels_from,
                                           .cors_origins = &cors_origins,
                                           .max_channels = 64,
                                           .max_name_bytes = 255,
                                           .meta = &meta};
static struct token token;
static struct request request;

static void add(struct option_list *list, const char *item)
{
    list->items[list->count++] = (char *)item;
}

static struct slice token_channels[4];

/* A good token; its channels are separated by blanks, NULL: it does not limit them. */
static void bring_token(const char *sub, const char *channels)
{
    token = (struct token){.verdict = TOKEN_GOOD,
                           .sub = slice_of(sub),
                           .has_channels = channels != NULL,
                           .expires_ms = 1234};
    token.channels.items = token_channels;
    for (const char *at = channels; at && *at; at += strspn(at, " ")) {
        token_channels[token.channels.count++] = (struct slice){at, strcspn(at, " ")};
        at += strcspn(at, " ");
    }
}

static void setup(void)
{
    token = (struct token){0};
    session_from.count = channels_from.count = cors_origins.count = meta.count = 0;
    add(&session_from, "query:session");
    add(&channels_from, "query:channels");
}

static void teardown(void)
{
    request_release(&request);
    request_release(&request);
}

static void read_list(char *const *list)
{
    struct params params = {0};
    request_release(&request);
    ck_assert_int_eq(params_copy(&params, list), 0);
    ck_assert_int_eq(request_read(&params, &rules, &token, &request), 0);
    params_release(&params); /* the request holds nothing of it */
}

/* Read a GET with these parameters besides. */
#define get(...) read_list((char *[]){"REQUEST_METHOD=GET", __VA_ARGS__, NULL})

static void assert_refused(int status, const char *error)
{
    ck_assert_int_eq(request.kind, REQUEST_REFUSED);
    ck_assert_int_eq(request.status, status);
    ck_assert_str_eq(request.error, error);
    ck_assert_uint_gt(strlen(request.message), 10);
}

static void assert_session(const char *session)
{
    ck_assert_msg(request.kind == REQUEST_STREAM, "refused: %s", request.message);
    ck_assert_str_eq(request.session, session);
}

static void assert_channels(const char *should)
{
    char text[1024] = "";
    ck_assert_msg(request.kind == REQUEST_STREAM, "refused: %s", request.message);
    for (size_t i = 0, len = 0; i < request.channel_count; i++)
        len += (size_t)sprintf(text + len, "%s%.*s", i ? "|" : "", (int)request.channels[i].len,
                               request.channels[i].data);
    ck_assert_str_eq(text, should);
}

/* --- methods --- */

static const struct {
    const char *method;
    enum request_kind kind;
} methods[] = {
    {"REQUEST_METHOD=GET", REQUEST_STREAM},
    {"REQUEST_METHOD=HEAD", REQUEST_HEAD},
    {"REQUEST_METHOD=OPTIONS", REQUEST_PREFLIGHT},
    {"REQUEST_METHOD=POST", REQUEST_REFUSED},
    {"REQUEST_METHOD=get", REQUEST_REFUSED},
    {"REQUEST_METHOD=", REQUEST_REFUSED},
    {"OTHER=1", REQUEST_REFUSED},
};

START_TEST(methods_are_told_apart)
{
    read_list((char *[]){(char *)methods[_i].method, "QUERY_STRING=session=a", NULL});
    ck_assert_int_eq(request.kind, methods[_i].kind);
    if (methods[_i].kind == REQUEST_REFUSED)
        assert_refused(405, "method_not_allowed");
}
END_TEST

START_TEST(head_is_judged_as_get_is)
{
    read_list((char *[]){"REQUEST_METHOD=HEAD", "QUERY_STRING=", NULL});
    assert_refused(400, "missing_session");
    read_list((char *[]){"REQUEST_METHOD=HEAD", "QUERY_STRING=session=a&last=0", NULL});
    assert_refused(400, "bad_parameter");
    read_list((char *[]){"REQUEST_METHOD=HEAD", "QUERY_STRING=session=a&checkpoints=x", NULL});
    assert_refused(400, "bad_parameter");
}
END_TEST

/* --- sessions --- */

static const struct {
    const char *source, *param, *session; /* NULL: refused */
} sessions[] = {
    {"query:session", "QUERY_STRING=session=a", "a"},
    {"query:session", "QUERY_STRING=x=1&session=a&y=2", "a"},
    {"query:session", "QUERY_STRING=session=a&session=b", "a"},
    {"query:session", "QUERY_STRING=session=%41%2f%c3%a9", "A/\xc3\xa9"},
    {"query:session", "QUERY_STRING=session=a+b%20c%2Bd", "a b c+d"},
    {"query:session", "QUERY_STRING=session=a%26b%3dc", "a&b=c"},
    {"query:session", "QUERY_STRING=session=a=b", "a=b"},
    {"query:session", "QUERY_STRING=session=100%", "100%"},
    {"query:session", "QUERY_STRING=session=%4", "%4"},
    {"query:session", "QUERY_STRING=session=%zz%4g", "%zz%4g"},
    {"query:session", "QUERY_STRING=session", NULL},
    {"query:session", "QUERY_STRING=session=", NULL},
    {"query:session", "QUERY_STRING=", NULL},
    {"query:session", "QUERY_STRING=xsession=a", NULL},
    {"query:session", "QUERY_STRING=sessionx=a", NULL},
    {"query:session", "QUERY_STRING=SESSION=a", NULL},
    {"query:session", "QUERY_STRING=session=a%00b", NULL},
    {"query:session", "QUERY_STRING=session=a%0ab", NULL},
    {"query:session", "QUERY_STRING=session=%ff", NULL},
    {"query:session", "QUERY_STRING=session=%c3", NULL},
    {"query:session", "OTHER=session=a", NULL},
    {"cookie:sid", "HTTP_COOKIE=sid=a", "a"},
    {"cookie:sid", "HTTP_COOKIE=x=1; sid=a; y=2", "a"},
    {"cookie:sid", "HTTP_COOKIE=x=1;sid=a;y=2", "a"},
    {"cookie:sid", "HTTP_COOKIE=sid=\"a b\"", "a b"},
    {"cookie:sid", "HTTP_COOKIE=sid=a%41+b", "a%41+b"},
    {"cookie:sid", "HTTP_COOKIE=sid=a=b", "a=b"},
    {"cookie:sid", "HTTP_COOKIE=sid=a ; x=1", "a"},
    {"cookie:sid", "HTTP_COOKIE=sid=\"", "\""},
    {"cookie:sid", "HTTP_COOKIE=xsid=a", NULL},
    {"cookie:sid", "HTTP_COOKIE=sid=", NULL},
    {"cookie:sid", "HTTP_COOKIE=sid=\"\"", NULL},
    {"header:X-User-Name", "HTTP_X_USER_NAME=a", "a"},
    {"header:x-user-name", "HTTP_X_USER_NAME=a", "a"},
    {"header:X-User-Name", "HTTP_X_USER=a", NULL},
    {"env:SSL_CLIENT_S_DN", "SSL_CLIENT_S_DN=CN=a,O=b", "CN=a,O=b"},
    {"env:SSL_CLIENT_S_DN", "SSL_CLIENT=a", NULL},
    {"remote-user", "REMOTE_USER=a", "a"},
    {"remote-user", "REMOTE_USER=", NULL},
};

START_TEST(a_session_comes_from_its_source)
{
    session_from.count = 0;
    add(&session_from, sessions[_i].source);
    ck_assert_ptr_null(request_check_source(sessions[_i].source));
    get((char *)sessions[_i].param);
    if (sessions[_i].session)
        assert_session(sessions[_i].session);
    else
        assert_refused(400, "missing_session");
}
END_TEST

START_TEST(sources_are_tried_in_order)
{
    session_from.count = 0;
    add(&session_from, "cookie:sid");
    add(&session_from, "remote-user");
    add(&session_from, "query:session");
    get("QUERY_STRING=session=q", "REMOTE_USER=u", "HTTP_COOKIE=sid=c");
    assert_session("c");
    get("QUERY_STRING=session=q", "REMOTE_USER=u", "HTTP_COOKIE=sid=");
    assert_session("u");
    get("QUERY_STRING=session=q");
    assert_session("q");
    get("X=1");
    assert_refused(400, "missing_session");
    ck_assert_ptr_nonnull(strstr(request.message, "cookie:sid"));
}
END_TEST

START_TEST(a_session_has_255_bytes_at_most)
{
    char param[400];
    snprintf(param, sizeof param, "QUERY_STRING=session=%0255d", 0);
    get(param);
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    snprintf(param, sizeof param, "QUERY_STRING=session=%0256d", 0);
    get(param);
    assert_refused(400, "missing_session");
}
END_TEST

START_TEST(without_sources_there_is_no_session)
{
    session_from = (struct option_list){0};
    get("QUERY_STRING=session=a");
    session_from.items = session_sources;
    assert_refused(400, "missing_session");
}
END_TEST

/* --- channels --- */

static const struct {
    const char *query, *channels; /* NULL: refused */
} channels[] = {
    {"QUERY_STRING=session=a", ""},
    {"QUERY_STRING=session=a&channels=", ""},
    {"QUERY_STRING=session=a&channels=room:7", "room:7"},
    {"QUERY_STRING=session=a&channels=a,b,c", "a|b|c"},
    {"QUERY_STRING=session=a&channels=a%2Cb", "a|b"},
    {"QUERY_STRING=session=a&channels=a,b,a,b", "a|b"},
    {"QUERY_STRING=session=a&channels=,a,,b,", "a|b"},
    {"QUERY_STRING=session=a&channels=%c3%a9", "\xc3\xa9"},
    {"QUERY_STRING=session=a&channels=a,b%0a", NULL},
    {"QUERY_STRING=session=a&channels=%ff", NULL},
};

START_TEST(channels_are_separated_by_commas)
{
    get((char *)channels[_i].query);
    if (channels[_i].channels)
        assert_channels(channels[_i].channels);
    else
        assert_refused(400, "bad_channels");
}
END_TEST

START_TEST(there_are_not_too_many_channels)
{
    char param[1024] = "QUERY_STRING=session=a&channels=";
    size_t len = strlen(param);
    for (unsigned i = 0; i < 64u; i++)
        len += (size_t)sprintf(param + len, "c%u,", i);
    strcpy(param + len, "c0,c1");
    get(param);
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    ck_assert_uint_eq(request.channel_count, 64u);
    strcpy(param + len, "one-more");
    get(param);
    assert_refused(400, "bad_channels");
}
END_TEST

/* --- the cursor: kept as the client gave it, whatever it is --- */

static const char *const cursors[] = {"42",
                                      "order-17",
                                      "-9223372036854775808",
                                      "+5",
                                      "0x10",
                                      "0",
                                      "99999999999999999999999",
                                      "\xff",
                                      "a b;c",
                                      "a, b",
                                      "a, 5",
                                      ","};

START_TEST(the_cursor_is_kept_as_it_came)
{
    char header[64];
    snprintf(header, sizeof header, "HTTP_LAST_EVENT_ID=%s", cursors[_i]);
    get("QUERY_STRING=session=a", header);
    assert_session("a");
    ck_assert_str_eq(request.last_id, cursors[_i]);
}
END_TEST

START_TEST(a_cursor_of_any_length_is_kept)
{
    static char header[10300];
    snprintf(header, sizeof header, "HTTP_LAST_EVENT_ID=%010240d", 0);
    get("QUERY_STRING=session=a", header);
    assert_session("a");
    ck_assert_uint_eq(strlen(request.last_id), 10240);
}
END_TEST

START_TEST(there_may_be_two_cursors)
{
    get("QUERY_STRING=session=a&lastEventId=5%2B6", "HTTP_LAST_EVENT_ID=7");
    ck_assert_str_eq(request.last_id, "7");
    ck_assert_str_eq(request.other_id, "5+6");
    request_swap_cursors(&request);
    ck_assert_str_eq(request.last_id, "5+6");
    ck_assert_str_eq(request.other_id, "7");
    get("QUERY_STRING=session=a&lastEventId=5%2B6", "HTTP_LAST_EVENT_ID=");
    ck_assert_str_eq(request.last_id, "5+6");
    ck_assert_ptr_null(request.other_id);
    get("QUERY_STRING=session=a&lastEventId=");
    ck_assert(!request.last_id && !request.other_id);
    get("QUERY_STRING=session=a");
    ck_assert(!request.last_id && !request.other_id);
}
END_TEST

START_TEST(two_headers_are_two_cursors)
{
    get("QUERY_STRING=session=a", "HTTP_LAST_EVENT_ID=5, 7");
    assert_session("a");
    ck_assert_str_eq(request.last_id, "7");
    get("QUERY_STRING=session=a", "HTTP_LAST_EVENT_ID=7, 0");
    ck_assert_str_eq(request.last_id, "7");
    get("QUERY_STRING=session=a", "HTTP_LAST_EVENT_ID=0", "HTTP_LAST_EVENT_ID=7");
    ck_assert_str_eq(request.last_id, "7");
    get("QUERY_STRING=session=a&lastEventId=9", "HTTP_LAST_EVENT_ID=5", "HTTP_LAST_EVENT_ID=7");
    ck_assert_str_eq(request.last_id, "7");
    ck_assert_str_eq(request.other_id, "9");
}
END_TEST

START_TEST(a_polyfill_may_want_padding)
{
    get("QUERY_STRING=session=a&padding=true");
    ck_assert(request.padding);
    get("QUERY_STRING=session=a&padding=false");
    ck_assert(!request.padding);
    get("QUERY_STRING=session=a&padding=truely");
    ck_assert(!request.padding);
}
END_TEST

START_TEST(checkpoints_are_events_unless_they_are_not_wanted)
{
    get("QUERY_STRING=session=a");
    ck_assert_int_eq(request.checkpoints, CHECKPOINTS_ON);
    get("QUERY_STRING=session=a&checkpoints=true");
    ck_assert_int_eq(request.checkpoints, CHECKPOINTS_ON);
    get("QUERY_STRING=session=a&checkpoints=always");
    ck_assert_int_eq(request.checkpoints, CHECKPOINTS_ALWAYS);
    get("QUERY_STRING=session=a&checkpoints=false");
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    ck_assert_int_eq(request.checkpoints, CHECKPOINTS_OFF);
}
END_TEST

START_TEST(checkpoints_are_wanted_or_not)
{
    static const char *const values[] = {"1", "", "True", "no"};
    char query[64];
    snprintf(query, sizeof query, "QUERY_STRING=session=a&checkpoints=%s", values[_i]);
    get(query);
    ck_assert_int_eq(request.kind, REQUEST_REFUSED);
    ck_assert_int_eq(request.status, 400);
    ck_assert_str_eq(request.error, "bad_parameter");
    snprintf(query, sizeof query, "checkpoints=%s; accepted: true, false or always", values[_i]);
    ck_assert_str_eq(request.message, query);
}
END_TEST

/* --- origins --- */

static const struct {
    const char *allowed[3], *origin, *answer; /* NULL: none */
} cors[] = {
    {{NULL}, "HTTP_ORIGIN=https://a.example", NULL},
    {{"https://a.example"}, "HTTP_ORIGIN=https://a.example", "https://a.example"},
    {{"https://b.example", "https://a.example"},
     "HTTP_ORIGIN=https://a.example",
     "https://a.example"},
    {{"https://a.example"}, "HTTP_ORIGIN=https://b.example", NULL},
    {{"https://a.example"}, "HTTP_ORIGIN=http://a.example", NULL},
    {{"https://a.example"}, "HTTP_ORIGIN=https://a.example.evil.example", NULL},
    {{"https://a.example"}, "HTTP_ORIGIN=https://a.example:8443", NULL},
    {{"https://a.example"}, "HTTP_ORIGIN=null", NULL},
    {{"https://a.example"}, "OTHER=1", NULL},
    {{"*"}, "HTTP_ORIGIN=https://any.example", "*"},
    {{"*"}, "HTTP_ORIGIN=null", "*"},
    {{"*"}, "OTHER=1", NULL},
    {{"https://a.example", "*"}, "HTTP_ORIGIN=https://a.example", "https://a.example"},
    {{"*", "https://a.example"}, "HTTP_ORIGIN=https://a.example", "https://a.example"},
    {{"*", "https://a.example"}, "HTTP_ORIGIN=https://b.example", "*"},
    {{"https://a.example"}, "HTTP_ORIGIN=https://a.example\r\nX: y", NULL},
    {{"https://*.example"}, "HTTP_ORIGIN=https://b.a.example", "https://b.a.example"},
    {{"https://*.a.example"}, "HTTP_ORIGIN=https://a.example", NULL},
    {{"https://*.a.example"}, "HTTP_ORIGIN=https://evil-a.example", NULL},
    {{"*", "https://*.a.example"}, "HTTP_ORIGIN=https://b.a.example", "https://b.a.example"},
    {{"*", "https://*.a.example"}, "HTTP_ORIGIN=null", "*"},
};

START_TEST(only_an_allowed_origin_is_answered)
{
    for (int i = 0; i < 3 && cors[_i].allowed[i]; i++)
        add(&cors_origins, cors[_i].allowed[i]);
    get("QUERY_STRING=session=a", (char *)cors[_i].origin);
    if (cors[_i].answer)
        ck_assert_str_eq(request.origin, cors[_i].answer);
    else
        ck_assert_ptr_null(request.origin);
}
END_TEST

START_TEST(a_preflight_and_a_refusal_have_an_origin_too)
{
    add(&cors_origins, "https://a.example");
    read_list((char *[]){"REQUEST_METHOD=OPTIONS", "HTTP_ORIGIN=https://a.example", NULL});
    ck_assert_int_eq(request.kind, REQUEST_PREFLIGHT);
    ck_assert_str_eq(request.origin, "https://a.example");
    get("HTTP_ORIGIN=https://a.example");
    assert_refused(400, "missing_session");
    ck_assert_str_eq(request.origin, "https://a.example");
}
END_TEST

/* --- tokens --- */

static void take_sessions_from_tokens(void)
{
    session_from.count = 0;
    add(&session_from, "jwt");
}

START_TEST(a_session_can_come_from_a_token)
{
    take_sessions_from_tokens();
    bring_token("anna", NULL);
    get("QUERY_STRING=session=bert&channels=a,b");
    assert_session("anna");
    assert_channels("a|b");
    ck_assert_int_eq(request.expires_ms, 1234);
}
END_TEST

static const struct {
    enum token_verdict verdict;
    const char *error;
} verdicts[] = {{TOKEN_MISSING, "missing_token"},
                {TOKEN_EXPIRED, "token_expired"},
                {TOKEN_INVALID, "invalid_token"},
                {TOKEN_GOOD, "invalid_token"}}; /* without a session */

START_TEST(without_a_good_token_there_is_no_session)
{
    take_sessions_from_tokens();
    token.verdict = verdicts[_i].verdict;
    get("QUERY_STRING=session=bert");
    assert_refused(401, verdicts[_i].error);
    ck_assert_ptr_nonnull(strstr(request.challenge, "Bearer"));
}
END_TEST

START_TEST(a_missing_token_leaves_it_to_the_next_source_and_a_bad_one_does_not)
{
    take_sessions_from_tokens();
    add(&session_from, "query:session");
    get("QUERY_STRING=session=bert");
    assert_session("bert");
    ck_assert_int_eq(request.expires_ms, 0);
    token.verdict = TOKEN_EXPIRED;
    get("QUERY_STRING=session=bert");
    assert_refused(401, "token_expired");
    token.verdict = TOKEN_INVALID;
    get("QUERY_STRING=session=bert");
    assert_refused(401, "invalid_token");
    token.verdict = TOKEN_MISSING;
    get("QUERY_STRING=");
    assert_refused(401, "missing_token");
}
END_TEST

START_TEST(a_token_that_was_not_asked_does_not_limit)
{
    session_from.count = 0;
    add(&session_from, "query:session");
    add(&session_from, "jwt");
    bring_token("anna", "x");
    get("QUERY_STRING=session=bert&channels=a");
    assert_session("bert");
    assert_channels("a");
    ck_assert_int_eq(request.expires_ms, 0);
}
END_TEST

static const struct {
    const char *allowed, *query;
    bool good;
} limits[] = {
    {NULL, "QUERY_STRING=channels=any", true},      {"", "QUERY_STRING=", true},
    {"", "QUERY_STRING=channels=a", false},         {"a b", "QUERY_STRING=channels=b,a", true},
    {"a b", "QUERY_STRING=channels=a,c", false},    {"a", "QUERY_STRING=channels=aa", false},
    {"a*", "QUERY_STRING=channels=aa,a", true},     {"a*", "QUERY_STRING=channels=ba", false},
    {"*", "QUERY_STRING=channels=any,other", true}, {"a*", "QUERY_STRING=channels=a*", true},
    {"a", "QUERY_STRING=channels=*", false},
};

START_TEST(a_token_limits_the_channels)
{
    take_sessions_from_tokens();
    bring_token("anna", limits[_i].allowed);
    get((char *)limits[_i].query);
    if (limits[_i].good)
        assert_session("anna");
    else
        assert_refused(403, "forbidden_channel");
}
END_TEST

START_TEST(channels_can_be_the_token_s)
{
    take_sessions_from_tokens();
    channels_from.count = 0;
    add(&channels_from, "jwt");
    bring_token("anna", "a b* c,d a");
    get("QUERY_STRING=channels=stolen");
    assert_channels("a|c,d");
    bring_token("anna", NULL);
    get("QUERY_STRING=channels=stolen");
    assert_channels("");
    bring_token("anna", "b*");
    get("QUERY_STRING=");
    assert_channels("");
}
END_TEST

START_TEST(channels_of_a_token_bind_the_stream_whoever_the_session_is)
{
    channels_from.count = 0;
    add(&channels_from, "jwt");
    bring_token("anna", "a");
    get("QUERY_STRING=session=bert");
    assert_session("bert");
    assert_channels("a");
    ck_assert_int_eq(request.expires_ms, 1234);
    token = (struct token){.verdict = TOKEN_INVALID};
    get("QUERY_STRING=session=bert");
    assert_refused(401, "invalid_token");
    token = (struct token){0};
    get("QUERY_STRING=session=bert");
    assert_session("bert");
    assert_channels("");
}
END_TEST

START_TEST(a_token_is_wanted_where_it_is_a_source)
{
    ck_assert(!request_wants_token(&rules));
    ck_assert_str_eq(request_open_source(&rules), "query:session");
    add(&channels_from, "jwt");
    ck_assert(request_wants_token(&rules));
    channels_from.count = 0;
    take_sessions_from_tokens();
    ck_assert(request_wants_token(&rules));
    ck_assert_ptr_null(request_open_source(&rules));
    ck_assert_ptr_null(request_check_source("jwt"));
}
END_TEST

/* --- what is kept --- */

/* The values that were kept: "one|two|". */
static const char *kept(void)
{
    static char text[1024];
    char scratch[META_VALUE_MAX];
    struct slice packed = {request.meta, request.meta_len}, value;
    *text = '\0';
    ck_assert(meta_valid(packed));
    while (meta_next(&packed, scratch, &value))
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s|", (int)value.len,
                 value.data);
    return text;
}

START_TEST(what_is_kept_comes_from_sources_in_their_order)
{
    add(&meta, "env:REMOTE_ADDR");
    add(&meta, "ua=header:User-Agent");
    add(&meta, "none");
    add(&meta, "query:lang");
    char *list[] = {"REQUEST_METHOD=GET", "QUERY_STRING=session=a", "REMOTE_ADDR=192.0.2.1",
                    "HTTP_USER_AGENT=x/1", NULL};
    read_list(list);
    ck_assert_str_eq(kept(), "192.0.2.1|x/1||");
}
END_TEST

START_TEST(claims_are_kept_of_a_good_token_only)
{
    struct json_in *claims = json_in_parse(S("{\"name\":\"Anna\",\"id\":4711,\"list\":[]}"));
    add(&meta, "jwt:name");
    add(&meta, "jwt:id");
    add(&meta, "jwt:list");
    add(&meta, "jwt:nothing");
    ck_assert(request_wants_token(&rules));
    token = (struct token){.verdict = TOKEN_GOOD, .claims = claims};
    get("QUERY_STRING=session=a");
    ck_assert_str_eq(kept(), "Anna|4711|||");
    request_release(&request);
    token.verdict = TOKEN_EXPIRED;
    get("QUERY_STRING=session=a");
    ck_assert_str_eq(kept(), "||||");
    json_in_free(&claims);
}
END_TEST

static const struct {
    const char *item, *label; /* NULL: it is refused */
} labels[] = {
    {"env:REMOTE_ADDR", "remote_addr"},
    {"header:User-Agent", "user_agent"},
    {"ua=header:User-Agent", "ua"},
    {"remote-user", "remote_user"},
    {"jwt", "jwt"},
    {"jwt:https://x.example/n", "https___x_example_n"},
    {"none", ""},
    {"query:a=b", "a_b"},
    {"=env:X", NULL},
    {"a b=env:X", NULL},
    {"x=", NULL},
    {"jwt:", NULL},
    {"x=none", NULL},
    {"nowhere:X", NULL},
};

START_TEST(what_is_kept_has_a_label)
{
    char label[META_LABEL_MAX + 1];
    if (labels[_i].label) {
        ck_assert_ptr_null(request_check_meta(labels[_i].item));
        ck_assert_str_eq(request_meta_label(labels[_i].item, label), labels[_i].label);
    } else {
        ck_assert_ptr_nonnull(request_check_meta(labels[_i].item));
    }
}
END_TEST

START_TEST(names_and_channels_are_as_long_and_many_as_configured)
{
    static const struct request_rules small = {.session_from = &session_from,
                                               .channels_from = &channels_from,
                                               .cors_origins = &cors_origins,
                                               .max_channels = 2,
                                               .max_name_bytes = 5,
                                               .meta = &meta};
    static const struct {
        char *query;
        const char *error; /* NULL: none */
    } cases[] = {{"QUERY_STRING=session=12345&channels=a,12345", NULL},
                 {"QUERY_STRING=session=123456", "missing_session"},
                 {"QUERY_STRING=session=a&channels=123456", "bad_channels"},
                 {"QUERY_STRING=session=a&channels=a,b,c", "bad_channels"},
                 {"QUERY_STRING=session=a&channels=a,b,a,b", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct params params = {0};
        request_release(&request);
        ck_assert_int_eq(
            params_copy(&params, (char *[]){"REQUEST_METHOD=GET", cases[i].query, NULL}), 0);
        ck_assert_int_eq(request_read(&params, &small, &token, &request), 0);
        params_release(&params);
        if (cases[i].error)
            assert_refused(400, cases[i].error);
        else
            ck_assert_int_eq(request.kind, REQUEST_STREAM);
    }
}
END_TEST

/* --- what may be configured --- */

static const char *const bad_sources[] = {"",      "query",   "query:",        "cookie:",
                                          "env:",  "header:", "remote-user:x", "remote-users",
                                          "jwt:x", "jwts",    "QUERY:session", "body:x"};

START_TEST(sources_are_checked)
{
    for (size_t i = 0; i < sizeof bad_sources / sizeof bad_sources[0]; i++)
        ck_assert_msg(request_check_source(bad_sources[i]) != NULL, "'%s' is accepted",
                      bad_sources[i]);
}
END_TEST

/* --- what came twice --- */

static const char *repeated_in(char *const *list)
{
    struct params params = {0};
    request_release(&request);
    ck_assert_int_eq(params_copy(&params, list), 0);
    bool refused = request_refuse_repeated(&params, &rules, &request);
    params_release(&params);
    if (!refused)
        return NULL;
    ck_assert_int_eq(request.kind, REQUEST_REFUSED);
    ck_assert_int_eq(request.status, 400);
    ck_assert_str_eq(request.error, "repeated_parameter");
    return request.message;
}

#define repeated(...) repeated_in((char *[]){__VA_ARGS__, NULL})

START_TEST(who_is_named_twice_is_nobody)
{
    session_from.count = channels_from.count = 0;
    add(&session_from, "header:X-User-Id");
    add(&session_from, "env:USER_ID");
    add(&session_from, "remote-user");
    add(&channels_from, "header:X-Channels");
    add(&meta, "agent=header:User-Agent");
    ck_assert_ptr_nonnull(
        strstr(repeated("HTTP_X_USER_ID=mallory", "HTTP_X_USER_ID=anna"), "HTTP_X_USER_ID"));
    ck_assert_ptr_nonnull(strstr(repeated("USER_ID=a", "A=b", "USER_ID=a"), "USER_ID"));
    ck_assert_ptr_nonnull(strstr(repeated("REMOTE_USER=a", "REMOTE_USER=b"), "REMOTE_USER"));
    ck_assert_ptr_nonnull(
        strstr(repeated("HTTP_X_CHANNELS=a", "HTTP_X_CHANNELS=b"), "HTTP_X_CHANNELS"));
    /* The id identifies nobody. */
    ck_assert_ptr_null(repeated("HTTP_LAST_EVENT_ID=1", "HTTP_LAST_EVENT_ID=2"));
    /* Metadata: it has no value. */
    ck_assert_ptr_null(repeated("HTTP_USER_AGENT=a", "HTTP_USER_AGENT=b"));
    /* Nobody looks at it. */
    ck_assert_ptr_null(repeated("HTTP_X_FORWARDED_FOR=a", "HTTP_X_FORWARDED_FOR=b"));
    ck_assert_ptr_null(repeated("HTTP_X_USER_ID=anna", "HTTP_X_USER_IDS=mallory"));
}
END_TEST

START_TEST(a_query_names_a_session_and_a_token_once)
{
    ck_assert_ptr_nonnull(strstr(repeated("QUERY_STRING=session=a&session=b"), "session"));
    ck_assert_ptr_nonnull(strstr(repeated("QUERY_STRING=session=a&x&session="), "session"));
    ck_assert_ptr_nonnull(strstr(repeated("QUERY_STRING=session=a&%73ession=b"), "session"));
    ck_assert_ptr_nonnull(strstr(repeated("QUERY_STRING=session=a&session"), "session"));
    ck_assert_ptr_nonnull(strstr(repeated("QUERY_STRING=token=a&session=b&token=a"), "token"));
    ck_assert_ptr_nonnull(
        strstr(repeated("QUERY_STRING=session=a&channels=a&channels=b"), "channels"));
    ck_assert_ptr_null(repeated("QUERY_STRING=session=a&sessions=b&lastEventId=1&lastEventId=2"));
    session_from.count = 0;
    add(&session_from, "query:user");
    ck_assert_ptr_null(repeated("QUERY_STRING=session=a&session=b"));
    ck_assert_ptr_nonnull(strstr(repeated("QUERY_STRING=user=a&user=b"), "user"));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(none_is_the_end_of_the_sources)
{
    add(&session_from, "jwt");
    add(&session_from, "none");
    get("QUERY_STRING=");
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    ck_assert_ptr_null(request.session);
    ck_assert(!request.bound);

    get("QUERY_STRING=session=%01");
    assert_refused(400, "missing_session");

    bring_token("", "room");
    get("QUERY_STRING=channels=room");
    ck_assert_int_eq(request.kind, REQUEST_STREAM);
    ck_assert_ptr_null(request.session);
    ck_assert_int_eq(request.expires_ms, 1234);
    get("QUERY_STRING=channels=other");
    assert_refused(403, "forbidden_channel");

    token.verdict = TOKEN_EXPIRED;
    get("QUERY_STRING=");
    assert_refused(401, "token_expired");
    token.verdict = TOKEN_INVALID;
    get("QUERY_STRING=");
    assert_refused(401, "invalid_token");
}
END_TEST

START_TEST(none_is_for_sessions_only)
{
    ck_assert_ptr_nonnull(request_check_source("none"));
    ck_assert_ptr_null(request_check_session_source("none"));
    ck_assert_ptr_null(request_check_session_source("jwt"));
    ck_assert_ptr_nonnull(request_check_session_source("nobody"));
}
END_TEST

START_TEST(a_source_has_a_name_that_can_arrive)
{
    static const char *const good[] = {"query:a b", "cookie:sid", "cookie:__Host-a[b]",
                                       "header:X-User-Id", "env:REMOTE_ADDR"};
    static const char *const bad[] = {
        "query:",          "cookie:",    "cookie:a b",  "cookie:a # text", "cookie:a=b",
        "cookie:a;b",      "cookie:a\"", "header:",     "header:X User",   "header:X-User:",
        "header:\xc3\xa9", "env:",       "env:REMOTE ", "env:A=B",         "jwt:sub"};

    for (size_t i = 0; i < COUNT(good); i++)
        ck_assert_msg(!request_check_source(good[i]), "%s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(request_check_source(bad[i]) != NULL, "%s", bad[i]);

    ck_assert_ptr_null(request_check_cookie("ssecast_token"));
    ck_assert_ptr_null(request_check_cookie(""));
    ck_assert_ptr_nonnull(request_check_cookie("a # text"));
}
END_TEST

START_TEST(channel_may_be_repeated)
{
    get("QUERY_STRING=session=a&channels=x,y&channel=a%2Cb&channel=x&channel=&channel=z");
    assert_channels("x|y|a,b|z");
    get("QUERY_STRING=session=a&channel=only");
    assert_channels("only");
    get("QUERY_STRING=session=a&channel=");
    assert_channels("");
    get("QUERY_STRING=session=a&channel=a%00b");
    assert_refused(400, "bad_channels");
}
END_TEST

START_TEST(channel_belongs_to_the_source_of_channels)
{
    channels_from.count = 0;
    add(&channels_from, "query:rooms");
    get("QUERY_STRING=session=a&channel=x&rooms=r");
    assert_channels("r");
    add(&channels_from, "query:channels");
    get("QUERY_STRING=session=a&channel=x");
    assert_channels("x");
}
END_TEST

START_TEST(a_start_counts_without_a_cursor)
{
    get("QUERY_STRING=session=a&last=5");
    ck_assert_int_eq(request.start.kind, START_LAST);
    ck_assert_uint_eq(request.start.value, 5);
    get("QUERY_STRING=session=a&last=5&lastEventId=");
    ck_assert_int_eq(request.start.kind, START_LAST);
    get("QUERY_STRING=session=a&last=5&lastEventId=7");
    ck_assert_int_eq(request.start.kind, START_AFTER);
    get("QUERY_STRING=session=a&last=5", "HTTP_LAST_EVENT_ID=7");
    ck_assert_int_eq(request.start.kind, START_AFTER);
    get("QUERY_STRING=session=a&last=0", "HTTP_LAST_EVENT_ID=7");
    assert_refused(400, "bad_parameter");
    get("QUERY_STRING=session=a&last");
    assert_refused(400, "bad_parameter");
    get("QUERY_STRING=session=a&last=1&last=1");
    assert_refused(400, "repeated_parameter");
}
END_TEST

START_TEST(of_several_cursors_in_the_query_the_last_counts)
{
    get("QUERY_STRING=session=a&lastEventId=5&lastEventId=&lastEventId=7&lastEventId=");
    ck_assert_str_eq(request.last_id, "7");
    ck_assert_ptr_null(request.other_id);
    get("QUERY_STRING=session=a&lastEventId=&lastEventId=");
    ck_assert_ptr_null(request.last_id);
}
END_TEST

/* A stream with grants has no channel that is not granted:
 * `last` need not leave out private events. */
START_TEST(a_token_grants_all_channels_of_its_stream)
{
    take_sessions_from_tokens();
    bring_token("anna", "a room:*");
    get("QUERY_STRING=channels=room:1,a,room:*");
    ck_assert(request.kind == REQUEST_STREAM && request.channel_count == 3 && request.grants);
    for (size_t i = 0; i < request.channel_count; i++)
        ck_assert(selectors_match(request.grants, request.channels[i]));
    get("QUERY_STRING=channels=room:1,b");
    assert_refused(403, "forbidden_channel");
}
END_TEST

START_TEST(checkpoints_are_chosen_once)
{
    get("QUERY_STRING=session=a&checkpoints=false&checkpoints=true");
    assert_refused(400, "repeated_parameter");
    get("QUERY_STRING=session=a&checkpoints=&checkpoints=");
    assert_refused(400, "repeated_parameter");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *tests = one_case(suite, "request");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, methods_are_told_apart, 0, COUNT(methods));
    tcase_add_test(tests, head_is_judged_as_get_is);
    tcase_add_loop_test(tests, a_session_comes_from_its_source, 0, COUNT(sessions));
    tcase_add_test(tests, sources_are_tried_in_order);
    tcase_add_test(tests, a_session_has_255_bytes_at_most);
    tcase_add_test(tests, without_sources_there_is_no_session);
    tcase_add_loop_test(tests, channels_are_separated_by_commas, 0, COUNT(channels));
    tcase_add_test(tests, there_are_not_too_many_channels);
    tcase_add_loop_test(tests, the_cursor_is_kept_as_it_came, 0, COUNT(cursors));
    tcase_add_test(tests, a_cursor_of_any_length_is_kept);
    tcase_add_test(tests, of_several_cursors_in_the_query_the_last_counts);
    tcase_add_test(tests, a_token_grants_all_channels_of_its_stream);
    tcase_add_test(tests, checkpoints_are_chosen_once);
    tcase_add_test(tests, there_may_be_two_cursors);
    tcase_add_test(tests, two_headers_are_two_cursors);
    tcase_add_test(tests, a_polyfill_may_want_padding);
    tcase_add_test(tests, checkpoints_are_events_unless_they_are_not_wanted);
    tcase_add_loop_test(tests, checkpoints_are_wanted_or_not, 0, 4);
    tcase_add_loop_test(tests, only_an_allowed_origin_is_answered, 0, COUNT(cors));
    tcase_add_test(tests, a_preflight_and_a_refusal_have_an_origin_too);
    tcase_add_test(tests, a_session_can_come_from_a_token);
    tcase_add_loop_test(tests, without_a_good_token_there_is_no_session, 0, COUNT(verdicts));
    tcase_add_test(tests, a_missing_token_leaves_it_to_the_next_source_and_a_bad_one_does_not);
    tcase_add_test(tests, a_token_that_was_not_asked_does_not_limit);
    tcase_add_loop_test(tests, a_token_limits_the_channels, 0, COUNT(limits));
    tcase_add_test(tests, channels_can_be_the_token_s);
    tcase_add_test(tests, channels_of_a_token_bind_the_stream_whoever_the_session_is);
    tcase_add_test(tests, a_token_is_wanted_where_it_is_a_source);
    tcase_add_test(tests, what_is_kept_comes_from_sources_in_their_order);
    tcase_add_test(tests, claims_are_kept_of_a_good_token_only);
    tcase_add_loop_test(tests, what_is_kept_has_a_label, 0, (int)(sizeof labels / sizeof *labels));
    tcase_add_test(tests, names_and_channels_are_as_long_and_many_as_configured);
    tcase_add_test(tests, sources_are_checked);
    tcase_add_test(tests, who_is_named_twice_is_nobody);
    tcase_add_test(tests, a_query_names_a_session_and_a_token_once);
    tcase_add_test(tests, none_is_the_end_of_the_sources);
    tcase_add_test(tests, none_is_for_sessions_only);
    tcase_add_test(tests, a_source_has_a_name_that_can_arrive);
    tcase_add_test(tests, channel_may_be_repeated);
    tcase_add_test(tests, channel_belongs_to_the_source_of_channels);
    tcase_add_test(tests, a_start_counts_without_a_cursor);
    return run_suite(suite);
}
