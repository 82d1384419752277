/* What a worker is answered: welcome, pages, resync. */
#include "ops/log.h"
#include "presence/sync.h"
#include "support.h"

#define START 1000u
#define RUN 77u
#define W S("w")

static struct sequence *sequence;
static struct presence *presence;
static uint64_t counters[BROKER_COUNTERS];
static struct event_log event_log;
static struct sync_context context;
static struct buf question, answer;

static void begin_with(uint64_t max_events)
{
    struct history_limits limits = {.events = max_events, .bytes = 64 << 20, .age_ms = 60000};
    sequence = sequence_new(&limits, START, RUN);
    presence = presence_new();
    ck_assert(sequence && presence);
    memset(counters, 0, sizeof counters);
    event_log = (struct event_log){.sequence = sequence};
    context = (struct sync_context){
        .sequence = sequence, .log = &event_log, .presence = presence, .counters = counters};
}

static void end(void)
{
    sequence_free(&sequence);
    presence_free(&presence);
    buf_release(&question);
    buf_release(&answer);
}

static void begin(void)
{
    begin_with(100000);
}

static void publish(const char *data, size_t len, const char *id, const char *session)
{
    struct slice to = slice_of(session);
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .time_ms = 5000,
                              .data = {data, len},
                              .id = slice_of(id),
                              .has_to = session};
    struct sequenced out;
    spec.lists[TO_SESSIONS] = (struct names){&to, session != NULL};
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    sequence_accept(sequence);
}

/* Ask what `question` says. */
static bool ask(void)
{
    struct presence_change change;
    ck_assert(!question.failed);
    enum sync_outcome outcome = sync_handle(&context, W, buf_slice(&question), 0, &answer);
    while (presence_next(presence, &change))
        ck_assert_int_eq(outcome, SYNC_REPORT);
    if (outcome == SYNC_REPORT)
        sync_reported(&context, W, buf_slice(&question), 0, &answer);
    return outcome != SYNC_SILENCE;
}

static struct wire_page page_of(const struct wire_replay *what)
{
    struct wire_page page;
    wire_put_replay(&question, what);
    ck_assert(ask());
    ck_assert_int_eq(wire_get_page((struct slice){answer.data, answer.len}, &page), 0);
    ck_assert_uint_eq(page.request, what->request);
    ck_assert_uint_eq(page.run, RUN);
    ck_assert_uint_eq(page.head, sequence_head(sequence));
    return page;
}

/* The seqs of the page's entries, separated by blanks, without START. */
static const char *seqs_of(const struct wire_page *page)
{
    static char text[40];
    struct slice rest = page->entries;
    size_t used, at = 0;
    text[0] = 0;
    for (struct event *e; rest.len; event_unref(&e)) {
        e = event_parse(rest, &used);
        ck_assert_ptr_nonnull(e);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%u", at ? " " : "",
                               (unsigned)(e->seq - START));
        ck_assert_uint_lt(at, sizeof text);
        rest = (struct slice){rest.data + used, rest.len - used};
    }
    return text;
}

START_TEST(a_hello_whose_answer_is_on_its_way_renews_the_lease_alone)
{
    wire_put_hello(&question, &(struct wire_hello){.worker = S("web-1"), .pieces = 2});
    ck_assert(!ask());
    ck_assert_uint_eq(presence_workers(presence), 1);
    ck_assert_uint_eq(counters[WELCOMES], 0);
}
END_TEST

START_TEST(hello_is_answered_with_where_we_stand)
{
    struct wire_welcome m;
    struct slice session = S("a"), name;
    int64_t until;
    struct event_spec spec = {
        .kind = EVENT_SHUTDOWN, .time_ms = 5000, .has_to = true, .block_s = 2};
    struct sequenced out;
    spec.lists[TO_SESSIONS] = (struct names){&session, 1};
    sequence_append(sequence, &spec, &out);
    sequence_accept(sequence);
    wire_put_hello(&question, &(struct wire_hello){.worker = S("web-1")});
    ck_assert(ask());
    ck_assert_int_eq(wire_get_welcome((struct slice){answer.data, answer.len}, &m), 0);
    ck_assert_uint_eq(m.run, RUN);
    ck_assert_uint_eq(m.head, START + 1);
    ck_assert_uint_eq(m.complete, START);
    ck_assert_uint_eq(m.oldest, START + 1);
    ck_assert(wire_next_ban(&m.bans, &name, &until));
    assert_slice(name, session);
    ck_assert_uint_eq(m.bans_since, START); /* we keep no log */
    ck_assert_int_eq(until, 7000);
    ck_assert_uint_eq(m.bans.len, 0);
    ck_assert_uint_eq(presence_workers(presence), 1);
}
END_TEST

