/* The first names of an unordered walk. */
#include "presence/listing.h"
#include "support.h"

static struct listed room[3];

static void offer(struct listing *l, const char *names)
{
    for (; *names; names++)
        listing_offer(l, (struct slice){names, 1}, NULL);
}

/* The listed names, one letter each. */
static void holds(const struct listing *l, const char *names, bool more)
{
    ck_assert_uint_eq(l->count, strlen(names));
    for (size_t i = 0; i < l->count; i++)
        assert_slice(l->items[i].name, ((struct slice){names + i, 1}));
    ck_assert_int_eq(l->more, more);
}

START_TEST(the_smallest_are_kept_in_order)
{
    struct listing l = {.items = room, .max = 3};
    offer(&l, "db");
    holds(&l, "bd", false);
    offer(&l, "e");
    holds(&l, "bde", false);
    offer(&l, "acf");
    holds(&l, "abc", true);
}
END_TEST

START_TEST(a_page_begins_after_a_name)
{
    struct listing l = {.items = room, .max = 3, .after = S("b")};
    offer(&l, "cab");
    holds(&l, "c", false);
    offer(&l, "edf");
    holds(&l, "cde", true);
}
END_TEST

START_TEST(a_prefix_comes_before_what_it_begins)
{
    ck_assert_int_lt(listing_compare(S("a"), S("aa")), 0);
    ck_assert_int_gt(listing_compare(S("b"), S("aa")), 0);
    ck_assert_int_lt(listing_compare(S(""), S("a")), 0);
    ck_assert_int_eq(listing_compare(S("a\0b"), S("a\0b")), 0);
    ck_assert_int_lt(listing_compare(S("a"), S("\xff")), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listing");
    TCase *tests = one_case(suite, "listing");
    tcase_add_test(tests, the_smallest_are_kept_in_order);
    tcase_add_test(tests, a_page_begins_after_a_name);
    tcase_add_test(tests, a_prefix_comes_before_what_it_begins);
    return run_suite(suite);
}
