#include "codec/wire.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "support.h"

#define HEADER_LEN 8 /* before the fields */

static struct slice message_of(const struct buf *b)
{
    ck_assert(!b->failed);
    return (struct slice){b->data, b->len};
}

/* --- one message of each type, with what it should say --- */

static struct slice some_channels[] = {S_INIT("room:1"), S_INIT("room:2"), S_INIT("")};

static struct event *some_event(uint64_t seq)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE, .seq = seq, .data = S("x")};
    return event_new(&spec);
}

static void add_entries(struct buf *b)
{
    for (uint64_t seq = 8; seq <= 9; seq++) {
        struct event *e = some_event(seq);
        wire_add_entry(b, e);
        event_unref(&e);
    }
}

static void put_batch(struct buf *b)
{
    wire_put_batch(b, 11, 7);
    add_entries(b);
}

static void put_head(struct buf *b)
{
    wire_put_head(b, &(struct wire_head){11, 12, 3, 1700000000123456});
}

static void put_hello(struct buf *b)
{
    wire_put_hello(b, &(struct wire_hello){.worker = S("worker-1"), .position = 12, .labels = {some_channels, 2}});
}

static void put_welcome(struct buf *b)
{
    wire_put_welcome(b, &(struct wire_welcome){.run = 11,
                                               .head = 12,
                                               .complete = 3,
                                               .oldest = 4,
                                               .taken = 8,
                                               .bans_since = 9,
                                               .began = 2,
                                               .clock = 10,
                                               .pieces = 6});
    wire_add_ban(b, S("a"), 1700000000123);
    wire_add_ban(b, S("b"), -1);
}

static void put_bans(struct buf *b)
{
    wire_put_bans(b, &(struct wire_bans){.run = 11, .piece = 3});
    wire_add_ban(b, S("a"), 1700000000123);
    wire_add_ban(b, S("b"), -1);
}

static void put_shutdowns(struct buf *b)
{
    wire_put_shutdowns(b, &(struct wire_shutdowns){.request = 5, .after = 12, .age_ms = 1000});
}

static void put_taken(struct buf *b)
{
    wire_put_taken(b, &(struct wire_taken){.run = 11, .n = 3, .head = 12, .clock = 9});
}

static void put_replay(struct buf *b)
{
    wire_put_replay(b, &(struct wire_replay){.request = 5,
                                             .after = 6,
                                             .id = S("order-17"),
                                             .everything = true,
                                             .who = {S("a"), S("c"), {some_channels, 3}, true},
                                             .max_bytes = 65536});
}

static void put_page(struct buf *b)
{
    wire_put_page(
        b, &(struct wire_page){.request = 5, .run = 11, .from = 7, .upto = 9, .head = 12, .oldest = 4, .gap = true});
    add_entries(b);
}

static struct wire_presence_item opened_item(void)
{
    return (struct wire_presence_item){.kind = ITEM_OPENED,
                                       .connection = S("c1"),
                                       .session = S("a"),
                                       .since_ms = 1700000000123,
                                       .channels = {some_channels, 2},
                                       .told = true,
                                       .meta = S("\4text\xfe\x7f\0\0\1"),
                                       .subscriptions = S("\2\0me\0\1\0\0\0a")};
}

/* Behind the first: one that ended, one that lags. */
static void add_others(struct buf *b)
{
    wire_add_presence(b, &(struct wire_presence_item){.connection = S("c2"), .session = S("b"), .cause = END_SLOW});
    wire_add_presence(
        b, &(struct wire_presence_item){.kind = ITEM_LAGS, .connection = S("c3"), .sent = 17, .queued = 1u << 20});
}

#define WORKER_NUMBERS (WORKER_GAUGES + WORKER_COUNTERS)

static struct wire_presence some_presence(void)
{
    struct wire_presence m = {.n = 3, .full = true, .lags = true, .told = 11};
    for (uint64_t i = 0; i < WORKER_COUNTERS; i++)
        m.counters[i] = 100 + i;
    for (uint64_t i = 0; i < WORKER_GAUGES; i++)
        m.gauges[i] = 50 + i;
    return m;
}