static void shut_down(const char *session, int64_t time_ms)
{
    struct slice name = slice_of(session);
    struct event_spec spec = {
        .kind = EVENT_SHUTDOWN, .time_ms = time_ms, .has_to = true, .block_s = 60};
    struct sequenced out;
    spec.lists[TO_SESSIONS] = (struct names){&name, 1};
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    sequence_accept(sequence);
}

static size_t sent_before, sent_bans, sent_largest;
static bool refuse;

static size_t count_bans(struct slice bans)
{
    struct slice name;
    int64_t until;
    size_t count = 0;
    while (bans.len && wire_next_ban(&bans, &name, &until))
        count++;
    return count;
}

static bool send_bans(void *to, struct slice worker, struct slice message)
{
    struct wire_bans m;
    ck_assert_ptr_eq(to, &sent_before);
    assert_slice(worker, W);
    ck_assert_int_eq(wire_get_bans(message, &m), 0);
    ck_assert_uint_eq(m.run, RUN);
    sent_before++;
    ck_assert_uint_eq(m.piece, sent_before);
    sent_bans += count_bans(m.bans);
    sent_largest = message.len > sent_largest ? message.len : sent_largest;
    return !refuse;
}

START_TEST(many_bans_are_sent_in_pieces_before_the_welcome)
{
    struct wire_welcome m;
    char name[16];
    context.send = send_bans;
    context.context = &sent_before;
    context.piece_bytes = 300;
    sent_before = sent_bans = sent_largest = 0;
    refuse = false;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "session-%d", i);
        shut_down(name, 5000);
    }
    wire_put_hello(&question, &(struct wire_hello){.worker = S("web-1")});
    ck_assert(ask());
    ck_assert_int_eq(wire_get_welcome((struct slice){answer.data, answer.len}, &m), 0);
    ck_assert_uint_gt(sent_before, 5);
    ck_assert_uint_eq(m.pieces, sent_before);
    ck_assert_uint_le(sent_largest, 300 + 20);
    ck_assert_uint_le(answer.len, 300 + 20 + 80); /* the fields before the bans */
    ck_assert_uint_eq(sent_bans + count_bans(m.bans), 100);
    refuse = true;
    sent_before = 0;
    ck_assert(!ask()); /* it says hello again */
}
END_TEST

static struct wire_page shutdowns_of(uint64_t after, uint64_t age_ms)
{
    struct wire_page page;
    wire_put_shutdowns(&question,
                       &(struct wire_shutdowns){.request = 8, .after = after, .age_ms = age_ms});
    ck_assert(ask());
    ck_assert_int_eq(wire_get_page((struct slice){answer.data, answer.len}, &page), 0);
    ck_assert_uint_eq(page.request, 8);
    ck_assert_uint_eq(page.run, RUN);
    ck_assert_uint_eq(page.head, sequence_head(sequence));
    return page;
}

START_TEST(shutdowns_are_found_among_everything)
{
    struct wire_page page = shutdowns_of(0, 1000);
    ck_assert_str_eq(seqs_of(&page), "");
    ck_assert(!page.gap);
    publish("a", 1, NULL, NULL);
    shut_down("a", 5000);
    for (int i = 0; i < 3000; i++)
        publish("a", 1, NULL, NULL);
    shut_down("b", 5000);
    publish("a", 1, NULL, NULL);
    context.clock_us = 5100000;
    page = shutdowns_of(0, 1000);
    ck_assert_str_eq(seqs_of(&page), "2 3003");
    ck_assert_uint_eq(page.upto, page.head);
    ck_assert(!page.gap); /* nothing was evicted */
    page = shutdowns_of(START + 2, 1000);
    ck_assert_str_eq(seqs_of(&page), "3003");
}
END_TEST

START_TEST(shutdowns_that_may_have_been_evicted_are_a_gap)
{
    end();
    begin_with(2);
    for (int i = 0; i < 5; i++)
        shut_down("a", 5000 + i * 100);
    context.clock_us = 5500000;
    ck_assert(!shutdowns_of(0, 50).gap);
    ck_assert(shutdowns_of(0, 500).gap); /* the oldest that is left is of 5,300 ms */
    /* A second page, which was asked for long after the first. */
    ck_assert(shutdowns_of(START + 1, 500).gap);
    ck_assert(!shutdowns_of(START + 3, 500).gap);
}
END_TEST

