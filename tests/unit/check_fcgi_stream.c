#include "codec/audience.h"
#include "codec/event_record.h"
#include "stream/feed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jwt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "stream/concern.h"
#include "stream/current.h"
#include "stream/open.h"
#include "stream/report.h"
#include "stream/resume.h"
#include "streams.h"

/* What a stream takes of a worker with 64 bits. */
_Static_assert(sizeof(void *) != 8 || sizeof(struct stream) <= 344, "a stream has not grown");
_Static_assert(sizeof(void *) != 8 || sizeof(struct registry_entry) <= 48, "nor has its entry");

static struct client *open_as(int number, const char *session)
{
    char query[100];
    snprintf(query, sizeof query, "QUERY_STRING=session=%s", session);
    return open_with(number, 0, query, NULL);
}

static struct client *come_back(int number, const char *session, const char *last_id)
{
    static char query[100], header[20000];
    snprintf(query, sizeof query, "QUERY_STRING=session=%s", session);
    snprintf(header, sizeof header, "HTTP_LAST_EVENT_ID=%s", last_id);
    return open_with(number, 0, query, header);
}

static void leave(struct client *c)
{
    close(c->fd);
    c->fd = -1;
}

/* What has come since it was looked at last. */
static const char *heard(struct client *c)
{
    turn();
    receive(c, SIZE_MAX);
    c->len = 0;
    return c->text;
}

/* The same without the response's head, which must be there. */
static const char *body(struct client *c)
{
    const char *text = heard(c), *end = strstr(text, "\r\n\r\n");
    ck_assert_msg(end != NULL, "no head: '%s'", text);
    return end + 4;
}

#define assert_heard(c, should) ck_assert_str_eq(heard(c), should)
#define assert_body(c, should) ck_assert_str_eq(body(c), should)
#define CHECKPOINT(id) "event: ssecast.checkpoint\nid: " id "\ndata: {}\n\n"

/* Its first block names this id, in a checkpoint that says which connection it is;
 * the rest follows. */
static void assert_begins(struct client *c, const char *id, const char *rest)
{
    char connection[REGISTRY_ID_MAX], should[2000];
    const char *text = body(c), *header = strstr(c->text, "Ssecast-Connection: ");
    ck_assert_int_eq(sscanf(header, "Ssecast-Connection: %63[^\r]", connection), 1);
    snprintf(should, sizeof should,
             "retry: 15000\nevent: ssecast.checkpoint\nid: %s\n"
             "data: {\"connection\":\"%s\",\"heartbeat\":%" PRIu64 "}\n\n%s",
             id, connection, set.limits.heartbeat_ms, rest);
    ck_assert_str_eq(text, should);
}

/* What follows the checkpoint of one that had no place before. */
static const char *after_place(struct client *c, const char *id)
{
    char first[100];
    const char *text = heard(c);
    int len = snprintf(first, sizeof first,
                       "event: ssecast.checkpoint\nid: %s\ndata: {\"connection\":\"w-", id);
    ck_assert_msg(strncmp(text, first, (size_t)len) == 0, "no checkpoint: '%s'", text);
    return strstr(text, "\n\n") + 2;
}

/* --- the broker --- */

static void say(const struct event_spec *spec)
{
    struct event *e = event_new(spec);
    ck_assert_ptr_nonnull(e);
    feed_event(&set, e);
    event_unref(&e);
}

static void publish(uint64_t seq, const char *session)
{
    struct slice name = slice_of(session);
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = seq, .data = S("x"), .has_to = session != NULL};
    if (session)
        spec.lists[TO_SESSIONS] = (struct names){&name, 1};
    say(&spec);
}

/* The newest event of a key, for everyone or a session. */
static void publish_key(uint64_t seq, const char *session, const char *key, const char *data)
{
    struct slice name = slice_of(session);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .key = slice_of(key),
                              .data = slice_of(data),
                              .has_to = session != NULL};
    if (session)
        spec.lists[TO_SESSIONS] = (struct names){&name, 1};
    say(&spec);
}

/* The same for channel c, perhaps as a removal, or private. */
static void publish_in_channel(uint64_t seq, const char *key, const char *data, bool is_private,
                               bool remove)
{
    struct slice name = S("c");
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .key = slice_of(key),
                              .data = slice_of(data),
                              .is_private = is_private,
                              .remove = remove,
                              .has_to = true,
                              .lists = {[TO_CHANNELS] = {&name, 1}}};
    say(&spec);
}

/* The state of a welcome: one key, whose event has this seq (0: no key). */
static void welcome(uint64_t position, uint64_t seq, const char *key)
{
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = seq, .key = slice_of(key), .data = S("state")};
    struct event *e = seq ? event_new(&spec) : NULL;
    current_clear(&set);
    if (e)
        current_state(&set, e);
    current_told(&set, position);
    event_unref(&e);
}

static void publish_range(uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        publish(seq, NULL);
}

/* name is written to *room, which lasts as long as the spec. */
static struct event_spec shutdown_of(uint64_t seq, enum event_list list, struct slice *room,
                                     int64_t time_ms)
{
    struct event_spec spec = {.kind = EVENT_SHUTDOWN,
                              .seq = seq,
                              .time_ms = time_ms,
                              .event = S("ssecast.shutdown"),
                              .data = S("{}"),
                              .has_to = true};
    spec.lists[list] = (struct names){room, 1};
    return spec;
}

static void shut_down(uint64_t seq, const char *session, uint32_t block_s)
{
    struct slice name = slice_of(session);
    struct event_spec spec = shutdown_of(seq, TO_SESSIONS, &name, clock_unix_ms());
    spec.block_s = block_s;
    say(&spec);
}

/* The stream that was opened last. */
static struct stream *last_stream(void)
{
    const struct conns *all = &exchanges.conns;
    struct conn *last = TAILQ_LAST(&all->behind, conn_list);
    if (!last)
        last = TAILQ_LAST(&all->blocked, conn_list);
    return (struct stream *)(last ? last : TAILQ_LAST(&all->idle, conn_list));
}

/* Answer a stream's question with the events from first to last. */
static void answer(struct stream *s, struct wire_page page, uint64_t first, uint64_t last)
{
    struct buf b = {0};
    ck_assert_ptr_nonnull(s->pending);
    for (uint64_t seq = first; seq <= last; seq++) {
        struct event *e =
            event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = S("x")});
        wire_add_entry(&b, e);
        event_unref(&e);
    }
    page.entries = (struct slice){b.data, b.len};
    struct upstream_request *question = s->pending;
    upstream_forget(s->set->upstream, &question); /* as upstream does */
    resume_page(s, &page);
    buf_release(&b);
}

/* --- opening --- */

START_TEST(a_stream_begins_where_the_sequence_stands)
{
    join(100);
    struct client *c = open_as(0, "a");
    assert_begins(c, "100", "");
    ck_assert(!c->ended);
    ck_assert_uint_eq(set.counters[STREAMS_OPENED], 1);
    leave(c);
}
END_TEST

START_TEST(its_head_names_the_connection)
{
    join(100);
    const char *text = heard(open_as(0, "a"));
    ck_assert_int_eq(strncmp(text, "Status: 200 OK\r\nContent-Type: text/event-stream\r\n", 49), 0);
    ck_assert_ptr_nonnull(strstr(text, "\r\nSsecast-Connection: w-"));
}
END_TEST

START_TEST(without_a_broker_it_opens_and_waits)
{
    struct client *c = open_as(0, "a");
    assert_body(c, "retry: 15000\n\n");
    join(100);
    const char first[] = "event: ssecast.checkpoint\nid: 100\ndata: {\"connection\":\"w-";
    ck_assert_int_eq(strncmp(heard(c), first, strlen(first)), 0);
    ck_assert_ptr_nonnull(strstr(c->text, "\",\"heartbeat\":600000}\n\n"));
    publish(101, NULL);
    assert_heard(c, "id: 101\ndata: x\n\n");
    leave(c);
}
END_TEST

START_TEST(live_events_reach_whom_they_concern)
{
    join(100);
    struct client *a = open_as(0, "a"), *b = open_as(1, "b");
    body(a);
    body(b);
    publish(101, NULL);
    publish(102, "a");
    publish(103, "b");
    assert_heard(a, "id: 101\ndata: x\n\nid: 102\ndata: x\n\n");
    assert_heard(b, "id: 101\ndata: x\n\nid: 103\ndata: x\n\n");
}
END_TEST

static const struct {
    const char *params[2];
    const char *status;
} short_answers[] = {
    {{"REQUEST_METHOD=GET", "QUERY_STRING="}, "Status: 400 Bad Request\r\n"},
    {{"REQUEST_METHOD=POST", "QUERY_STRING=session=a"}, "Status: 405 Method Not Allowed\r\n"},
    {{"REQUEST_METHOD=OPTIONS", "QUERY_STRING="}, "Status: 204 No Content\r\n"},
    {{"REQUEST_METHOD=HEAD", "QUERY_STRING=session=a"}, "Status: 200 OK\r\n"},
};

START_TEST(what_is_no_stream_is_answered_and_closed)
{
    struct client *c = &clients[0];
    struct params params = {.request = 1};
    int fds[2];
    *c = (struct client){0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    c->fd = fds[1];
    params_copy(&params, (char *[]){(char *)short_answers[_i].params[0],
                                    (char *)short_answers[_i].params[1], NULL});
    request_stream(fds[0], &params);
    const char *text = heard(c);
    ck_assert_int_eq(strncmp(text, short_answers[_i].status, strlen(short_answers[_i].status)), 0);
    ck_assert(c->ended);
    ck_assert_uint_eq(exchanges.conns.count, 0);
    ck_assert_uint_eq(set.counters[STREAMS_OPENED], 0);
}
END_TEST

/* --- limits --- */

static void assert_turned_away(struct client *c)
{
    unsigned retry = 0;
    ck_assert_int_eq(sscanf(body(c), "retry: %u\n\n", &retry), 1);
    ck_assert_uint_ge(retry, 1500);
    ck_assert_uint_le(retry, 15000);
    ck_assert(c->ended);
}

START_TEST(beyond_a_limit_a_client_is_asked_to_come_back)
{
    set.limits.connections = 3;
    join(100);
    struct client *first = open_as(0, "a");
    open_as(1, "a");
    open_as(2, "b");
    assert_turned_away(open_as(3, "c"));
    ck_assert_uint_eq(set.counters[STREAMS_SHED], 1);
    leave(first);
    turn();
    assert_begins(open_as(3, "c"), "100", "");
}
END_TEST

/* It ends, and knows that a newer one took its place. */
static void assert_replaced(struct client *c)
{
    unsigned retry = 0;
    const char *text = heard(c), *event = strchr(text, '\n');
    ck_assert_int_eq(sscanf(text, "retry: %u\n", &retry), 1);
    ck_assert_uint_ge(retry, 15000);
    ck_assert_uint_le(retry, 150000);
    ck_assert_str_eq(event,
                     "\nevent: ssecast.replaced\ndata: {\"reason\":\"max-per-session\"}\n\n");
    ck_assert(c->ended);
}

START_TEST(the_oldest_stream_of_a_session_makes_way)
{
    set.limits.per_session = 2;
    set.limits.connections = 3;
    join(100);
    struct client *first = open_as(0, "a"), *second = open_as(1, "a");
    body(first);
    body(second);
    open_as(2, "b"); /* the worker is full */
    assert_begins(open_as(3, "a"), "100", "");
    assert_replaced(first);
    ck_assert(!second->ended);
    ck_assert_uint_eq(registry_session_count(set.registry, S("a")), 2);
    ck_assert_uint_eq(set.counters[ENDS_REPLACED], 1);
    ck_assert_uint_eq(set.counters[STREAMS_SHED], 0);
    assert_begins(open_as(0, "a"), "100", "");
    assert_replaced(second);
}
END_TEST

START_TEST(while_draining_no_stream_makes_way)
{
    set.limits.per_session = 1;
    join(100);
    struct client *first = open_as(0, "a");
    body(first);
    set.draining = true;
    assert_turned_away(open_as(1, "a"));
    assert_heard(first, "");
    ck_assert(!first->ended);
}
END_TEST

static struct client *open_from(int number, const char *session, const char *address)
{
    char query[100], remote[100];
    snprintf(query, sizeof query, "QUERY_STRING=session=%s", session);
    snprintf(remote, sizeof remote, "REMOTE_ADDR=%s", address);
    return open_with(number, 0, query, remote);
}

START_TEST(an_address_has_so_many_streams)
{
    set.addresses = addresses_new(1, 0);
    join(100);
    struct client *first = open_from(0, "a", "192.0.2.1");
    assert_turned_away(open_from(1, "b", "192.0.2.1"));
    open_from(1, "b", "192.0.2.2");
    assert_turned_away(open_from(2, "c", "::ffff:192.0.2.2"));
    ck_assert_uint_eq(set.counters[STREAMS_SHED], 2);
    ck_assert_uint_eq(set.counters[SHED_ADDRESS], 2);
    leave(first);
    turn();
    assert_begins(open_from(3, "c", "192.0.2.1"), "100", "");
}
END_TEST

START_TEST(a_stream_that_makes_way_does_so_for_its_address_too)
{
    set.addresses = addresses_new(1, 0);
    set.limits.per_session = 1;
    join(100);
    struct client *first = open_from(0, "a", "192.0.2.1");
    body(first);
    assert_begins(open_from(1, "a", "192.0.2.1"), "100", "");
    assert_replaced(first);
    assert_turned_away(open_from(2, "b", "192.0.2.1"));
    open_from(3, "b", "192.0.2.2");
    /* The stream that would make way is another address's. */
    assert_turned_away(open_from(2, "b", "192.0.2.1"));
    ck_assert_uint_eq(registry_session_count(set.registry, S("b")), 1);
}
END_TEST

START_TEST(an_address_asks_so_often)
{
    set.addresses = addresses_new(0, 2);
    join(100);
    open_from(0, "a", "192.0.2.1");
    open_from(1, "a", "192.0.2.1");
    assert_turned_away(open_from(2, "a", "192.0.2.1"));
    ck_assert_uint_eq(set.counters[SHED_RATE], 1);
    ck_assert_uint_eq(set.counters[STREAMS_SHED], 1);
    ck_assert_uint_eq(set.counters[STREAMS_OPENED], 2);
}
END_TEST

/* --- tokens --- */

#define SECRET "0123456789abcdef0123456789abcdef"

/* Sessions come from tokens that are signed with SECRET. */
static void take_tokens(void)
{
    static char *source = (char *)"jwt";
    static const struct option_list from = {&source, 1};
    static char file[] = "/tmp/check-stream-XXXXXX"; /* tokens keep it */
    struct token_rules token_rules = {.secret_file = file};
    memcpy(strchr(file, '\0') - 6, "XXXXXX", 6);
    int fd = mkstemp(file);
    ck_assert_int_eq(write(fd, SECRET, strlen(SECRET)), strlen(SECRET));
    close(fd);
    set.request_rules.session_from = &from;
    set.tokens = tokens_new(&token_rules);
    ck_assert_ptr_nonnull(set.tokens);
    unlink(file);
}

/* Open a stream with a token of this session; after so many ms (0: never) its time is over. */
static struct client *open_for(int number, const char *session, int ms)
{
    char param[1024];
    jwt_t *jwt;
    jwt_new(&jwt);
    jwt_add_grant(jwt, "sub", session);
    if (ms) {
        char claims[64];
        snprintf(claims, sizeof claims, "{\"exp\":%.3f}", (double)(clock_unix_ms() + ms) / 1000);
        jwt_add_grants_json(jwt, claims);
    }
    jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)SECRET, strlen(SECRET));
    char *text = jwt_encode_str(jwt);
    snprintf(param, sizeof param, "QUERY_STRING=token=%s", text);
    free(text);
    jwt_free(jwt);
    return open_with(number, 0, param, NULL);
}