static void put_presence(struct buf *b)
{
    struct wire_presence m = some_presence();
    struct wire_presence_item item = opened_item();
    wire_put_presence(b, &m);
    wire_add_presence(b, &item);
    add_others(b);
}

static void put_resync(struct buf *b)
{
    wire_put_resync(b);
}

static struct slice some_patterns[] = {S_INIT("user-*"), S_INIT("a")};

static void put_command(struct buf *b)
{
    struct grant grant = {
        .roles = ROLE_EVENTS, .limited = true, .sessions = {some_patterns, 2}, .publisher = S("token:0123")};
    wire_put_command(b, &(struct wire_command){.request = 5, .grant = grant, .json = S("{\"op\":\"ping\"}")});
}

static void put_reply(struct buf *b)
{
    wire_put_reply(b, &(struct wire_reply){.request = 5, .json = S("{\"ok\":true}")});
}

/* --- decoders behind one face --- */

static int get_batch(struct slice message)
{
    struct wire_batch m;
    return wire_get_batch(message, &m);
}

static int get_head(struct slice message)
{
    struct wire_head m;
    return wire_get_head(message, &m);
}

static int get_hello(struct slice message)
{
    struct wire_hello m;
    return wire_get_hello(message, &m);
}

static int get_welcome(struct slice message)
{
    struct wire_welcome m;
    struct slice session;
    int64_t until;
    int err = wire_get_welcome(message, &m);
    while (!err && wire_next_ban(&m.bans, &session, &until))
        ;
    return err;
}

static int get_bans(struct slice message)
{
    struct wire_bans m;
    struct slice session;
    int64_t until;
    int err = wire_get_bans(message, &m);
    while (!err && wire_next_ban(&m.bans, &session, &until))
        ;
    return err;
}

static void put_state(struct buf *b)
{
    struct event *e = event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 9, .key = S("k"), .data = S("1")});
    wire_put_state(b, &(struct wire_state){.run = 11, .piece = 2});
    wire_add_entry(b, e);
    event_unref(&e);
}

static int get_state(struct slice message)
{
    struct wire_state m;
    return wire_get_state(message, &m);
}

static int get_shutdowns(struct slice message)
{
    struct wire_shutdowns m;
    return wire_get_shutdowns(message, &m);
}

static int get_taken(struct slice message)
{
    struct wire_taken m;
    return wire_get_taken(message, &m);
}

static int get_replay(struct slice message)
{
    struct wire_replay m;
    struct slice name;
    int err = wire_get_replay(message, &m);
    while (!err && wire_next_name(&m.channels, &name))
        ;
    return err;
}

static int get_page(struct slice message)
{
    struct wire_page m;
    return wire_get_page(message, &m);
}

static int get_presence(struct slice message)
{
    struct wire_presence m;
    struct wire_presence_item item;
    struct slice name;
    int err = wire_get_presence(message, &m);
    while (!err && wire_next_presence(&m.items, &item))
        while (item.kind != ITEM_LAGS && wire_next_name(&item.raw_channels, &name))
            ;
    return err;
}

static int get_command(struct slice message)
{
    struct wire_command m;
    struct slice name;
    int err = wire_get_command(message, &m);
    while (!err && (wire_next_name(&m.raw_sessions, &name) || wire_next_name(&m.raw_channels, &name)))
        ;
    return err;
}

static void put_log(struct buf *b)
{
    wire_put_log(b, &(struct wire_log){LOG_DEBUG});
}

static int get_log(struct slice message)
{
    struct wire_log m;
    int err = wire_get_log(message, &m);
    ck_assert(err || m.level < LOG_LEVELS);
    return err;
}

static int get_reply(struct slice message)
{
    struct wire_reply m;
    return wire_get_reply(message, &m);
}

