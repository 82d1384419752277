#include "model/merge.h"

#include <stdlib.h>

#include "support.h"

#define EVENTS 300u
#define DEQUES 40u

static struct event *events[EVENTS];
static struct deque deques[DEQUES];
static bool is_in[EVENTS]; /* some deque */

/* Each event is in none, one or several of the deques. */
static void setup(void)
{
    struct dice dice = dice_new();
    for (unsigned i = 0; i < EVENTS; i++) {
        events[i] = event_new(
            &(struct event_spec){.kind = EVENT_MESSAGE, .seq = 10 + i, .data = slice_of("x")});
        ck_assert_ptr_nonnull(events[i]);
        is_in[i] = false;
        for (size_t copies = roll(&dice, 4), d = roll(&dice, DEQUES / 4); copies;
             copies--, d += 1 + roll(&dice, DEQUES / 4)) {
            ck_assert_int_eq(deque_push(&deques[d], events[i]), 0);
            is_in[i] = true;
        }
    }
}

static void teardown(void)
{
    for (unsigned d = 0; d < DEQUES; d++)
        deque_release(&deques[d]);
    for (unsigned i = 0; i < EVENTS; i++)
        event_unref(&events[i]);
}

static void add_all(struct merge *m, unsigned count, uint64_t after)
{
    merge_init(m);
    merge_add(m, NULL, after);
    for (unsigned d = 0; d < count; d++)
        merge_add(m, &deques[d], after);
}

START_TEST(each_event_comes_once_and_in_order)
{
    struct merge m;
    for (uint64_t after = 0; after < 10 + EVENTS; after += 37) {
        add_all(&m, DEQUES, after);
        for (unsigned i = 0; i < EVENTS; i++)
            if (is_in[i] && events[i]->seq > after)
                ck_assert_ptr_eq(merge_next(&m), events[i]);
        ck_assert_ptr_null(merge_next(&m));
        ck_assert_ptr_null(merge_next(&m));
    }
}
END_TEST

START_TEST(and_from_the_end_in_the_other_order)
{
    struct merge m;
    add_all(&m, DEQUES, UINT64_MAX);
    for (unsigned i = EVENTS; i-- > 0;)
        if (is_in[i])
            ck_assert_ptr_eq(merge_previous(&m), events[i]);
    ck_assert_ptr_null(merge_previous(&m));
    ck_assert_ptr_null(merge_previous(&m));
}
END_TEST

START_TEST(of_nothing_there_is_nothing)
{
    struct merge m;
    add_all(&m, 0, 0);
    ck_assert_ptr_null(merge_next(&m));
    merge_init(&m);
    ck_assert_ptr_null(merge_previous(&m));
}
END_TEST

/* A void event and the one in its place. */
START_TEST(two_events_with_one_seq_both_come)
{
    struct event *twin =
        event_new(&(struct event_spec){.kind = EVENT_MESSAGE, .seq = 10, .data = slice_of("y")});
    struct deque one = {0}, other = {0};
    struct merge m;
    ck_assert_int_eq(deque_push(&one, events[0]), 0);
    ck_assert_int_eq(deque_insert(&one, twin), 0);
    ck_assert_int_eq(deque_push(&other, twin), 0);

    merge_init(&m);
    merge_add(&m, &one, 0);
    const struct event *first = merge_next(&m), *second = merge_next(&m);
    ck_assert(first == events[0] && second == twin);
    ck_assert_ptr_null(merge_next(&m));

    merge_init(&m);
    merge_add(&m, &other, 0);
    ck_assert_ptr_eq(merge_next(&m), twin);
    deque_release(&one);
    deque_release(&other);
    event_unref(&twin);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("merge");
    TCase *tests = one_case(suite, "merge");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, each_event_comes_once_and_in_order);
    tcase_add_test(tests, and_from_the_end_in_the_other_order);
    tcase_add_test(tests, of_nothing_there_is_nothing);
    tcase_add_test(tests, two_events_with_one_seq_both_come);
    return run_suite(suite);
}