START_TEST(a_stream_ends_with_its_token)
{
    take_tokens();
    join(100);
    struct client *late = open_for(0, "a", 60000), *soon = open_for(1, "a", 700),
                  *never = open_for(2, "a", 0);
    while (!set.counters[ENDS_EXPIRED]) {
        usleep(10000);
        turn();
    }
    assert_begins(soon, "100", "event: ssecast.expired\ndata: {\"reason\":\"expired\"}\n\n");
    ck_assert(soon->ended);
    heard(late);
    heard(never);
    ck_assert(!late->ended && !never->ended);
    ck_assert_uint_eq(set.counters[ENDS_EXPIRED], 1);
    ck_assert_uint_eq(registry_count(set.registry), 2);
    leave(late); /* before its time */
    turn();
    ck_assert_uint_eq(set.expiry.count, 0);
    tokens_free(&set.tokens);
}
END_TEST

START_TEST(without_a_good_token_nothing_opens)
{
    take_tokens();
    join(100);
    const char *text = heard(open_with(0, 0, "QUERY_STRING=session=a", NULL));
    ck_assert_ptr_nonnull(strstr(text, "Status: 401 Unauthorized\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "WWW-Authenticate: Bearer\r\n"));
    ck_assert_ptr_nonnull(strstr(text, "missing_token"));
    text = heard(open_with(1, 0, "QUERY_STRING=token=nonsense", NULL));
    ck_assert_ptr_nonnull(strstr(text, "invalid_token"));
    ck_assert_uint_eq(set.counters[STREAMS_UNAUTHORIZED], 2);
    ck_assert_uint_eq(set.counters[STREAMS_REFUSED], 0);
    tokens_free(&set.tokens);
}
END_TEST

START_TEST(a_draining_worker_opens_none_and_closes_all)
{
    join(100);
    struct client *a = open_as(0, "a"), *b = open_as(1, "b");
    set.draining = true;
    assert_turned_away(open_as(2, "c"));
    body(a);
    body(b);
    ck_assert_uint_eq(streams_drain(&set, 1), 1);
    ck_assert_uint_eq(streams_drain(&set, 1), 0);
    unsigned retry;
    ck_assert_int_eq(sscanf(heard(a), "retry: %u\n\n", &retry), 1);
    ck_assert_int_eq(sscanf(heard(b), "retry: %u\n\n", &retry), 1);
    ck_assert(a->ended && b->ended);
    ck_assert_uint_eq(set.counters[ENDS_DRAIN], 2);
}
END_TEST

/* --- shutdown --- */

START_TEST(a_shutdown_ends_after_what_came_before)
{
    join(100);
    struct client *a = open_as(0, "a"), *b = open_as(1, "b");
    body(a);
    body(b);
    publish(101, NULL);
    shut_down(102, "a", 0);
    publish(103, NULL);
    assert_heard(a, "id: 101\ndata: x\n\nevent: ssecast.shutdown\ndata: {}\n\n");
    ck_assert(a->ended);
    assert_heard(b, "id: 101\ndata: x\n\nid: 103\ndata: x\n\n");
    ck_assert(!b->ended);
    ck_assert_uint_eq(set.counters[ENDS_SHUTDOWN], 1);
}
END_TEST

START_TEST(a_blocked_session_is_told_to_stop)
{
    join(100);
    shut_down(101, "a", 60);
    struct client *c = open_as(0, "a");
    ck_assert_int_eq(strncmp(heard(c), "Status: 204 ", 12), 0);
    ck_assert(c->ended);
    assert_begins(open_as(1, "b"), "101", "");
    ck_assert_uint_eq(set.counters[STREAMS_BLOCKED], 1);
}
END_TEST

START_TEST(bans_come_with_the_welcome)
{
    struct client *waiting = open_as(0, "a");
    body(waiting);
    feed_banned(&set, S("a"), clock_unix_ms() + 60000);
    join(100);
    ck_assert_ptr_nonnull(strstr(heard(waiting), "event: ssecast.shutdown\n"));
    ck_assert(waiting->ended);
    ck_assert_int_eq(strncmp(heard(open_as(1, "a")), "Status: 204 ", 12), 0);
}
END_TEST

/* The stream that a further client opens as session. */
static bool is_turned_away(int n, const char *session)
{
    return strncmp(heard(open_as(n, session)), "Status: 204 ", 12) == 0;
}

START_TEST(a_welcome_says_all_bans_and_lifts_others)
{
    join(100);
    shut_down(101, "a", 60);
    shut_down(102, "b", 60);
    feed_banned(&set, S("b"), clock_unix_ms() + 60000);
    feed_all_banned(&set, 102, 0);
    ck_assert(!is_turned_away(0, "a"));
    ck_assert(is_turned_away(1, "b"));
}
END_TEST

START_TEST(what_came_before_its_welcome_is_newer_than_it)
{
    join(100);
    shut_down(101, "a", 60);
    shut_down(102, "b", 60);
    shut_down(103, "c", 0);
    feed_banned(&set, S("a"), clock_unix_ms() + 60000); /* as it was at 101 */
    feed_banned(&set, S("c"), clock_unix_ms() + 60000);
    feed_all_banned(&set, 101, 0);
    ck_assert(is_turned_away(0, "a"));
    ck_assert(is_turned_away(1, "b"));
    ck_assert(!is_turned_away(2, "c"));
}
END_TEST

START_TEST(what_is_in_a_welcome_is_not_older_than_it)
{
    join(100);
    feed_all_banned(&set, 105, 0); /* a was banned at 101 and unbanned at 104 */
    shut_down(101, "a", 60);
    ck_assert(!is_turned_away(0, "a"));
    shut_down(106, "a", 60);
    ck_assert(is_turned_away(1, "a"));
}
END_TEST

START_TEST(bans_that_a_broker_cannot_know_stay)
{
    join(100);
    shut_down(101, "a", 60);
    feed_all_banned(&set, 500, 500);
    ck_assert(is_turned_away(0, "a"));
}
END_TEST

START_TEST(a_stream_whose_shutdown_was_missed_ends)
{
    join(100);
    struct client *a = open_as(0, "a"), *b = open_as(1, "b");
    body(a);
    body(b);
    feed_broken(&set, 500, 501);
    ck_assert(!a->ended);
    feed_banned(&set, S("a"), clock_unix_ms() + 60000);
    feed_all_banned(&set, 500, 0);
    ck_assert_ptr_nonnull(strstr(heard(a), "event: ssecast.shutdown\n"));
    ck_assert(a->ended && !b->ended);
}
END_TEST

START_TEST(records_of_bans_are_for_nobody)
{
    char text[32];
    struct client *a = open_as(0, "a");
    join(100);
    body(a);
    event_put_ban(text, S("b"), clock_unix_ms() + 60000);
    struct event *e = event_new(&(struct event_spec){
        .kind = EVENT_BANS, .seq = 101, .data = {text, event_ban_size(S("b"))}});
    feed_event(&set, e);
    event_unref(&e);
    publish(102, NULL);
    assert_heard(a, "id: 102\ndata: x\n\n");
    ck_assert(is_turned_away(1, "b"));
    assert_begins(come_back(2, "a", "100"), "100", "id: 102\ndata: x\n\n");
}
END_TEST

START_TEST(who_comes_back_past_a_shutdown_stays)
{
    join(100);
    publish(101, NULL);
    shut_down(102, "a", 0);
    publish(103, NULL);
    struct client *c = come_back(0, "a", "100");
    assert_begins(c, "100", "id: 101\ndata: x\n\nid: 103\ndata: x\n\n");
    ck_assert(!c->ended);
}
END_TEST

/* --- a shutdown and a stream: which was first --- */

#define HOUR_MS (3600 * 1000)

static int64_t broker_ahead_ms;

/* The broker's clock, ms. */
static int64_t broker_time(void)
{
    return clock_unix_ms() + broker_ahead_ms;
}

/* Its clock becomes known, as it does with each message. */
static void hear_clock(void)
{
    ordering_heard(&set.ordering, clock_unix_us() + broker_ahead_ms * 1000, clock_us());
}

/* So that one thing is after another, by clocks of ms. */
static void a_moment(void)
{
    usleep(5000);
}

static struct client *open_in(int number, const char *session, const char *channel)
{
    char query[100];
    snprintf(query, sizeof query, "QUERY_STRING=session=%s&channels=%s", session, channel);
    return open_with(number, 0, query, NULL);
}

/* How shutdowns may name a stream of session a in channel x. */
static const enum event_list namings[] = {TO_SESSIONS, TO_CHANNELS, TO_CONNECTIONS};
static const int64_t clocks[] = {0, HOUR_MS, -HOUR_MS};

/* The name of stream number `which` for a list; registry ids are w-<slot>-<generation>. */
static struct slice name_in(enum event_list list, int which)
{
    static char id[32];
    snprintf(id, sizeof id, "w-%d-%d", which, which + 1);
    return list == TO_SESSIONS ? S("a") : list == TO_CHANNELS ? S("x") : slice_of(id);
}

static void say_late(uint64_t seq, enum event_list list, int which, int64_t stamp)
{
    struct slice name = name_in(list, which);
    struct event_spec spec = shutdown_of(seq, list, &name, stamp);
    say(&spec);
}

/* By a clock that is an hour off from ours, either way:
 * with a ban of a minute, and one that ended a minute ago. */
START_TEST(bans_end_by_the_clock_that_set_them)
{
    broker_ahead_ms = _i ? 3600000 : -3600000;
    join(100);
    hear_clock();
    struct slice a = S("a"), b = S("b");
    struct event_spec spec = shutdown_of(101, TO_SESSIONS, &a, broker_time());
    spec.block_s = 60;
    say(&spec);
    spec = shutdown_of(102, TO_SESSIONS, &b, broker_time() - 120000);
    spec.block_s = 60;
    say(&spec);
    ck_assert(is_turned_away(0, "a"));
    ck_assert(!is_turned_away(1, "b"));
    feed_banned(&set, S("c"), broker_time() + 60000);
    feed_banned(&set, S("d"), broker_time() - 60000);
    feed_all_banned(&set, 102, 0);
    ck_assert(is_turned_away(2, "c"));
    ck_assert(!is_turned_away(3, "d"));
}
END_TEST

START_TEST(a_shutdown_that_comes_late_ends_what_was_opened_before_it)
{
    enum event_list list = namings[_i % 3];
    broker_ahead_ms = clocks[_i / 3];
    join(100);
    hear_clock();
    struct client *before = open_in(0, "a", "x");
    a_moment();
    int64_t stamp = broker_time();
    a_moment();
    struct client *after = open_in(1, "a", "x");
    body(before);
    body(after);
    say_late(101, list, 0, stamp);
    say_late(102, list, 1, stamp);
    publish(103, NULL);
    assert_heard(before, "event: ssecast.shutdown\ndata: {}\n\n");
    ck_assert(before->ended);
    assert_heard(after, "id: 103\ndata: x\n\n");
    ck_assert(!after->ended);
}
END_TEST

START_TEST(in_doubt_a_stream_ends)
{
    join(100);
    struct client *unknown = open_as(0, "a"), *tie = open_as(1, "b");
    body(unknown);
    body(tie);
    shut_down(101, "a", 0); /* nothing is known of the broker's clock */
    assert_heard(unknown, "event: ssecast.shutdown\ndata: {}\n\n");
    broker_ahead_ms = 0;
    hear_clock();
    struct stream *s = last_stream();
    struct slice b = S("b");
    struct event_spec spec =
        shutdown_of(102, TO_SESSIONS, &b, clock_unix_ms() - (clock_us() - s->opened_us) / 1000);
    say(&spec);
    assert_heard(tie, "event: ssecast.shutdown\ndata: {}\n\n");
}
END_TEST

START_TEST(what_the_broker_confirmed_needs_no_clock)
{
    broker_ahead_ms = 0;
    join(100);
    hear_clock();
    struct client *first = open_in(0, "a", "x"), *second = open_in(1, "a", "x");
    body(first);
    body(second);
    report_acknowledged(&set, 1, 100); /* it knew the first one when it stood at 100 */
    say_late(101, TO_CHANNELS, 0, broker_time() - HOUR_MS);
    assert_heard(first, "event: ssecast.shutdown\ndata: {}\n\n");
    assert_heard(second, "");
    report_acknowledged(&set, 2, 102);
    say_late(102, TO_CHANNELS, 0, broker_time() - HOUR_MS);
    assert_heard(second, ""); /* it stood at 102 by then: that is no proof */
    say_late(103, TO_CHANNELS, 0, broker_time() - HOUR_MS);
    assert_heard(second, "event: ssecast.shutdown\ndata: {}\n\n");
}
END_TEST

START_TEST(a_session_that_slipped_in_before_its_ban_was_known_is_ended)
{
    broker_ahead_ms = 0;
    join(100);
    hear_clock();
    int64_t stamp = broker_time();
    a_moment();
    struct client *c = open_as(0, "a");
    struct slice a = S("a");
    struct event_spec spec = shutdown_of(101, TO_SESSIONS, &a, stamp);
    spec.block_s = 60;
    body(c);
    say(&spec);
    assert_heard(c, "event: ssecast.shutdown\ndata: {}\n\n");
    ck_assert(c->ended);
}
END_TEST

/* The page comes over another socket than the feed, which has not brought these shutdowns yet. The
 * second one finds the stream ended. */
START_TEST(a_page_that_brings_bans_before_the_feed_ends_the_stream)
{
    struct buf b = {0};
    struct slice a = S("a");

    broker_ahead_ms = 0;
    join(100);
    hear_clock();
    int64_t stamp = broker_time();
    a_moment();
    struct client *c = come_back(0, "a", "50");
    struct stream *s = last_stream();
    body(c);
    for (uint64_t seq = 101; seq <= 102; seq++) {
        struct event_spec spec = shutdown_of(seq, TO_SESSIONS, &a, stamp);
        spec.block_s = 60;
        struct event *e = event_new(&spec);
        wire_add_entry(&b, e);
        event_unref(&e);
    }

    struct wire_page page = {
        .from = 50, .upto = 102, .head = 102, .oldest = 51, .entries = {b.data, b.len}};
    struct upstream_request *question = s->pending;
    ck_assert_ptr_nonnull(question);
    upstream_forget(s->set->upstream, &question);
    resume_page(s, &page);
    buf_release(&b);

    assert_heard(c, "event: ssecast.shutdown\ndata: {}\n\n");
    ck_assert(c->ended);
}
END_TEST

/* What upstream was asked is answered. */
static void tell_past(const struct event_spec *specs, size_t count, uint64_t head, bool gap)
{
    struct buf b = {0};
    for (size_t i = 0; i < count; i++) {
        struct event *e = event_new(&specs[i]);
        wire_add_entry(&b, e);
        event_unref(&e);
    }
    struct wire_page page = {.upto = head, .head = head, .gap = gap, .entries = {b.data, b.len}};
    feed_shutdowns(&set, &page);
    buf_release(&b);
}

START_TEST(one_that_waits_for_the_broker_is_ended_by_what_was_shut_down_meanwhile)
{
    enum event_list list = namings[_i % 3];
    broker_ahead_ms = clocks[_i / 3];
    int64_t long_ago = broker_time() - 1000;
    struct client *before = open_in(0, "a", "x");
    a_moment();
    int64_t stamp = broker_time();
    a_moment();
    struct client *after = open_in(1, "a", "x"), *other = open_in(2, "b", "y");
    body(before);
    body(after);
    body(other);
    hear_clock();
    join(100);
    struct client *later = open_in(3, "a", "x");
    body(later);
    struct slice names[] = {name_in(list, 0), S("y")},
                 second = list == TO_CONNECTIONS ? S("w-1-2") : names[0];
    struct event_spec specs[] = {shutdown_of(90, list, &names[0], stamp),
                                 shutdown_of(91, list, &second, stamp),
                                 shutdown_of(92, TO_CHANNELS, &names[1], long_ago)};
    tell_past(specs, 3, 100, false);
    ck_assert_str_eq(after_place(before, "100"), "event: ssecast.shutdown\ndata: {}\n\n");
    ck_assert(before->ended);
    ck_assert_str_eq(after_place(after, "100"), "");
    ck_assert_str_eq(after_place(other, "100"), "");
    assert_heard(later, "");
    ck_assert(!after->ended && !other->ended && !later->ended);
}
END_TEST

START_TEST(when_shutdowns_may_be_missing_those_who_waited_come_back)
{
    struct client *waited = open_as(0, "a");
    unsigned retry = 0;
    body(waited);
    hear_clock();
    join(100);
    struct client *later = open_as(1, "a");
    body(later);
    tell_past(NULL, 0, 100, true);
    ck_assert_int_eq(sscanf(after_place(waited, "100"), "retry: %u\n\n", &retry), 1);
    ck_assert_uint_ge(retry, 1500);
    ck_assert(waited->ended);
    assert_heard(later, "");
    ck_assert_uint_eq(set.counters[ENDS_DRAIN], 1);
}
END_TEST

START_TEST(one_that_waited_and_replays_past_an_old_shutdown_stays)
{
    broker_ahead_ms = HOUR_MS;
    int64_t old = broker_time() - 2000, stamp;
    struct client *c = come_back(0, "a", "80");
    a_moment();
    stamp = broker_time();
    body(c);
    hear_clock();
    join(100);
    struct stream *s = last_stream();
    struct slice a = S("a");
    struct buf b = {0};
    struct event_spec specs[] = {shutdown_of(81, TO_SESSIONS, &a, old),
                                 {.kind = EVENT_MESSAGE, .seq = 82, .data = S("x")},
                                 shutdown_of(83, TO_SESSIONS, &a, stamp)};
    for (int i = 0; i < 3; i++) {
        struct event *e = event_new(&specs[i]);
        wire_add_entry(&b, e);
        event_unref(&e);
    }
    struct upstream_request *question = s->pending;
    upstream_forget(s->set->upstream, &question);
    resume_page(
        s, &(struct wire_page){.from = 80, .upto = 100, .head = 100, .entries = {b.data, b.len}});
    buf_release(&b);
    assert_heard(c, "id: 82\ndata: x\n\nevent: ssecast.shutdown\ndata: {}\n\n");
    ck_assert(c->ended);
}
END_TEST

/* --- resume from the window --- */

START_TEST(what_was_missed_comes_first)
{
    join(100);
    publish_range(101, 103);
    publish(104, "b");
    struct client *c = come_back(0, "a", "102");
    publish(105, NULL);
    assert_begins(c, "102", "id: 103\ndata: x\n\nid: 105\ndata: x\n\n");
    ck_assert_uint_eq(set.counters[REPLAYS_LOCAL], 1);
    ck_assert_uint_eq(set.counters[GAPS_TOLD], 0);
}
END_TEST

START_TEST(it_is_read_as_fast_as_it_is_written)
{
    static char data[3000];
    memset(data, 'x', sizeof data);
    join(100);
    for (uint64_t seq = 101; seq <= 1100; seq++)
        say(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = {data, sizeof data}});
    open_with(0, 4096, "QUERY_STRING=session=a", "HTTP_LAST_EVENT_ID=100");
    ck_assert_uint_lt(queue_bytes(&last_stream()->exchange.conn.queue), 150000);
    for (int i = 0; i < 20; i++) {
        receive(&clients[0], 10000);
        turn();
        ck_assert_uint_lt(queue_bytes(&last_stream()->exchange.conn.queue), 150000);
    }
}
END_TEST

START_TEST(a_publishers_id_is_a_cursor)
{
    join(100);
    say(&(struct event_spec){
        .kind = EVENT_MESSAGE, .seq = 101, .id = S("order-17"), .data = S("x")});
    publish(102, NULL);
    assert_begins(come_back(0, "a", "order-17"), "order-17", "id: 102\ndata: x\n\n");
}
END_TEST

/* A publisher's event as it comes from the broker. */
static void say_own(uint64_t seq, const char *id, bool shown)
{
    say(&(struct event_spec){.kind = EVENT_MESSAGE,
                             .seq = seq,
                             .id = slice_of(id),
                             .seq_as_id = !shown,
                             .data = S("x")});
}

static const struct {
    const char *header, *query, *taken;
} two_cursors[] = {
    {"101", "103", "103"},       {"103", "101", "103"},
    {"101", "", "101"},          {"101", "101", "101"},
    {"one", "three", "three"},   {"three", "one", "three"},
    {"one", "103", "103"},       {"103", "one", "103"},
    {"101", "three", "three"},   {"one", "nowhere", "one"},
    {"101", "nowhere", "101"},   {"one", "x y", "one"},
    {"101", "0", "101"},         {"101", "99999999999999999999999", "101"},
    {"0", "103", "103"},         {"0", "three", "three"},
    {"0", "nowhere", "nowhere"},
};

/* As they come: the window knows, when there is one. */
START_TEST(the_newer_of_two_cursors_counts)
{
    char query[100], header[100], rest[200] = "";
    snprintf(query, sizeof query, "QUERY_STRING=session=a&lastEventId=%s", two_cursors[_i].query);
    snprintf(header, sizeof header, "HTTP_LAST_EVENT_ID=%s", two_cursors[_i].header);
    join(100);
    say_own(101, "one", true);
    say_own(102, "two", true);
    say_own(103, "three", true);
    bool first =
        strcmp(two_cursors[_i].taken, "one") == 0 || strcmp(two_cursors[_i].taken, "101") == 0;
    if (first)
        snprintf(rest, sizeof rest, "id: two\ndata: x\n\nid: three\ndata: x\n\n");
    assert_begins(open_with(0, 0, query, header), two_cursors[_i].taken, rest);
}
END_TEST

START_TEST(the_newer_of_two_cursors_counts_without_a_broker_too)
{
    struct client *c =
        open_with(0, 0, "QUERY_STRING=session=a&lastEventId=102", "HTTP_LAST_EVENT_ID=101");
    assert_begins(c, "102", "");
    assert_begins(
        open_with(1, 0, "QUERY_STRING=session=b&lastEventId=101", "HTTP_LAST_EVENT_ID=102"), "102",
        "");
    assert_begins(
        open_with(2, 0, "QUERY_STRING=session=c&lastEventId=three", "HTTP_LAST_EVENT_ID=0"),
        "three", "");
    join(100);
    publish_range(101, 103);
}
END_TEST

START_TEST(an_id_that_is_used_again_and_not_shown_names_the_first)
{
    join(100);
    say_own(101, "daily", true);
    say_own(102, "daily", false);
    assert_begins(come_back(0, "a", "daily"), "daily", "id: 102\ndata: x\n\n");
    assert_begins(come_back(1, "a", "102"), "102", "");
}
END_TEST

START_TEST(an_id_that_two_events_showed_is_not_guessed)
{
    join(100);
    say_own(101, "daily", true);
    say_own(102, "daily", true); /* of a broker that did not know the first */
    struct client *c = come_back(0, "a", "daily");
    assert_begins(c, "daily", "");
    ck_assert_ptr_nonnull(last_stream()->pending);
    answer(last_stream(),
           (struct wire_page){.from = 100, .upto = 102, .head = 102, .oldest = 101, .gap = true},
           101, 102);
    ck_assert_int_eq(strncmp(heard(c), "event: ssecast.gap\ndata: {\"last\":\"daily\"", 40), 0);
}
END_TEST

START_TEST(an_id_is_not_guessed_when_the_window_has_evicted_its_first_event)
{
    set.limits.window_bytes = 1000;
    join(100);
    say_own(101, "daily", true);
    publish_range(102, 110);
    ck_assert_uint_gt(history_oldest(set.window), 101);
    say_own(111, "daily", true);
    come_back(0, "a", "daily");
    ck_assert_ptr_nonnull(last_stream()->pending);
}
END_TEST

START_TEST(who_missed_nothing_is_sent_nothing)
{
    join(100);
    publish(101, NULL);
    struct client *c = come_back(0, "a", "101");
    assert_begins(c, "101", "");
    publish(102, NULL);
    assert_heard(c, "id: 102\ndata: x\n\n");
}
END_TEST

START_TEST(blanks_around_a_cursor_are_no_part_of_it)
{
    static const char *const cursors[] = {"101 ", " 101", "\t101 \t"};
    join(100);
    publish(101, NULL);
    struct client *c = come_back(0, "a", cursors[_i]);
    assert_begins(c, "101", "");
}
END_TEST

START_TEST(a_client_may_come_back_before_the_broker)
{
    struct client *c = come_back(0, "a", "100");
    assert_begins(c, "100", "");
    join(100);
    publish(101, NULL);
    assert_heard(c, "id: 101\ndata: x\n\n");
}
END_TEST

/* --- resume through the broker --- */

static const struct {
    const char *text;
    bool shown; /* it comes back as it is, so the first block may name it */
} unknown_cursors[] = {{"99", true},
                       {"0", true},
                       {"150", true},
                       {"order-17", true},
                       {"-9223372036854775808", true},
                       {"+5", true},
                       {"0x10", true},
                       {"1e3", true},
                       {"18446744073709551615", true},
                       {"99999999999999999999999999", true},
                       {"\xff\xfe", false},
                       {"a b", true},
                       {"a\tb", true},
                       {"a\001b", false},
                       {"a\177", false},
                       {"101x", true},
                       {"0101x", true}};

START_TEST(the_broker_is_asked_for_what_the_window_does_not_know)
{
    join(100);
    publish(101, NULL);
    struct client *c = come_back(0, "a", unknown_cursors[_i].text);
    struct stream *s = last_stream();
    if (unknown_cursors[_i].shown)
        assert_begins(c, unknown_cursors[_i].text, "");
    else
        assert_body(c, "retry: 15000\n\n");
    publish(102, NULL);
    assert_heard(c, ""); /* live events wait behind the answer */
    answer(s, (struct wire_page){.from = 100, .upto = 102, .head = 102, .oldest = 101, .gap = true},
           101, 102);
    const char *text = heard(c);
    ck_assert_int_eq(strncmp(text, "event: ssecast.gap\ndata: {\"last\":", 33), 0);
    /* A stream whose first block has no id is told its connection in the first checkpoint that has
     * one. */
    const char *place =
        unknown_cursors[_i].shown
            ? ",\"oldest\":101}\n\n" CHECKPOINT("100")
            : ",\"oldest\":101}\n\nevent: ssecast.checkpoint\nid: 100\ndata: {\"connection\":";
    ck_assert_ptr_nonnull(strstr(text, place));
    ck_assert_ptr_nonnull(strstr(text, "}\n\nid: 101\ndata: x\n\nid: 102\ndata: x\n\n"));
    publish(103, NULL);
    assert_heard(c, "id: 103\ndata: x\n\n");
    ck_assert_uint_eq(set.counters[GAPS_TOLD], 1);
}
END_TEST

START_TEST(a_cursor_without_end_does_no_harm)
{
    static char cursor[10241];
    memset(cursor, '7', sizeof cursor - 1);
    join(100);
    struct client *c = come_back(0, "a", cursor);
    struct stream *s = last_stream();
    assert_body(c, "retry: 15000\n\n");
    answer(s, (struct wire_page){.from = 100, .upto = 100, .head = 100, .oldest = 101, .gap = true},
           1, 0);
    ck_assert_uint_lt(strlen(heard(c)), 600);
    ck_assert_ptr_nonnull(
        strstr(c->text, "\n\nevent: ssecast.checkpoint\nid: 100\ndata: {\"connection\":\"w-"));
}
END_TEST

START_TEST(pages_are_followed_by_the_window_and_by_live_events)
{
    join(100);
    publish_range(101, 102);
    struct client *c = come_back(0, "a", "50");
    struct stream *s = last_stream();
    assert_begins(c, "50", "");
    answer(s, (struct wire_page){.from = 50, .upto = 60, .head = 102, .oldest = 1}, 59, 60);
    assert_heard(c, "id: 59\ndata: x\n\nid: 60\ndata: x\n\n");
    publish(103, NULL);
    answer(s, (struct wire_page){.from = 60, .upto = 100, .head = 103, .oldest = 1}, 99, 100);
    assert_heard(c, "id: 99\ndata: x\n\nid: 100\n"
                    "data: x\n\nid: 101\ndata: x\n\nid: 102\ndata: x\n\nid: 103\ndata: x\n\n");
    publish(104, NULL);
    assert_heard(c, "id: 104\ndata: x\n\n");
    ck_assert_uint_eq(set.counters[GAPS_TOLD], 0);
    ck_assert_uint_eq(set.counters[REPLAYS_BROKER], 2);
}
END_TEST

START_TEST(an_answer_that_is_ahead_repeats_nothing)
{
    join(100);
    struct client *c = come_back(0, "a", "99");
    struct stream *s = last_stream();
    body(c);
    answer(s, (struct wire_page){.from = 99, .upto = 102, .head = 102, .oldest = 1}, 100, 102);
    assert_heard(c, "id: 100\ndata: x\n\nid: 101\ndata: x\n\nid: 102\ndata: x\n\n");
    publish_range(101, 103); /* the feed comes later */
    assert_heard(c, "id: 103\ndata: x\n\n");
}
END_TEST

START_TEST(who_left_is_not_answered)
{
    join(100);
    struct client *c = come_back(0, "a", "50");
    turn();
    leave(c);
    turn();
    turn();
    ck_assert_uint_eq(exchanges.conns.count, 0);
    ck_assert_uint_eq(registry_count(set.registry), 0);
}
END_TEST

/* --- a sequence that breaks --- */

START_TEST(a_broken_sequence_is_told)
{
    join(100);
    struct client *c = open_as(0, "a");
    body(c);
    publish(101, NULL);
    feed_broken(&set, 500, 501);
    welcome(500, 0, "");
    publish(501, NULL);
    assert_heard(c, "id: 101\ndata: x\n\nevent: "
                    "ssecast.gap\ndata: {\"last\":101,\"oldest\":501}\n\n" CHECKPOINT(
                        "500") "id: 501\ndata: x\n\n");
    come_back(1, "a", "101");
    ck_assert_ptr_nonnull(last_stream()->pending);
}
END_TEST

START_TEST(an_advance_is_no_gap)
{
    join(100);
    struct client *c = open_as(0, "a");
    body(c);
    publish(101, NULL);
    feed_advanced(&set, 500);
    publish(501, NULL);
    assert_heard(c, "id: 101\ndata: x\n\nid: 501\ndata: x\n\n");
    assert_begins(come_back(1, "a", "101"), "101", "id: 501\ndata: x\n\n");
    ck_assert_uint_eq(set.counters[GAPS_TOLD], 0);
}
END_TEST

/* --- current state --- */

/* Let the client read until nothing more comes. */
static const char *read_on(struct client *c)
{
    size_t before;
    do {
        before = c->len;
        turn();
        receive(c, 20000);
    } while (c->len != before && !c->ended);
    return c->text;
}

START_TEST(the_state_comes_before_the_first_checkpoint)
{
    join(100);
    publish_key(101, NULL, "a", "1");
    publish_key(102, NULL, "b", "2");
    publish_key(103, NULL, "a", "3");
    publish_key(104, "other", "a", "4");
    publish_key(105, "s", "a", "5");
    const char *begin =
        "retry: 15000\n\ndata: 2\n\ndata: 3\n\ndata: 5\n\nevent: ssecast.checkpoint\nid: 105\n";
    const char *text = body(open_as(0, "s"));
    ck_assert_msg(strncmp(text, begin, strlen(begin)) == 0, "%s", text);
}
END_TEST

START_TEST(the_checkpoint_follows_the_state_and_then_come_events)
{
    join(100);
    publish_key(101, NULL, "a", "1");
    struct client *c = open_as(0, "s");
    publish_key(102, NULL, "a", "2");
    const char
        *text = body(c),
        *begin =
            "retry: 15000\n\ndata: 1\n\nevent: ssecast.checkpoint\nid: 101\ndata: {\"connection\"";
    ck_assert_msg(strncmp(text, begin, strlen(begin)) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "}\n\nid: 102\ndata: 2\n\n"));
    ck_assert(last_stream()->state == STREAM_LIVE);
}
END_TEST

