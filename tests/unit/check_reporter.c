/* Which presence report is due, and what it has. */
#include "upstream/reporter.h"

#include <string.h>

#include "support.h"

#define PIECE 60u /* bytes: about three items */
#define RENEW 1000

static struct reporter reporter;
static uint64_t counters[WORKER_COUNTERS];
static size_t crowd; /* open connections: c0, c1, ... */
static int64_t now;

static void setup(void)
{
    now = 10 * RENEW;
    crowd = 0;
    reporter_init(&reporter, PIECE, RENEW);
}

static void teardown(void)
{
    reporter_release(&reporter);
}

static void note(enum wire_item kind, const char *connection, bool connected)
{
    struct wire_presence_item item = {
        .kind = kind, .connection = slice_of(connection), .session = S("session")};
    ck_assert(reporter_note(&reporter, &item, connected));
}

static void fill(struct report_draft *d)
{
    char name[24];
    d->mark = 77;
    for (; d->wants_connections && d->cursor < crowd && d->items.len < d->max; d->cursor++) {
        snprintf(name, sizeof name, "c%zu", d->cursor);
        wire_add_presence(&d->items, &(struct wire_presence_item){.connection = slice_of(name),
                                                                  .kind = ITEM_OPENED});
    }
    d->further_connections = d->wants_connections && d->cursor < crowd;
    if (d->wants_lags && !d->further_connections)
        wire_add_presence(&d->lags,
                          &(struct wire_presence_item){.connection = S("slow"), .kind = ITEM_LAGS});
}

/* A report as text: full (first), rest, more, bye, then its items. */
static const char *as_text(const struct report_draft *d)
{
    static char text[4096];
    struct buf b = {0};
    struct wire_presence m;
    struct wire_presence_item item;

    reporter_encode(&reporter, d, counters, &b);
    ck_assert_int_eq(wire_get_presence(buf_slice(&b), &m), 0);
    ck_assert_uint_eq(m.n, reporter.n + 1);
    snprintf(text, sizeof text, "%s%s%s%s", m.full ? "full" : "part", m.rest ? " rest" : "",
             m.more ? " more" : "", m.bye ? " bye" : "");
    while (wire_next_presence(&m.items, &item))
        snprintf(text + strlen(text), sizeof text - strlen(text), " %c%.*s", "-+~"[item.kind],
                 (int)item.connection.len, item.connection.data);
    buf_release(&b);
    return text;
}

/* Send the next report, or fail to. "" when there is none. */
static const char *send_or_lose(bool sent)
{
    struct report_draft draft;
    if (!reporter_next(&reporter, now, &draft))
        return "";
    fill(&draft);
    const char *text = as_text(&draft);
    reporter_sent(&reporter, &draft, sent, now, 5);
    return text;
}

static const char *next(void)
{
    return send_or_lose(true);
}

static void welcome(void)
{
    reporter_lose(&reporter);
    ck_assert_str_eq(next(), "full ~slow");
    ck_assert_str_eq(next(), "");
}

START_TEST(all_are_reported_first_and_changes_then)
{
    welcome();
    note(ITEM_OPENED, "a", true);
    note(ITEM_ENDED, "b", true);
    ck_assert_str_eq(next(), "part +a -b");
    ck_assert_str_eq(next(), "");
}
END_TEST

START_TEST(the_lease_is_renewed)
{
    welcome();
    now += RENEW - 1;
    ck_assert_str_eq(next(), "");
    now++;
    ck_assert_str_eq(next(), "part ~slow");
    ck_assert_str_eq(next(), "");
}
END_TEST

START_TEST(pieces_wait_until_earlier_ones_are_acknowledged)
{
    struct unacked_report report;
    crowd = 100;
    reporter_lose(&reporter);
    ck_assert_str_eq(next(), "full more +c0 +c1 +c2");
    ck_assert_str_eq(next(), "full rest more +c3 +c4 +c5");
    next();
    next();
    ck_assert_str_eq(next(), "");
    ck_assert(reporter_acknowledge(&reporter, 1, 9, &report) && !report.whole);
    ck_assert_str_eq(next(), "full rest more +c12 +c13 +c14");
    ck_assert_str_eq(next(), "");
    now += RENEW; /* but one renews the lease */
    ck_assert_str_ne(next(), "");
    ck_assert_str_eq(next(), "");
    ck_assert_uint_eq(reporter.acked_epoch, 0);
}
END_TEST

