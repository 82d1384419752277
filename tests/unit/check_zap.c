/* Questions of libzmq about a peer, and their answers. */
#include "net/zap.h"

#include "support.h"

static const struct slice curve[ZAP_REQUEST_FRAMES] = {
    S_INIT("1.0"),
    S_INIT("7"),
    S_INIT("feed"),
    S_INIT("10.0.0.7"),
    S_INIT("worker\0x"),
    S_INIT("CURVE"),
    S_INIT("0123456789abcdef0123456789abcdef"),
};

START_TEST(a_question_is_read)
{
    struct zap_request q;
    ck_assert(zap_read(curve, ZAP_REQUEST_FRAMES, &q));
    assert_slice(q.id, S("7"));
    assert_slice(q.domain, S("feed"));
    assert_slice(q.address, S("10.0.0.7"));
    assert_slice(q.key, S("0123456789abcdef0123456789abcdef"));
}
END_TEST

/* The frames of curve with another one at place. */
static bool reads_with(size_t place, struct slice frame, size_t count, struct zap_request *q)
{
    struct slice frames[ZAP_REQUEST_FRAMES];
    memcpy(frames, curve, sizeof frames);
    frames[place] = frame;
    return zap_read(frames, count, q);
}

START_TEST(only_curve_has_a_key)
{
    struct zap_request q;
    ck_assert(reads_with(5, S("NULL"), 6, &q));
    ck_assert_uint_eq(q.key.len, 0);
    ck_assert(reads_with(5, S("NULL"), 7, &q));
    ck_assert_uint_eq(q.key.len, 0);
    ck_assert(reads_with(6, S("short"), 7, &q));
    ck_assert_uint_eq(q.key.len, 0);
}
END_TEST

START_TEST(what_is_no_question_is_refused)
{
    struct zap_request q;
    ck_assert(!reads_with(0, S("2.0"), 7, &q));
    ck_assert(!zap_read(curve, 5, &q));
    ck_assert(!zap_read(curve, 0, &q));
}
END_TEST

START_TEST(the_answer_lets_in_or_does_not)
{
    struct slice frames[ZAP_REPLY_FRAMES];
    struct zap_request q;
    ck_assert(zap_read(curve, ZAP_REQUEST_FRAMES, &q));
    zap_reply(&q, S("somebody"), frames);
    assert_slice(frames[0], S("1.0"));
    assert_slice(frames[1], S("7"));
    assert_slice(frames[2], S("200"));
    assert_slice(frames[4], S("somebody"));
    zap_reply(&q, S(""), frames);
    assert_slice(frames[1], S("7"));
    assert_slice(frames[2], S("400"));
    ck_assert_uint_eq(frames[4].len, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zap");
    TCase *tests = one_case(suite, "zap");
    tcase_add_test(tests, a_question_is_read);
    tcase_add_test(tests, only_curve_has_a_key);
    tcase_add_test(tests, what_is_no_question_is_refused);
    tcase_add_test(tests, the_answer_lets_in_or_does_not);
    return run_suite(suite);
}
