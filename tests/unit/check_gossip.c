#include "presence/gossip.h"

#include <errno.h>

#include "support.h"

static struct gossip_whole whole;
static struct buf part;

static void teardown(void)
{
    buf_release(&whole.body);
    buf_release(&part);
    whole = (struct gossip_whole){0};
}

static int join(struct gossip *m)
{
    return gossip_join(&whole, (struct slice){part.data, part.len}, m);
}

START_TEST(a_small_one_is_one_part)
{
    struct gossip sent = {GOSSIP_HERE, 77, 5, S("web1"), S("counters")}, got;
    ck_assert_uint_eq(gossip_put(&part, &sent, 0, 1000), 1);
    uint64_t run;
    ck_assert_int_eq(gossip_sender((struct slice){part.data, part.len}, &run), 0);
    ck_assert_uint_eq(run, 77);
    ck_assert_int_eq(join(&got), 0);
    ck_assert_int_eq(got.type, GOSSIP_HERE);
    ck_assert_uint_eq(got.number, 5);
    assert_slice(got.name, S("web1"));
    assert_slice(got.body, S("counters"));
}
END_TEST

static const char long_body[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";

START_TEST(a_long_one_is_put_together)
{
    struct gossip sent = {GOSSIP_WORKER, 77, 6, S("w"), S(long_body)}, got;
    unsigned parts = gossip_put(&part, &sent, 0, GOSSIP_HEAD_LEN + 1 + 10);
    ck_assert_uint_eq(parts, 5);
    for (unsigned i = 0; i < parts; i++) {
        gossip_put(&part, &sent, i, GOSSIP_HEAD_LEN + 1 + 10);
        ck_assert_uint_le(part.len, GOSSIP_HEAD_LEN + 1 + 10);
        ck_assert_int_eq(join(&got), i + 1 < parts ? -EAGAIN : 0);
    }
    assert_slice(got.body, S(long_body));
    assert_slice(got.name, S("w"));
}
END_TEST

START_TEST(when_a_part_is_lost_the_next_message_is_whole_again)
{
    struct gossip sent = {GOSSIP_WORKER, 77, 7, S("w"), S(long_body)}, got;
    for (unsigned i = 0; i < 5; i++) {
        gossip_put(&part, &sent, i, GOSSIP_HEAD_LEN + 1 + 10);
        if (i != 2)
            ck_assert_int_eq(join(&got), -EAGAIN);
    }
    sent.number = 8;
    for (unsigned i = 0; i < 5; i++) {
        gossip_put(&part, &sent, i, GOSSIP_HEAD_LEN + 1 + 10);
        ck_assert_int_eq(join(&got), i < 4 ? -EAGAIN : 0);
    }
    assert_slice(got.body, S(long_body));
}
END_TEST

START_TEST(cut_or_changed_messages_are_refused)
{
    struct gossip sent = {GOSSIP_REQUEST, 77, 9, S("w"), {0}}, got;
    gossip_put(&part, &sent, 0, 1000);
    for (size_t len = 0; len < part.len; len++)
        ck_assert_int_eq(gossip_join(&whole, (struct slice){part.data, len}, &got), -EPROTO);
    for (size_t at = 0; at < 6; at++) {
        part.data[at] ^= 0x40;
        ck_assert_int_eq(join(&got), -EPROTO);
        part.data[at] ^= 0x40;
    }
    ck_assert_int_eq(join(&got), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gossip");
    TCase *tests = one_case(suite, "gossip");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, a_small_one_is_one_part);
    tcase_add_test(tests, a_long_one_is_put_together);
    tcase_add_test(tests, when_a_part_is_lost_the_next_message_is_whole_again);
    tcase_add_test(tests, cut_or_changed_messages_are_refused);
    return run_suite(suite);
}
