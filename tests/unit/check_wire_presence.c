#include "codec/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "wires.h"

static void assert_items(struct slice items)
{
    struct wire_presence_item item;
    struct slice name;
    ck_assert(wire_next_presence(&items, &item));
    ck_assert_int_eq(item.kind, ITEM_OPENED);
    ck_assert(item.acknowledged);
    assert_slice(item.meta, S("\4text\xfe\x7f\0\0\1"));
    assert_slice(item.subscriptions, S("\2\0me\0\1\0\0\0a"));
    assert_slice(item.connection, S("c1"));
    assert_slice(item.session, S("a"));
    ck_assert_int_eq(item.since_ms, 1700000000123);
    for (int i = 0; i < 2; i++) {
        ck_assert(wire_next_name(&item.raw_channels, &name));
        assert_slice(name, some_channels[i]);
    }
    ck_assert(!wire_next_name(&item.raw_channels, &name));
    ck_assert(wire_next_presence(&items, &item));
    ck_assert_int_eq(item.kind, ITEM_ENDED);
    ck_assert(!item.acknowledged);
    assert_slice(item.connection, S("c2"));
    assert_slice(item.session, S("b"));
    ck_assert_int_eq(item.cause, END_SLOW);
    ck_assert(wire_next_presence(&items, &item));
    ck_assert_int_eq(item.kind, ITEM_LAGS);
    ck_assert_uint_eq(item.sent, 17);
    ck_assert_uint_eq(item.queued, 1u << 20);
    ck_assert(!wire_next_presence(&items, &item));
}