START_TEST(a_client_with_a_cursor_gets_what_it_missed_and_no_state)
{
    join(100);
    publish_key(101, NULL, "a", "1");
    publish_key(102, NULL, "b", "2");
    publish_key(103, NULL, "b", "3");
    assert_begins(come_back(0, "s", "101"), "101", "id: 103\ndata: 3\n\n");
    ck_assert_uint_eq(set.counters[CONFLATED], 1);
}
END_TEST

/* _i: the private event removes the key. */
START_TEST(a_private_event_takes_no_public_one_from_a_stream_without_a_grant)
{
    join(100);
    publish_in_channel(101, "a", "open", false, false);
    publish_in_channel(102, "a", "hidden", true, _i == 1);
    const char *begin = "retry: 15000\n\ndata: open\n\nevent: ssecast.checkpoint\nid: 102\n";
    const char *text = body(open_in(0, "s", "c"));
    ck_assert_msg(strncmp(text, begin, strlen(begin)) == 0, "%s", text);

    text = body(open_with(1, 0, "QUERY_STRING=session=s&channels=c", "HTTP_LAST_EVENT_ID=100"));
    ck_assert_msg(strstr(text, "id: 101\ndata: open\n\n"), "%s", text);
    ck_assert(!strstr(text, "hidden") && !strstr(text, "ssecast.gap"));
    ck_assert_uint_eq(set.counters[CONFLATED], 0);
}
END_TEST

