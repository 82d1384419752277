#include "base/group.h"

#include <string.h>

#include "support.h"

/* The members of g, the newest first, and what the list backwards must be. */
static void members_are(const struct group *g, const char *names)
{
    const struct membership *last = NULL;
    size_t len = 0;

    for (const struct membership *m = g->first; m; last = m, m = m->next) {
        ck_assert_int_eq(*(const char *)m->member, names[len++]);
        ck_assert_ptr_eq(m->prev, last);
        ck_assert_ptr_eq(m->group, g);
    }
    ck_assert_uint_eq(len, strlen(names));
    ck_assert_ptr_eq(g->last, last);
    ck_assert_uint_eq(g->count, len);
}

START_TEST(the_newest_member_is_the_first)
{
    struct group g = {0};
    struct membership a = {.member = (char *)"a"}, b = {.member = (char *)"b"},
                      c = {.member = (char *)"c"};

    members_are(&g, "");
    group_enter(&g, &a);
    group_enter(&g, &b);
    group_enter(&g, &c);
    members_are(&g, "cba");
}
END_TEST

START_TEST(members_leave_at_either_end_and_between)
{
    struct group g = {.kind = 7};
    struct membership m[] = {{.member = (char *)"a"},
                             {.member = (char *)"b"},
                             {.member = (char *)"c"},
                             {.member = (char *)"d"}};

    for (size_t i = 0; i < 4; i++)
        group_enter(&g, &m[i]);
    ck_assert_ptr_eq(group_leave(&m[1]), &g);
    members_are(&g, "dca");
    ck_assert_ptr_eq(group_leave(&m[3]), &g);
    members_are(&g, "ca");
    ck_assert_ptr_eq(group_leave(&m[0]), &g);
    members_are(&g, "c");
    ck_assert_ptr_eq(group_leave(&m[2]), &g);
    members_are(&g, "");
    ck_assert_uint_eq(g.kind, 7);
}
END_TEST

START_TEST(who_left_is_no_member_and_may_enter_again)
{
    struct group g = {0}, other = {0};
    struct membership m = {.member = (char *)"m"};

    ck_assert_ptr_null(group_leave(&m));
    group_enter(&g, &m);
    ck_assert_ptr_eq(group_leave(&m), &g);
    ck_assert_ptr_null(m.group);
    ck_assert_ptr_null(group_leave(&m));

    group_enter(&other, &m);
    members_are(&g, "");
    members_are(&other, "m");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group");
    TCase *tests = one_case(suite, "group");
    tcase_add_test(tests, the_newest_member_is_the_first);
    tcase_add_test(tests, members_leave_at_either_end_and_between);
    tcase_add_test(tests, who_left_is_no_member_and_may_enter_again);
    return run_suite(suite);
}
