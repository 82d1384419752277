/* A link against a ROUTER in the same thread. */
#include "lib/link.h"

#include <errno.h>
#include <poll.h>
#include <zmq.h>

#include "base/clock.h"
#include "support.h"

#define WAIT_MS 10000

static void *context, *router;
static char endpoint[64]; /* of the router, once it is bound */
static struct link *line;
static struct link_message *message;

/* The port is free, and the router is not bound: there is no connection yet. */
static void begin(void)
{
    size_t len = sizeof endpoint;
    context = zmq_ctx_new();
    router = zmq_socket(context, ZMQ_ROUTER);
    ck_assert_int_eq(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    ck_assert_int_eq(zmq_unbind(router, endpoint), 0);

    const char *endpoints[] = {endpoint};
    ck_assert_int_eq(link_new(&line, &(struct ssecast_publisher_options){.endpoints = endpoints,
                                                                         .endpoint_count = 1}),
                     0);
    link_clear_wakeup(line);
    message = link_message_new(S("question"), NULL);
}

static void end(void)
{
    link_message_free(&message);
    link_free(&line);
    zmq_close(router);
    zmq_ctx_term(context);
}

/* libzmq closes the former listener in its own thread. */
static void bind_router(void)
{
    int64_t until = clock_ms() + WAIT_MS;
    while (zmq_bind(router, endpoint) != 0)
        ck_assert_int_lt(clock_ms(), until);
}

static bool descriptor_is_readable(void)
{
    struct pollfd fd = {.fd = link_fd(line), .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

/* Use the link until it can proceed and its descriptor reports nothing. */
static void use_until_it_can_proceed(bool to_send)
{
    struct slice text;
    int64_t until = clock_ms() + WAIT_MS;
    while (!link_can_proceed(line, to_send) || descriptor_is_readable()) {
        ck_assert_int_lt(clock_ms(), until);
        link_look(line, clock_ms());
        if (to_send)
            ck_assert_int_eq(link_receive(line, &text), 0);
        else
            ck_assert_int_eq(link_send(line, message), 0);
    }
}

START_TEST(a_connection_is_known_after_its_report_was_taken_back)
{
    ck_assert_int_eq(link_send(line, message), -EAGAIN);
    bind_router();
    use_until_it_can_proceed(true);
    ck_assert(link_can_proceed(line, true));
    ck_assert(!link_can_proceed(line, false));
    ck_assert_int_eq(link_send(line, message), 0);
}
END_TEST

START_TEST(a_reply_is_known_after_its_report_was_taken_back)
{
    char who[64], text[64];
    struct slice reply;
    bind_router();
    use_until_it_can_proceed(true);
    ck_assert_int_eq(link_send(line, message), 0);
    int len = zmq_recv(router, who, sizeof who, 0);
    ck_assert_int_gt(len, 0);
    ck_assert_int_gt(zmq_recv(router, text, sizeof text, 0), 0);
    ck_assert_int_eq(zmq_send(router, who, (size_t)len, ZMQ_SNDMORE), len);
    ck_assert_int_eq(zmq_send(router, "answer", 6, 0), 6);

    use_until_it_can_proceed(false);
    ck_assert_int_eq(link_receive(line, &reply), 1);
    assert_slice(reply, S("answer"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *tests = one_case(suite, "link");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_connection_is_known_after_its_report_was_taken_back);
    tcase_add_test(tests, a_reply_is_known_after_its_report_was_taken_back);
    return run_suite(suite);
}
