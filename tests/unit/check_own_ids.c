/* Own ids: the newest event of a publisher, the only event that showed an id,
 * and what both cost. */
#include "model/own_ids.h"

#include "support.h"

static struct own_ids ids;
static struct deque all;

static void begin(void)
{
    all = (struct deque){0};
    ck_assert_int_eq(own_ids_init(&ids), 0);
    ck_assert_int_eq(own_ids_limit_past(&ids, 100), 0);
}

static struct event *add(uint64_t seq, const char *publisher, const char *id, bool shown)
{
    struct event_spec spec = {.kind = EVENT_MESSAGE,
                              .seq = seq,
                              .id = slice_of(id),
                              .publisher = slice_of(publisher),
                              .seq_as_id = !shown};
    struct event *e = event_new(&spec);
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq(deque_push(&all, e), 0);
    ck_assert_int_eq(own_ids_add(&ids, e), 0);
    return e;
}

/* The oldest event leaves the history. */
static void evict(void)
{
    struct event *e = deque_pop_front(&all);
    own_ids_remember(&ids, e);
    own_ids_remove(&ids, e, &all);
    event_unref(&e);
}

static void end(void)
{
    while (all.count)
        evict();
    ck_assert_uint_eq(ids.bytes, 0);
    deque_release(&all);
    own_ids_release(&ids);
}

static uint64_t published(const char *publisher, const char *id)
{
    const struct event *e = own_ids_published(&ids, slice_of(publisher), slice_of(id));
    return e ? e->seq : 0;
}

static void assert_cursor(const char *id, enum id_cursor what, uint64_t should)
{
    uint64_t seq = 0;
    ck_assert_int_eq(own_ids_find_cursor(&ids, slice_of(id), &seq), what);
    ck_assert_uint_eq(seq, should);
}

START_TEST(an_id_belongs_to_its_publisher)
{
    add(1, "anna", "x", true);
    add(2, "bert", "x", false);
    ck_assert_uint_eq(published("anna", "x"), 1);
    ck_assert_uint_eq(published("bert", "x"), 2);
    ck_assert_uint_eq(published("ann", "ax"), 0); /* id and publisher are kept apart */
    ck_assert_uint_eq(published("carl", "x"), 0);
    assert_cursor("x", CURSOR_EXACT, 1);
}
END_TEST

START_TEST(the_newest_of_a_publisher_counts_while_it_is_retained)
{
    add(1, "anna", "x", true);
    add(2, "anna", "x", false);
    ck_assert_uint_eq(published("anna", "x"), 2);
    evict();
    ck_assert_uint_eq(published("anna", "x"), 2);
    evict();
    ck_assert_uint_eq(published("anna", "x"), 0);
}
END_TEST

START_TEST(the_newest_that_is_taken_back_leaves_the_one_before)
{
    struct event *last;
    add(1, "anna", "x", true);
    add(2, "anna", "x", false);
    last = deque_pop_back(&all);
    own_ids_remove(&ids, last, &all);
    event_unref(&last);
    ck_assert_uint_eq(published("anna", "x"), 1);
}
END_TEST

START_TEST(an_id_that_several_events_showed_is_no_cursor)
{
    add(1, "anna", "x", true);
    add(2, "bert", "x", true);
    assert_cursor("x", CURSOR_AMBIGUOUS, 0);
    evict();
    assert_cursor("x", CURSOR_AMBIGUOUS, 0); /* it had been shown before */
}
END_TEST

START_TEST(an_id_is_a_cursor_when_its_event_is_past)
{
    add(7, "anna", "x", true);
    add(8, "anna", "y", false);
    evict();
    evict();
    assert_cursor("x", CURSOR_EXACT, 7);
    assert_cursor("y", CURSOR_UNKNOWN, 0); /* it was not shown */
}
END_TEST

START_TEST(each_index_has_its_cost)
{
    const struct event *shown = add(1, "anna", "xy", true);
    ck_assert_uint_eq(ids.bytes, 1 + 2 + 4 + OWN_ID_COST + 2 + OWN_ID_COST);
    ck_assert_uint_eq(own_ids_cost(shown), ids.bytes);
    const struct event *hidden = add(2, "bert", "xy", false);
    ck_assert_uint_eq(own_ids_cost(hidden), 1 + 2 + 4 + OWN_ID_COST);
    const struct event *without = add(3, "", "", true);
    ck_assert_uint_eq(own_ids_cost(without), 0);
    ck_assert_uint_eq(ids.bytes, own_ids_cost(shown) + own_ids_cost(hidden));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("own_ids");
    TCase *tests = one_case(suite, "own_ids");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, an_id_belongs_to_its_publisher);
    tcase_add_test(tests, the_newest_of_a_publisher_counts_while_it_is_retained);
    tcase_add_test(tests, the_newest_that_is_taken_back_leaves_the_one_before);
    tcase_add_test(tests, an_id_that_several_events_showed_is_no_cursor);
    tcase_add_test(tests, an_id_is_a_cursor_when_its_event_is_past);
    tcase_add_test(tests, each_index_has_its_cost);
    return run_suite(suite);
}
