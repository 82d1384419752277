/* When what a log holds is written to it again. */
#include "model/due.h"

#include "support.h"

static struct due due;
static struct due_item items[4]; /* a b c d */

static void setup(void)
{
    due_init(&due);
    memset(items, 0, sizeof items);
}

static void note(char name, uint64_t seq)
{
    due_note(&due, &items[name - 'a'], seq);
}

static void next_quarters(int count)
{
    while (count--)
        due_next_quarter(&due);
}

/* The items in their order. */
static void assert_order(const char *should)
{
    char is[8] = "";
    size_t len = 0;
    for (const struct due_item *item = due_next(&due, NULL); item; item = due_next(&due, item))
        is[len++] = (char)('a' + (item - items));
    ck_assert_str_eq(is, should);
}

/* The stale items, which are dropped. */
static void assert_stale(const char *should)
{
    char is[8] = "";
    size_t len = 0;
    struct due_item *next;
    for (struct due_item *item = due_next_stale(&due, NULL); item; item = next) {
        next = due_next_stale(&due, item);
        is[len++] = (char)('a' + (item - items));
        due_drop(&due, item);
    }
    ck_assert_str_eq(is, should);
}

START_TEST(items_are_in_the_order_of_their_last_records)
{
    ck_assert_ptr_null(due_last(&due));
    note('a', 1);
    note('b', 2);
    next_quarters(2);
    note('c', 3);
    note('a', 4);
    assert_order("bca");
    ck_assert_int_eq(due_age(&due, &items[1]), 2);
    ck_assert_int_eq(due_age(&due, &items[0]), 0);
    ck_assert_ptr_eq(due_last(&due), &items[0]);

    due_drop(&due, &items[2]);
    due_drop(&due, &items[2]); /* it is not there */
    assert_order("ba");
}
END_TEST

START_TEST(items_in_doubt_come_first_and_keep_their_order)
{
    for (int i = 0; i < 4; i++)
        note((char)('a' + i), (uint64_t)i + 1);
    due_doubt(&due, 2);
    assert_order("cdab");
    ck_assert_int_gt(due_age(&due, &items[2]), DUE_LOG_QUARTERS);
    ck_assert_int_eq(due_age(&due, &items[0]), 0);

    due_doubt(&due, 2);
    assert_order("cdab");
    due_doubt(&due, 0);
    assert_order("abcd");
    due_hurry(&due, &items[3]);
    assert_order("dabc");
}
END_TEST

START_TEST(distrusted_items_are_stale_after_a_log_without_a_record)
{
    note('a', 1);
    note('b', 2);
    note('c', 3);
    next_quarters(3);
    due_distrust(&due);
    next_quarters(DUE_LOG_QUARTERS - 1);
    assert_stale("");
    note('b', 4); /* a record has it */
    note('d', 5); /* it was never distrusted */
    next_quarters(1);
    assert_stale("ac");
    assert_order("bd");
    next_quarters(DUE_LOG_QUARTERS);
    assert_stale("");
}
END_TEST

START_TEST(what_is_taken_back_is_in_its_place_again)
{
    note('a', 1);
    note('b', 2);
    note('c', 3);
    due_distrust(&due);
    struct due_place b = due_place(&items[1]), a = due_place(&items[0]);
    next_quarters(1);
    note('b', 7);
    note('a', 8);
    assert_order("cba");

    due_put_back(&due, &items[0], &a);
    due_put_back(&due, &items[1], &b);
    assert_order("abc");
    ck_assert_uint_eq(items[1].seq, 2);
    ck_assert_int_eq(due_age(&due, &items[1]), 1);
    ck_assert(items[1].distrusted);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("due");
    TCase *tests = one_case(suite, "due");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, items_are_in_the_order_of_their_last_records);
    tcase_add_test(tests, items_in_doubt_come_first_and_keep_their_order);
    tcase_add_test(tests, distrusted_items_are_stale_after_a_log_without_a_record);
    tcase_add_test(tests, what_is_taken_back_is_in_its_place_again);
    return run_suite(suite);
}