START_TEST(a_report_is_answered_with_place_and_time)
{
    struct wire_taken m;
    publish("a", 1, NULL, NULL);
    context.clock_us = 1234567;
    presence_hello(presence, W, &(struct wire_hello){.worker = W}, 0);
    wire_put_presence(&question, &(struct wire_presence){.n = 4, .full = true});
    ck_assert(ask());
    ck_assert_int_eq(wire_get_taken((struct slice){answer.data, answer.len}, &m), 0);
    ck_assert_uint_eq(m.n, 4);
    ck_assert_uint_eq(m.head, START + 1);
    ck_assert_int_eq(m.clock, 1234567);
}
END_TEST

START_TEST(a_worker_cannot_move_the_sequence_beyond_what_clocks_allow)
{
    struct wire_welcome m;
    context.clock_us = 1763710000000000;
    wire_put_hello(&question,
                   &(struct wire_hello){.worker = W, .position = (UINT64_C(1) << 53) - 1});
    ck_assert(ask());
    ck_assert_int_eq(wire_get_welcome((struct slice){answer.data, answer.len}, &m), 0);
    ck_assert_uint_eq(m.head, START);
    publish("a", 1, NULL, NULL);
    ck_assert_uint_eq(sequence_head(sequence), START + 1);
    wire_put_replay(&question, &(struct wire_replay){.request = 1,
                                                     .everything = true,
                                                     .after = (UINT64_C(1) << 53) - 1,
                                                     .max_bytes = 1000});
    struct wire_page page;
    ck_assert(ask());
    ck_assert_int_eq(wire_get_page((struct slice){answer.data, answer.len}, &page), 0);
    ck_assert(page.gap); /* the worker tells its streams */
}
END_TEST

START_TEST(a_repair_gets_everything)
{
    publish("a", 1, NULL, NULL);
    publish("b", 1, NULL, "s");
    publish("c", 1, NULL, NULL);
    struct wire_page page = page_of(&(struct wire_replay){
        .request = 5, .everything = true, .after = START + 1, .max_bytes = 1 << 20});
    ck_assert_str_eq(seqs_of(&page), "2 3");
    ck_assert(!page.gap);
    ck_assert_uint_eq(page.from, START + 1);
    ck_assert_uint_eq(page.upto, START + 3);
}
END_TEST

START_TEST(a_connection_gets_what_concerns_it)
{
    publish("a", 1, NULL, "other");
    publish("b", 1, "mine", "s");
    publish("c", 1, NULL, "other");
    publish("d", 1, NULL, NULL);
    struct wire_replay what = {.request = 6,
                               .after = START,
                               .who = {.session = S("s"), .connection = S("c")},
                               .max_bytes = 1 << 20};
    struct wire_page page = page_of(&what);
    ck_assert_str_eq(seqs_of(&page), "2 4");
    what.id = S("mine");
    page = page_of(&what);
    ck_assert_str_eq(seqs_of(&page), "4");
    ck_assert_uint_eq(page.from, START + 2);
    ck_assert(!page.gap);
}
END_TEST

START_TEST(what_cannot_be_answered_exactly_is_a_gap)
{
    end();
    begin_with(2);
    for (int i = 0; i < 4; i++)
        publish("a", 1, i == 0 ? "old" : NULL, NULL);
    static const struct wire_replay asked[] = {
        {.request = 1, .after = START, .max_bytes = 1000},      /* evicted */
        {.request = 2, .after = START + 5, .max_bytes = 1000},  /* from the future */
        {.request = 3, .after = 7, .max_bytes = 1000},          /* never given out */
        {.request = 4, .id = S_INIT("old"), .max_bytes = 1000}, /* evicted */
        {.request = 5, .id = S_INIT("no such id"), .max_bytes = 1000},
        {.request = 6, .after = UINT64_MAX, .max_bytes = 1000},
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct wire_page page = page_of(&asked[i]);
        ck_assert(page.gap);
        ck_assert_uint_eq(page.from, START + 2);
        ck_assert_uint_eq(page.oldest, START + 3);
        ck_assert_str_eq(seqs_of(&page), "3 4");
    }
    ck_assert_uint_eq(counters[PAGE_GAPS], 6);
    struct wire_page page =
        page_of(&(struct wire_replay){.request = 7, .after = START + 2, .max_bytes = 1000});
    ck_assert(!page.gap);
}
END_TEST

/* The page after an own id, to a client without a session. */
static struct wire_page page_after(const char *id)
{
    return page_of(&(struct wire_replay){.request = 1, .id = slice_of(id), .max_bytes = 1000});
}