START_TEST(a_large_state_is_sent_as_it_is_read)
{
    char key[16], data[1000];
    memset(data, 'x', sizeof data - 1);
    data[sizeof data - 1] = '\0';
    join(100);
    for (uint64_t seq = 101; seq <= 400; seq++) {
        snprintf(key, sizeof key, "k%" PRIu64, seq);
        publish_key(seq, NULL, key, data);
    }
    open_with(0, 4096, "QUERY_STRING=session=s", NULL);
    turn();
    ck_assert_uint_lt(queue_bytes(&last_stream()->exchange.conn.queue), 100000);
    publish_key(401, NULL, "k101", "new");
    const char *text = read_on(&clients[0]);
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, "\ndata: xxx")); at++)
        count++;
    ck_assert_uint_ge(count, 299);
    ck_assert_ptr_nonnull(strstr(text, "id: 400\n"));
    ck_assert_ptr_nonnull(strstr(text, "id: 401\ndata: new\n"));
    ck_assert(last_stream()->state == STREAM_LIVE);
}
END_TEST

START_TEST(streams_behind_lighttpd_share_the_texts_of_the_state)
{
    char key[16], should[20000];
    int len = snprintf(should, sizeof should, "retry: 15000\n\n");
    join(100);
    for (uint64_t seq = 101; seq <= 230; seq++) {
        snprintf(key, sizeof key, "%" PRIu64, seq);
        publish_key(seq, NULL, key, key);
        len += snprintf(should + len, sizeof should - (size_t)len, "data: %s\n\n", key);
    }
    snprintf(should + len, sizeof should - (size_t)len, "event: ssecast.checkpoint\nid: 230\n");

    for (int i = 0; i < 3; i++) {
        open_with(i, 0, "QUERY_STRING=session=s", "SERVER_SOFTWARE=lighttpd/1.4.69");
        const char *text = body(&clients[i]);
        ck_assert_msg(strncmp(text, should, strlen(should)) == 0, "%s", text);
        ck_assert_uint_eq(set.counters[DELIVERIES], 130 * (uint64_t)(i + 1));
    }
    ck_assert_ptr_nonnull(set.joined.parts[1].text);

    publish_key(231, "s", "own", "mine");
    open_with(3, 0, "QUERY_STRING=session=s", "SERVER_SOFTWARE=lighttpd/1.4.69");
    ck_assert_ptr_nonnull(strstr(
        body(&clients[3]), "data: 230\n\ndata: mine\n\nevent: ssecast.checkpoint\nid: 231\n"));
}
END_TEST

START_TEST(a_stream_that_waited_gets_the_state)
{
    struct client *c = open_as(0, "s");
    assert_body(c, "retry: 15000\n\n");
    welcome(100, 50, "a");
    join(100);
    const char *text = heard(c);
    ck_assert_msg(strncmp(text, "data: state\n\nevent: ssecast.checkpoint\nid: 100\n", 46) == 0,
                  "%s", text);
}
END_TEST

START_TEST(after_lost_events_the_state_follows_the_gap)
{
    join(100);
    struct client *c = open_as(0, "s");
    body(c);
    feed_broken(&set, 500, 501);
    assert_heard(c, "event: ssecast.gap\ndata: {\"last\":100,\"oldest\":501}\n\n");
    struct client *fresh = open_as(1, "t");
    assert_body(fresh, "retry: 15000\n\n");
    welcome(500, 490, "a");
    ck_assert(last_stream()->scan_queued); /* all of them have to go on: each when it is its turn */
    assert_heard(c, "data: state\n\n" CHECKPOINT("500"));
    ck_assert_ptr_nonnull(
        strstr(heard(fresh), "data: state\n\nevent: ssecast.checkpoint\nid: 500\n"));
    publish_key(501, NULL, "a", "new");
    assert_heard(c, "id: 501\ndata: new\n\n");
}
END_TEST

START_TEST(events_before_the_state_of_a_welcome_are_not_newer)
{
    join(100);
    struct client *c = open_as(0, "s");
    body(c);
    welcome(105, 104, "a");
    publish_key(101, NULL, "a", "old");
    publish_key(102, NULL, "gone", "x"); /* what removed it follows */
    publish(103, NULL);
    publish_key(104, NULL, "a", "state");
    publish_key(106, NULL, "b", "new");
    assert_heard(
        c,
        "id: 102\ndata: x\n\nid: 103\ndata: x\n\nid: 104\ndata: state\n\nid: 106\ndata: new\n\n");
    ck_assert_uint_eq(state_count(set.current), 2);
}
END_TEST