START_TEST(the_last_piece_makes_it_whole)
{
    struct unacked_report report;
    crowd = 4;
    reporter_lose(&reporter);
    ck_assert_str_eq(next(), "full more +c0 +c1 +c2");
    ck_assert_str_eq(next(), "full rest +c3 ~slow");
    ck_assert(reporter_acknowledge(&reporter, 2, 9, &report));
    ck_assert(report.whole);
    ck_assert_uint_eq(report.mark, 77);
    ck_assert_int_eq(report.sent_at, 5);
    ck_assert_uint_eq(reporter.acked_epoch, 9);
    ck_assert(!reporter_acknowledge(&reporter, 2, 9, &report));
}
END_TEST

START_TEST(changes_during_a_full_report_are_part_of_it)
{
    crowd = 4;
    reporter_lose(&reporter);
    next();
    note(ITEM_ENDED, "c0", true);
    ck_assert_str_eq(next(), "full rest -c0 +c3 ~slow");
    ck_assert_str_eq(next(), "");
}
END_TEST

START_TEST(what_could_not_be_sent_is_reported_in_full_on_the_next_connection)
{
    welcome();
    note(ITEM_OPENED, "a", true);
    crowd = 1;
    ck_assert_str_eq(send_or_lose(false), "part +a");
    ck_assert_str_eq(next(), "");
    ck_assert_str_eq(next(), "");
    reporter_resume(&reporter);
    ck_assert_str_eq(next(), "full +c0 ~slow");
}
END_TEST

START_TEST(what_ended_without_a_broker_is_told_to_the_next_one)
{
    note(ITEM_OPENED, "a", false);
    note(ITEM_ENDED, "a", false);
    reporter_lose(&reporter);
    ck_assert_str_eq(next(), "full -a ~slow");
    reporter_lose(&reporter); /* it was never acknowledged */
    ck_assert_str_eq(next(), "full -a ~slow");
    struct unacked_report report;
    ck_assert(reporter_acknowledge(&reporter, 2, 9, &report));
    reporter_lose(&reporter);
    ck_assert_str_eq(next(), "full ~slow");
}
END_TEST

START_TEST(who_leaves_reports_what_is_left_and_says_goodbye)
{
    welcome();
    note(ITEM_ENDED, "a", true);
    reporter_leave(&reporter, false);
    ck_assert_str_eq(next(), "part -a");
    ck_assert_str_eq(next(), "part bye");
    ck_assert_str_eq(next(), "");
    now += RENEW;
    ck_assert_str_eq(next(), "");
}
END_TEST

START_TEST(who_leaves_waits_for_nothing)
{
    crowd = 40;
    reporter_lose(&reporter);
    next();
    reporter_leave(&reporter, false);
    ck_assert_str_eq(next(), "full more +c0 +c1 +c2");
    for (int i = 0; i < 12; i++)
        ck_assert_str_ne(next(), "part bye");
    ck_assert_str_eq(next(), "full rest +c39 ~slow");
    ck_assert_str_eq(next(), "part bye");
}
END_TEST

START_TEST(who_leaves_without_a_connection_says_nothing_more)
{
    welcome();
    note(ITEM_ENDED, "a", true);
    reporter_leave(&reporter, true);
    ck_assert_str_eq(send_or_lose(false), "full -a ~slow");
    ck_assert_str_eq(next(), "");
    ck_assert_str_eq(next(), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reporter");
    TCase *tests = one_case(suite, "reporter");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, all_are_reported_first_and_changes_then);
    tcase_add_test(tests, the_lease_is_renewed);
    tcase_add_test(tests, pieces_wait_until_earlier_ones_are_acknowledged);
    tcase_add_test(tests, the_last_piece_makes_it_whole);
    tcase_add_test(tests, changes_during_a_full_report_are_part_of_it);
    tcase_add_test(tests, what_could_not_be_sent_is_reported_in_full_on_the_next_connection);
    tcase_add_test(tests, what_ended_without_a_broker_is_told_to_the_next_one);
    tcase_add_test(tests, who_leaves_reports_what_is_left_and_says_goodbye);
    tcase_add_test(tests, who_leaves_waits_for_nothing);
    tcase_add_test(tests, who_leaves_without_a_connection_says_nothing_more);
    return run_suite(suite);
}
