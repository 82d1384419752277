/* Presence as messages: numbers, and what each says. */
#include "presence/presence_feed.h"

#include "support.h"

static struct presence *presence;
static struct presence_feed feed;
static char sent[4096]; /* the messages, each with its newline */
static struct buf items;

static void send_message(void *context, struct slice message)
{
    ck_assert_ptr_eq(context, sent);
    snprintf(sent + strlen(sent), sizeof sent - strlen(sent), "%.*s\n", (int)message.len,
             message.data);
}

static void begin(void)
{
    struct slice labels[] = {S("remote_addr"), S("user_agent")};
    struct wire_hello hello;
    struct buf b = {0};
    presence = presence_new();
    feed = (struct presence_feed){
        .epoch = 0x1234abcd, .now_ms = 5000, .send = send_message, .context = sent};
    *sent = '\0';
    presence_set_epoch(presence, feed.epoch);
    wire_put_hello(&b, &(struct wire_hello){.worker = S("web-1"), .labels = {labels, 2}});
    ck_assert_int_eq(wire_get_hello((struct slice){b.data, b.len}, &hello), 0);
    ck_assert_int_eq(presence_hello(presence, S("w"), &hello, 0), 0);
    buf_release(&b);
}

static void end(void)
{
    presence_free(&presence);
    presence_feed_release(&feed);
    buf_release(&items);
}

static void report(uint64_t n, bool full, uint64_t told)
{
    struct wire_presence m = {.n = n, .full = full, .acked_epoch = told};
    struct buf b = {0};
    wire_put_presence(&b, &m);
    wire_add_items(&b, &items);
    ck_assert_int_eq(wire_get_presence((struct slice){b.data, b.len}, &m), 0);
    presence_report(presence, S("w"), &m, 0);
    for (struct presence_change change; presence_next(presence, &change);)
        presence_feed_change(&feed, &change);
    ck_assert_int_eq(presence_result(presence), 0);
    buf_release(&b);
    buf_release(&items);
}

static void opened(bool told)
{
    struct slice channel = S("room:7");
    wire_add_presence(&items, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                           .connection = S("c-1"),
                                                           .session = S("a\"\n"),
                                                           .since_ms = 42,
                                                           .channels = {&channel, 1},
                                                           .acknowledged = told,
                                                           .meta = S("\xfe\x7f\0\0\1\0")});
}

static void ended(void)
{
    wire_add_presence(&items,
                      &(struct wire_presence_item){.connection = S("c-1"), .cause = END_SLOW});
}

#define NAME "\"connection\":\"c-1\",\"session\":\"a\\\"\\n\",\"at\":5000"
#define WHO "\"connection\":\"c-1\",\"session\":\"a\\\"\\n\",\"channels\":[\"room:7\"],\"at\":5000"
#define RUN "{\"run\":\"000000001234abcd\","

START_TEST(a_life_is_four_messages)
{
    opened(false);
    report(1, true, 0);
    ck_assert_str_eq(
        sent,
        RUN "\"n\":1,\"type\":\"connected\"," WHO
            ",\"worker\":\"web-1\",\"since\":42,\"meta\":{\"remote_addr\":\"127.0.0.1\"}}\n" RUN
            "\"n\":2,\"type\":\"session_online\"," NAME "}\n");
    *sent = '\0';
    ended();
    report(2, false, 0);
    ck_assert_str_eq(sent,
                     RUN "\"n\":3,\"type\":\"disconnected\"," WHO ",\"cause\":\"slow\"}\n" RUN
                         "\"n\":4,\"type\":\"session_offline\"," NAME ",\"cause\":\"slow\"}\n");
}
END_TEST

START_TEST(a_silent_change_takes_a_number_and_is_not_sent)
{
    opened(true);
    report(1, true, 1);
    ck_assert_str_eq(sent, "");
    ck_assert_uint_eq(feed.n, 2);
    ended();
    report(2, false, 1);
    ck_assert_ptr_nonnull(strstr(sent, "\"n\":3,\"type\":\"disconnected\""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("presence_feed");
    TCase *tests = one_case(suite, "feed");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_life_is_four_messages);
    tcase_add_test(tests, a_silent_change_takes_a_number_and_is_not_sent);
    return run_suite(suite);
}
