#include "codec/wire.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "wires.h"

/* --- one message of each type, with what it should say --- */

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
    wire_put_hello(
        b, &(struct wire_hello){
               .worker = S("worker-1"), .position = 12, .labels = {some_channels, 2}, .pieces = 3});
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
    wire_put_replay(b,
                    &(struct wire_replay){.request = 5,
                                          .after = 6,
                                          .id = S("order-17"),
                                          .everything = true,
                                          .who = {S("a"), S("c"), {some_channels, 3}, true, true},
                                          .max_bytes = 65536});
}

static void put_page(struct buf *b)
{
    wire_put_page(
        b,
        &(struct wire_page){
            .request = 5, .run = 11, .from = 7, .upto = 9, .head = 12, .oldest = 4, .gap = true});
    add_entries(b);
}

static void put_resync(struct buf *b)
{
    wire_put_resync(b);
}

static struct slice some_patterns[] = {S_INIT("user-*"), S_INIT("a")};

static void put_command(struct buf *b)
{
    struct grant grant = {.roles = ROLE_EVENTS,
                          .limited = true,
                          .sessions = {some_patterns, 2},
                          .publisher = S("token:0123")};
    wire_put_command(
        b, &(struct wire_command){.request = 5, .grant = grant, .json = S("{\"op\":\"ping\"}")});
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
    struct event *e = event_new(
        &(struct event_spec){.kind = EVENT_MESSAGE, .seq = 9, .key = S("k"), .data = S("1")});
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
    while (!err &&
           (wire_next_name(&m.raw_sessions, &name) || wire_next_name(&m.raw_channels, &name)))
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

/* The rest of these messages is judged by somebody else:
 * a run of entries by event_parse(), JSON by who gets it. */
static size_t fields_before_rest(enum wire_type type)
{
    static const size_t rows[] = {[WIRE_BATCH] = 16,
                                  [WIRE_PAGE] = 49,
                                  [WIRE_COMMAND] = 37,
                                  [WIRE_REPLY] = 8,
                                  [WIRE_STATE] = 16};
    return type < sizeof rows / sizeof *rows ? rows[type] : 0;
}

static int get_copy(int i, const char *bytes, size_t len)
{
    char *copy = malloc(len + !len); /* exact size, so that a sanitizer sees a read past it */
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
        ck_assert_msg(get_copy(_i, b.data, len) == (may_be_whole(_i, len) ? 0 : -EPROTO),
                      "type %d cut at %zu", (int)messages[_i].type, len);
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
    ck_assert_int_eq(get_copy(_i, longer, b.len + 1),
                     fields_before_rest(messages[_i].type) ? 0 : -EPROTO);
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
    ck_assert_uint_eq(m.pieces, 3);
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
    ck_assert(m.who.every_channel && m.who.public_only);
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
    tcase_add_test(tests, a_worker_says_what_its_values_are_called);
    tcase_add_test(tests, a_report_that_was_taken_names_the_run);
    tcase_add_test(tests, a_name_has_255_bytes_at_most);
    tcase_add_test(tests, a_resync_is_only_its_header);
    tcase_add_test(tests, a_subscriber_asks_for_this_version);
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
