/* Exchanges over a socket pair, as plain CGI so that the text stands alone. */
#include "http/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support.h"
#include "turns.h"

static struct exchanges set;
static struct loop *loop;
static uint64_t counters[WORKER_COUNTERS];
static int closed, drained, kept;

/* A role of a struct of its own. */
struct visit {
    struct exchange exchange;
    char *text;
};

static void visit_closed(struct conn *c)
{
    struct visit *v = (struct visit *)c;

    ck_assert_int_eq(v->exchange.role, EXCHANGE_CALL);
    free(v->text);
    closed++;
    exchange_leave(&v->exchange);
}

static void visit_drained(struct conn *c)
{
    ck_assert_int_eq(((struct visit *)c)->exchange.role, EXCHANGE_CALL);
    drained++;
}

static const struct conn_hooks visit_hooks = {.closed = visit_closed, .drained = visit_drained};

static bool turn_end(void *context)
{
    (void)context;
    bool more = conns_flush(&set.conns);
    conns_reap(&set.conns);
    return more;
}

static void turn(void)
{
    turn_for(loop, 0);
}

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    loop = new_turns(turn_end);
    memset(counters, 0, sizeof counters);
    exchanges_init(&set, loop, 100000, 0, counters);
    closed = drained = 0;
    kept = -1;
}

static void teardown(void)
{
    conns_close(&set.conns);
    ck_assert_uint_eq(set.conns.count, 0);
    loop_free(&loop);
}

/* A request whose connection has its other end in *client. */
static struct incoming request(struct params *params, enum conn_transport transport, int *client)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *client = fds[1];
    *params = (struct params){.request = 1};
    return (struct incoming){fds[0], params, transport};
}

