/* The gate against a socket that asks as libzmq does. */
#include "net/zap_gate.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "ops/zsock.h"
#include "support.h"

#define WAIT_MS 10000

static void *zmq, *asker;
static struct zap_gate gate;
static struct znotice notice;
static char reply[ZAP_REPLY_FRAMES + 1][64];
static size_t reply_frames;

/* Admits any key from 10.0.0.7 to "feed". */
static bool admit(void *context, struct slice domain, struct slice key, struct slice address)
{
    unsigned *calls = context;
    ++*calls;
    return key.len == CURVE_KEY_LEN && slice_equal(domain, S("feed")) &&
           slice_equal(address, S("10.0.0.7"));
}

static unsigned calls;

static void begin(void)
{
    calls = 0;
    zmq = zmq_ctx_new();
    gate = (struct zap_gate){0};
    ck_assert_int_eq(zap_gate_open(&gate, zmq, &notice, admit, &calls), 0);
    asker = zmq_socket(zmq, ZMQ_REQ);
    ck_assert_int_eq(zmq_setsockopt(asker, ZMQ_RCVTIMEO, &(int){WAIT_MS}, sizeof(int)), 0);
    ck_assert_int_eq(zmq_connect(asker, ZAP_ENDPOINT), 0);
}

static void end(void)
{
    zmq_close(asker);
    zap_gate_close(&gate);
    zap_gate_close(&gate);
    zmq_ctx_term(zmq);
}

/* Ask about the key that is 32 times this byte, and receive the reply. Its status. */
static int ask(char byte, const char *domain, const char *mechanism)
{
    char key[CURVE_KEY_BYTES];
    const char *const texts[] = {"1.0", "7", domain, "10.0.0.7", "", mechanism};
    struct pollfd fd = {.fd = notice.fd, .events = POLLIN};
    memset(key, byte, sizeof key);
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_ge(zmq_send(asker, texts[i], strlen(texts[i]), ZMQ_SNDMORE), 0);
    ck_assert_int_ge(zmq_send(asker, key, sizeof key, 0), 0);

    while (poll(&fd, 1, 10) >= 0 && !znotice_has_message(&notice))
        znotice_used(&notice);
    zap_gate_answer(&gate);

    memset(reply, 0, sizeof reply);
    int more = 1;
    size_t len = sizeof more;
    for (reply_frames = 0; more && reply_frames <= ZAP_REPLY_FRAMES; reply_frames++) {
        ck_assert_int_ge(zmq_recv(asker, reply[reply_frames], sizeof reply[0] - 1, 0), 0);
        zmq_getsockopt(asker, ZMQ_RCVMORE, &more, &len);
    }
    ck_assert_uint_eq(reply_frames, ZAP_REPLY_FRAMES);
    return atoi(reply[2]);
}

static const char *key_of(char byte)
{
    static struct curve_key key;
    unsigned char raw[CURVE_KEY_BYTES];
    memset(raw, byte, sizeof raw);
    curve_key_encode(raw, &key);
    return key.text;
}

START_TEST(who_is_admitted_has_the_key_as_name)
{
    ck_assert_int_eq(ask('a', "feed", "CURVE"), 200);
    ck_assert_str_eq(reply[1], "7");
    ck_assert_str_eq(reply[4], key_of('a'));
    ck_assert_int_eq(ask('a', "commands", "CURVE"), 400);
    ck_assert_str_eq(reply[4], "");
    ck_assert_uint_eq(calls, 2);
}
END_TEST

START_TEST(without_a_key_nobody_is_asked)
{
    ck_assert_int_eq(ask('a', "feed", "PLAIN"), 400);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(a_barred_key_is_refused)
{
    zap_gate_bar(&gate, key_of('a'));
    ck_assert_int_eq(ask('a', "feed", "CURVE"), 400);
    ck_assert_int_eq(ask('b', "feed", "CURVE"), 200);
    ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(the_keys_that_were_barred_last_are_remembered)
{
    for (unsigned i = 0; i <= ZAP_GATE_BARRED; i++)
        zap_gate_bar(&gate, key_of((char)('a' + i)));
    zap_gate_bar(&gate, "not a key");
    ck_assert_int_eq(ask('a', "feed", "CURVE"), 200);
    ck_assert_int_eq(ask('b', "feed", "CURVE"), 400);
    ck_assert_int_eq(ask('a' + (char)ZAP_GATE_BARRED, "feed", "CURVE"), 400);
}
END_TEST

START_TEST(there_is_one_gate_in_a_context)
{
    struct zap_gate second = {0};
    struct znotice other;
    ck_assert_int_lt(zap_gate_open(&second, zmq, &other, admit, &calls), 0);
    zap_gate_close(&second);
}
END_TEST

START_TEST(a_closed_gate_answers_nobody)
{
    struct zap_gate closed = {0};
    zap_gate_answer(&closed);
    zap_gate_close(&closed);
    ck_assert_int_eq(ask('a', "feed", "CURVE"), 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zap_gate");
    TCase *tests = one_case(suite, "zap_gate");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, who_is_admitted_has_the_key_as_name);
    tcase_add_test(tests, without_a_key_nobody_is_asked);
    tcase_add_test(tests, a_barred_key_is_refused);
    tcase_add_test(tests, the_keys_that_were_barred_last_are_remembered);
    tcase_add_test(tests, there_is_one_gate_in_a_context);
    tcase_add_test(tests, a_closed_gate_answers_nobody);
    return run_suite(suite);
}