START_TEST(an_id_that_is_used_again_is_a_gap_for_who_has_it)
{
    end();
    begin_with(3);
    publish("a", 1, "order-1", NULL);
    for (int i = 0; i < 3; i++)
        publish("b", 1, NULL, NULL);
    publish("a", 1, "order-1", NULL);
    publish("c", 1, NULL, NULL);
    struct wire_page page = page_after("order-1");
    ck_assert(page.gap);
    ck_assert_str_eq(seqs_of(&page), "4 5 6");
    page = page_of(&(struct wire_replay){.request = 2, .after = START + 5, .max_bytes = 1000});
    ck_assert(!page.gap); /* this is what the second event showed */
    ck_assert_str_eq(seqs_of(&page), "6");
}
END_TEST

START_TEST(an_id_from_before_a_loss_is_a_gap)
{
    publish("a", 1, "x", NULL);
    ck_assert(!page_after("x").gap);
    ck_assert(event_log_meet(&event_log, START + 9, UINT64_MAX) == SEQUENCE_UNKNOWN);
    ck_assert(
        page_of(&(struct wire_replay){.request = 1, .after = START + 1, .max_bytes = 1000}).gap);
    ck_assert(page_after("x").gap);
}
END_TEST

START_TEST(pages_are_bounded_and_go_on)
{
    static char data[600 << 10];
    for (int i = 0; i < 3; i++)
        publish(data, sizeof data, NULL, NULL);
    struct wire_replay what = {
        .request = 1, .everything = true, .after = START, .max_bytes = UINT32_MAX};
    struct wire_page page = page_of(&what);
    ck_assert_str_eq(seqs_of(&page), "1"); /* two would pass 1 MiB */
    ck_assert_uint_eq(page.upto, START + 1);
    what.after = START + 2;
    what.max_bytes = 0;
    page = page_of(&what);
    ck_assert_str_eq(seqs_of(&page), "3"); /* one is given in any case */
    ck_assert_uint_eq(page.upto, page.head);
}
END_TEST

START_TEST(a_page_has_a_thousand_events_at_most)
{
    for (int i = 0; i < 1500; i++)
        publish("a", 1, NULL, NULL);
    struct wire_page page = page_of(&(struct wire_replay){
        .request = 1, .everything = true, .after = START, .max_bytes = UINT32_MAX});
    ck_assert_uint_eq(page.upto, START + 1000);
}
END_TEST

START_TEST(a_reader_of_too_many_channels_is_told_of_a_gap)
{
    static struct slice names[HISTORY_CHANNELS_MAX + 1];
    static char text[HISTORY_CHANNELS_MAX + 1][4];
    for (size_t i = 0; i <= HISTORY_CHANNELS_MAX; i++) {
        snprintf(text[i], sizeof text[i], "%03x", (unsigned)i & 0xfff);
        names[i] = slice_of(text[i]);
    }
    publish("a", 1, NULL, NULL);
    struct wire_replay what = {.request = 1,
                               .after = START,
                               .who = {.channels = {names, HISTORY_CHANNELS_MAX + 1}},
                               .max_bytes = 1000};
    struct wire_page page = page_of(&what);
    ck_assert(page.gap);
    ck_assert_uint_eq(page.from, page.head);
    ck_assert_uint_eq(page.upto, page.head);
    what.who.channels.count--;
    page = page_of(&what);
    ck_assert(!page.gap);
    ck_assert_str_eq(seqs_of(&page), "1");
}
END_TEST

START_TEST(a_report_from_nowhere_is_answered_with_resync)
{
    wire_put_presence(&question, &(struct wire_presence){.n = 1, .full = true});
    ck_assert(ask());
    ck_assert_int_eq(wire_type((struct slice){answer.data, answer.len}), WIRE_RESYNC);
    ck_assert_uint_eq(counters[RESYNCS], 1);
    presence_hello(presence, W, &(struct wire_hello){.worker = W}, 0);
    ck_assert(ask());
    ck_assert_int_eq(wire_type((struct slice){answer.data, answer.len}), WIRE_TAKEN);
    ck_assert_uint_eq(presence_acknowledged(presence, W), 1);
}
END_TEST

START_TEST(what_is_none_of_ours_is_ignored)
{
    static const struct slice wrong[] = {S_INIT(""), S_INIT("SSC\005"), S_INIT("hello, world"),
                                         S_INIT("SSC\005\003\0\0\0")};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(sync_handle(&context, W, wrong[i], 0, &answer), SYNC_SILENCE);
    wire_put_head(&question, &(struct wire_head){0});
    ck_assert(!ask());
    ck_assert_uint_eq(counters[SYNC_INVALID], 5);
}
END_TEST