static const struct {
    enum wire_type type;
    void (*put)(struct buf *b);
    int (*get)(struct slice message);
    /* Cut here (behind the header) it is still whole: entries and items are just fewer. */
    size_t whole[4];
} messages[] = {
    {WIRE_BATCH, put_batch, get_batch, {0}},
    {WIRE_HEAD, put_head, get_head, {0}},
    {WIRE_HELLO, put_hello, get_hello, {0}},
    {WIRE_WELCOME, put_welcome, get_welcome, {72, 83}},
    {WIRE_REPLAY, put_replay, get_replay, {0}},
    {WIRE_PAGE, put_page, get_page, {0}},
    {WIRE_PRESENCE,
     put_presence,
     get_presence,
     {21 + 8 * WORKER_NUMBERS, 21 + 8 * WORKER_NUMBERS + 59, 21 + 8 * WORKER_NUMBERS + 79}},
    {WIRE_COMMAND, put_command, get_command, {0}},
    {WIRE_REPLY, put_reply, get_reply, {0}},
    {WIRE_LOG, put_log, get_log, {0}},
    {WIRE_TAKEN, put_taken, get_taken, {0}},
    {WIRE_BANS, put_bans, get_bans, {16, 27}},
    {WIRE_SHUTDOWNS, put_shutdowns, get_shutdowns, {0}},
    {WIRE_STATE, put_state, get_state, {0}},
};
#define MESSAGES ((int)(sizeof messages / sizeof messages[0]))

/* The rest of these messages is judged by somebody else: a run of entries by event_parse(), JSON by who gets it. */
static size_t fields_before_rest(enum wire_type type)
{
    static const size_t rows[] = {
        [WIRE_BATCH] = 16, [WIRE_PAGE] = 49, [WIRE_COMMAND] = 37, [WIRE_REPLY] = 8, [WIRE_STATE] = 16};
    return type < sizeof rows / sizeof *rows ? rows[type] : 0;
}

static int get_copy(int i, const char *bytes, size_t len)
{
    char *copy = malloc(len + !len); /* of its own size, so that a sanitizer sees a read past its end */
    if (len)
        memcpy(copy, bytes, len);
    int err = messages[i].get((struct slice){copy, len});
    free(copy);
    return err;
}

static bool may_be_whole(int i, size_t len)
{
    size_t rest = fields_before_rest(messages[i].type);
    for (int j = 0; j < 4; j++)
        if (messages[i].whole[j] && len == HEADER_LEN + messages[i].whole[j])
            return true;
    return rest && len >= HEADER_LEN + rest;
}

START_TEST(a_truncated_message_is_refused)
{
    struct buf b = {0};
    messages[_i].put(&b);
    for (size_t len = 0; len < b.len; len++)
        ck_assert_msg(get_copy(_i, b.data, len) == (may_be_whole(_i, len) ? 0 : -EPROTO), "type %d cut at %zu",
                      (int)messages[_i].type, len);
    ck_assert_int_eq(get_copy(_i, b.data, b.len), 0);
    buf_release(&b);
}
END_TEST

START_TEST(a_longer_message_is_refused)
{
    struct buf b = {0};
    messages[_i].put(&b);
    char *longer = calloc(1, b.len + 1);
    memcpy(longer, b.data, b.len);
    ck_assert_int_eq(get_copy(_i, longer, b.len + 1), fields_before_rest(messages[_i].type) ? 0 : -EPROTO);
    free(longer);
    buf_release(&b);
}
END_TEST

START_TEST(a_decoder_takes_its_own_type_only)
{
    struct buf b = {0};
    messages[_i].put(&b);
    ck_assert_int_eq(wire_type(message_of(&b)), (int)messages[_i].type);
    for (int i = 0; i < MESSAGES; i++)
        ck_assert_int_eq(messages[i].get(message_of(&b)), i == _i ? 0 : -EPROTO);
    buf_release(&b);
}
END_TEST

START_TEST(another_version_or_type_is_no_message)
{
    struct buf b = {0};
    messages[_i].put(&b);
    for (size_t at = 0; at < HEADER_LEN; at++) {
        b.data[at] ^= 0x40;
        ck_assert_int_eq(wire_type(message_of(&b)), -EPROTO);
        ck_assert_int_eq(messages[_i].get(message_of(&b)), -EPROTO);
        b.data[at] ^= 0x40;
    }
    buf_release(&b);
}
END_TEST

