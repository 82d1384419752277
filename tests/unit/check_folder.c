#include "base/folder.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static char why[FOLDER_WHY_MAX];

START_TEST(a_missing_folder_is_named_with_how_to_make_it)
{
    folder_problem("/nowhere/at/all/worker.sock", ENOENT, why);
    ck_assert_ptr_nonnull(strstr(why, "its directory /nowhere/at/all does not exist"));
    ck_assert_ptr_nonnull(strstr(why, "install -d -m 0750 -o "));
    ck_assert_ptr_nonnull(strstr(why, " /nowhere/at/all"));
}
END_TEST

START_TEST(one_that_may_not_be_written_to_is_named)
{
    char folder[] = "/tmp/check-folder-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/worker.sock", folder);
    ck_assert_str_eq(folder_problem(path, EACCES, why), strerror(EACCES)); /* it may be */
    ck_assert_int_eq(chmod(folder, 0500), 0);
    folder_problem(path, EACCES, why);
    if (geteuid() != 0) /* who may write anywhere */
        ck_assert_ptr_nonnull(strstr(why, "is not writable for the user"));
    rmdir(folder);
}
END_TEST

START_TEST(a_user_without_the_permission_is_named)
{
    ck_assert_ptr_eq(strstr(read_problem(EACCES), strerror(EACCES)), read_problem(EACCES));
    ck_assert_ptr_nonnull(strstr(read_problem(EACCES), " for the user "));
    ck_assert_str_eq(read_problem(ENOENT), strerror(ENOENT));
}
END_TEST

START_TEST(anything_else_is_told_as_it_is)
{
    static char path[PATH_MAX + 100];
    ck_assert_str_eq(folder_problem("/tmp/x", EADDRINUSE, why), strerror(EADDRINUSE));
    ck_assert_str_eq(folder_problem("/tmp/x", ENOENT, why), strerror(ENOENT));
    ck_assert_str_eq(folder_problem("x", ENOENT, why), strerror(ENOENT));
    ck_assert_str_eq(folder_problem("/x", ENOENT, why), strerror(ENOENT));
    memset(path, '/', sizeof path - 1);
    ck_assert_str_eq(folder_problem(path, ENOENT, why), strerror(ENOENT));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("folder");
    TCase *tests = one_case(suite, "folder");
    tcase_add_test(tests, a_missing_folder_is_named_with_how_to_make_it);
    tcase_add_test(tests, one_that_may_not_be_written_to_is_named);
    tcase_add_test(tests, a_user_without_the_permission_is_named);
    tcase_add_test(tests, anything_else_is_told_as_it_is);
    return run_suite(suite);
}