static struct wire_page start_page(enum start_kind kind, uint64_t value, uint64_t after)
{
    return page_of(&(struct wire_replay){.request = 3,
                                         .start = {kind, value},
                                         .after = after,
                                         .max_bytes = 1 << 20,
                                         .who = {.session = S("a")}});
}

START_TEST(a_page_begins_at_a_start)
{
    end();
    begin_with(3);
    publish("1", 1, NULL, "a");
    publish("2", 1, NULL, "b");
    publish("3", 1, NULL, "a");
    publish("4", 1, NULL, NULL);

    struct wire_page page = start_page(START_EARLIEST, 0, 0);
    ck_assert(!page.gap);
    ck_assert_uint_eq(page.from, START + 1);
    ck_assert_str_eq(seqs_of(&page), "3 4");
    page = start_page(START_LAST, 1, 0);
    ck_assert_uint_eq(page.from, START + 3);
    ck_assert_str_eq(seqs_of(&page), "4");
    page = start_page(START_LAST, UINT64_MAX, 0);
    ck_assert_uint_eq(page.from, START + 2);
    page = start_page(START_SINCE, 5000, 0);
    ck_assert_uint_eq(page.from, START + 1);
    page = start_page(START_SINCE, UINT64_MAX, 0);
    ck_assert_uint_eq(page.from, START + 4);
    ck_assert_uint_eq(page.upto, START + 4);
}
END_TEST

START_TEST(a_start_skips_no_shutdown_after_the_opening)
{
    end();
    begin_with(4);
    publish("1", 1, NULL, "a");
    publish("2", 1, NULL, "a");
    struct slice to = S("a");
    struct event_spec spec = {.kind = EVENT_SHUTDOWN, .time_ms = 5000, .has_to = true};
    struct sequenced out;
    spec.lists[TO_SESSIONS] = (struct names){&to, 1};
    ck_assert_int_eq(sequence_append(sequence, &spec, &out), 0);
    sequence_accept(sequence);
    publish("4", 1, NULL, "a");
    publish("5", 1, NULL, "a");

    ck_assert_uint_eq(start_page(START_LAST, 1, 0).from, START + 4);
    ck_assert_uint_eq(start_page(START_LAST, 1, START + 3).from, START + 4);
    ck_assert_uint_eq(start_page(START_LAST, 1, START + 100).from, START + 4);
    struct wire_page page = start_page(START_LAST, 1, START + 2);
    ck_assert(!page.gap);
    ck_assert_uint_eq(page.from, START + 2);
    ck_assert_str_eq(seqs_of(&page), "3 4 5");
    /* What is gone is no gap. */
    ck_assert_uint_eq(start_page(START_SINCE, UINT64_MAX, START).from, START + 2);
}
END_TEST

int main(void)
{
    log_open("check_sync", LOG_WARN);
    Suite *suite = suite_create("sync");
    TCase *tests = one_case(suite, "sync");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, hello_is_answered_with_where_we_stand);
    tcase_add_test(tests, a_hello_whose_answer_is_on_its_way_renews_the_lease_alone);
    tcase_add_test(tests, many_bans_are_sent_in_pieces_before_the_welcome);
    tcase_add_test(tests, shutdowns_are_found_among_everything);
    tcase_add_test(tests, shutdowns_that_may_have_been_evicted_are_a_gap);
    tcase_add_test(tests, a_report_is_answered_with_place_and_time);
    tcase_add_test(tests, a_worker_cannot_move_the_sequence_beyond_what_clocks_allow);
    tcase_add_test(tests, a_repair_gets_everything);
    tcase_add_test(tests, a_connection_gets_what_concerns_it);
    tcase_add_test(tests, what_cannot_be_answered_exactly_is_a_gap);
    tcase_add_test(tests, an_id_that_is_used_again_is_a_gap_for_who_has_it);
    tcase_add_test(tests, an_id_from_before_a_loss_is_a_gap);
    tcase_add_test(tests, pages_are_bounded_and_go_on);
    tcase_add_test(tests, a_page_has_a_thousand_events_at_most);
    tcase_add_test(tests, a_reader_of_too_many_channels_is_told_of_a_gap);
    tcase_add_test(tests, a_report_from_nowhere_is_answered_with_resync);
    tcase_add_test(tests, what_is_none_of_ours_is_ignored);
    tcase_add_test(tests, a_page_begins_at_a_start);
    tcase_add_test(tests, a_start_skips_no_shutdown_after_the_opening);
    return run_suite(suite);
}