START_TEST(an_expired_event_is_delivered_to_nobody)
{
    join(100);
    struct client *c = open_as(0, "s");
    body(c);
    say(&(struct event_spec){.kind = EVENT_MESSAGE,
                             .seq = 101,
                             .time_ms = clock_unix_ms() - 5000,
                             .ttl_s = 2,
                             .data = S("old")});
    say(&(struct event_spec){.kind = EVENT_MESSAGE,
                             .seq = 102,
                             .time_ms = clock_unix_ms(),
                             .ttl_s = 60,
                             .data = S("new")});
    assert_heard(c, "id: 102\ndata: new\n\n");
    assert_begins(come_back(1, "s", "100"), "100", "id: 102\ndata: new\n\n");
}
END_TEST

/* --- a reader that falls behind --- */

#define BURST 100
#define SMALL_BUDGET 65536u
#define BURST_EVENT 3000

static const char *const behind_software[] = {NULL, "SERVER_SOFTWARE=lighttpd/1.4.69"};

static void burst(uint64_t first, int count)
{
    static char data[BURST_EVENT];
    memset(data, 'x', sizeof data);
    for (uint64_t seq = first; seq < first + (uint64_t)count; seq++)
        say(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = {data, sizeof data}});
    streams_settle(&set);
}

/* A live stream of session a whose reader takes little,
 * after more than its budget has come in one turn. */
static struct stream *open_behind(int number, const char *extra)
{
    exchanges.conns.budget = SMALL_BUDGET;
    open_with(number, 4096, "QUERY_STRING=session=a", extra);
    turn();
    struct stream *s = last_stream();
    burst(101, BURST);
    ck_assert(s->exchange.conn.behind && s->state == STREAM_RESUMING);
    ck_assert_uint_le(queue_bytes(&s->exchange.conn.queue), SMALL_BUDGET);
    return s;
}

/* The events from first to last are there, once each and in order. */
static void assert_seqs(const char *text, uint64_t first, uint64_t last)
{
    char id[48];
    for (uint64_t seq = first; seq <= last; seq++) {
        snprintf(id, sizeof id, "\nid: %" PRIu64 "\ndata: x", seq);
        const char *at = strstr(text, "\nid: ");
        while (at && strncmp(strchr(at + 1, '\n') + 1, "data: x", 7) != 0)
            at = strstr(at + 1, "\nid: ");
        ck_assert_msg(at && strncmp(at, id, strlen(id)) == 0, "not %" PRIu64, seq);
        text = at + strlen(id);
    }
    ck_assert_ptr_null(strstr(text, "data: x"));
}

START_TEST(a_burst_beyond_the_budget_is_read_from_the_window)
{
    join(100);
    struct stream *s = open_behind(0, behind_software[_i]);
    publish(201, NULL);
    assert_seqs(read_on(&clients[0]), 101, 201);
    ck_assert(s->state == STREAM_LIVE && !s->exchange.conn.behind);
    ck_assert(TAILQ_FIRST(&exchanges.conns.behind) == NULL);
    ck_assert_uint_eq(set.counters[DELIVERIES], BURST + 1);
    ck_assert_uint_eq(set.counters[STREAMS_BEHIND], 1);
    ck_assert_uint_eq(set.counters[ENDS_SLOW] + set.counters[REPLAYS_LOCAL], 0);

    clients[0].len = 0;
    publish(202, NULL);
    assert_heard(&clients[0], "id: 202\ndata: x\n\n");
}
END_TEST

/* Some events of the burst were in the queue, taken back, and sent again. */
START_TEST(what_is_taken_back_and_sent_again_counts_once)
{
    join(100);
    set.compacts = true; /* as after an event with a key */
    struct stream *s = open_behind(0, behind_software[_i]);
    assert_seqs(read_on(&clients[0]), 101, 200);
    ck_assert(s->state == STREAM_LIVE);
    ck_assert_uint_eq(set.counters[DELIVERIES], BURST);
}
END_TEST

START_TEST(how_late_a_burst_is_counts)
{
    join(100);
    open_behind(0, behind_software[_i]);
    read_on(&clients[0]);
    uint64_t count = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        count += set.counters[LATENCY_FIRST + i];
    ck_assert_uint_eq(count, BURST);
}
END_TEST

START_TEST(one_that_is_behind_and_takes_nothing_is_cut)
{
    exchanges.conns.write_ms = exchanges.conns.behind_ms = 60;
    join(100);
    open_behind(0, behind_software[_i]);
    for (int64_t until = clock_ms() + 20000; !set.counters[ENDS_SLOW] && clock_ms() < until;) {
        poll(NULL, 0, 10);
        turn();
    }
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 1);
    ck_assert_uint_eq(registry_count(set.registry), 0);
    ck_assert(TAILQ_FIRST(&exchanges.conns.behind) == NULL);
}
END_TEST

START_TEST(one_that_the_window_has_left_behind_is_cut_after_what_waits)
{
    char last[32];
    set.limits.window_bytes = 2 * SMALL_BUDGET;
    join(100);
    open_behind(0, behind_software[_i]);
    burst(201, BURST);
    read_on(&clients[0]);
    ck_assert(clients[0].ended);
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 1);

    uint64_t seq = 100;
    do
        snprintf(last, sizeof last, "\nid: %" PRIu64 "\n", ++seq);
    while (strstr(clients[0].text, last));
    ck_assert_uint_gt(seq, 110);
    assert_seqs(clients[0].text, 101, seq - 1);
}
END_TEST

/* This number of updates of ten keys. The event 104 has no key. */
static void burst_of_keys(uint64_t first, uint64_t count)
{
    static char data[BURST_EVENT];
    char key[16];
    memset(data, 'x', sizeof data);
    for (uint64_t seq = first; seq < first + count; seq++) {
        snprintf(key, sizeof key, "k%" PRIu64, seq % 10);
        struct event_spec spec = {
            .kind = EVENT_MESSAGE, .seq = seq, .key = slice_of(key), .data = {data, sizeof data}};
        if (seq == 104)
            spec.key = (struct slice){0};
        say(&spec);
        if (seq % 7 == 0)
            streams_settle(&set);
    }
    streams_settle(&set);
}

/* A reader of keys took nothing while more than its budget came. */
static struct stream *open_behind_keys(const char *extra)
{
    exchanges.conns.budget = SMALL_BUDGET;
    join(100);
    open_with(0, 4096, "QUERY_STRING=session=a", extra);
    turn();
    struct stream *s = last_stream();
    burst_of_keys(101, 400);
    turn();
    return s;
}

static uint64_t events_in(const char *text)
{
    uint64_t count = 0;
    for (; (text = strstr(text, "\ndata: x")); text++)
        count++;
    return count;
}

/* So many events were delivered. Those that were taken back are still to be left out
 * of the count. */
static void assert_deliveries(uint64_t count)
{
    ck_assert_uint_eq(set.counters[DELIVERIES] - set.taken_back, count);
}

START_TEST(a_slow_reader_of_keys_is_spared_what_is_superseded)
{
    struct stream *s = open_behind_keys(behind_software[_i]);
    ck_assert_uint_le(queue_bytes(&s->exchange.conn.queue), SMALL_BUDGET + BURST_EVENT);
    const char *text = read_on(&clients[0]);
    ck_assert_ptr_nonnull(strstr(text, "\nid: 104\n"));
    for (uint64_t seq = 491, last = 0; seq <= 500; seq++) {
        char id[32];
        snprintf(id, sizeof id, "\nid: %" PRIu64 "\n", seq);
        const char *at = strstr(text, id);
        ck_assert_msg(at && (uint64_t)(at - text) > last, "%" PRIu64 " is missing", seq);
        last = (uint64_t)(at - text);
    }
    ck_assert_uint_gt(set.counters[CONFLATED], 300);
    assert_deliveries(events_in(text));
    ck_assert(s->state == STREAM_LIVE && !s->exchange.conn.behind);
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 0);
}
END_TEST

/* A broker without a store was restarted:
 * its welcome comes before it is known that events were lost. */
START_TEST(a_state_without_the_keys_takes_no_values_from_one_that_is_behind)
{
    open_behind_keys(behind_software[_i]);
    welcome(600, 0, NULL);
    const char *text = read_on(&clients[0]);
    for (uint64_t seq = 491; seq <= 500; seq++) {
        char id[32];
        snprintf(id, sizeof id, "\nid: %" PRIu64 "\n", seq);
        ck_assert_msg(strstr(text, id), "%" PRIu64 " is missing", seq);
    }
}
END_TEST

START_TEST(a_slow_reader_is_not_spared_what_only_private_events_follow)
{
    static char data[BURST_EVENT];
    memset(data, 'x', sizeof data - 1);
    exchanges.conns.budget = SMALL_BUDGET;
    join(100);
    open_with(0, 4096, "QUERY_STRING=session=a&channels=c", behind_software[_i]);
    turn();
    for (uint64_t seq = 101; seq <= 510; seq++) {
        char key[] = {(char)('0' + seq % 10), '\0'};
        publish_in_channel(seq, key, seq <= 500 ? data : "hidden", seq > 500, false);
    }
    streams_settle(&set);
    turn();

    const char *text = read_on(&clients[0]);
    for (uint64_t seq = 491; seq <= 500; seq++) {
        char id[32];
        snprintf(id, sizeof id, "\nid: %" PRIu64 "\n", seq);
        ck_assert_msg(strstr(text, id), "%" PRIu64 " is missing", seq);
    }
    ck_assert_ptr_null(strstr(text, "hidden"));
    ck_assert_uint_gt(set.counters[CONFLATED], 300);
}
END_TEST

START_TEST(one_whose_events_fit_without_superseded_ones_is_not_cut)
{
    exchanges.conns.behind_ms = 20;
    exchanges.conns.write_ms = 600000;
    struct stream *s = open_behind_keys(behind_software[_i]);
    for (int i = 0; i < 10; i++) {
        poll(NULL, 0, 10);
        burst_of_keys(501 + 100 * (uint64_t)i, 100);
        turn();
    }
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 0);
    ck_assert_ptr_nonnull(strstr(read_on(&clients[0]), "\nid: 1500\n"));
    ck_assert(s->state == STREAM_LIVE);
}
END_TEST

START_TEST(one_that_was_spared_is_cut_when_more_comes_than_fits)
{
    exchanges.conns.behind_ms = 20;
    exchanges.conns.write_ms = 600000;
    open_behind_keys(behind_software[_i]);
    for (int i = 0; i < 10; i++) {
        poll(NULL, 0, 10);
        turn();
    }
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 0);

    burst(501, BURST);
    for (int64_t until = clock_ms() + 20000; !set.counters[ENDS_SLOW] && clock_ms() < until;) {
        poll(NULL, 0, 5);
        turn();
    }
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 1);
}
END_TEST

START_TEST(what_is_left_for_slow_readers_is_measured_within_a_bounded_time)
{
    exchanges.conns.behind_ms = exchanges.conns.write_ms = 600000;
    const struct stream *s = open_behind_keys(behind_software[_i]);
    burst(501, BURST);
    set.measured_us = 0;
    ck_assert(resume_overflows(s));

    set.measured_second = loop_now(set.loop) / 1000;
    set.measured_us = 1000000; /* others took it all in this second */
    ck_assert(!resume_overflows(s));
    set.measured_second--;
    ck_assert(resume_overflows(s));
}
END_TEST

START_TEST(one_of_keys_that_takes_nothing_for_the_whole_time_is_cut)
{
    exchanges.conns.behind_ms = 20;
    exchanges.conns.write_ms = 60;
    open_behind_keys(behind_software[_i]);
    uint64_t seq = 501;
    for (int64_t until = clock_ms() + 20000; !set.counters[ENDS_SLOW] && clock_ms() < until;
         seq += 100) {
        poll(NULL, 0, 5);
        burst_of_keys(seq, 100);
        turn();
    }
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 1);
}
END_TEST

START_TEST(what_the_window_evicted_of_keys_comes_from_the_state)
{
    set.limits.window_bytes = 2 * SMALL_BUDGET;
    struct stream *s = open_behind_keys(behind_software[_i]);
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = 501, .key = S("lasting"), .data = S("x")};
    say(&spec);
    burst_of_keys(502, 1);
    for (uint64_t seq = 503; seq < 900; seq++)
        publish_key(seq, NULL, "k1", "y");
    burst_of_keys(900, 0);
    const char *text = read_on(&clients[0]);
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 0);
    ck_assert_ptr_nonnull(strstr(text, "\nid: 501\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nid: 899\n"));
    ck_assert(s->state == STREAM_LIVE);
}
END_TEST

START_TEST(what_expired_while_it_waited_is_not_sent)
{
    join(100);
    open_with(0, 4096, "QUERY_STRING=session=a", NULL);
    turn();
    burst(101, 10);
    say(&(struct event_spec){.kind = EVENT_MESSAGE,
                             .seq = 111,
                             .time_ms = clock_unix_ms(),
                             .ttl_s = 1,
                             .data = S("short")});
    publish(112, NULL);
    turn();
    poll(NULL, 0, 1100);
    const char *text = read_on(&clients[0]);
    ck_assert_ptr_null(strstr(text, "short"));
    ck_assert_ptr_nonnull(strstr(text, "id: 110\n"));
    ck_assert_ptr_nonnull(strstr(text, "id: 112\n"));
    ck_assert(last_stream()->state == STREAM_LIVE);
}
END_TEST

