/* Requests to services over a socket pair, as plain CGI so that the text stands alone. What the
 * broker replies is said through service_replied(); upstream itself is there and finds nobody. */
#include "service/service.h"

#include "dispatch.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/token.h"
#include "base/clock.h"
#include "one_broker.h"
#include "support.h"
#include "turns.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define HEAD "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
/* {"publish":true} */
#define MAY HEAD "eyJwdWJsaXNoIjp0cnVlfQ.DxCfexERL-LBjTycOXbCOeTEedJNbCOxVBFuNaVlxi4"
/* {"sub":"a"} */
#define MAY_NOT HEAD "eyJzdWIiOiJhIn0.YTr6qPF-N-Bo-UZqK7Hz8gvEwXiRoDS1Hw2fNFD_Ri4"
#define EXPIRED                                                                                    \
    HEAD "eyJwdWJsaXNoIjp0cnVlLCJleHAiOjEwMDB9.N86VhJPAstIzArcE8Cs9pT5hm2HEimat8nNiBvEGq-w"
/* The first one with another secret. */
#define FORGED HEAD "eyJwdWJsaXNoIjp0cnVlfQ.7JqlQINtjg0vL5Y76iu6i3wyQ9GuxxIxYOz1cbiEAHo"

static char *origin = (char *)"https://app.example";
static const struct option_list none = {NULL, 0}, origins = {&origin, 1};
static struct exchanges exchanges;
static struct streams set;
static struct services services;
static char key_file[] = "/tmp/check-service-XXXXXX";
static int client; /* the other end of the last request's connection */

static bool turn_end(void *context)
{
    (void)context;
    bool more = conns_flush(&exchanges.conns);
    conns_reap(&exchanges.conns);
    return more;
}

static void turn(void)
{
    turn_for(set.loop, 0);
}

static struct tokens *new_tokens(void)
{
    struct token_rules rules = {
        .secret_file = key_file, .audience = &none, .cookie = "ssecast_token"};
    memcpy(key_file + sizeof key_file - 7, "XXXXXX", 6);
    int fd = mkstemp(key_file);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, SECRET, sizeof SECRET - 1), (ssize_t)sizeof SECRET - 1);
    close(fd);
    return tokens_new(&rules);
}

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    set = (struct streams){
        .loop = new_turns(turn_end),
        .exchanges = &exchanges,
        .request_rules = {&none, &none, &origins, 64, 255},
        .reply_rules = {&none, &origins},
        .limits = {.connections = 10, .heartbeat_ms = 600000, .publish_bytes = 1000}};
    exchanges_init(&exchanges, set.loop, 1u << 20, 0, set.counters);
    ck_assert_int_eq(streams_init(&set, "w", 1u << 20), 0);
    services = (struct services){.streams = &set};
    services_init(&services);
    set.upstream = upstream_of_nobody(set.loop, set.counters);
    set.tokens = new_tokens();
    ck_assert_ptr_nonnull(set.tokens);
    client = -1;
}

static void teardown(void)
{
    conns_close(&exchanges.conns);
    services_release(&services);
    streams_release(&set);
    ck_assert_uint_eq(services.asked_bytes, 0);
    ck_assert_ptr_null(TAILQ_FIRST(&services.waiting));
    upstream_free(&set.upstream);
    tokens_free(&set.tokens);
    loop_free(&set.loop);
    unlink(key_file);
    if (client >= 0)
        close(client);
}

/* --- a request --- */

struct ask {
    const char *method, *uri, *token, *type, *origin, *length;
    const char *body;
    enum params_body state;
};

