/* The limit is raised, and running low is reported once. */
#include "net/descriptors.h"

#include <sys/resource.h>
#include <unistd.h>

#include "support.h"

START_TEST(the_soft_limit_becomes_the_hard_one)
{
    struct descriptors d;
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max / 2;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    descriptors_init(&d);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    ck_assert_uint_eq(files.rlim_cur, files.rlim_max);
    ck_assert_uint_eq(d.max, files.rlim_max);
}
END_TEST

START_TEST(few_left_are_told_when_it_changes)
{
    struct descriptors d;
    int more[40];
    descriptors_init(&d);
    ck_assert(!descriptors_look(&d, 0));
    ck_assert_uint_ge(d.open, 3);
    d.max = 40 + d.open;
    for (int i = 0; i < 40; i++)
        more[i] = dup(0);
    ck_assert_msg(!descriptors_look(&d, 1), "it is not counted again so soon");
    descriptors_opened(&d, 40);
    ck_assert(descriptors_look(&d, 2) && d.scarce);
    ck_assert(!descriptors_look(&d, 1000000000000) && d.scarce);
    for (int i = 0; i < 40; i++)
        close(more[i]);
    ck_assert(descriptors_look(&d, 2000000000000) && !d.scarce);
}
END_TEST

/* A connection that was noted may be closed again: then nothing is scarce. */
START_TEST(many_that_came_and_went_are_no_matter)
{
    struct descriptors d;
    descriptors_init(&d);
    descriptors_look(&d, 0);
    descriptors_opened(&d, 10 * d.max);
    ck_assert(!descriptors_look(&d, 1) && !d.scarce);
    ck_assert_uint_eq(d.opened, 0);
}
END_TEST

/* Then the count itself cannot open the folder that it counts in. */
START_TEST(when_none_is_left_none_is_left)
{
    struct descriptors d;
    struct rlimit files, few;
    int more[64], count = 0;

    descriptors_init(&d);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    few = files;
    few.rlim_cur = 60;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    d.max = few.rlim_cur;
    while (count < 64 && (more[count] = dup(0)) >= 0)
        count++;
    bool changed = descriptors_look(&d, 0);
    while (count > 0)
        close(more[--count]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);

    ck_assert(changed && d.scarce);
    ck_assert_uint_eq(d.open, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptors");
    TCase *tests = one_case(suite, "descriptors");
    tcase_add_test(tests, the_soft_limit_becomes_the_hard_one);
    tcase_add_test(tests, few_left_are_told_when_it_changes);
    tcase_add_test(tests, when_none_is_left_none_is_left);
    tcase_add_test(tests, many_that_came_and_went_are_no_matter);
    return run_suite(suite);
}
