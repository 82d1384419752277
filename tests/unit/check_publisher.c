/* The publisher against a ROUTER in the same thread, which says what and when it likes. */
#include "lib/ssecast.h"

#include <errno.h>
#include <poll.h>
#include <zmq.h>

#include "support.h"

struct stage {
    void *context, *router;
    char endpoint[64];
    struct ssecast_publisher *publisher;
    char request[512]; /* the last */
    char who[64];
    int who_len;
    int ends[8]; /* what each completed request ended with */
    size_t count;
};

static void begin(struct stage *s, struct ssecast_publisher_options options)
{
    size_t size = sizeof s->endpoint;
    int linger = 0;
    *s = (struct stage){.context = zmq_ctx_new()};
    s->router = zmq_socket(s->context, ZMQ_ROUTER);
    zmq_setsockopt(s->router, ZMQ_LINGER, &linger, sizeof linger);
    ck_assert_int_eq(zmq_bind(s->router, "tcp://127.0.0.1:*"), 0);
    ck_assert_int_eq(zmq_getsockopt(s->router, ZMQ_LAST_ENDPOINT, s->endpoint, &size), 0);
    const char *endpoint = s->endpoint;
    options.endpoints = &endpoint;
    options.endpoint_count = 1;
    ck_assert_int_eq(ssecast_publisher_new(&s->publisher, &options), 0);
}

static void end(struct stage *s)
{
    ssecast_publisher_free(&s->publisher);
    ck_assert_ptr_null(s->publisher);
    ssecast_publisher_free(&s->publisher);
    zmq_close(s->router);
    zmq_ctx_term(s->context);
}

static void done(void *context, int err, struct ssecast_reply *reply)
{
    struct stage *s = context;
    ck_assert_int_eq(reply != NULL, err == 0 || err == -EREMOTEIO);
    s->ends[s->count++] = err;
}

/* One turn of a caller's loop. */
static void turn(struct stage *s, int most_ms)
{
    struct pollfd fd = {.fd = ssecast_publisher_fd(s->publisher), .events = POLLIN};
    int timeout = ssecast_publisher_next_timeout(s->publisher);
    poll(&fd, 1, timeout < 0 || timeout > most_ms ? most_ms : timeout);
    ck_assert_int_ge(ssecast_publisher_process(s->publisher), 0);
}

static void take_request(struct stage *s)
{
    for (int tries = 0; tries < 1000; tries++) {
        s->who_len = zmq_recv(s->router, s->who, sizeof s->who, ZMQ_DONTWAIT);
        if (s->who_len >= 0)
            break;
        turn(s, 10);
    }
    int len = zmq_recv(s->router, s->request, sizeof s->request - 1, 0);
    ck_assert_int_gt(len, 0);
    s->request[len] = 0;
}

static void answer(struct stage *s, const char *text)
{
    zmq_send(s->router, s->who, (size_t)s->who_len, ZMQ_SNDMORE);
    zmq_send(s->router, text, strlen(text), 0);
}

static void run_until(struct stage *s, size_t count)
{
    for (int tries = 0; tries < 1000 && s->count < count; tries++)
        turn(s, 10);
    ck_assert_uint_eq(s->count, count);
}

static void ping(struct stage *s)
{
    ck_assert_int_eq(ssecast_query_async(s->publisher, "{\"op\":\"ping\"}", done, s), 0);
}

START_TEST(replies_find_their_requests)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){0});
    ck_assert_uint_eq(ssecast_publisher_pending(s.publisher), 0);
    ping(&s);
    ping(&s);
    take_request(&s);
    ck_assert_str_eq(s.request, "{\"op\":\"ping\",\"ref\":1}");
    take_request(&s);
    answer(&s, "nonsense");
    answer(&s, "{\"ok\":false,\"error\":\"bad_request\",\"message\":\"\",\"ref\":2}");
    answer(&s, "{\"ok\":true,\"ref\":2}");
    answer(&s, "{\"ok\":true,\"ref\":9}");
    answer(&s, "{\"ok\":true,\"ref\":1}");
    run_until(&s, 2);
    ck_assert_int_eq(s.ends[0], -EREMOTEIO);
    ck_assert_int_eq(s.ends[1], 0);
    ck_assert_uint_eq(ssecast_publisher_pending(s.publisher), 0);
    end(&s);
}
END_TEST

START_TEST(nothing_to_do_is_not_readable)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){0});
    for (int i = 0; i < 50; i++)
        turn(&s, 10);
    struct pollfd fd = {.fd = ssecast_publisher_fd(s.publisher), .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, 100), 0);
    ck_assert_int_eq(ssecast_publisher_next_timeout(s.publisher), -1);
    ping(&s);
    ck_assert_int_eq(ssecast_publisher_next_timeout(s.publisher), 0);
    ck_assert_int_eq(poll(&fd, 1, 0), 1);
    end(&s);
}
END_TEST

START_TEST(the_window_is_bounded)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){.window = 2});
    ping(&s);
    ping(&s);
    ck_assert_int_eq(ssecast_query_async(s.publisher, "{}", done, &s), -EAGAIN);
    ck_assert_uint_eq(ssecast_publisher_pending(s.publisher), 2);
    ck_assert_int_eq(ssecast_publisher_wait(s.publisher, 1, 20), -ETIMEDOUT);
    take_request(&s);
    answer(&s, "{\"ok\":true,\"ref\":1}");
    ck_assert_int_eq(ssecast_publisher_wait(s.publisher, 1, 10000), 0);
    ping(&s);
    ck_assert_uint_eq(s.count, 1);
    end(&s);
    ck_assert_uint_eq(s.count, 3);
    ck_assert_int_eq(s.ends[2], -ECANCELED);
}
END_TEST