/* A page of the broker was ahead of the feed.
 * Then the reader stalled until what waits for it is looked at. */
static struct stream *ahead_and_stalled(struct client **c)
{
    static char data[BURST_EVENT];
    memset(data, 'x', sizeof data);
    exchanges.conns.stale_ms = 20;
    join(100);
    say(&(struct event_spec){.kind = EVENT_MESSAGE,
                             .seq = 101,
                             .time_ms = clock_unix_ms(),
                             .ttl_s = 100,
                             .data = S("has a ttl")});
    *c = open_with(0, 4096, "QUERY_STRING=session=a", "HTTP_LAST_EVENT_ID=99");
    struct stream *s = last_stream();
    turn();
    struct buf b = {0};
    for (uint64_t seq = 100; seq <= 109; seq++) {
        struct event *e = event_new(
            &(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = {data, sizeof data}});
        wire_add_entry(&b, e);
        event_unref(&e);
    }
    struct wire_page page = {
        .from = 99, .upto = 109, .head = 109, .oldest = 1, .entries = buf_slice(&b)};
    struct upstream_request *question = s->pending;
    upstream_forget(s->set->upstream, &question);
    resume_page(s, &page);
    buf_release(&b);
    turn();
    ck_assert(s->state == STREAM_LIVE && s->exchange.conn.blocked);
    ck_assert_uint_eq(s->cursor, 109);
    poll(NULL, 0, 30);
    return s;
}

START_TEST(an_answer_that_is_ahead_repeats_nothing_to_one_that_stalled)
{
    struct client *c;
    struct stream *s = ahead_and_stalled(&c);
    read_on(c);
    ck_assert(s->state == STREAM_LIVE && !s->exchange.conn.blocked);
    burst(102, 9); /* the feed comes later */
    assert_seqs(read_on(c), 100, 110);
}
END_TEST

START_TEST(one_that_stalls_twice_before_the_feed_comes_does_no_harm)
{
    struct client *c;
    struct stream *s = ahead_and_stalled(&c);
    receive(c, SIZE_MAX); /* it reads a little: what waits is looked at */
    turn();
    ck_assert(s->exchange.conn.blocked);
    burst(102, 9); /* the feed comes later */
    poll(NULL, 0, 30);
    assert_seqs(read_on(c), 100, 110);
}
END_TEST

/* The page brought what the feed lost. */
START_TEST(a_break_behind_an_answer_that_is_ahead_is_no_gap)
{
    join(100);
    struct client *c = come_back(0, "a", "99");
    struct stream *s = last_stream();
    body(c);
    answer(s, (struct wire_page){.from = 99, .upto = 110, .head = 110, .oldest = 1}, 100, 110);
    heard(c);
    feed_broken(&set, 105, 106);
    publish_range(106, 111);
    welcome(111, 0, NULL);
    assert_heard(c, "id: 111\ndata: x\n\n");
}
END_TEST

START_TEST(a_shutdown_reaches_one_that_is_behind_in_its_order)
{
    join(100);
    open_behind(0, behind_software[_i]);
    shut_down(201, "a", 60);
    publish(202, NULL);
    const char *text = read_on(&clients[0]);
    assert_seqs(text, 101, 200);
    ck_assert_ptr_nonnull(strstr(text, "event: ssecast.shutdown"));
    ck_assert(clients[0].ended);
    ck_assert_uint_eq(set.counters[ENDS_SHUTDOWN], 1);
}
END_TEST

START_TEST(one_that_is_behind_and_waited_is_ended_by_what_was_shut_down_meanwhile)
{
    exchanges.conns.budget = SMALL_BUDGET;
    open_with(0, 4096, "QUERY_STRING=session=a", NULL);
    struct stream *s = last_stream();
    a_moment();
    hear_clock();
    join(100);
    turn();
    burst(101, BURST);
    ck_assert(s->exchange.conn.behind);
    struct slice name = S("a");
    struct event_spec spec = shutdown_of(90, TO_SESSIONS, &name, broker_time() + 1000);
    tell_past(&spec, 1, 100, false);
    ck_assert_ptr_nonnull(strstr(read_on(&clients[0]), "event: ssecast.shutdown"));
    ck_assert(clients[0].ended);
}
END_TEST

START_TEST(one_that_is_behind_when_the_sequence_breaks_asks_the_broker)
{
    join(100);
    struct stream *s = open_behind(0, behind_software[_i]);
    feed_broken(&set, 500, 501);
    ck_assert(!s->exchange.conn.behind);
    read_on(&clients[0]);
    ck_assert(!clients[0].ended);
    ck_assert_ptr_nonnull(s->pending);
    ck_assert_uint_eq(set.counters[ENDS_SLOW], 0);
}
END_TEST

START_TEST(one_that_is_behind_ends_with_its_worker)
{
    join(100);
    open_behind(0, behind_software[_i]);
    ck_assert_uint_eq(streams_drain(&set, 10), 0);
    read_on(&clients[0]);
    ck_assert(clients[0].ended);
    ck_assert_uint_eq(set.counters[ENDS_DRAIN], 1);
}
END_TEST

START_TEST(those_that_are_behind_lag)
{
    struct report_draft draft = {.wants_lags = true};
    join(100);
    struct stream *s = open_behind(0, behind_software[_i]);
    report_fill(&set, &draft);
    ck_assert_uint_gt(draft.lags.len, 0);
    buf_release(&draft.lags);
    ck_assert_uint_eq(conns_load(&exchanges.conns).readers, 1);
    ck_assert_uint_eq(conns_load(&exchanges.conns).bytes, queue_bytes(&s->exchange.conn.queue));
}
END_TEST

/* --- heartbeats --- */

/* Wait for the next thing to be heard; it begins with this. */
static void assert_hears_soon(struct client *c, const char *should)
{
    const char *text;
    while (!*(text = heard(c))) {
        turn_for(set.loop, 5);
    }
    ck_assert_msg(strncmp(text, should, strlen(should)) == 0, "'%s'", text);
}

START_TEST(an_idle_stream_is_kept_alive_and_its_cursor_fresh)
{
    set.limits.heartbeat_ms = 40;
    join(100);
    struct client *c = open_as(0, "a");
    body(c);
    assert_hears_soon(c, ": keep-alive\n");
    publish_range(101, 102);
    assert_hears_soon(c, "id: 101\n");
    publish(103, "b");
    assert_hears_soon(c, CHECKPOINT("103"));
    assert_hears_soon(c, ": keep-alive\n");
}
END_TEST

/* The timer fires in the turn in which the event was collected. */
START_TEST(a_heartbeat_is_never_ahead_of_what_was_collected)
{
    set.limits.heartbeat_ms = 40;
    join(100);
    struct client *c = open_as(0, "a");
    body(c);
    say(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 101, .data = slice_of("x")});
    usleep(60000);
    assert_hears_soon(c, "id: 101\ndata: x\n\n");
}
END_TEST

#define BEAT "event: ssecast.checkpoint\ndata: {}\n\n"
#define ALWAYS "QUERY_STRING=session=a&checkpoints=always"

START_TEST(each_heartbeat_is_seen_where_that_is_asked_for)
{
    char owner[OWNER_LEN + 1];
    set.limits.heartbeat_ms = 40;
    struct client *c = open_with(0, 0, ALWAYS, NULL);
    assert_body(c, "retry: 15000\n\n");
    assert_hears_soon(c, BEAT);
    join(100);
    owner_of(S("a"), owner);
    ck_assert_ptr_nonnull(strstr(heard(c), owner));
    assert_hears_soon(c, BEAT);
    publish(101, "b");
    assert_hears_soon(c, CHECKPOINT("101"));
    assert_hears_soon(c, BEAT);
}
END_TEST

/* A page sees nothing of events that it has no listeners for. */
START_TEST(a_busy_stream_shows_heartbeats_beside_its_events)
{
    set.limits.heartbeat_ms = 40;
    join(100);
    struct client *always = open_with(0, 0, ALWAYS, NULL), *c = open_as(1, "a");
    size_t beats = 0, others = 0;
    body(always);
    body(c);

    for (uint64_t seq = 101; beats < 3; seq++) {
        const char *text;
        publish(seq, "a");
        for (text = heard(always); (text = strstr(text, "data: x\n\n" BEAT)); text++)
            beats++;
        for (text = heard(c); (text = strstr(text, "ssecast.checkpoint")); text++)
            others++;
        turn_for(set.loop, 5);
    }

    ck_assert_uint_eq(others, 0);
}
END_TEST

/* A reader that takes nothing holds its stream up for as long as write-timeout allows,
 * for ever if it is 0. */
START_TEST(a_heartbeat_is_due_however_long_ago_the_last_one_was)
{
    static const uint32_t days[] = {1, 24, 25, 26, 49};
    join(100);
    struct client *c = open_with(0, 0, ALWAYS, NULL);
    struct stream *s = last_stream();
    body(c);

    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        s->beaten_at = (uint32_t)loop_now(set.loop) - days[i] * 86400000u;
        publish(101 + i, "a");
        ck_assert_ptr_nonnull(strstr(heard(c), "data: x\n\n" BEAT));
    }
}
END_TEST

START_TEST(without_checkpoints_the_cursor_moves_quietly)
{
    set.limits.heartbeat_ms = 40;
    struct client *c = open_with(0, 0, "QUERY_STRING=session=a&checkpoints=false", NULL);
    assert_body(c, "retry: 15000\n\n");
    join(100);
    assert_heard(c, "id: 100\n\n");
    assert_hears_soon(c, ": keep-alive\n");
    publish(101, "b");
    assert_hears_soon(c, "id: 101\n\n");
    feed_broken(&set, 500, 501);
    welcome(500, 0, "");
    assert_heard(c, "event: ssecast.gap\ndata: {\"last\":101,\"oldest\":501}\n\nid: 500\n\n");
    assert_body(open_with(1, 0, "QUERY_STRING=session=a&checkpoints=false", NULL),
                "retry: 15000\nid: 500\n\n");
}
END_TEST

START_TEST(a_stream_with_a_tokens_time_is_kept_alive_too)
{
    set.limits.heartbeat_ms = 40;
    take_tokens();
    join(100);
    struct client *c = open_for(0, "a", 60000);
    body(c);
    assert_hears_soon(c, ": keep-alive\n");
    publish(101, "b");
    assert_hears_soon(c, CHECKPOINT("101"));
    tokens_free(&set.tokens);
}
END_TEST

START_TEST(one_of_a_counted_address_is_kept_alive_too)
{
    set.limits.heartbeat_ms = 40;
    set.addresses = addresses_new(10, 10);
    join(100);
    struct client *c = open_from(0, "a", "192.0.2.1");
    body(c);
    assert_hears_soon(c, ": keep-alive\n");
}
END_TEST

START_TEST(one_that_could_not_be_written_to_is_kept_alive_again)
{
    static char data[100000];
    memset(data, 'x', sizeof data);
    set.limits.heartbeat_ms = 40;
    join(100);
    struct client *c = open_with(0, 4096, "QUERY_STRING=session=a", NULL);
    body(c);
    say(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 101, .data = {data, sizeof data}});
    turn();
    ck_assert_ptr_null(TAILQ_FIRST(&exchanges.conns.idle));
    poll(NULL, 0, 50);
    turn();
    while (TAILQ_FIRST(&exchanges.conns.blocked)) {
        receive(c, SIZE_MAX);
        turn();
    }
    heard(c);
    assert_hears_soon(c, ": keep-alive\n");
}
END_TEST

START_TEST(a_checkpoint_is_never_ahead_of_a_resuming_stream)
{
    set.limits.heartbeat_ms = 40;
    join(100);
    struct client *c = come_back(0, "a", "50");
    body(c);
    publish(101, NULL);
    assert_hears_soon(c, ": keep-alive\n");
}
END_TEST

/* --- any reader, at any speed --- */

static char *should_hear[4];
static size_t should_len[4];

/* What a client that was opened with this cursor should hear of one event. */
static void expect(int number, const struct event *e, const char *session)
{
    struct audience who = {slice_of(session), S("?"), {0}, false, false};
    if (!event_concerns(e, &who))
        return;
    should_hear[number] = realloc(should_hear[number], should_len[number] + e->text.len + 1);
    memcpy(should_hear[number] + should_len[number], e->text.data, e->text.len);
    should_len[number] += e->text.len;
    should_hear[number][should_len[number]] = '\0';
}

static struct event *random_event(struct dice *dice, uint64_t seq)
{
    static const struct slice names[] = {S_INIT("a"), S_INIT("b"), S_INIT("c"), S_INIT("d")};
    static char data[3000];
    memset(data, 'a' + (int)(seq % 26), sizeof data);
    struct event_spec spec = {
        .kind = EVENT_MESSAGE, .seq = seq, .data = {data, roll(dice, sizeof data)}};
    spec.has_to = roll(dice, 2);
    if (spec.has_to)
        spec.lists[TO_SESSIONS] = (struct names){names + roll(dice, 3), 1 + roll(dice, 2)};
    else if (roll(dice, 4) == 0)
        spec.lists[EXCEPT_SESSIONS] = (struct names){names + roll(dice, 4), 1};
    return event_new(&spec);
}

