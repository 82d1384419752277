#include "base/expiry.h"

#include "support.h"

#define ITEMS 500

static struct expiry heap;
static struct expiry_item items[ITEMS];

static void teardown(void)
{
    expiry_release(&heap);
    memset(items, 0, sizeof items);
}

static void add(int i, int64_t at)
{
    ck_assert_int_eq(expiry_add(&heap, &items[i], at), 0);
}

START_TEST(the_next_one_is_first)
{
    ck_assert_ptr_null(expiry_first(&heap));
    add(0, 30);
    add(1, 10);
    add(2, 20);
    ck_assert_ptr_eq(expiry_first(&heap), &items[1]);
    expiry_remove(&heap, &items[1]);
    ck_assert_ptr_eq(expiry_first(&heap), &items[2]);
    expiry_remove(&heap, &items[0]);
    ck_assert_ptr_eq(expiry_first(&heap), &items[2]);
    expiry_remove(&heap, &items[2]);
    ck_assert_ptr_null(expiry_first(&heap));
}
END_TEST

START_TEST(what_is_not_there_may_be_taken_out)
{
    add(0, 1);
    expiry_remove(&heap, &items[1]);
    expiry_remove(&heap, &items[0]);
    expiry_remove(&heap, &items[0]);
    ck_assert_ptr_null(expiry_first(&heap));
    add(0, 2);
    ck_assert_ptr_eq(expiry_first(&heap), &items[0]);
}
END_TEST

static const struct expiry_item *smallest(void)
{
    const struct expiry_item *best = NULL;
    for (int i = 0; i < ITEMS; i++)
        if (items[i].place && (!best || items[i].at < best->at))
            best = &items[i];
    return best;
}

/* Against a search through all of them. */
START_TEST(random_changes_keep_the_order)
{
    struct dice dice = dice_new();
    printf("expiry: SEED=%" PRIu64 "\n", dice.state);
    for (int step = 0; step < 20000; step++) {
        int i = (int)roll(&dice, ITEMS);
        if (items[i].place)
            expiry_remove(&heap, &items[i]);
        else
            add(i, (int64_t)roll(&dice, 1000));
        const struct expiry_item *best = smallest(), *first = expiry_first(&heap);
        ck_assert((best == NULL) == (first == NULL));
        if (best)
            ck_assert_int_eq(first->at, best->at);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry");
    TCase *tests = one_case(suite, "expiry");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, the_next_one_is_first);
    tcase_add_test(tests, what_is_not_there_may_be_taken_out);
    tcase_add_test(tests, random_changes_keep_the_order);
    return run_suite(suite);
}
