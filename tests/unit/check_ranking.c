#include "presence/ranking.h"

#include "support.h"

#define NAMES 40

static struct ranking ranking;
static struct ranked ones[NAMES];

static void set_up(void)
{
    memset(ones, 0, sizeof ones);
}

static void tear_down(void)
{
    ranking_release(&ranking);
}

static void up(size_t name, size_t times)
{
    while (times--)
        ck_assert_int_eq(ranking_up(&ranking, &ones[name]), 0);
}

static void down(size_t name, size_t times)
{
    while (times--)
        ranking_down(&ranking, &ones[name]);
}

/* The names in their order, as letters. */
static const char *order(void)
{
    static char out[NAMES + 1];
    size_t len = 0;
    for (const struct ranked *one = ranking.first; one; one = one->next)
        out[len++] = (char)('a' + (one - ones));
    out[len] = '\0';
    return out;
}

/* Is it in order, whole, and linked both ways? */
static void assert_sound(void)
{
    size_t in = 0, should = 0;
    const struct ranked *prev = NULL;
    for (const struct ranked *one = ranking.first; one; prev = one, one = one->next, in++) {
        ck_assert_ptr_eq(one->prev, prev);
        ck_assert_uint_gt(one->count, 0);
        ck_assert(!prev || prev->count >= one->count);
    }
    for (size_t i = 0; i < NAMES; i++)
        should += ones[i].count > 0;
    ck_assert_uint_eq(in, should);
}

START_TEST(the_largest_come_first)
{
    up(0, 1);
    up(1, 3);
    up(2, 2);
    ck_assert_str_eq(order(), "bca");
    assert_sound();
}
END_TEST

START_TEST(what_has_none_is_out)
{
    up(0, 2);
    up(1, 1);
    down(0, 2);
    down(0, 1); /* is not in: nothing */
    ck_assert_str_eq(order(), "b");
    down(1, 1);
    ck_assert_ptr_null(ranking.first);
    up(0, 1);
    ck_assert_str_eq(order(), "a");
}
END_TEST

START_TEST(what_falls_passes_those_that_have_more)
{
    up(0, 5);
    up(1, 4);
    up(2, 4);
    up(3, 1);
    down(0, 3);
    ck_assert_uint_eq(ones[0].count, 2);
    ck_assert_str_eq(order(), "bcad");
    assert_sound();
}
END_TEST

START_TEST(any_changes_keep_the_order)
{
    struct dice dice = dice_new();
    for (int i = 0; i < 20000; i++) {
        size_t name = roll(&dice, NAMES);
        if (roll(&dice, 5) < 2u + (unsigned)(i / 4000) % 2)
            down(name, 1);
        else
            up(name, 1);
        if (i % 50 == 0)
            assert_sound();
    }
    for (size_t i = 0; i < NAMES; i++)
        down(i, ones[i].count);
    ck_assert_ptr_null(ranking.first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ranking");
    TCase *tests = one_case(suite, "ranking");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_largest_come_first);
    tcase_add_test(tests, what_has_none_is_out);
    tcase_add_test(tests, what_falls_passes_those_that_have_more);
    tcase_add_test(tests, any_changes_keep_the_order);
    return run_suite(suite);
}