static struct params params_of(const struct ask *a)
{
    char method[64], uri[128], token[512] = "", type[64] = "", from[64] = "", length[64] = "";
    struct params params = {.request = 1, .body_state = a->state};
    snprintf(method, sizeof method, "REQUEST_METHOD=%s", a->method ? a->method : "POST");
    snprintf(uri, sizeof uri, "REQUEST_URI=%s", a->uri ? a->uri : "/sse/publish");
    if (a->token)
        snprintf(token, sizeof token, "HTTP_AUTHORIZATION=Bearer %s", a->token);
    snprintf(type, sizeof type, "CONTENT_TYPE=%s", a->type ? a->type : "application/json");
    if (a->origin)
        snprintf(from, sizeof from, "HTTP_ORIGIN=%s", a->origin);
    if (a->length)
        snprintf(length, sizeof length, "CONTENT_LENGTH=%s", a->length);
    ck_assert_int_eq(params_copy(&params, (char *[]){method, uri, token, type, from, length, NULL}),
                     0);
    if (a->body) {
        params.body = strdup(a->body);
        params.body_len = strlen(a->body);
        params.body_state = a->state ? a->state : BODY_WHOLE;
    }
    return params;
}

static void send_request(struct ask a)
{
    int fds[2];
    struct params params = params_of(&a);
    if (client >= 0)
        close(client);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client = fds[1];
    dispatch_request(&services, &(struct incoming){fds[0], &params, CONN_PIPE});
    turn();
}