#define MISSED 300
#define LIVE 100
static const char *const sessions[] = {"a", "b", "c", "d"};

static void open_readers(struct dice *dice, struct event *const *events)
{
    char query[64], header[64];
    for (int i = 0; i < 4; i++) {
        uint64_t cursor = 1000 + roll(dice, MISSED + 1);
        should_len[i] = 0;
        for (uint64_t seq = cursor + 1; seq <= 1000 + MISSED + LIVE; seq++)
            expect(i, events[seq - 1001], sessions[i]);
        snprintf(query, sizeof query, "QUERY_STRING=session=%s", sessions[i]);
        snprintf(header, sizeof header, "HTTP_LAST_EVENT_ID=%" PRIu64, cursor);
        open_with(i, 4096, query, header);
    }
}

static void assert_heard_exactly(int i)
{
    const char *end = strstr(clients[i].text, "\n\n"); /* the first block */
    ck_assert_ptr_nonnull(end);
    ck_assert_str_eq(end + 2, should_len[i] ? should_hear[i] : "");
    ck_assert(!clients[i].ended);
    should_len[i] = 0;
    free(should_hear[i]);
    should_hear[i] = NULL;
    leave(&clients[i]);
}

START_TEST(a_resume_is_exact_at_any_speed)
{
    struct dice dice = dice_new();
    struct event *events[MISSED + LIVE];
    printf("stream: SEED=%" PRIu64 "\n", dice.state);
    fflush(stdout);
    dice.state += (uint64_t)_i * 1000;
    if (_i % 2)
        exchanges.conns.budget = 5000 + roll(&dice, 50000); /* some fall behind */
    join(1000);
    for (uint64_t i = 0; i < MISSED + LIVE; i++)
        events[i] = random_event(&dice, 1001 + i);
    for (int i = 0; i < MISSED; i++)
        feed_event(&set, events[i]);
    open_readers(&dice, events);
    for (int i = MISSED; i < MISSED + LIVE; i++) {
        feed_event(&set, events[i]);
        if (roll(&dice, 3))
            continue; /* some come together */
        receive(&clients[roll(&dice, 4)], roll(&dice, 20000));
        turn();
    }
    for (int quiet = 0; quiet < 3; quiet++)
        for (int i = 0; i < 4; i++) {
            size_t before = clients[i].len;
            turn();
            receive(&clients[i], 7000);
            quiet = clients[i].len == before ? quiet : 0;
        }
    for (int i = 0; i < 4; i++)
        assert_heard_exactly(i);
    for (int i = 0; i < MISSED + LIVE; i++)
        event_unref(&events[i]);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* --- patterns of the hub's streams --- */

/* Open a stream of the hub, with a cursor (NULL: none). */
static struct client *open_hub(int number, const char *selectors, const char *cursor)
{
    struct client *c = &clients[number];
    struct params params = {.request = 1};
    char query[400];
    int fds[2];
    *c = (struct client){0};
    set.mercure = (struct mercure_rules){.anonymous = true,
                                         .max_topics = 10,
                                         .max_topic_bytes = 255,
                                         .max_patterns = 3,
                                         .cors_origins = &none};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    c->fd = fds[1];
    snprintf(query, sizeof query, "QUERY_STRING=%s%s%s", selectors,
             cursor ? "&lastEventID=%23" : "", cursor ? cursor : "");
    ck_assert_int_eq(params_copy(&params, (char *[]){"REQUEST_METHOD=GET", query, NULL}), 0);
    open_mercure(&set, &(struct incoming){fds[0], &params, CONN_PIPE});
    params_release(&params);
    return c;
}

static struct event *event_to(enum event_kind kind, uint64_t seq, enum event_list list,
                              const char *name)
{
    struct slice room = slice_of(name);
    struct event_spec spec = {.kind = kind, .seq = seq, .data = slice_of(name), .has_to = true};
    spec.lists[list] = (struct names){&room, 1};
    return event_new(&spec);
}

static void update(uint64_t seq, const char *topic)
{
    struct event *e = event_to(EVENT_MESSAGE, seq, TO_CHANNELS, topic);
    feed_event(&set, e);
    event_unref(&e);
}

START_TEST(the_broker_is_asked_about_every_channel_and_the_worker_picks)
{
    join(100);
    update(101, "/a/live");
    struct client *c = open_hub(0, "topic=/a/%7Bid%7D&topic=/named", "90");
    struct stream *s = last_stream();
    struct concern_reader reader;
    concern_read_as(s, &reader);
    ck_assert(s->pending && reader.who.every_channel && !reader.own.every_channel);
    body(c);

    struct buf b = {0};
    struct event *events[] = {event_to(EVENT_MESSAGE, 91, TO_CHANNELS, "/a/1"),
                              event_to(EVENT_MESSAGE, 92, TO_CHANNELS, "/b/1"),
                              event_to(EVENT_SHUTDOWN, 93, TO_CHANNELS, "/b/1"),
                              event_to(EVENT_MESSAGE, 94, TO_SESSIONS, "/a/1"),
                              event_to(EVENT_MESSAGE, 95, TO_CHANNELS, "/named"),
                              event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 96})};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        wire_add_entry(&b, events[i]);
        event_unref(&events[i]);
    }
    struct wire_page page = {.from = 90, .upto = 100, .head = 101, .entries = {b.data, b.len}};
    struct upstream_request *question = s->pending;
    upstream_forget(s->set->upstream, &question);
    resume_page(s, &page);
    buf_release(&b);

    const char *text = heard(c);
    ck_assert_msg(
        strcmp(text,
               "id: #91\ndata: /a/1\n\nid: #95\ndata: /named\n\nid: #101\ndata: /a/live\n\n") == 0,
        "%s", text);
    ck_assert(!c->ended && s->state == STREAM_LIVE);
    leave(c);
}
END_TEST

START_TEST(updates_of_one_key_are_skipped_in_pieces)
{
    enum { LAST = 100 + 3 * HISTORY_SCAN_MAX };
    join(100);
    for (uint64_t seq = 101; seq <= LAST; seq++)
        publish_key(seq, NULL, "price", "x");
    struct client *c = come_back(0, "anna", "100");
    struct stream *s = last_stream();
    ck_assert(s->scan_queued && s->state == STREAM_RESUMING && s->cursor == 100 + HISTORY_SCAN_MAX);
    struct client *gone = come_back(1, "anna", "100");
    leave(gone); /* while its scan is queued, and another stream takes its slot */
    struct client *other = open_as(1, "anna");

    for (int i = 0; i < 5; i++)
        turn();
    ck_assert(!s->scan_queued && s->state == STREAM_LIVE);
    ck_assert_ptr_nonnull(strstr(body(c), "data: x\n\n"));
    leave(c);
    leave(other);
}
END_TEST

START_TEST(private_keys_are_skipped_in_pieces)
{
    char key[20];
    join(100);
    for (uint64_t seq = 101; seq <= 400; seq++) {
        snprintf(key, sizeof key, "k%d", (int)seq);
        publish_in_channel(seq, key, "x", seq < 400, false);
    }
    struct client *c = open_in(0, "anna", "c");
    struct stream *s = last_stream();
    ck_assert(s->scan_queued && s->state == STREAM_CURRENT);

    for (int i = 0; i < 10; i++)
        turn();
    ck_assert(!s->scan_queued && s->state == STREAM_LIVE);
    const char *text = strstr(body(c), "data: x\n\n");
    ck_assert(text && !strstr(text + 1, "data: x\n\n"));
    leave(c);
}
END_TEST

START_TEST(a_window_is_looked_at_in_pieces)
{
    enum { LAST = 40100 };
    join(100);
    for (uint64_t seq = 101; seq < LAST; seq++)
        update(seq, seq % 10000 ? "/other" : "/a/1");
    update(LAST, "/a/end");
    struct client *c = open_hub(0, "topic=/a/%7Bid%7D", "100");
    struct stream *s = last_stream();
    ck_assert(s->scan_queued && s->state == STREAM_RESUMING && s->cursor < LAST);
    struct client *gone = open_hub(1, "topic=/a/%7Bid%7D", "100");
    leave(gone); /* while its scan is queued */

    for (int i = 0; i < 20; i++)
        turn();
    ck_assert(!s->scan_queued && s->state == STREAM_LIVE);
    ck_assert_uint_eq(set.counters[DELIVERIES] >= 5, 1);
    const char *text = body(c);
    for (int i = 1; i <= 4; i++) {
        char should[40];
        snprintf(should, sizeof should, "id: #%d0000\ndata: /a/1\n\n", i);
        ck_assert_ptr_nonnull((text = strstr(text, should)));
    }
    ck_assert_ptr_nonnull(strstr(text, "data: /a/end\n\n"));
    update(LAST + 1, "/a/live");
    assert_heard(c, "id: #40101\ndata: /a/live\n\n");
    leave(c);
}
END_TEST

START_TEST(the_selectors_of_a_stream_are_listed)
{
    static struct slice channels[REQUEST_CHANNELS_MAX];
    join(100);
    struct client *c = open_hub(0, "topic=/a/%7Bid%7D&topic=*&topic=b&topic=/c%7B?d%7D", NULL);
    const struct registry_entry *entry = stream_entry(last_stream());
    struct names names = registry_channels(entry, channels, REQUEST_CHANNELS_MAX);
    ck_assert_uint_eq(names.count + registry_patterns_of(entry) + registry_in_all(entry), 4);
    ck_assert_uint_eq(names.count, 1);
    ck_assert(registry_in_all(entry));
    assert_slice(names.items[0], S("b"));
    assert_slice(pattern_text(registry_pattern(entry, 0)), S("/a/{id}"));
    assert_slice(pattern_text(registry_pattern(entry, 1)), S("/c{?d}"));
    ck_assert_int_eq(pattern_kind(registry_pattern(entry, 1)), PATTERN_TEMPLATE);
    leave(c);
}
END_TEST

START_TEST(the_patterns_of_all_streams_are_limited)
{
    join(100);
    open_hub(0, "topic=/a/%7Bid%7D&topic=/b/%7Bid%7D", NULL);
    open_hub(1, "topic=/a/%7Bid%7D&topic=/c/%7Bid%7D", NULL);
    ck_assert_uint_eq(registry_pattern_weight(set.registry), 3);
    const char *text = heard(open_hub(2, "topic=/d/%7Bid%7D", NULL));
    ck_assert(strstr(text, "retry: ") && clients[2].ended && set.counters[STREAMS_SHED] == 1);
    heard(open_hub(2, "topic=/a/%7Bid%7D&topic=x", NULL));
    ck_assert(!clients[2].ended && set.counters[STREAMS_SHED] == 1);
    for (int i = 0; i < 3; i++)
        leave(&clients[i]);
}
END_TEST

static void add_openings(TCase *tests)
{
    tcase_add_test(tests, a_stream_begins_where_the_sequence_stands);
    tcase_add_test(tests, its_head_names_the_connection);
    tcase_add_test(tests, without_a_broker_it_opens_and_waits);
    tcase_add_test(tests, live_events_reach_whom_they_concern);
    tcase_add_loop_test(tests, what_is_no_stream_is_answered_and_closed, 0, COUNT(short_answers));
    tcase_add_test(tests, beyond_a_limit_a_client_is_asked_to_come_back);
    tcase_add_test(tests, the_oldest_stream_of_a_session_makes_way);
    tcase_add_test(tests, while_draining_no_stream_makes_way);
    tcase_add_test(tests, a_stream_that_makes_way_does_so_for_its_address_too);
    tcase_add_test(tests, an_address_has_so_many_streams);
    tcase_add_test(tests, an_address_asks_so_often);
    tcase_add_test(tests, a_stream_ends_with_its_token);
    tcase_add_test(tests, without_a_good_token_nothing_opens);
    tcase_add_test(tests, a_draining_worker_opens_none_and_closes_all);
    tcase_add_test(tests, a_shutdown_ends_after_what_came_before);
    tcase_add_test(tests, a_blocked_session_is_told_to_stop);
    tcase_add_test(tests, bans_come_with_the_welcome);
    tcase_add_test(tests, a_welcome_says_all_bans_and_lifts_others);
    tcase_add_test(tests, what_came_before_its_welcome_is_newer_than_it);
    tcase_add_test(tests, what_is_in_a_welcome_is_not_older_than_it);
    tcase_add_test(tests, bans_that_a_broker_cannot_know_stay);
    tcase_add_test(tests, a_stream_whose_shutdown_was_missed_ends);
    tcase_add_test(tests, records_of_bans_are_for_nobody);
    tcase_add_test(tests, who_comes_back_past_a_shutdown_stays);
    tcase_add_loop_test(tests, a_shutdown_that_comes_late_ends_what_was_opened_before_it, 0, 9);
    tcase_add_test(tests, in_doubt_a_stream_ends);
    tcase_add_loop_test(tests, bans_end_by_the_clock_that_set_them, 0, 2);
    tcase_add_test(tests, what_the_broker_confirmed_needs_no_clock);
    tcase_add_test(tests, a_session_that_slipped_in_before_its_ban_was_known_is_ended);
    tcase_add_test(tests, a_page_that_brings_bans_before_the_feed_ends_the_stream);
    tcase_add_loop_test(
        tests, one_that_waits_for_the_broker_is_ended_by_what_was_shut_down_meanwhile, 0, 9);
    tcase_add_test(tests, when_shutdowns_may_be_missing_those_who_waited_come_back);
    tcase_add_test(tests, one_that_waited_and_replays_past_an_old_shutdown_stays);
    tcase_add_test(tests, an_idle_stream_is_kept_alive_and_its_cursor_fresh);
    tcase_add_test(tests, a_checkpoint_is_never_ahead_of_a_resuming_stream);
    tcase_add_test(tests, a_heartbeat_is_never_ahead_of_what_was_collected);
    tcase_add_test(tests, each_heartbeat_is_seen_where_that_is_asked_for);
    tcase_add_test(tests, a_busy_stream_shows_heartbeats_beside_its_events);
    tcase_add_test(tests, a_heartbeat_is_due_however_long_ago_the_last_one_was);
    tcase_add_test(tests, without_checkpoints_the_cursor_moves_quietly);
    tcase_add_test(tests, a_stream_with_a_tokens_time_is_kept_alive_too);
    tcase_add_test(tests, one_of_a_counted_address_is_kept_alive_too);
    tcase_add_test(tests, one_that_could_not_be_written_to_is_kept_alive_again);
}

