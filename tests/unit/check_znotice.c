#include "ops/znotice.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "support.h"

#define WAIT_MS 10000

static void *context, *server, *client;
static struct znotice notice; /* of the server */
static zmq_msg_t message;

static void begin(void)
{
    context = zmq_ctx_new();
    zmq_msg_init(&message);
    server = zmq_socket(context, ZMQ_ROUTER);
    client = zmq_socket(context, ZMQ_DEALER);
    ck_assert_int_eq(zmq_setsockopt(client, ZMQ_ROUTING_ID, "c", 1), 0);
    ck_assert_int_eq(zmq_bind(server, "inproc://server"), 0);
    ck_assert_int_eq(zmq_connect(client, "inproc://server"), 0);
    ck_assert_int_eq(znotice_init(&notice, server), 0);
}

static void end(void)
{
    zmq_msg_close(&message);
    zmq_close(server);
    zmq_close(client);
    zmq_ctx_term(context);
}

static void send_from_client(const char *text)
{
    ck_assert_int_ge(zmq_send(client, text, strlen(text), 0), 0);
}

/* Wait for the descriptor, as a loop does. */
static void await(void)
{
    struct pollfd fd = {.fd = notice.fd, .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, WAIT_MS), 1);
    znotice_used(&notice);
}

/* Receive until the server has no message. Returns the number of messages. */
static int receive_all(void)
{
    int count = 0;
    while (znotice_receive(&notice, &message) > 0)
        count += !zmq_msg_more(&message);
    ck_assert(notice.quiet);
    return count;
}

START_TEST(at_first_it_may_have_a_message)
{
    send_from_client("one");
    ck_assert(!notice.quiet);
    ck_assert(znotice_has_message(&notice));
    ck_assert_int_eq(receive_all(), 1);
}
END_TEST

START_TEST(a_message_that_is_found_when_it_is_asked_whether_it_can_send_is_received)
{
    ck_assert_int_eq(receive_all(), 0);
    send_from_client("one");
    ck_assert(znotice_can_send(&notice));
    ck_assert(!notice.quiet);
    ck_assert_int_eq(receive_all(), 1);
}
END_TEST

START_TEST(a_socket_without_a_connection_cannot_send)
{
    struct znotice lonely;
    int yes = 1;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    ck_assert_int_eq(zmq_setsockopt(socket, ZMQ_IMMEDIATE, &yes, sizeof yes), 0);
    ck_assert_int_eq(znotice_init(&lonely, socket), 0);
    ck_assert(!znotice_can_send(&lonely));
    ck_assert(lonely.quiet);
    ck_assert_int_eq(zmq_connect(socket, "inproc://server"), 0);
    ck_assert(znotice_can_send(&lonely));
    zmq_close(socket);
}
END_TEST

START_TEST(a_quiet_socket_is_not_asked_until_its_descriptor_is_readable)
{
    ck_assert(!znotice_has_message(&notice));
    ck_assert(notice.quiet);

    send_from_client("one");
    ck_assert(!znotice_has_message(&notice));
    ck_assert_int_eq(znotice_receive(&notice, &message), 0);

    await();
    ck_assert(znotice_has_message(&notice));
    ck_assert_int_eq(receive_all(), 1);
}
END_TEST

START_TEST(every_message_is_received_before_it_is_quiet)
{
    ck_assert_int_eq(receive_all(), 0);
    for (int i = 0; i < 3; i++)
        send_from_client("one of three");
    await();
    ck_assert_int_eq(receive_all(), 3);
    ck_assert(!znotice_has_message(&notice));
}
END_TEST

/* Sending takes the notice of a message back: the descriptor says nothing of it any more. */
START_TEST(a_message_that_came_before_something_was_sent_is_found)
{
    int events;
    size_t len = sizeof events;
    struct pollfd fd = {.fd = notice.fd, .events = POLLIN};

    send_from_client("first");
    ck_assert_int_eq(receive_all(), 1);
    send_from_client("second");
    ck_assert_int_ge(zmq_send(server, "c", 1, ZMQ_SNDMORE), 0);
    ck_assert_int_ge(zmq_send(server, "reply", 5, 0), 0);
    ck_assert_int_eq(zmq_getsockopt(server, ZMQ_EVENTS, &events, &len), 0);
    ck_assert_int_eq(poll(&fd, 1, 0), 0);

    znotice_used(&notice);
    ck_assert(znotice_has_message(&notice));
    ck_assert_int_eq(receive_all(), 1);
}
END_TEST

START_TEST(a_receive_of_the_caller_counts_too)
{
    znotice_received(&notice, 1);
    ck_assert(znotice_is_unsure(&notice));
    znotice_received(&notice, -ETERM);
    ck_assert(znotice_is_unsure(&notice));
    znotice_received(&notice, 0);
    ck_assert(!znotice_is_unsure(&notice));
    ck_assert(!znotice_has_message(&notice));

    send_from_client("one");
    await();
    ck_assert(znotice_is_unsure(&notice));
    ck_assert_int_eq(receive_all(), 1);
}
END_TEST

START_TEST(without_a_socket_there_is_no_message)
{
    struct znotice none;
    znotice_none(&none);
    ck_assert_int_eq(none.fd, -1);
    ck_assert(!znotice_is_unsure(&none));
    ck_assert(!znotice_has_message(&none));
    ck_assert_int_eq(znotice_receive(&none, &message), 0);
}
END_TEST

START_TEST(what_is_no_socket_has_no_descriptor)
{
    struct znotice of_nothing;
    ck_assert_int_eq(znotice_init(&of_nothing, context), -ENOTSOCK);
    ck_assert_int_eq(of_nothing.fd, -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("znotice");
    TCase *tests = one_case(suite, "znotice");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, at_first_it_may_have_a_message);
    tcase_add_test(tests, a_message_that_is_found_when_it_is_asked_whether_it_can_send_is_received);
    tcase_add_test(tests, a_socket_without_a_connection_cannot_send);
    tcase_add_test(tests, a_quiet_socket_is_not_asked_until_its_descriptor_is_readable);
    tcase_add_test(tests, every_message_is_received_before_it_is_quiet);
    tcase_add_test(tests, a_message_that_came_before_something_was_sent_is_found);
    tcase_add_test(tests, a_receive_of_the_caller_counts_too);
    tcase_add_test(tests, without_a_socket_there_is_no_message);
    tcase_add_test(tests, what_is_no_socket_has_no_descriptor);
    return run_suite(suite);
}
