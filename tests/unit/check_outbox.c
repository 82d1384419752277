/* Replies wait, and come out as they went in. */
#include "command/outbox.h"
#include "support.h"

static void put(struct outbox *o, struct slice peer, bool enveloped, struct slice body)
{
    struct outbox_reply reply = {.peer = peer, .to_worker = enveloped, .request = peer.len};
    reply.envelope = enveloped ? S("\4abcd\0") : S("");
    reply.provisional = !enveloped;
    reply.ref = S("[1]");
    reply.body = body;
    ck_assert_int_eq(outbox_put(o, &reply), 0);
}

static void next_is(struct outbox *o, struct slice peer, bool enveloped, struct slice body)
{
    struct outbox_reply r;
    ck_assert(outbox_next(o, &r));
    assert_slice(r.peer, peer);
    assert_slice(r.body, body);
    assert_slice(r.envelope, enveloped ? S("\4abcd\0") : S(""));
    ck_assert_int_eq(r.to_worker, enveloped);
    ck_assert_uint_eq(r.request, peer.len);
    ck_assert_int_eq(r.provisional, !enveloped);
    assert_slice(r.ref, S("[1]"));
}

START_TEST(replies_come_out_in_order)
{
    struct outbox o = {0};
    struct outbox_reply r;
    char long_peer[255];
    memset(long_peer, 0xff, sizeof long_peer);
    ck_assert(!outbox_next(&o, &r));
    for (int round = 0; round < 2; round++) {
        put(&o, S("\0abcd"), true, S("{}"));
        put(&o, (struct slice){long_peer, sizeof long_peer}, false, S(""));
        next_is(&o, S("\0abcd"), true, S("{}"));
        next_is(&o, (struct slice){long_peer, sizeof long_peer}, false, S(""));
        ck_assert(!outbox_next(&o, &r));
        ck_assert_uint_eq(o.len, 0);
    }
    outbox_release(&o);
}
END_TEST

START_TEST(a_large_turn_does_not_keep_its_memory)
{
    struct outbox o = {0};
    struct outbox_reply r;
    size_t size = (size_t)5 << 20;
    char *body = calloc(1, size);
    put(&o, S("a"), false, (struct slice){body, size});
    next_is(&o, S("a"), false, (struct slice){body, size});
    ck_assert(!outbox_next(&o, &r));
    ck_assert_uint_eq(o.cap, 0);
    free(body);
}
END_TEST

/* One is put whenever one is given, so it is never empty; its memory stays small. */
START_TEST(one_that_is_never_empty_does_not_grow)
{
    struct outbox o = {0};
    char body[100];
    memset(body, 'x', sizeof body);
    for (unsigned i = 0; i < 10; i++)
        put(&o, S("a"), false, (struct slice){body, i});
    for (unsigned i = 10; i < 10000; i++) {
        next_is(&o, S("a"), false, (struct slice){body, (i - 10) % sizeof body});
        put(&o, S("a"), false, (struct slice){body, i % sizeof body});
    }
    ck_assert_uint_lt(outbox_waiting(&o), 2000);
    ck_assert_uint_lt(o.cap, 10000);
    outbox_release(&o);
    ck_assert_uint_eq(outbox_waiting(&o), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outbox");
    TCase *tests = one_case(suite, "outbox");
    tcase_add_test(tests, replies_come_out_in_order);
    tcase_add_test(tests, a_large_turn_does_not_keep_its_memory);
    tcase_add_test(tests, one_that_is_never_empty_does_not_grow);
    return run_suite(suite);
}
