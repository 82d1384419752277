#include "model/deque.h"

#include "support.h"

/* Events here are only numbers: the deque never looks at anything else. */
static struct event *events[5000];

static struct event *event_at(uint64_t seq)
{
    if (!events[seq])
        events[seq] = calloc(1, sizeof *events[seq]);
    events[seq]->seq = seq;
    return events[seq];
}

START_TEST(an_empty_deque_has_nothing)
{
    struct deque d = {0};
    ck_assert_ptr_null(deque_at(&d, 0));
    ck_assert_ptr_null(deque_back(&d));
    ck_assert_ptr_null(deque_pop_front(&d));
    ck_assert_ptr_null(deque_pop_back(&d));
    ck_assert_uint_eq(deque_after(&d, 0), 0);
    deque_release(&d);
}
END_TEST

START_TEST(first_in_first_out)
{
    struct deque d = {0};
    for (uint64_t seq = 1; seq <= 100; seq++)
        ck_assert_int_eq(deque_push(&d, event_at(seq)), 0);
    ck_assert_uint_eq(deque_back(&d)->seq, 100);
    for (uint64_t seq = 1; seq <= 100; seq++)
        ck_assert_uint_eq(deque_pop_front(&d)->seq, seq);
    ck_assert_uint_eq(d.count, 0);
    deque_release(&d);
    deque_release(&d);
}
END_TEST

START_TEST(what_is_free_is_given_up)
{
    struct deque d = {0};
    for (uint64_t seq = 1; seq <= 1000; seq++)
        ck_assert_int_eq(deque_push(&d, event_at(seq)), 0);
    for (uint64_t seq = 1; seq <= 998; seq++) {
        ck_assert_uint_eq(deque_pop_front(&d)->seq, seq);
        deque_shrink(&d);
        ck_assert_uint_le(d.cap, 4 * d.count);
        ck_assert_uint_eq(deque_at(&d, 0)->seq, seq + 1);
        ck_assert_uint_eq(deque_back(&d)->seq, 1000);
    }
    deque_release(&d);
    deque_shrink(&d);
}
END_TEST

static void assert_same(const struct deque *d, uint64_t first, uint64_t last)
{
    ck_assert_uint_eq(d->count, last + 1 - first);
    for (size_t i = 0; i < d->count; i++)
        ck_assert_uint_eq(deque_at(d, i)->seq, first + i);
    ck_assert_ptr_null(deque_at(d, d->count));
    ck_assert_uint_eq(deque_after(d, 0), 0);
    ck_assert_uint_eq(deque_after(d, UINT64_MAX), d->count);
    for (uint64_t seq = first; seq <= last; seq++)
        ck_assert_uint_eq(deque_after(d, seq), seq + 1 - first);
}

START_TEST(it_holds_what_was_pushed_and_not_popped)
{
    struct dice dice = dice_new();
    struct deque d = {0};
    uint64_t first = 1, last = 0; /* what it should hold */
    printf("deque: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 0; round < 4000; round++) {
        uint64_t what = roll(&dice, 10);
        if (what < 6) {
            ck_assert_int_eq(deque_push(&d, event_at(++last)), 0);
        } else if (what < 9 && first <= last) {
            ck_assert_uint_eq(deque_pop_front(&d)->seq, first++);
        } else if (first <= last) {
            ck_assert_uint_eq(deque_pop_back(&d)->seq, last--);
        }
        if (round % 50 == 0)
            assert_same(&d, first, last);
    }
    deque_release(&d);
}
END_TEST

START_TEST(what_is_inserted_is_in_its_place)
{
    struct dice dice = dice_new();
    struct deque d = {0};
    printf("deque: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 0; round < 500; round++) {
        struct event *e = event_at(1 + roll(&dice, 999));
        size_t count = d.count, same = deque_after(&d, e->seq) - deque_after(&d, e->seq - 1);
        ck_assert_int_eq(deque_insert(&d, e), 0);
        ck_assert_uint_eq(d.count, count + 1);
        ck_assert_ptr_eq(deque_at(&d, deque_after(&d, e->seq) - 1), e); /* behind its equals */
        if (!same)
            ck_assert(deque_replace(&d, e, e) && deque_has(&d, e));
        if (roll(&dice, 3) == 0) {
            ck_assert(deque_take(&d, e));
            if (!same)
                ck_assert(!deque_take(&d, e) && !deque_replace(&d, e, e) && !deque_has(&d, e));
        }
        for (size_t i = 1; i < d.count; i++)
            ck_assert_uint_le(deque_at(&d, i - 1)->seq, deque_at(&d, i)->seq);
        if (roll(&dice, 4) == 0)
            deque_pop_front(&d);
    }
    deque_release(&d);
}
END_TEST

START_TEST(found_by_seq_where_the_sequence_jumps)
{
    struct deque d = {0};
    for (uint64_t seq = 10; seq <= 50; seq += 10)
        deque_push(&d, event_at(seq));
    ck_assert_uint_eq(deque_after(&d, 9), 0);
    ck_assert_uint_eq(deque_after(&d, 10), 1);
    ck_assert_uint_eq(deque_after(&d, 11), 1);
    ck_assert_uint_eq(deque_after(&d, 49), 4);
    ck_assert_uint_eq(deque_after(&d, 50), 5);
    deque_release(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deque");
    TCase *tests = one_case(suite, "deque");
    tcase_add_test(tests, an_empty_deque_has_nothing);
    tcase_add_test(tests, first_in_first_out);
    tcase_add_test(tests, what_is_free_is_given_up);
    tcase_add_test(tests, it_holds_what_was_pushed_and_not_popped);
    tcase_add_test(tests, what_is_inserted_is_in_its_place);
    tcase_add_test(tests, found_by_seq_where_the_sequence_jumps);
    return run_suite(suite);
}