/* What was answered, up to the end; empty: nothing yet. */
static const char *answer(void)
{
    static char text[16384];
    ssize_t n = read(client, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    if (n > 0)
        ck_assert_int_eq(read(client, text + n, 1), 0);
    return text;
}

static void assert_answer(const char *status, const char *part)
{
    char head[32];
    const char *text = answer();
    snprintf(head, sizeof head, "Status: %s", status);
    ck_assert_msg(strncmp(text, head, strlen(head)) == 0, "not %s: %s", status, text);
    ck_assert_msg(strstr(text, part) != NULL, "%s is not in %s", part, text);
}

static const struct ask good = {.token = MAY, .body = "{\"data\":1}"};

/* What the broker replies to the call that waits for the longest. */
static void reply(const char *json)
{
    struct call *c = TAILQ_FIRST(&services.waiting);
    ck_assert_ptr_nonnull(c);
    upstream_forget(c->services->streams->upstream, &c->pending); /* as upstream does */
    service_replied(c, slice_of(json));
    turn();
}

/* --- which service --- */

START_TEST(the_path_behind_the_mount_point_names_it)
{
    static const struct {
        const char *uri, *name;
    } rows[] = {
        {"/sse/publish", "publish"},
        {"/publish?x=/healthz", "publish"},
        {"/sse/healthz#publish", "healthz"},
        {"/sse", "streams"},
        {"/sse/", "streams"},
        {"/", "streams"},
        {"/sse?/publish", "streams"},
        {"/sse/publish/", "nothing"},
        {"/sse/xpublish", "nothing"},
        {"/sse/publishx", "nothing"},
        {"/sse/Publish", "nothing"},
        {"/sse/%70ublish", "nothing"},
        {"/sse/x/publish", "nothing"},
        {"/sse//publish", "nothing"},
        {"", "nothing"},
    };
    struct params params = params_of(&(struct ask){.uri = rows[_i].uri});
    const struct service *service;
    bool hub, found = service_find(&services, &params, &service, &hub);
    const char *name = service ? service->name : "streams";
    ck_assert_str_eq(found ? name : "nothing", rows[_i].name);
    params_release(&params);
}
END_TEST

START_TEST(a_path_that_names_nothing_is_404)
{
    send_request((struct ask){.method = "GET", .uri = "/sse/x/publish"});
    assert_answer("404", "\"not_found\"");
    send_request((struct ask){.method = "GET", .uri = "/sse/ssecast-client.js", .token = MAY});
    assert_answer("404", "\"not_found\"");
}
END_TEST

START_TEST(a_preflight_is_the_services_own_where_pages_may_ask)
{
    send_request((struct ask){.method = "OPTIONS", .origin = origin});
    const char *text = answer();
    ck_assert_int_eq(strncmp(text, "Status: 204 ", 12), 0);
    ck_assert_ptr_nonnull(strstr(text, "Access-Control-Allow-Methods: POST, OPTIONS\r\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "Access-Control-Allow-Origin: https://app.example\r\n"));
    send_request((struct ask){.method = "OPTIONS", .uri = "/sse/healthz", .origin = origin});
    assert_answer("204", "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n");
    send_request((struct ask){.method = "OPTIONS", .origin = "https://evil.example"});
    ck_assert_ptr_null(strstr(answer(), "Access-Control"));
}
END_TEST

START_TEST(head_is_answered_as_get_is_without_the_body)
{
    static const char *const uris[] = {"/sse/presence?channel=a",
                                       "/sse/healthz",
                                       "/sse/metrics",
                                       "/sse/status",
                                       "/sse/status?stream",
                                       "/sse/.well-known/mercure/subscriptions"};
    char expected[4096];
    services.route_rules.mercure = true;
    send_request((struct ask){.method = "GET", .uri = uris[_i]});
    snprintf(expected, sizeof expected, "%s", answer());
    char *body = strstr(expected, "\r\n\r\n");
    ck_assert(body && body[4]);
    body[4] = '\0';
    ck_assert_ptr_nonnull(strstr(expected, "Content-Length: "));
    ck_assert_ptr_null(strstr(expected, "Status: 405"));
    close(client);

    send_request((struct ask){.method = "HEAD", .uri = uris[_i]});
    ck_assert_str_eq(answer(), expected);
}
END_TEST

/* --- publish --- */

START_TEST(what_cannot_be_published_is_refused)
{
    static const struct {
        struct ask ask;
        const char *status, *part;
    } rows[] = {
        {{.method = "GET"}, "405", "\"method_not_allowed\""},
        {{.method = "POS"}, "405", "POST, OPTIONS"},
        {{.method = "POST,"}, "405", "\"method_not_allowed\""},
        {{.method = "\377\"\r\nX: 1"}, "405", "\"method_not_allowed\""},
        {{.body = "{}"}, "401", "WWW-Authenticate: Bearer\r\n"},
        {{.body = "{}", .token = "x"}, "401", "\"invalid_token\""},
        {{.body = "{}", .token = FORGED}, "401", "\"invalid_token\""},
        {{.body = "{}", .token = EXPIRED}, "401", "\"token_expired\""},
        {{.body = "{}", .token = MAY_NOT}, "403", "\"forbidden\""},
        {{.body = "{}", .token = MAY, .type = "text/plain"}, "415", "application/json"},
        {{.body = "{}", .token = MAY, .type = ""}, "415", "application/json"},
        {{.body = "{}", .token = MAY, .type = "application/jsonp"}, "415", "application/json"},
        {{.token = MAY, .state = BODY_TOO_LARGE}, "413", "1000 bytes"},
        {{.token = MAY, .state = BODY_NO_ROOM}, "503", "nothing was published"},
        {{.token = MAY, .state = BODY_PARTIAL}, "400", "nothing was published"},
        {{.token = MAY, .state = BODY_NONE}, "400", "nothing was published"},
        {{.body = "{}", .token = MAY, .length = "3"}, "400", "nothing was published"},
        {{.body = "{}", .token = MAY, .length = "1"}, "400", "nothing was published"},
    };
    send_request(rows[_i].ask);
    assert_answer(rows[_i].status, rows[_i].part);
    ck_assert_ptr_null(TAILQ_FIRST(&services.waiting));
    ck_assert_uint_eq(set.counters[PUBLISHES_HTTP_REFUSED], 1);
}
END_TEST
#define REFUSALS 18

START_TEST(it_may_be_switched_off)
{
    set.limits.publish_bytes = 0;
    send_request(good);
    assert_answer("404", "\"not_found\"");
}
END_TEST

START_TEST(without_keys_nobody_may)
{
    tokens_free(&set.tokens);
    send_request(good);
    assert_answer("401", "\"missing_token\"");
}
END_TEST

START_TEST(the_brokers_reply_is_the_answer)
{
    static const struct {
        const char *json, *status;
    } rows[] = {
        {"{\"ok\":true,\"seq\":1}", "200"},
        {"{\"ok\":false,\"error\":\"bad_json\",\"message\":\"x\"}", "400"},
        {"{\"ok\":false,\"error\":\"bad_request\",\"message\":\"\\\"ok\\\":true\"}", "400"},
        {"{\"ok\":false,\"error\":\"unknown_op\",\"message\":\"x\"}", "400"},
        {"{\"ok\":false,\"error\":\"forbidden\",\"message\":\"x\"}", "403"},
        {"{\"ok\":false,\"error\":\"too_large\",\"message\":\"x\"}", "413"},
        {"{\"ok\":false,\"error\":\"store_failed\",\"message\":\"x\"}", "503"},
    };
    send_request(good);
    ck_assert_str_eq(answer(), "");
    ck_assert_uint_eq(services.asked_bytes, strlen(good.body));
    reply(rows[_i].json);
    assert_answer(rows[_i].status, rows[_i].json);
    ck_assert_uint_eq(services.asked_bytes, 0);
    ck_assert_uint_eq(set.counters[PUBLISHES_HTTP] + set.counters[PUBLISHES_HTTP_REFUSED], 1);
    ck_assert_uint_eq(set.counters[PUBLISHES_HTTP], _i == 0);
    ck_assert_uint_eq(set.counters[ENDS_CLIENT], 0); /* it was no stream */
}
END_TEST

START_TEST(a_page_may_read_the_answer_where_it_may_ask)
{
    struct ask ask = good;
    ask.origin = origin;
    send_request(ask);
    reply("{\"ok\":true}");
    assert_answer("200", "Access-Control-Allow-Origin: https://app.example\r\n");
    ask.origin = "https://evil.example";
    send_request(ask);
    reply("{\"ok\":true}");
    ck_assert_ptr_null(strstr(answer(), "Access-Control"));
}
END_TEST

START_TEST(a_lost_broker_is_told_honestly)
{
    send_request(good);
    reply("");
    assert_answer("503", "send it again with an `id`");
}
END_TEST

START_TEST(calls_are_answered_each_with_its_own)
{
    int clients[3];
    for (int i = 0; i < 3; i++) {
        send_request(good);
        clients[i] = client;
        client = -1;
    }
    close(clients[1]);
    conn_cut(&TAILQ_NEXT(TAILQ_FIRST(&services.waiting), link)->exchange.conn,
             END_CLIENT); /* raw ones do not notice by themselves */
    turn();
    ck_assert_uint_eq(services.asked_bytes, 2 * strlen(good.body));
    ck_assert_uint_eq(set.counters[ENDS_CLIENT], 0); /* it was no stream */
    reply("{\"ok\":true,\"seq\":1}");
    reply("{\"ok\":true,\"seq\":3}");
    client = clients[0];
    assert_answer("200", "\"seq\":1");
    close(client);
    client = clients[2];
    assert_answer("200", "\"seq\":3");
}
END_TEST

START_TEST(too_much_at_once_is_refused)
{
    services.asked_bytes = SERVICE_ASKED_MAX - strlen(good.body);
    send_request(good);
    ck_assert_str_eq(answer(), "");
    /* Nobody waits for the first any more, but the broker may have been asked. */
    send_request(good);
    assert_answer("503", "nothing was done");
    services.asked_bytes -= SERVICE_ASKED_MAX - strlen(good.body);
}
END_TEST

START_TEST(a_body_is_worth_something_with_a_good_token)
{
    static const struct {
        struct ask ask;
        size_t max;
    } rows[] = {
        {{.token = MAY}, 1000},
        {{.token = MAY, .type = "text/plain"}, 1000},
        {{.token = MAY_NOT}, 0},
        {{.token = FORGED}, 0},
        {{0}, 0},
        {{.token = MAY, .method = "PUT"}, 0},
        {{.token = MAY, .uri = "/sse"}, 0},
        {{.token = MAY, .uri = "/sse/healthz"}, 0},
    };
    struct params params = params_of(&rows[_i].ask);
    ck_assert_uint_eq(service_body_max(&services, &params), rows[_i].max);
    ck_assert_uint_eq(service_body_max(&services, &params), rows[_i].max); /* it was judged once */
    set.limits.publish_bytes = 0;
    ck_assert_uint_eq(service_body_max(&services, &params), 0);
    params_release(&params);
}
END_TEST

/* --- connect-rate --- */

/* A request of this address, head first, as it comes from a web server. */
static void send_from(const char *address, const char *token)
{
    int fds[2];
    char from[64];
    struct params params = params_of(&(struct ask){.token = token, .body = "{\"data\":1}"}),
                  more = {.request = 1};
    snprintf(from, sizeof from, "REMOTE_ADDR=%s", address);
    char *list[8] = {from};
    size_t count = 1;
    for (char *item = params.text; *item; item += strlen(item) + 1)
        list[count++] = item;
    ck_assert_int_eq(params_copy(&more, list), 0);
    params_release(&params);
    service_body_max(&services, &more);
    more.body = strdup("{\"data\":1}");
    more.body_len = strlen(more.body);
    more.body_state = BODY_WHOLE;
    if (client >= 0)
        close(client);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client = fds[1];
    dispatch_request(&services, &(struct incoming){fds[0], &more, CONN_PIPE});
    turn();
}

START_TEST(who_tries_tokens_is_slowed_down)
{
    set.addresses = addresses_new(0, 1);
    send_from("192.0.2.1", FORGED); /* counts once, though its head came first */
    assert_answer("401", "\"invalid_token\"");
    send_from("192.0.2.1", FORGED);
    assert_answer("429", "\"rate_limited\"");
    send_from("192.0.2.1", MAY);
    assert_answer("429", "Retry-After: 1\r\n");
    ck_assert_uint_eq(set.counters[SHED_RATE], 2);
    send_from("192.0.2.1", NULL); /* it tries none */
    assert_answer("401", "\"missing_token\"");
    send_from("192.0.2.2", FORGED);
    assert_answer("401", "\"invalid_token\"");
}
END_TEST

/* --- what came twice --- */

static char *const twice[] = {
    "HTTP_AUTHORIZATION=Bearer x",
    "HTTP_COOKIE=a=b",
    "REMOTE_ADDR=127.0.0.1",
    "REQUEST_METHOD=GET",
    "QUERY_STRING=",
    "REQUEST_URI=/sse/healthz",
    "HTTP_HOST=x",
    "HTTP_ORIGIN=null",
    "CONTENT_TYPE=x",
    "CONTENT_LENGTH=1",
};

START_TEST(a_parameter_that_decides_may_not_come_twice)
{
    static char *const uris[] = {"REQUEST_URI=/sse/publish", "REQUEST_URI=/sse/status",
                                 "REQUEST_URI=/sse"};
    for (int i = 0; i < 3; i++) {
        int fds[2];
        struct params params = {.request = 1};
        char *list[] = {"REQUEST_METHOD=POST", uris[i], twice[_i], twice[_i], NULL};
        ck_assert_int_eq(params_copy(&params, list), 0);
        if (client >= 0)
            close(client);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        client = fds[1];
        dispatch_request(&services, &(struct incoming){fds[0], &params, CONN_PIPE});
        turn();
        const char *text = answer();
        if (strncmp(twice[_i], "REQUEST_URI", 11) != 0)
            ck_assert_msg(strstr(text, "\"repeated_parameter\"") &&
                              strncmp(text, "Status: 400", 11) == 0,
                          "%s", text);
        else
            ck_assert_msg(strncmp(text, "Status: 40", 10) == 0, "%s", text);
    }
}
END_TEST

/* --- the hub's subscriptions --- */

#define LISTS                                                                                      \
    HEAD "eyJtZXJjdXJlIjp7InN1YnNjcmliZSI6WyIqIl19fQ.0KzGTRdDdm5MFoo6fJP-ixqRvH2gfyFQnVYox7Wd06Y"

/* The route comes from SCRIPT_NAME where there is no REQUEST_URI; the link to the hub does, too. */
START_TEST(a_list_without_a_request_uri_has_a_link)
{
    int fds[2];
    struct params params = {.request = 1};
    char *list[] = {"REQUEST_METHOD=GET", "SCRIPT_NAME=/sse/.well-known/mercure/subscriptions",
                    "HTTP_AUTHORIZATION=Bearer " LISTS, NULL};
    set.mercure.subscriptions = true;
    services.route_rules.mercure = true;
    ck_assert_int_eq(params_copy(&params, list), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client = fds[1];
    dispatch_request(&services, &(struct incoming){fds[0], &params, CONN_PIPE});
    reply("{\"ok\":true,\"head\":7,\"subscriptions\":[],\"more\":false}");
    assert_answer("200", "Link: </sse/.well-known/mercure>;");
}
END_TEST

/* --- the hub's updates --- */

/* {"mercure":{"publish":["*"]}} */
#define UPDATES                                                                                    \
    HEAD "eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdfX0.idSPbjiZ_3nALIDIcYIG38SveJfcQ41-H_AD-Ri4JfI"

static const char *const forms[][2] = {
    {"", "the form names no topic; accepted: one field `topic` or more"},
    {"topic=a&data=%FF", "data is not valid; accepted: UTF-8"},
    {"topic=a&retry=soon",
     "retry is not valid; accepted: a number of at most 10 digits, in milliseconds"},
    {"topic=a&retry", "retry is not valid; accepted: a number"},
    {"topic=a&type=ssecast.x",
     "type is not valid; accepted: one line of UTF-8, at most 255 bytes, neither mercure nor"},
    {"topic=a&type=mercure", "type is not valid; accepted: "},
    {"topic=a&type=a%00b", "type is not valid; accepted: "},
    {"topic=a&id=earliest", "id is reserved; accepted: "},
    {"topic=*", "topic is reserved; accepted: "},
    {"topic=a&topic=b&topic=c", "too many topics; accepted: at most 2 (max-channels)"},
    {"topic=12345678901", "topic 1 is not valid; accepted: 1 to 10 bytes"},
};

static void send_update(const char *form)
{
    services.route_rules.mercure = true;
    set.mercure = (struct mercure_rules){
        .cors_origins = &origins, .max_topics = 2, .max_topic_bytes = 10, .publish_bytes = 1000};
    send_request((struct ask){.uri = "/sse/.well-known/mercure",
                              .token = UPDATES,
                              .type = "application/x-www-form-urlencoded",
                              .body = form,
                              .state = BODY_WHOLE});
}

/* Every error of the hub's has this shape. */
static void assert_hub_error(const char *status, const char *code, const char *message)
{
    char body[300];
    snprintf(body, sizeof body, "\r\n\r\n{\"error\":\"%s\",\"message\":\"%s", code, message);
    assert_answer(status, body);
}

START_TEST(a_form_s_fault_is_named_with_what_is_accepted)
{
    send_update(forms[_i][0]);
    assert_hub_error("400", "bad_request", forms[_i][1]);
}
END_TEST

static const struct {
    const char *json, *status, *code, *message;
} refused[] = {
    {"{\"ok\":false,\"error\":\"bad_request\",\"message\":\"`retry` must be x\"}", "400",
     "bad_request", "`retry` must be x\"}"},
    {"{\"ok\":false,\"error\":\"bad_request\",\"message\":\"`event` must be x\"}", "400",
     "bad_request", "`type` must be x\"}"},
    {"{\"ok\":false,\"error\":\"too_large\",\"message\":\"`text` has 9 bytes\"}", "413",
     "too_large", "`data` has 9 bytes\"}"},
    {"{\"ok\":false,\"error\":\"bad_request\",\"message\":\"`to.channels[1]` is x\"}", "400",
     "bad_request", "`topic[1]` is x\"}"},
    {"{\"ok\":false,\"error\":\"too_large\",\"message\":\"`to` has x\"}", "413", "too_large",
     "`topic` has x\"}"},
    {"{\"ok\":false,\"error\":\"busy\",\"message\":\"x\"}", "503", "busy", "x\"}"},
    {"{\"ok\":false,\"error\":\"store_failed\",\"message\":\"x\",\"unknown\":true}", "503",
     "store_failed", "x; it is unknown whether the update was published\"}"},
    {"{\"ok\":false}", "503", "unavailable", "the broker's reply is not valid; it is unknown"},
    {"nonsense", "503", "unavailable", "the broker's reply is not valid; it is unknown"},
};

START_TEST(the_broker_s_refusal_has_the_hub_s_shape_and_names)
{
    send_update("topic=a&data=b");
    ck_assert_str_eq(answer(), "");
    reply(refused[_i].json);
    assert_hub_error(refused[_i].status, refused[_i].code, refused[_i].message);
}
END_TEST

START_TEST(a_token_that_is_missing_is_asked_for_where_the_hub_looks)
{
    services.route_rules.mercure = true;
    set.mercure = (struct mercure_rules){.cors_origins = &origins, .publish_bytes = 1000};
    send_request((struct ask){.uri = "/sse/.well-known/mercure", .body = "topic=a"});
    assert_hub_error("401", "missing_token",
                     "token required: in Authorization: Bearer, the cookie mercureAuthorization");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("service");
    TCase *tests = one_case(suite, "service");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, the_path_behind_the_mount_point_names_it, 0, 15);
    tcase_add_test(tests, a_path_that_names_nothing_is_404);
    tcase_add_test(tests, a_preflight_is_the_services_own_where_pages_may_ask);
    tcase_add_loop_test(tests, head_is_answered_as_get_is_without_the_body, 0, 6);
    tcase_add_loop_test(tests, what_cannot_be_published_is_refused, 0, REFUSALS);
    tcase_add_test(tests, it_may_be_switched_off);
    tcase_add_test(tests, without_keys_nobody_may);
    tcase_add_loop_test(tests, the_brokers_reply_is_the_answer, 0, 7);
    tcase_add_test(tests, a_page_may_read_the_answer_where_it_may_ask);
    tcase_add_test(tests, a_lost_broker_is_told_honestly);
    tcase_add_test(tests, calls_are_answered_each_with_its_own);
    tcase_add_test(tests, too_much_at_once_is_refused);
    tcase_add_loop_test(tests, a_body_is_worth_something_with_a_good_token, 0, 8);
    tcase_add_test(tests, who_tries_tokens_is_slowed_down);
    tcase_add_loop_test(tests, a_parameter_that_decides_may_not_come_twice, 0,
                        (int)(sizeof twice / sizeof *twice));
    tcase_add_test(tests, a_list_without_a_request_uri_has_a_link);
    tcase_add_loop_test(tests, a_form_s_fault_is_named_with_what_is_accepted, 0,
                        (int)(sizeof forms / sizeof *forms));
    tcase_add_loop_test(tests, the_broker_s_refusal_has_the_hub_s_shape_and_names, 0,
                        (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tests, a_token_that_is_missing_is_asked_for_where_the_hub_looks);
    return run_suite(suite);
}