START_TEST(random_damage_never_reads_outside)
{
    struct dice dice = dice_new();
    uint64_t seed = dice.state;
    struct buf b = {0};
    messages[_i].put(&b);
    char *bytes = malloc(b.len);
    for (int round = 0; round < 5000; round++) {
        memcpy(bytes, b.data, b.len);
        for (uint64_t i = 0, n = 1 + roll(&dice, 4); i < n; i++)
            bytes[HEADER_LEN + roll(&dice, b.len - HEADER_LEN)] = (char)roll(&dice, 256);
        int err = get_copy(_i, bytes, b.len);
        ck_assert_msg(err == 0 || err == -EPROTO, "%d with SEED=%" PRIu64, err, seed);
    }
    free(bytes);
    buf_release(&b);
}
END_TEST

/* --- what arrives is what was sent --- */

static void assert_entries(struct slice entries)
{
    size_t used;
    for (uint64_t seq = 8; seq <= 9; seq++) {
        struct event *e = event_parse(entries, &used);
        ck_assert_ptr_nonnull(e);
        ck_assert_uint_eq(e->seq, seq);
        entries = (struct slice){entries.data + used, entries.len - used};
        event_unref(&e);
    }
    ck_assert_uint_eq(entries.len, 0);
}

START_TEST(a_batch_arrives)
{
    struct buf b = {0};
    struct wire_batch m;
    put_batch(&b);
    ck_assert_int_eq(wire_get_batch(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.run, 11);
    ck_assert_uint_eq(m.prev, 7);
    assert_entries(m.entries);
    buf_release(&b);
}
END_TEST

START_TEST(a_head_arrives)
{
    struct buf b = {0};
    struct wire_head m;
    put_head(&b);
    ck_assert_int_eq(wire_get_head(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.run, 11);
    ck_assert_uint_eq(m.head, 12);
    ck_assert_uint_eq(m.complete, 3);
    buf_release(&b);
}
END_TEST

START_TEST(a_command_arrives_with_its_grant)
{
    struct buf b = {0};
    struct wire_command m;
    struct slice name;
    put_command(&b);
    ck_assert_int_eq(wire_get_command(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.request, 5);
    ck_assert_uint_eq(m.grant.roles, ROLE_EVENTS);
    ck_assert(m.grant.limited);
    assert_slice(m.grant.publisher, S("token:0123"));
    assert_slice(m.json, S("{\"op\":\"ping\"}"));
    ck_assert(wire_next_name(&m.raw_sessions, &name));
    assert_slice(name, S("user-*"));
    ck_assert(wire_next_name(&m.raw_sessions, &name));
    assert_slice(name, S("a"));
    ck_assert(!wire_next_name(&m.raw_sessions, &name));
    ck_assert(!wire_next_name(&m.raw_channels, &name));
    buf_release(&b);
}
END_TEST

START_TEST(a_reply_arrives)
{
    struct buf b = {0};
    struct wire_reply m;
    put_reply(&b);
    ck_assert_int_eq(wire_get_reply(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.request, 5);
    assert_slice(m.json, S("{\"ok\":true}"));
    buf_release(&b);
}
END_TEST

START_TEST(a_hello_arrives)
{
    struct buf b = {0};
    struct wire_hello m;
    put_hello(&b);
    ck_assert_int_eq(wire_get_hello(message_of(&b), &m), 0);
    assert_slice(m.worker, S("worker-1"));
    ck_assert_uint_eq(m.position, 12);
    buf_release(&b);
}
END_TEST

START_TEST(a_welcome_arrives_with_its_bans)
{
    struct buf b = {0};
    struct wire_welcome m;
    struct slice session;
    int64_t until;
    put_welcome(&b);
    ck_assert_int_eq(wire_get_welcome(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.run, 11);
    ck_assert_uint_eq(m.head, 12);
    ck_assert_uint_eq(m.complete, 3);
    ck_assert_uint_eq(m.oldest, 4);
    ck_assert_uint_eq(m.taken, 8);
    ck_assert_uint_eq(m.bans_since, 9);
    ck_assert_uint_eq(m.began, 2);
    ck_assert_int_eq(m.clock, 10);
    ck_assert_uint_eq(m.pieces, 6);
    ck_assert(wire_next_ban(&m.bans, &session, &until));
    assert_slice(session, S("a"));
    ck_assert_int_eq(until, 1700000000123);
    ck_assert(wire_next_ban(&m.bans, &session, &until));
    assert_slice(session, S("b"));
    ck_assert_int_eq(until, -1);
    ck_assert(!wire_next_ban(&m.bans, &session, &until));
    ck_assert(!wire_next_ban(&m.bans, &session, &until));
    buf_release(&b);
}
END_TEST

START_TEST(a_replay_arrives)
{
    struct buf b = {0};
    struct wire_replay m;
    struct slice name;
    put_replay(&b);
    ck_assert_int_eq(wire_get_replay(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.request, 5);
    ck_assert_uint_eq(m.after, 6);
    ck_assert_uint_eq(m.max_bytes, 65536);
    ck_assert(m.everything);
    assert_slice(m.id, S("order-17"));
    assert_slice(m.who.session, S("a"));
    assert_slice(m.who.connection, S("c"));
    ck_assert(m.who.every_channel);
    for (int i = 0; i < 3; i++) {
        ck_assert(wire_next_name(&m.channels, &name));
        assert_slice(name, some_channels[i]);
    }
    ck_assert(!wire_next_name(&m.channels, &name));
    buf_release(&b);
}
END_TEST

START_TEST(a_replay_may_have_any_number)
{
    struct buf b = {0};
    struct wire_replay m;
    wire_put_replay(&b, &(struct wire_replay){.request = UINT64_MAX, .after = 6});
    ck_assert_int_eq(wire_get_replay(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.request, UINT64_MAX);
    ck_assert_uint_eq(m.after, 6);
    buf_release(&b);
}
END_TEST

START_TEST(a_page_arrives)
{
    struct buf b = {0};
    struct wire_page m;
    put_page(&b);
    ck_assert_int_eq(wire_get_page(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.request, 5);
    ck_assert_uint_eq(m.run, 11);
    ck_assert_uint_eq(m.from, 7);
    ck_assert_uint_eq(m.upto, 9);
    ck_assert_uint_eq(m.head, 12);
    ck_assert_uint_eq(m.oldest, 4);
    ck_assert(m.gap);
    assert_entries(m.entries);
    buf_release(&b);
}
END_TEST

static void assert_items(struct slice items)
{
    struct wire_presence_item item;
    struct slice name;
    ck_assert(wire_next_presence(&items, &item));
    ck_assert_int_eq(item.kind, ITEM_OPENED);
    ck_assert(item.told);
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
    ck_assert(!item.told);
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
    ck_assert_uint_eq(m.told, 11);
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

START_TEST(a_worker_says_what_its_values_are_called)
{
    struct buf b = {0};
    struct wire_hello m;
    struct slice name;
    put_hello(&b);
    ck_assert_int_eq(wire_get_hello(message_of(&b), &m), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert(wire_next_name(&m.raw_labels, &name));
        assert_slice(name, some_channels[i]);
    }
    ck_assert(!wire_next_name(&m.raw_labels, &name));
    buf_release(&b);
}
END_TEST

START_TEST(a_report_that_was_taken_names_the_run)
{
    struct buf b = {0};
    struct wire_taken m;
    wire_put_taken(&b, &(struct wire_taken){11, 3, 12, 9});
    ck_assert_int_eq(wire_get_taken(message_of(&b), &m), 0);
    ck_assert_uint_eq(m.run, 11);
    ck_assert_uint_eq(m.n, 3);
    ck_assert_uint_eq(m.head, 12);
    ck_assert_int_eq(m.clock, 9);
    b.len--;
    ck_assert_int_eq(wire_get_taken(message_of(&b), &m), -EPROTO);
    buf_release(&b);
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
    ck_assert_int_eq(wire_get_presence(message_of(&b), &m), presence_flags[_i].accepted ? 0 : -EPROTO);
    buf_release(&b);
}
END_TEST

static void add_named(struct buf *b, enum wire_item kind, const char *connection)
{
    wire_add_presence(
        b, &(struct wire_presence_item){.kind = kind, .connection = slice_of(connection), .session = S("s")});
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

START_TEST(a_name_has_255_bytes_at_most)
{
    char text[NAME_BYTES_MAX + 1];
    struct wire_hello m;
    memset(text, 'x', sizeof text);
    for (size_t len = NAME_BYTES_MAX; len <= NAME_BYTES_MAX + 1; len++) {
        struct buf b = {0};
        wire_put_hello(&b, &(struct wire_hello){.worker = {text, len}});
        ck_assert_int_eq(wire_get_hello(message_of(&b), &m), len > NAME_BYTES_MAX ? -EPROTO : 0);
        buf_release(&b);
    }
}
END_TEST

START_TEST(a_resync_is_only_its_header)
{
    struct buf b = {0};
    put_resync(&b);
    ck_assert_int_eq(wire_type(message_of(&b)), WIRE_RESYNC);
    ck_assert_uint_eq(b.len, HEADER_LEN);
    buf_release(&b);
    buf_release(&b);
}
END_TEST

START_TEST(a_subscriber_asks_for_this_version)
{
    struct buf b = {0};
    put_head(&b);
    ck_assert_int_eq(memcmp(b.data, WIRE_PREFIX, WIRE_PREFIX_LEN), 0);
    ck_assert_int_eq(b.data[3], WIRE_VERSION);
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

START_TEST(a_replay_has_a_start)
{
    struct buf b = {0};
    struct wire_replay m;
    wire_put_replay(&b, &(struct wire_replay){.after = 6, .start = {START_SINCE, 12345}});
    ck_assert_int_eq(wire_get_replay(message_of(&b), &m), 0);
    ck_assert_int_eq(m.start.kind, START_SINCE);
    ck_assert_uint_eq(m.start.value, 12345);
    b.data[8 + 8 + 8 + 4 + 1] = START_SINCE + 1;
    ck_assert_int_eq(wire_get_replay(message_of(&b), &m), -EPROTO);
    buf_release(&b);
}
END_TEST

static void add_round_trips(TCase *tests)
{
    tcase_add_test(tests, a_batch_arrives);
    tcase_add_test(tests, a_head_arrives);
    tcase_add_test(tests, a_command_arrives_with_its_grant);
    tcase_add_test(tests, a_reply_arrives);
    tcase_add_test(tests, a_hello_arrives);
    tcase_add_test(tests, a_welcome_arrives_with_its_bans);
    tcase_add_test(tests, a_replay_arrives);
    tcase_add_test(tests, a_replay_may_have_any_number);
    tcase_add_test(tests, a_replay_has_a_start);
    tcase_add_test(tests, a_page_arrives);
    tcase_add_test(tests, an_item_that_is_none_is_refused);
    tcase_add_test(tests, a_worker_says_what_its_values_are_called);
    tcase_add_test(tests, a_report_that_was_taken_names_the_run);
    tcase_add_test(tests, presence_arrives_with_its_items);
    tcase_add_test(tests, items_may_be_collected_apart);
    tcase_add_loop_test(tests, a_worker_may_know_more_or_fewer_counters, 0, 4);
    tcase_add_loop_test(tests, a_report_has_flags_that_fit, 0, sizeof presence_flags / sizeof *presence_flags);
    tcase_add_test(tests, items_are_cut_into_pieces_between_two_of_them);
    tcase_add_test(tests, an_unknown_cause_is_refused);
    tcase_add_test(tests, a_name_has_255_bytes_at_most);
    tcase_add_test(tests, a_resync_is_only_its_header);
    tcase_add_test(tests, a_subscriber_asks_for_this_version);
    tcase_add_test(tests, every_cause_has_a_name);
}

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *strict = one_case(suite, "strictness"), *trips = one_case(suite, "round trips");
    tcase_add_loop_test(strict, a_truncated_message_is_refused, 0, MESSAGES);
    tcase_add_loop_test(strict, a_longer_message_is_refused, 0, MESSAGES);
    tcase_add_loop_test(strict, a_decoder_takes_its_own_type_only, 0, MESSAGES);
    tcase_add_loop_test(strict, another_version_or_type_is_no_message, 0, MESSAGES);
    tcase_add_loop_test(strict, random_damage_never_reads_outside, 0, MESSAGES);
    add_round_trips(trips);
    return run_suite(suite);
}