START_TEST(presence_arrives_with_its_items)
{
    struct buf b = {0};
    struct wire_presence m;
    put_presence(&b);
    ck_assert_int_eq(wire_get_presence(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.n, 3);
    ck_assert(m.full && m.lags);
    ck_assert_uint_eq(m.acked_epoch, 11);
    for (uint64_t i = 0; i < WORKER_COUNTERS; i++)
        ck_assert_uint_eq(m.counters[i], 100 + i);
    for (uint64_t i = 0; i < WORKER_GAUGES; i++)
        ck_assert_uint_eq(m.gauges[i], 50 + i);
    assert_items(m.items);
    buf_release(&b);
}
END_TEST

START_TEST(items_may_be_collected_apart)
{
    struct buf b = {0}, whole = {0}, items = {0}, none = {0};
    struct wire_presence m = some_presence();
    struct wire_presence_item item = opened_item();
    put_presence(&whole);
    wire_add_presence(&items, &item);
    add_others(&items);
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    wire_add_items(&b, &none);
    assert_slice(message_of(&b), message_of(&whole));
    buf_release(&b);
    buf_release(&whole);
    buf_release(&items);
}
END_TEST

/* A worker that is newer or older: other counters than ours. */
static void put_counters(struct buf *b, uint16_t count)
{
    struct wire_presence m = some_presence();
    struct wire_presence_item item = opened_item();
    const size_t at = HEADER_LEN + 19 + 8 * WORKER_GAUGES, ours = 8 * WORKER_COUNTERS;
    put_presence(b);
    wire_put_presence(b, &m);
    b->data = realloc(b->data, b->cap += 8 * (size_t)count + 1024);
    put_u16(b->data + at, count);
    for (size_t i = WORKER_COUNTERS; i < count; i++)
        put_u64(b->data + at + 2 + 8 * i, 7);
    b->len = b->len - ours + 8 * (size_t)count;
    wire_add_presence(b, &item);
    add_others(b);
}

START_TEST(a_worker_may_know_more_or_fewer_counters)
{
    const uint16_t counts[] = {0, 1, WORKER_COUNTERS + 1, WORKER_COUNTERS + 500};
    struct buf b = {0};
    struct wire_presence m;
    put_counters(&b, counts[_i]);
    ck_assert_int_eq(wire_get_presence(message_of(&b), &m), 0);
    for (uint64_t i = 0; i < WORKER_COUNTERS; i++)
        ck_assert_uint_eq(m.counters[i], i < counts[_i] ? 100 + i : 0);
    assert_items(m.items);
    buf_release(&b);
}
END_TEST

START_TEST(an_unknown_cause_is_refused)
{
    struct buf b = {0};
    struct wire_presence m = some_presence();
    wire_put_presence(&b, &m);
    wire_add_presence(&b, &(struct wire_presence_item){.connection = S("c"), .cause = END_CAUSES});
    ck_assert_int_eq(wire_get_presence(message_of(&b), &m), -EPROTO);
    buf_release(&b);
}
END_TEST

START_TEST(an_item_that_is_none_is_refused)
{
    struct wire_presence m = some_presence();
    struct wire_presence_item item = opened_item();
    for (int wrong = 0; wrong < 3; wrong++) {
        struct buf b = {0};
        wire_put_presence(&b, &m);
        item.kind = wrong ? ITEM_OPENED : (enum wire_item)(ITEM_LAGS + 1);
        item.meta = wrong == 1 ? S("\5text") : S("");
        item.subscriptions = wrong == 2 ? S("\2\0me\3\1\0\0\0a") : S("");
        wire_add_presence(&b, &item);
        ck_assert_int_eq(wire_get_presence(message_of(&b), &m), -EPROTO);
        buf_release(&b);
    }
}
END_TEST

static const struct {
    uint8_t flags;
    bool accepted;
} presence_flags[] = {{0, true},      {1, true},         {2, true},   {3, true},   {1 + 4, true},
                      {1 + 8, true},  {1 + 4 + 8, true}, {4, false},  {8, false},  {16, true},
                      {16 + 2, true}, {16 + 1, false},   {32, false}, {128, false}};

START_TEST(a_report_has_flags_that_fit)
{
    struct buf b = {0};
    struct wire_presence m = {.n = 1};
    wire_put_presence(&b, &m);
    b.data[HEADER_LEN + 8] = (char)presence_flags[_i].flags;
    ck_assert_int_eq(wire_get_presence(message_of(&b), &m),
                     presence_flags[_i].accepted ? 0 : -EPROTO);
    buf_release(&b);
}
END_TEST

static void add_named(struct buf *b, enum wire_item kind, const char *connection)
{
    wire_add_presence(b, &(struct wire_presence_item){
                             .kind = kind, .connection = slice_of(connection), .session = S("s")});
}

START_TEST(items_are_cut_into_pieces_between_two_of_them)
{
    struct buf b = {0};
    size_t ended;
    add_named(&b, ITEM_ENDED, "a");
    size_t first = b.len;
    add_named(&b, ITEM_OPENED, "bb");
    size_t second = b.len;
    add_named(&b, ITEM_ENDED, "ccc");
    ck_assert_uint_eq(wire_cut_presence(message_of(&b), 0, &ended).len, 0);
    ck_assert_uint_eq(wire_cut_presence(message_of(&b), 1, &ended).len, first); /* one at least */
    ck_assert_uint_eq(ended, first);
    ck_assert_uint_eq(wire_cut_presence(message_of(&b), first, &ended).len, first);
    ck_assert_uint_eq(wire_cut_presence(message_of(&b), first + 1, &ended).len, second);
    ck_assert_uint_eq(ended, first);
    ck_assert_uint_eq(wire_cut_presence(message_of(&b), SIZE_MAX, &ended).len, b.len);
    ck_assert_uint_eq(ended, first + b.len - second);
    ck_assert_uint_eq(wire_cut_presence((struct slice){0}, 100, &ended).len, 0);
    buf_release(&b);
}
END_TEST

START_TEST(every_cause_has_a_name)
{
    ck_assert_str_eq(end_cause_name(END_CLIENT), "client");
    ck_assert_str_eq(end_cause_name(END_WORKER_LOST), "worker_lost");
    ck_assert_str_eq(end_cause_name(END_REPLACED), "replaced");
    ck_assert_str_eq(end_cause_name(END_CAUSES), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire_presence");
    TCase *tests = one_case(suite, "wire_presence");
    tcase_add_test(tests, presence_arrives_with_its_items);
    tcase_add_test(tests, items_may_be_collected_apart);
    tcase_add_loop_test(tests, a_worker_may_know_more_or_fewer_counters, 0, 4);
    tcase_add_test(tests, an_unknown_cause_is_refused);
    tcase_add_test(tests, an_item_that_is_none_is_refused);
    tcase_add_loop_test(tests, a_report_has_flags_that_fit, 0,
                        sizeof presence_flags / sizeof *presence_flags);
    tcase_add_test(tests, items_are_cut_into_pieces_between_two_of_them);
    tcase_add_test(tests, every_cause_has_a_name);
    return run_suite(suite);
}