static void add_resumes(TCase *tests)
{
    tcase_add_test(tests, what_was_missed_comes_first);
    tcase_add_test(tests, it_is_read_as_fast_as_it_is_written);
    tcase_add_test(tests, a_publishers_id_is_a_cursor);
    tcase_add_loop_test(tests, the_newer_of_two_cursors_counts, 0, COUNT(two_cursors));
    tcase_add_test(tests, the_newer_of_two_cursors_counts_without_a_broker_too);
    tcase_add_test(tests, an_id_that_is_used_again_and_not_shown_names_the_first);
    tcase_add_test(tests, an_id_that_two_events_showed_is_not_guessed);
    tcase_add_test(tests, an_id_is_not_guessed_when_the_window_has_evicted_its_first_event);
    tcase_add_test(tests, who_missed_nothing_is_sent_nothing);
    tcase_add_loop_test(tests, blanks_around_a_cursor_are_no_part_of_it, 0, 3);
    tcase_add_test(tests, a_client_may_come_back_before_the_broker);
    tcase_add_loop_test(tests, the_broker_is_asked_for_what_the_window_does_not_know, 0,
                        COUNT(unknown_cursors));
    tcase_add_test(tests, a_cursor_without_end_does_no_harm);
    tcase_add_test(tests, pages_are_followed_by_the_window_and_by_live_events);
    tcase_add_test(tests, an_answer_that_is_ahead_repeats_nothing);
    tcase_add_test(tests, who_left_is_not_answered);
    tcase_add_test(tests, a_broken_sequence_is_told);
    tcase_add_test(tests, the_state_comes_before_the_first_checkpoint);
    tcase_add_test(tests, the_checkpoint_follows_the_state_and_then_come_events);
    tcase_add_test(tests, a_client_with_a_cursor_gets_what_it_missed_and_no_state);
    tcase_add_loop_test(tests, a_private_event_takes_no_public_one_from_a_stream_without_a_grant, 0,
                        2);
    tcase_add_test(tests, a_large_state_is_sent_as_it_is_read);
    tcase_add_test(tests, streams_behind_lighttpd_share_the_texts_of_the_state);
    tcase_add_test(tests, a_stream_that_waited_gets_the_state);
    tcase_add_test(tests, after_lost_events_the_state_follows_the_gap);
    tcase_add_test(tests, events_before_the_state_of_a_welcome_are_not_newer);
    tcase_add_test(tests, an_expired_event_is_delivered_to_nobody);
    tcase_add_test(tests, what_expired_while_it_waited_is_not_sent);
    tcase_add_test(tests, an_answer_that_is_ahead_repeats_nothing_to_one_that_stalled);
    tcase_add_test(tests, a_break_behind_an_answer_that_is_ahead_is_no_gap);
    tcase_add_test(tests, one_that_stalls_twice_before_the_feed_comes_does_no_harm);
    tcase_add_test(tests, an_advance_is_no_gap);
    tcase_add_loop_test(tests, a_resume_is_exact_at_any_speed, 0, 10);
}

static void add_behind(TCase *tests)
{
    tcase_add_loop_test(tests, a_burst_beyond_the_budget_is_read_from_the_window, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, a_slow_reader_of_keys_is_spared_what_is_superseded, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, a_state_without_the_keys_takes_no_values_from_one_that_is_behind, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, a_slow_reader_is_not_spared_what_only_private_events_follow, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, one_whose_events_fit_without_superseded_ones_is_not_cut, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, one_that_was_spared_is_cut_when_more_comes_than_fits, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, what_is_left_for_slow_readers_is_measured_within_a_bounded_time, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, one_of_keys_that_takes_nothing_for_the_whole_time_is_cut, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, what_the_window_evicted_of_keys_comes_from_the_state, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, what_is_taken_back_and_sent_again_counts_once, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, how_late_a_burst_is_counts, 0, COUNT(behind_software));
    tcase_add_loop_test(tests, one_that_is_behind_and_takes_nothing_is_cut, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, one_that_the_window_has_left_behind_is_cut_after_what_waits, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, a_shutdown_reaches_one_that_is_behind_in_its_order, 0,
                        COUNT(behind_software));
    tcase_add_test(tests, one_that_is_behind_and_waited_is_ended_by_what_was_shut_down_meanwhile);
    tcase_add_loop_test(tests, one_that_is_behind_when_the_sequence_breaks_asks_the_broker, 0,
                        COUNT(behind_software));
    tcase_add_loop_test(tests, one_that_is_behind_ends_with_its_worker, 0, COUNT(behind_software));
    tcase_add_loop_test(tests, those_that_are_behind_lag, 0, COUNT(behind_software));
}

/* --- Apache's hand-off --- */

#define PLAIN_HTTP "REQUEST_SCHEME=http", "SERVER_PROTOCOL=HTTP/1.1", "CONTENT_LENGTH=0"

static char handoff_folder[40];

static void begin_handoff(void)
{
    strcpy(handoff_folder, "/tmp/check-stream-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(handoff_folder));
    struct handoff_config config = {
        .folder = handoff_folder, .peer = geteuid(), .group = getegid()};
    exchanges.handoffs = handoffs_new(set.loop, &config, &exchange_handoff_hooks, set.counters);
    set.redirects = (struct stream_redirects){"/handoff/", "/sse-fcgi"};
}

static void end_handoff(void)
{
    conns_close(&exchanges.conns);
    handoffs_free(&exchanges.handoffs);
    ck_assert_int_eq(rmdir(handoff_folder), 0);
}

/* Ask over SCGI, as Apache does: its end is a client, whose text is the answer. */
static struct client *ask_scgi(int number, char *const *list)
{
    struct client *c = &clients[number];
    struct params params = {0};
    int fds[2];
    *c = (struct client){0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    c->fd = fds[1];
    ck_assert_int_eq(params_copy(&params, list), 0);
    open_request(&set, &(struct incoming){fds[0], &params, CONN_SOCKET});
    params_release(&params);
    turn();
    receive(c, SIZE_MAX);
    return c;
}

#define ASK(number, ...) ask_scgi(number, (char *[]){"REQUEST_METHOD=GET", __VA_ARGS__, NULL})

/* Pass a browser's socket by the token that the answer names, as mod_proxy_fdpass does. Returns
 * the browser's end. */
static int pass_socket(const struct client *answer)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const char *token = strstr(answer->text, "Location: /handoff/");
    ck_assert_ptr_nonnull(token);
    snprintf(to.sun_path, sizeof to.sun_path, "%s/%.32s", handoff_folder,
             token + strlen("Location: /handoff/"));

    int listener = socket(AF_INET, SOCK_STREAM, 0),
        browser = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    ck_assert_int_eq(connect(browser, (struct sockaddr *)&address, len), 0);
    int passed = accept(listener, NULL, NULL), peer = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(peer, (struct sockaddr *)&to, sizeof to), 0);

    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &passed, sizeof(int));
    ck_assert_int_eq(sendmsg(peer, &message, 0), 1);
    turn();
    close(passed);
    close(peer);
    close(listener);
    return browser;
}

static const char *hear(int fd)
{
    static char text[4096];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

START_TEST(a_stream_gets_the_browser_s_own_socket)
{
    begin_handoff();
    struct client *c = ASK(0, "QUERY_STRING=session=a", PLAIN_HTTP);
    ck_assert_ptr_nonnull(strstr(c->text, "?connection=w-0-1&vary=&origin=&session=a\r\n\r\n"));
    ck_assert_uint_eq(registry_count(set.registry), 1); /* its place is taken */
    int browser = pass_socket(c);
    ck_assert_ptr_nonnull(strstr(hear(browser), "retry: 15000\n"));
    close(browser);
    turn();
    turn();
    ck_assert_uint_eq(registry_count(set.registry), 0);
    close(c->fd);
    end_handoff();
}
END_TEST

START_TEST(tls_and_http_2_go_to_fastcgi)
{
    begin_handoff();
    struct client *c = ASK(0, "QUERY_STRING=session=a", PLAIN_HTTP, "HTTPS=on");
    ck_assert_str_eq(c->text, "Status: 200 OK\r\nLocation: /sse-fcgi?session=a\r\n\r\n");
    close(c->fd);
    c = ASK(0, "QUERY_STRING=session=a", "REQUEST_SCHEME=http", "SERVER_PROTOCOL=HTTP/2.0",
            "CONTENT_LENGTH=0");
    ck_assert_str_eq(c->text, "Status: 200 OK\r\nLocation: /sse-fcgi?session=a\r\n\r\n");
    ck_assert_uint_eq(set.counters[STREAMS_OPENED], 0);
    close(c->fd);
    end_handoff();
}
END_TEST

START_TEST(a_refusal_is_answered_over_scgi)
{
    begin_handoff();
    struct client *c = ASK(0, "QUERY_STRING=", PLAIN_HTTP);
    ck_assert_ptr_nonnull(strstr(c->text, "Status: 400"));
    close(c->fd);
    set.draining = true;
    c = ASK(0, "QUERY_STRING=session=a", PLAIN_HTTP);
    ck_assert_ptr_nonnull(strstr(c->text, "retry: "));
    close(c->fd);
    end_handoff();
}
END_TEST

START_TEST(without_the_directory_fastcgi_is_used)
{
    set.redirects = (struct stream_redirects){"/handoff/", "/sse-fcgi"};
    struct client *c = ASK(0, "QUERY_STRING=session=a", PLAIN_HTTP);
    ck_assert_str_eq(c->text, "Status: 200 OK\r\nLocation: /sse-fcgi?session=a\r\n\r\n");
    close(c->fd);
}
END_TEST

START_TEST(a_query_that_is_too_long_for_a_redirect_is_refused)
{
    static char query[REPLY_REDIRECT_MAX + 100];
    begin_handoff();
    int len = snprintf(query, sizeof query, "QUERY_STRING=session=a&x=");
    memset(query + len, 'x', 7700);
    struct client *c = ASK(0, query, PLAIN_HTTP);
    ck_assert_ptr_nonnull(strstr(c->text, "Location: /sse-fcgi?session=a&x=")); /* less beside it */
    close(c->fd);
    memset(query + len, 'x', REPLY_REDIRECT_MAX);
    c = ASK(0, query, PLAIN_HTTP);
    ck_assert_ptr_nonnull(strstr(c->text, "Status: 414"));
    ck_assert_ptr_nonnull(strstr(c->text, "the query has 8012 bytes; accepted: at most 7991,"));
    close(c->fd);
    end_handoff();
}
END_TEST

START_TEST(a_stream_that_ends_before_its_socket_comes_tells_so)
{
    begin_handoff();
    struct client *c = ASK(0, "QUERY_STRING=session=a", PLAIN_HTTP);
    streams_drain(&set, 1);
    turn();
    int browser = pass_socket(c);
    const char *text = hear(browser), *first = strstr(text, "retry: ");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(strstr(first + 1, "retry: "));
    close(browser);
    close(c->fd);
    end_handoff();
}
END_TEST

static void add_handoff(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_stream_gets_the_browser_s_own_socket);
    tcase_add_test(tests, tls_and_http_2_go_to_fastcgi);
    tcase_add_test(tests, a_refusal_is_answered_over_scgi);
    tcase_add_test(tests, without_the_directory_fastcgi_is_used);
    tcase_add_test(tests, a_query_that_is_too_long_for_a_redirect_is_refused);
    tcase_add_test(tests, a_stream_that_ends_before_its_socket_comes_tells_so);
    tcase_add_test(tests, the_broker_is_asked_about_every_channel_and_the_worker_picks);
    tcase_add_test(tests, updates_of_one_key_are_skipped_in_pieces);
    tcase_add_test(tests, private_keys_are_skipped_in_pieces);
    tcase_add_test(tests, a_window_is_looked_at_in_pieces);
    tcase_add_test(tests, the_selectors_of_a_stream_are_listed);
    tcase_add_test(tests, the_patterns_of_all_streams_are_limited);
}

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *openings = one_case(suite, "openings"), *resumes = one_case(suite, "resumes"),
          *behind = one_case(suite, "behind");
    tcase_add_checked_fixture(openings, setup, teardown);
    tcase_add_checked_fixture(resumes, setup, teardown);
    tcase_add_checked_fixture(behind, setup, teardown);
    add_openings(openings);
    add_behind(behind);
    add_resumes(resumes);
    add_handoff(one_case(suite, "handoff"));
    return run_suite(suite);
}