/* What has come; *ended: and nothing more will. */
static const char *heard(int client, bool *ended)
{
    static char text[1000];
    ssize_t n = read(client, text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    *ended = n == 0 || (n > 0 && read(client, text + n, 1) == 0);
    return text;
}

START_TEST(a_short_answer_is_sent_and_ends)
{
    struct params params;
    bool ended;
    int client;
    struct incoming in = request(&params, CONN_PIPE, &client);

    exchange_answer(&set, &in, event_text(S("no")));
    turn();
    ck_assert_str_eq(heard(client, &ended), "no");
    ck_assert(ended);
    ck_assert_uint_eq(set.conns.count, 0);
    close(client);
}
END_TEST

START_TEST(without_memory_for_its_text_it_ends)
{
    struct params params;
    bool ended;
    int client;
    struct incoming in = request(&params, CONN_PIPE, &client);

    exchange_answer(&set, &in, NULL);
    turn();
    ck_assert_str_eq(heard(client, &ended), "");
    ck_assert(ended);
    close(client);
}
END_TEST

#define LARGE ((size_t)4 << 20)
#define MANY (EXCHANGES_UNREAD_MAX / LARGE)

static void answer_large(int *client)
{
    struct params params;
    struct incoming in = request(&params, CONN_PIPE, client);
    char *text = malloc(LARGE);
    memset(text, 'x', LARGE);
    exchange_answer(&set, &in, event_text((struct slice){text, LARGE}));
    free(text);
    turn();
}

/* Has the worker given up this answer? What is there is read. */
static bool is_cut(int client)
{
    static char text[1 << 20];
    ssize_t n;
    while ((n = read(client, text, sizeof text)) > 0)
        continue;
    turn();
    return n == 0;
}

START_TEST(of_large_answers_that_are_not_read_the_slowest_is_cut)
{
    int clients[MANY + 1];
    for (size_t i = 0; i < MANY; i++)
        answer_large(&clients[i]);
    ck_assert_uint_eq(set.unread, EXCHANGES_UNREAD_MAX);
    ck_assert(!is_cut(clients[0])); /* it takes something now and then */

    answer_large(&clients[MANY]);
    ck_assert_uint_eq(set.unread, EXCHANGES_UNREAD_MAX);
    ck_assert_uint_eq(set.conns.count, MANY);
    ck_assert_uint_eq(counters[ANSWERS_CUT], 1);
    ck_assert(is_cut(clients[1]));
    ck_assert(!is_cut(clients[0]));
    while (!is_cut(clients[2]))
        continue;
    ck_assert_uint_eq(set.unread, EXCHANGES_UNREAD_MAX - LARGE);
    for (size_t i = 0; i <= MANY; i++)
        close(clients[i]);
}
END_TEST

START_TEST(a_request_that_cannot_be_answered_is_closed)
{
    struct params params;
    bool ended;
    int client;
    struct incoming in = request(&params, CONN_PIPE, &client);

    exchange_drop(&in);
    ck_assert_str_eq(heard(client, &ended), "");
    ck_assert(ended);
    ck_assert_uint_eq(set.conns.count, 0);
    close(client);
}
END_TEST

/* An exchange that is a visit. */
static struct visit *visit(const struct incoming *in)
{
    struct visit *v = exchange_new(&set, in, sizeof *v);

    ck_assert_ptr_nonnull(v);
    ck_assert_int_eq(v->exchange.role, EXCHANGE_ANSWER);
    ck_assert_ptr_null(v->text);
    v->text = strdup("bye");
    exchange_become(&v->exchange, EXCHANGE_CALL, &visit_hooks);
    return v;
}

START_TEST(a_role_is_told_when_all_is_written_and_at_its_end)
{
    struct params params;
    bool ended;
    int client;
    struct incoming in = request(&params, CONN_PIPE, &client);
    struct visit *v = visit(&in);

    exchange_send(&v->exchange, event_text(S("hi ")));
    turn();
    ck_assert_int_eq(drained, 1);
    ck_assert_int_eq(closed, 0);

    exchange_finish(&v->exchange, event_text(S("bye")));
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(v->exchange.role, EXCHANGE_ANSWER); /* whose rest is still to be written */
    turn();
    ck_assert_str_eq(heard(client, &ended), "hi bye");
    ck_assert(ended);
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(drained, 1);
    close(client);
}
END_TEST

START_TEST(a_role_ends_with_the_worker)
{
    struct params params;
    int client;
    struct incoming in = request(&params, CONN_PIPE, &client);

    visit(&in);
    conns_close(&set.conns);
    ck_assert_int_eq(closed, 1);
    close(client);
}
END_TEST

static void keep(void *context, int fd)
{
    ck_assert_ptr_eq(context, &kept);
    kept = fd;
}

/* Only where the web server keeps it and a hook takes it over. */
START_TEST(a_connection_that_is_kept_is_handed_on)
{
    bool wanted = _i & 1, taken = _i & 2;
    struct params params;
    int client;
    struct incoming in = request(&params, CONN_RECORDS, &client);

    params.keep = wanted;
    if (taken) {
        set.keep = keep;
        set.keep_context = &kept;
    }
    exchange_answer(&set, &in, event_text(S("no")));
    turn();
    ck_assert_int_eq(kept, wanted && taken ? in.fd : -1);
    if (kept >= 0)
        close(kept);
    close(client);
}
END_TEST

START_TEST(lighttpd_gets_a_small_buffer)
{
    struct params params;
    int client, bytes = 0;
    socklen_t len = sizeof bytes;
    struct incoming in = request(&params, CONN_PIPE, &client);

    char *list[] = {(char *)(_i ? "SERVER_SOFTWARE=lighttpd/1.4.69" : "SERVER_SOFTWARE=nginx/1.22"),
                    NULL};
    ck_assert_int_eq(params_copy(&params, list), 0);
    const struct visit *v = visit(&in);
    ck_assert_int_eq(getsockopt(in.fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len), 0);
    ck_assert_int_eq(v->exchange.spools, _i == 1);
    ck_assert_int_eq(bytes <= 2 * CONN_HELD_BACK_BYTES, _i == 1);
    params_release(&params);
    close(client);
}
END_TEST

/* --- answers that do not wait --- */

START_TEST(an_answer_goes_out_and_the_connection_is_closed_at_once)
{
    struct params params;
    bool ended;
    int client;
    struct incoming in = request(&params, CONN_SOCKET, &client);
    exchange_answer_now(&set, &in, event_text(S("Location: /x")));
    ck_assert_str_eq(heard(client, &ended), "Location: /x"); /* without a turn of the loop */
    ck_assert(ended);
    ck_assert_uint_eq(set.conns.count, 0);
    ck_assert_uint_eq(counters[WRITES], 1);
    ck_assert_uint_eq(counters[BYTES_WRITTEN], 12);
    close(client);
}
END_TEST

START_TEST(an_answer_without_room_waits_for_it)
{
    struct params params;
    bool ended;
    int client;
    char full[4096] = {0};
    struct incoming in = request(&params, CONN_SOCKET, &client);
    while (send(in.fd, full, sizeof full, MSG_DONTWAIT) > 0)
        ;
    exchange_answer_now(&set, &in, event_text(S("late")));
    turn();
    ck_assert_uint_eq(set.conns.count, 1);
    while (recv(client, full, sizeof full, MSG_DONTWAIT) > 0)
        ;
    turn();
    ck_assert_str_eq(heard(client, &ended), "late");
    ck_assert(ended);
    close(client);
}
END_TEST

START_TEST(an_answer_that_could_not_be_made_ends_the_connection)
{
    struct params params;
    bool ended;
    int client;
    struct incoming in = request(&params, CONN_SOCKET, &client);
    exchange_answer_now(&set, &in, NULL);
    turn();
    ck_assert_str_eq(heard(client, &ended), "");
    ck_assert(ended);
    close(client);
}
END_TEST

/* --- handed over --- */

static char folder[40];

static void offer_sockets(void)
{
    strcpy(folder, "/tmp/check-exchange-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    struct handoff_config config = {.folder = folder, .peer = geteuid(), .group = getegid()};
    set.handoffs = handoffs_new(loop, &config, &exchange_handoff_hooks, counters);
    ck_assert_ptr_nonnull(set.handoffs);
}

static void withdraw_sockets(void)
{
    conns_close(&set.conns);
    handoffs_free(&set.handoffs);
    ck_assert_int_eq(rmdir(folder), 0);
}

static struct visit *visit_handed(void)
{
    struct visit *v = exchange_new_handed(&set, sizeof *v);
    ck_assert_ptr_nonnull(v);
    exchange_become(&v->exchange, EXCHANGE_CALL, &visit_hooks);
    return v;
}

START_TEST(what_is_sent_waits_for_the_browser_s_socket)
{
    int fds[2];
    bool ended;
    offer_sockets();
    struct visit *v = visit_handed();
    exchange_send(&v->exchange, event_text(S("hi")));
    turn();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct handoff *h = v->exchange.handoff;
    exchange_handoff_hooks.arrived(v, fds[0]);
    handoff_withdraw(&h); /* the module would have freed it */
    turn();
    ck_assert_str_eq(heard(fds[1], &ended), "hi");
    ck_assert(!ended);
    exchange_finish(&v->exchange, event_text(S("bye")));
    turn();
    ck_assert_str_eq(heard(fds[1], &ended), "bye");
    close(fds[1]);
    withdraw_sockets();
}
END_TEST

START_TEST(without_a_socket_in_time_it_ends)
{
    offer_sockets();
    struct visit *v = visit_handed();
    struct handoff *h = v->exchange.handoff;
    exchange_send(&v->exchange, event_text(S("hi")));
    exchange_handoff_hooks.lost(v);
    handoff_withdraw(&h);
    ck_assert_int_eq(closed, 1);
    turn();
    ck_assert_uint_eq(set.conns.count, 0);
    withdraw_sockets();
}
END_TEST

START_TEST(an_offer_ends_with_its_exchange)
{
    offer_sockets();
    struct visit *v = visit_handed();
    conn_cut(&v->exchange.conn, END_CLIENT);
    ck_assert_int_eq(closed, 1);
    turn();
    withdraw_sockets(); /* the folder is empty */
}
END_TEST

START_TEST(nothing_is_handed_over_unless_that_is_configured)
{
    ck_assert_ptr_null(exchange_new_handed(&set, sizeof(struct visit)));
    ck_assert_uint_eq(set.conns.count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exchange");
    TCase *tests = one_case(suite, "exchange");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_short_answer_is_sent_and_ends);
    tcase_add_test(tests, without_memory_for_its_text_it_ends);
    tcase_add_test(tests, of_large_answers_that_are_not_read_the_slowest_is_cut);
    tcase_add_test(tests, a_request_that_cannot_be_answered_is_closed);
    tcase_add_test(tests, a_role_is_told_when_all_is_written_and_at_its_end);
    tcase_add_test(tests, a_role_ends_with_the_worker);
    tcase_add_loop_test(tests, a_connection_that_is_kept_is_handed_on, 0, 4);
    tcase_add_loop_test(tests, lighttpd_gets_a_small_buffer, 0, 2);
    tcase_add_test(tests, what_is_sent_waits_for_the_browser_s_socket);
    tcase_add_test(tests, without_a_socket_in_time_it_ends);
    tcase_add_test(tests, an_offer_ends_with_its_exchange);
    tcase_add_test(tests, an_answer_goes_out_and_the_connection_is_closed_at_once);
    tcase_add_test(tests, an_answer_without_room_waits_for_it);
    tcase_add_test(tests, an_answer_that_could_not_be_made_ends_the_connection);
    tcase_add_test(tests, nothing_is_handed_over_unless_that_is_configured);
    return run_suite(suite);
}
