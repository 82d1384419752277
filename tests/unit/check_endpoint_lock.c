/* One broker for each ipc endpoint. */
#include <errno.h>
#include <unistd.h>

#include "net/endpoint_lock.h"
#include "support.h"

START_TEST(an_ipc_path_is_held_once)
{
    struct own_folder folder;
    char endpoint[100];
    int first, second;
    own_folder_make(&folder, "commands.lock");
    snprintf(endpoint, sizeof endpoint, "ipc://%s/commands", folder.path);
    ck_assert_int_eq(endpoint_lock(endpoint, &first), 0);
    ck_assert_int_eq(endpoint_lock(endpoint, &second), -EWOULDBLOCK);
    ck_assert_int_eq(second, ENDPOINT_LOCK_NONE);
    close(first); /* however its holder ends */
    ck_assert_int_eq(endpoint_lock(endpoint, &second), 0);
    close(second);
    own_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_not_given_to_libzmq)
{
    struct own_folder folder;
    char endpoint[100];
    int lock;
    own_folder_make(&folder, "commands");
    snprintf(endpoint, sizeof endpoint, "ipc://%s", folder.file);
    make_file(folder.file, S("text"), 0600);
    ck_assert_int_eq(endpoint_lock(endpoint, &lock), -ENOTSOCK);
    ck_assert_int_eq(lock, ENDPOINT_LOCK_NONE);
    own_folder_remove(&folder); /* there is no lock file, either */
}
END_TEST

START_TEST(a_file_that_cannot_be_made_is_told)
{
    int lock;
    ck_assert_int_eq(endpoint_lock("ipc:///nonexistent/commands", &lock), -ENOENT);
}
END_TEST

START_TEST(other_endpoints_need_no_lock)
{
    int lock;
    ck_assert_int_eq(endpoint_lock("tcp://127.0.0.1:5570", &lock), 0);
    ck_assert_int_eq(lock, ENDPOINT_LOCK_NONE);
    ck_assert_int_eq(endpoint_lock("ipc://@abstract", &lock), 0);
    ck_assert_int_eq(lock, ENDPOINT_LOCK_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("endpoint_lock");
    TCase *tests = one_case(suite, "endpoint_lock");
    tcase_add_test(tests, an_ipc_path_is_held_once);
    tcase_add_test(tests, a_file_that_is_no_socket_is_not_given_to_libzmq);
    tcase_add_test(tests, a_file_that_cannot_be_made_is_told);
    tcase_add_test(tests, other_endpoints_need_no_lock);
    return run_suite(suite);
}
