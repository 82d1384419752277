#include "ops/zsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support.h"

#define WAIT_MS 10000

static void *context;
static struct zsock server, client;
static char endpoint[256];
static zmq_msg_t message;

static const struct zsock_options server_options = {.type = ZMQ_ROUTER,
                                                    .handshake_ms = 5000,
                                                    .send_max = 10,
                                                    .receive_max = 10,
                                                    .monitored = ZMQ_EVENT_LISTENING};

static struct zsock_options client_options(void)
{
    return (struct zsock_options){.type = ZMQ_DEALER,
                                  .handshake_ms = 5000,
                                  .reconnect_max_ms = 200,
                                  .again_ms = 100,
                                  .monitored = ZMQ_EVENT_CONNECTED | ZSOCK_HANDSHAKES};
}

static void begin(void)
{
    context = zmq_ctx_new();
    zmq_msg_init(&message);
    ck_assert_int_eq(zsock_open(&server, context, &server_options), 0);
}

static void end(void)
{
    zmq_msg_close(&message);
    zsock_close(&client);
    zsock_close(&server);
    zmq_ctx_term(context);
}

/* Bind the server at a free port. */
static void bind_server(void)
{
    size_t len = sizeof endpoint;
    ck_assert_int_eq(zsock_bind(&server, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(zmq_getsockopt(server.socket, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
}

static void open_client(void)
{
    struct zsock_options options = client_options();
    ck_assert_int_eq(zsock_open(&client, context, &options), 0);
}

/* Receive at z, waiting. */
static struct slice received(struct zsock *z)
{
    struct slice text = {0};
    for (int64_t until = clock_ms() + WAIT_MS; zsock_receive(z, &message, &text) == 0;) {
        ck_assert_int_lt(clock_ms(), until);
        poll(NULL, 0, 1);
    }
    return text;
}

static void assert_received(struct zsock *z, const char *text)
{
    struct slice got = received(z);
    ck_assert_msg(slice_equal(got, slice_of(text)), "'%.*s' instead of '%s'", (int)got.len,
                  got.data, text);
}

static void send_frames(void *socket, const char *const *frames)
{
    for (; *frames; frames++)
        ck_assert_int_ge(zmq_send(socket, *frames, strlen(*frames), frames[1] ? ZMQ_SNDMORE : 0),
                         0);
}

#define SEND(socket, ...) send_frames(socket, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(the_first_frame_that_is_not_empty_is_received_and_the_others_are_dropped)
{
    struct slice text;
    bind_server();
    open_client();
    ck_assert_int_eq(zmq_setsockopt(client.socket, ZMQ_ROUTING_ID, "me", 2), 0);
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    SEND(client.socket, "hello", "more");
    assert_received(&server, "me");
    ck_assert_int_eq(zsock_receive(&server, &message, &text), 0);
    SEND(server.socket, "me", "", "", "reply", "more", "more");
    SEND(server.socket, "me", "");
    SEND(server.socket, "me", "last");
    assert_received(&client, "reply");
    assert_received(&client, "");
    assert_received(&client, "last");
    ck_assert_int_eq(zsock_receive(&client, &message, &text), 0);
}
END_TEST

static int number(const struct zsock *z, int option)
{
    int value = -1;
    size_t len = sizeof value;
    ck_assert_int_eq(zmq_getsockopt(z->socket, option, &value, &len), 0);
    return value;
}

static int64_t message_max(const struct zsock *z)
{
    int64_t value = 0;
    size_t len = sizeof value;
    ck_assert_int_eq(zmq_getsockopt(z->socket, ZMQ_MAXMSGSIZE, &value, &len), 0);
    return value;
}

START_TEST(the_socket_has_its_options)
{
    const struct zsock_options options = {.type = ZMQ_DEALER,
                                          .linger_ms = 1,
                                          .handshake_ms = 2,
                                          .send_max = 3,
                                          .receive_max = 4,
                                          .message_max = 5,
                                          .reconnect_max_ms = 6,
                                          .immediate = true};
    ck_assert_int_eq(zsock_open(&client, context, &options), 0);
    ck_assert_ptr_null(client.monitor);
    ck_assert_int_eq(number(&client, ZMQ_LINGER), 1);
    ck_assert_int_eq(number(&client, ZMQ_HANDSHAKE_IVL), 2);
    ck_assert_int_eq(number(&client, ZMQ_SNDHWM), 3);
    ck_assert_int_eq(number(&client, ZMQ_RCVHWM), 4);
    ck_assert_int_eq(number(&client, ZMQ_RECONNECT_IVL_MAX), 6);
    ck_assert_int_eq(number(&client, ZMQ_IMMEDIATE), 1);
    ck_assert_int_eq(message_max(&client), 5);
    ck_assert_int_eq(message_max(&server), -1);
    ck_assert_int_eq(number(&server, ZMQ_IMMEDIATE), 0);
}
END_TEST

START_TEST(the_monitor_reports_events_with_their_values)
{
    uint16_t event = 0;
    int32_t value = -1;
    ck_assert(!zsock_next_event(&server, &event, &value));
    bind_server();
    for (int64_t until = clock_ms() + WAIT_MS; !zsock_next_event(&server, &event, &value);
         poll(NULL, 0, 1))
        ck_assert_int_lt(clock_ms(), until);
    ck_assert_uint_eq(event, ZMQ_EVENT_LISTENING);
    ck_assert_int_ge(value, 0);
    ck_assert(!zsock_next_event(&server, &event, &value));
}
END_TEST

/* Wait until the client knows a problem. */
static const char *problem(void)
{
    for (int64_t until = clock_ms() + WAIT_MS; !zsock_problem(&client) || !client.again_at;
         poll(NULL, 0, 1)) {
        ck_assert_int_lt(clock_ms(), until);
        zsock_next_handshake(&client, 1000);
    }
    return zsock_problem(&client);
}

START_TEST(a_handshake_that_fails_for_good_is_explained_and_repeated)
{
    char server_public[41], server_secret[41], public[41], secret[41];
    ck_assert_int_eq(zmq_curve_keypair(server_public, server_secret), 0);
    ck_assert_int_eq(zmq_curve_keypair(public, secret), 0);
    bind_server(); /* without keys */
    open_client();
    ck_assert_int_eq(zsock_protect(&client, server_public, NULL, secret), 0);
    ck_assert_ptr_null(zsock_problem(&client));
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    ck_assert_str_eq(problem(), handshake_problem(HANDSHAKE_MISMATCH, true));
    ck_assert_int_eq(client.again_at, 1100);

    zsock_reconnect(&client, 1099);
    ck_assert_int_eq(client.again_at, 1100);
    client.handshakes = (struct handshakes){0};
    zsock_reconnect(&client, 1100);
    ck_assert_int_eq(client.again_at, 0);
    ck_assert_str_eq(problem(), handshake_problem(HANDSHAKE_MISMATCH, true));
}
END_TEST

static void open_pair(int server_type, int client_type)
{
    struct zsock_options options = server_options;
    zsock_close(&server);
    options.type = server_type;
    ck_assert_int_eq(zsock_open(&server, context, &options), 0);
    bind_server();
    options = client_options();
    options.type = client_type;
    ck_assert_int_eq(zsock_open(&client, context, &options), 0);
}

/* The other side may end the connection first. libzmq then connects again by itself. */
static void await_other(void)
{
    while (client.handshakes.last != HANDSHAKE_OTHER) {
        client.again_at = 0;
        problem();
    }
}

START_TEST(a_peer_of_another_kind_is_explained_and_tried_again)
{
    open_pair(ZMQ_ROUTER, ZMQ_SUB);
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    await_other();
    ck_assert_str_eq(zsock_problem(&client), handshake_problem(HANDSHAKE_OTHER, false));

    client.handshakes = (struct handshakes){0};
    zsock_reconnect(&client, client.again_at);
    await_other();
}
END_TEST

START_TEST(the_end_of_an_open_connection_is_no_problem)
{
    bind_server();
    open_client();
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    for (int round = 0; round < 3; round++) {
        client.handshakes.greeted = false;
        for (int64_t until = clock_ms() + WAIT_MS; !client.handshakes.greeted; poll(NULL, 0, 1)) {
            ck_assert_int_lt(clock_ms(), until);
            zsock_next_handshake(&client, 0);
            ck_assert_int_ne(client.handshakes.last, HANDSHAKE_OTHER);
        }
        zsock_close(&server);
        ck_assert_int_eq(zsock_open(&server, context, &server_options), 0);
        for (int64_t until = clock_ms() + WAIT_MS; zsock_bind(&server, endpoint) != 0;
             poll(NULL, 0, 1))
            ck_assert_int_lt(clock_ms(), until); /* libzmq closes the old one later */
    }
    ck_assert_int_eq(client.again_at, 0);
}
END_TEST

START_TEST(a_handshake_that_succeeds_is_no_problem)
{
    bind_server();
    open_client();
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    for (int64_t until = clock_ms() + WAIT_MS; !client.handshakes.greeted; poll(NULL, 0, 1)) {
        ck_assert_int_lt(clock_ms(), until);
        zsock_next_handshake(&client, 0);
    }
    ck_assert(client.handshakes.reached);
    ck_assert_ptr_null(zsock_problem(&client));
    ck_assert_int_eq(client.again_at, 0);
}
END_TEST

START_TEST(wrong_keys_and_endpoints_are_refused)
{
    char public[41], secret[41];
    const char *const other = "0123456789012345678901234567890123456789!";
    ck_assert_int_eq(zmq_curve_keypair(public, secret), 0);
    open_client();
    ck_assert_int_eq(zsock_protect(&client, "short", public, secret), -EINVAL);
    ck_assert_int_eq(zsock_protect(&client, public, "short", secret), -EINVAL);
    ck_assert_int_eq(zsock_protect(&client, public, public, other), -EINVAL);
    ck_assert_int_eq(zsock_protect(&client, public, NULL, "short"), -EINVAL);
    ck_assert_int_eq(zsock_connect(&client, "udp-lite://x"), -EPROTONOSUPPORT);
    ck_assert_int_eq(zsock_bind(&server, "nonsense"), -EINVAL);
}
END_TEST

START_TEST(closing_may_come_twice)
{
    struct zsock unused = {0};
    zsock_close(&unused);
    open_client();
    ck_assert_int_ge(zsock_fd(client.socket), 0);
    zsock_close(&client);
    ck_assert_ptr_null(client.socket);
    zsock_close(&client);
}
END_TEST

/* A listening socket whose clients hear nothing: their handshake ends for want of an answer. */
static int listen_silently(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(fd, 10), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

START_TEST(what_happens_while_a_closed_socket_lingers_holds_up_no_other)
{
    struct zsock_options options = client_options();
    int silent = listen_silently();

    options.linger_ms = 400;
    options.handshake_ms = 50;
    ck_assert_int_eq(zsock_open(&client, context, &options), 0);
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    SEND(client.socket, "it waits");
    zsock_close(&client);
    poll(NULL, 0, 200); /* the handshake has failed */

    bind_server();
    open_client();
    ck_assert_int_eq(zmq_setsockopt(client.socket, ZMQ_ROUTING_ID, "me", 2), 0);
    ck_assert_int_eq(zsock_connect(&client, endpoint), 0);
    SEND(client.socket, "hello");
    assert_received(&server, "me");
    close(silent);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zsock");
    TCase *tests = one_case(suite, "zsock");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, the_first_frame_that_is_not_empty_is_received_and_the_others_are_dropped);
    tcase_add_test(tests, the_socket_has_its_options);
    tcase_add_test(tests, the_monitor_reports_events_with_their_values);
    tcase_add_test(tests, a_handshake_that_fails_for_good_is_explained_and_repeated);
    tcase_add_test(tests, a_peer_of_another_kind_is_explained_and_tried_again);
    tcase_add_test(tests, the_end_of_an_open_connection_is_no_problem);
    tcase_add_test(tests, a_handshake_that_succeeds_is_no_problem);
    tcase_add_test(tests, wrong_keys_and_endpoints_are_refused);
    tcase_add_test(tests, closing_may_come_twice);
    tcase_add_test(tests, what_happens_while_a_closed_socket_lingers_holds_up_no_other);
    return run_suite(suite);
}