START_TEST(requests_time_out)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){.timeout_ms = 1000});
    struct ssecast_reply *reply = (void *)&s;
    ping(&s);
    ck_assert_int_eq(ssecast_publish(s.publisher, &(struct ssecast_event){0}, &reply), -ETIMEDOUT);
    ck_assert_ptr_null(reply);
    ck_assert_uint_eq(s.count, 1);
    ck_assert_int_eq(s.ends[0], -ETIMEDOUT);
    ck_assert_int_eq(ssecast_publish(s.publisher, &(struct ssecast_event){.json = "x"}, &reply),
                     -EINVAL);
    end(&s);
}
END_TEST

static void go_on(void *context, int err, struct ssecast_reply *reply)
{
    struct stage *s = context;
    done(s, err, reply);
    ck_assert_int_eq(ssecast_publisher_process(s->publisher), -EDEADLK);
    ck_assert_int_eq(ssecast_publisher_wait(s->publisher, 0, 0), -EDEADLK);
    ck_assert_int_eq(ssecast_query(s->publisher, "{\"op\":\"ping\"}", &reply), -EDEADLK);
    ck_assert_int_eq(ssecast_query_async(s->publisher, "{\"op\":\"ping\"}", done, s),
                     err == -ECANCELED ? err : 0);
}

START_TEST(a_callback_may_submit_and_not_wait)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){0});
    ck_assert_int_eq(ssecast_query_async(s.publisher, "{}", go_on, &s), 0);
    take_request(&s);
    answer(&s, "{\"ok\":true,\"ref\":1}");
    run_until(&s, 1);
    take_request(&s);
    answer(&s, "{\"ok\":true,\"ref\":2}");
    run_until(&s, 2);
    ck_assert_int_eq(ssecast_query_async(s.publisher, "{}", go_on, &s), 0);
    end(&s);
    ck_assert_uint_eq(s.count, 3);
    ck_assert_int_eq(s.ends[2], -ECANCELED);
}
END_TEST

START_TEST(what_names_no_request_is_the_largest_or_the_only_one)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){0});
    ck_assert_int_eq(
        ssecast_publish_async(s.publisher, &(struct ssecast_event){.text = "small"}, done, &s), 0);
    ck_assert_int_eq(ssecast_publish_async(
                         s.publisher, &(struct ssecast_event){.text = "not so small"}, NULL, &s),
                     0);
    take_request(&s);
    take_request(&s);
    answer(&s, "{\"ok\":false,\"error\":\"forbidden\"}");
    answer(&s, "{\"ok\":false,\"error\":\"too_large\"}");
    ck_assert_int_eq(ssecast_publisher_wait(s.publisher, 1, 10000), 0);
    ck_assert_uint_eq(s.count, 0);
    answer(&s, "{\"ok\":false,\"error\":\"forbidden\"}");
    run_until(&s, 1);
    ck_assert_int_eq(s.ends[0], -EREMOTEIO);
    end(&s);
}
END_TEST

START_TEST(what_never_left_is_told)
{
    struct stage s;
    begin(&s, (struct ssecast_publisher_options){.timeout_ms = 50});
    const char *nobody = "ipc:///nowhere/at/all";
    ssecast_publisher_free(&s.publisher);
    const struct ssecast_publisher_options options = {
        .endpoints = &nobody, .endpoint_count = 1, .timeout_ms = 50};
    ck_assert_int_eq(ssecast_publisher_new(&s.publisher, &options), 0);
    ck_assert_int_eq(ssecast_publish(s.publisher, &(struct ssecast_event){0}, NULL), -EHOSTUNREACH);
    end(&s);
}
END_TEST

START_TEST(options_are_checked)
{
    struct ssecast_publisher *p = (void *)1;
    static const char *const bad[] = {"nowhere",   "",       "tcp://127.0.0.1", "tcp://127.0.0.1:0",
                                      "tcp://*:1", "ipc://", "inproc://x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(
            ssecast_publisher_new(
                &p, &(struct ssecast_publisher_options){.endpoints = &bad[i], .endpoint_count = 1}),
            -EINVAL);
        ck_assert_ptr_null(p);
    }
    ck_assert_int_eq(
        ssecast_publisher_new(&p, &(struct ssecast_publisher_options){.window = UINT32_MAX}),
        -EINVAL);
    ck_assert_int_eq(ssecast_publisher_new(
                         &p, &(struct ssecast_publisher_options){.curve = {.server_key = "short"}}),
                     -EINVAL);
    ck_assert_int_eq(ssecast_publisher_new(&p,
                                           &(struct ssecast_publisher_options){
                                               .curve = {.public_key = "x", .secret_key = "y"}}),
                     -EINVAL);
    ck_assert_ptr_null(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publisher");
    TCase *tests = one_case(suite, "publisher");
    tcase_add_test(tests, replies_find_their_requests);
    tcase_add_test(tests, nothing_to_do_is_not_readable);
    tcase_add_test(tests, the_window_is_bounded);
    tcase_add_test(tests, requests_time_out);
    tcase_add_test(tests, a_callback_may_submit_and_not_wait);
    tcase_add_test(tests, what_names_no_request_is_the_largest_or_the_only_one);
    tcase_add_test(tests, what_never_left_is_told);
    tcase_add_test(tests, options_are_checked);
    return run_suite(suite);
}
