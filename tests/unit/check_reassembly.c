/* The sequence put together from batches and pages, without sockets. */
#include "upstream/reassembly.h"

#include <string.h>

#include "support.h"

static struct reassembly sequence;
static struct buf bytes; /* of the batch or page that is being read */
static char told[1 << 14];

static void setup(void)
{
    *told = '\0';
    ck_assert(reassembly_join(&sequence, 100));
}

static void teardown(void)
{
    reassembly_release(&sequence);
    ck_assert_uint_eq(sequence.held_bytes, 0);
    buf_release(&bytes);
}

static struct slice entries(uint64_t first, uint64_t last)
{
    buf_release(&bytes);
    for (uint64_t seq = first; seq <= last; seq++) {
        struct event *e =
            event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = seq, .data = S("x")});
        wire_add_entry(&bytes, e);
        event_unref(&e);
    }
    return buf_slice(&bytes);
}

static void tell(const char *what, uint64_t number)
{
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s%s%" PRIu64, len ? " " : "", what, number);
}

/* What follows, in words: seqs, and what else there is with its position. */
static const char *news(void)
{
    struct event *e = NULL;
    enum reassembly_news news;
    *told = '\0';

    while ((news = reassembly_next(&sequence, &e)) != REASSEMBLY_NOTHING) {
        if (news == REASSEMBLY_EVENT)
            ck_assert_uint_eq(e->seq, sequence.position);
        const char *words[] = {[REASSEMBLY_EVENT] = "",
                               [REASSEMBLY_ADVANCED] = "advanced ",
                               [REASSEMBLY_BROKEN] = "broken ",
                               [REASSEMBLY_MISSING] = "missing ",
                               [REASSEMBLY_INVALID] = "invalid "};
        tell(words[news], sequence.position);
    }
    ck_assert(!reassembly_is_reading(&sequence));
    return told;
}

static const char *batch(uint64_t first, uint64_t last)
{
    reassembly_batch(&sequence, first - 1, entries(first, last));
    return news();
}

static const char *page(uint64_t first, uint64_t last, uint64_t upto, uint64_t head)
{
    reassembly_page(&sequence, &(struct wire_page){.from = first - 1,
                                                   .upto = upto,
                                                   .head = head,
                                                   .entries = entries(first, last)});
    return news();
}

START_TEST(what_follows_is_passed_on)
{
    ck_assert_str_eq(batch(101, 103), "101 102 103");
    ck_assert_str_eq(batch(102, 104), "104");
    ck_assert_str_eq(news(), "");
}
END_TEST

START_TEST(what_does_not_follow_is_held_until_the_page_has_come)
{
    ck_assert_str_eq(batch(103, 104), "missing 100");
    ck_assert_str_eq(batch(105, 105), "");
    ck_assert_uint_eq(sequence.held.count, 3);
    ck_assert_str_eq(page(101, 102, 102, 102), "101 102 103 104 105");
    ck_assert_uint_eq(sequence.held_bytes, 0);
}
END_TEST

START_TEST(a_page_that_has_some_of_what_is_held_doubles_nothing)
{
    batch(103, 104);
    ck_assert_str_eq(page(101, 103, 103, 103), "101 102 103 104");
}
END_TEST

START_TEST(a_page_is_followed_by_the_next)
{
    reassembly_announced(&sequence, 104);
    ck_assert_str_eq(news(), "missing 100");
    ck_assert_str_eq(page(101, 102, 102, 104), "101 102 missing 102");
    ck_assert_str_eq(page(103, 104, 104, 104), "103 104");
}
END_TEST

START_TEST(a_gap_among_what_is_held_is_missing_next)
{
    batch(103, 103);
    ck_assert_str_eq(batch(106, 106), "");
    ck_assert_str_eq(page(101, 102, 102, 102), "101 102 103 missing 103");
    ck_assert_str_eq(page(104, 105, 105, 105), "104 105 106");
}
END_TEST

START_TEST(a_page_without_events_advances)
{
    batch(103, 103);
    ck_assert_str_eq(page(101, 100, 102, 102), "advanced 102 103");
}
END_TEST

START_TEST(an_announcement_of_what_is_known_is_none)
{
    batch(101, 101);
    reassembly_announced(&sequence, 101);
    ck_assert_str_eq(news(), "");
}
END_TEST

START_TEST(a_broker_elsewhere_has_what_is_missing)
{
    ck_assert(!reassembly_join(&sequence, 100));
    ck_assert(!reassembly_is_behind(&sequence));
    ck_assert_str_eq(news(), "");
    ck_assert(!reassembly_join(&sequence, 99));
    ck_assert(reassembly_is_behind(&sequence));
    ck_assert_str_eq(news(), "missing 100");
    ck_assert(!reassembly_is_behind(&sequence));
    ck_assert(!reassembly_join(&sequence, 105));
    ck_assert_str_eq(news(), "missing 100");
}
END_TEST

static const struct {
    uint64_t from, upto, head;
    const char *news;
} breaks[] = {
    {200, 201, 201, "broken 200 201"}, /* the oldest that there is */
    {40, 40, 40, "broken 40"},         /* a broker whose clock was set back */
    {50, 50, 300, "broken 100 missing 100"},
};

START_TEST(a_gap_breaks_the_sequence)
{
    struct wire_page m = {.gap = true,
                          .from = breaks[_i].from,
                          .upto = breaks[_i].upto,
                          .head = breaks[_i].head,
                          .oldest = 7,
                          .entries = entries(breaks[_i].from + 1, breaks[_i].upto)};
    reassembly_page(&sequence, &m);
    ck_assert_str_eq(news(), breaks[_i].news);
    ck_assert_uint_eq(sequence.oldest, 7);
}
END_TEST

START_TEST(invalid_bytes_end_the_batch)
{
    struct slice whole = entries(101, 103);
    whole.len--;
    reassembly_batch(&sequence, 100, whole);
    ck_assert_str_eq(news(), "101 102 invalid 102");
}
END_TEST

START_TEST(a_lost_broker_takes_what_is_held_along)
{
    batch(103, 104);
    reassembly_lose(&sequence);
    ck_assert_uint_eq(sequence.held.count, 0);
    ck_assert_uint_eq(sequence.held_bytes, 0);
    ck_assert_str_eq(page(101, 104, 104, 104), "101 102 103 104");
}
END_TEST

START_TEST(what_is_held_has_a_bound)
{
    sequence.held_bytes = REASSEMBLY_HELD_MAX - 1;
    ck_assert_str_eq(batch(103, 104), "missing 100");
    ck_assert_uint_eq(sequence.held.count, 0);
    sequence.held_bytes = 0;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reassembly");
    TCase *tests = one_case(suite, "reassembly");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_follows_is_passed_on);
    tcase_add_test(tests, what_does_not_follow_is_held_until_the_page_has_come);
    tcase_add_test(tests, a_page_that_has_some_of_what_is_held_doubles_nothing);
    tcase_add_test(tests, a_page_is_followed_by_the_next);
    tcase_add_test(tests, a_gap_among_what_is_held_is_missing_next);
    tcase_add_test(tests, a_page_without_events_advances);
    tcase_add_test(tests, an_announcement_of_what_is_known_is_none);
    tcase_add_test(tests, a_broker_elsewhere_has_what_is_missing);
    tcase_add_loop_test(tests, a_gap_breaks_the_sequence, 0, sizeof breaks / sizeof *breaks);
    tcase_add_test(tests, invalid_bytes_end_the_batch);
    tcase_add_test(tests, a_lost_broker_takes_what_is_held_along);
    tcase_add_test(tests, what_is_held_has_a_bound);
    return run_suite(suite);
}
