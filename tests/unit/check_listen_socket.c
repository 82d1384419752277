/* Listening sockets of our own: what options accept, and what is done with a socket file that is
 * there. */
#include "http/listen_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "support.h"

static struct own_folder folder;

static void begin(void)
{
    own_folder_make(&folder, "socket");
}

static void end(void)
{
    own_folder_remove(&folder);
}

static int listen_here(unsigned mode)
{
    return listen_socket_open("listen", folder.file, mode);
}

static bool connects(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, folder.file);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

START_TEST(an_option_accepts_a_path_or_an_address_with_a_port)
{
    static const char *const accepted[] = {"/run/ssecast.sock", "./socket", "localhost:9000",
                                           "127.0.0.1:1", "[::1]:65535"};
    static const char *const refused[] = {
        "socket",      "@socket",       "localhost",           "*:9000",
        "localhost:0", "localhost:x",   "localhost:65536",     "unix:/run/x",
        "unix//run/x", "unix:///run/x", "tcp://127.0.0.1:9000"};
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
        ck_assert_msg(!listen_socket_check(accepted[i]), "%s", accepted[i]);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ck_assert_msg(listen_socket_check(refused[i]), "%s", refused[i]);
}
END_TEST

START_TEST(a_path_is_accepted_as_far_as_the_kernel_takes_it)
{
    char path[110];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[107] = '\0';
    ck_assert_ptr_null(listen_socket_check(path));
    path[107] = 'x';
    path[108] = '\0';
    ck_assert_ptr_nonnull(listen_socket_check(path));
}
END_TEST

START_TEST(some_options_accept_a_path_only)
{
    ck_assert_ptr_null(listen_socket_check_path("/run/ssecast.sock"));
    ck_assert_ptr_nonnull(listen_socket_check_path("localhost:9000"));
    ck_assert_ptr_nonnull(listen_socket_check_path("@/socket"));
}
END_TEST

START_TEST(other_hosts_reach_neither_a_path_nor_the_loopback_address)
{
    ck_assert(!listen_socket_exposed("/run/ssecast.sock"));
    ck_assert(!listen_socket_exposed("127.0.0.1:9000"));
    ck_assert(listen_socket_exposed("0.0.0.0:9000"));
}
END_TEST

START_TEST(a_socket_file_has_its_mode_from_the_beginning)
{
    struct stat is;
    int fd = listen_here(0660);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(stat(folder.file, &is), 0);
    ck_assert(S_ISSOCK(is.st_mode));
    ck_assert_uint_eq(is.st_mode & 07777, 0660);
    ck_assert(connects());
    close(fd);
}
END_TEST

START_TEST(a_socket_file_without_a_listener_is_replaced)
{
    close(listen_here(0600));
    ck_assert(!connects());
    int fd = listen_here(0600);
    ck_assert_int_ge(fd, 0);
    ck_assert(connects());
    close(fd);
}
END_TEST

START_TEST(a_socket_that_somebody_listens_on_stays)
{
    int fd = listen_here(0600);
    ck_assert_int_eq(listen_here(0600), -1);
    ck_assert(connects());
    close(fd);
}
END_TEST

START_TEST(a_file_that_is_no_socket_stays)
{
    struct stat is;
    make_file(folder.file, S("text"), 0600);
    ck_assert_int_eq(listen_here(0600), -1);
    ck_assert_int_eq(stat(folder.file, &is), 0);
    ck_assert(S_ISREG(is.st_mode) && is.st_size == 4);
}
END_TEST

START_TEST(an_address_is_listened_on)
{
    int fd = listen_socket_open("listen", "127.0.0.1:0", 0600), listens = 0;
    socklen_t len = sizeof listens;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len), 0);
    ck_assert_int_eq(listens, 1);
    close(fd);
    ck_assert_int_eq(listen_socket_open("listen", "256.0.0.1:1", 0600), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listen_socket");
    TCase *tests = one_case(suite, "listen_socket");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, an_option_accepts_a_path_or_an_address_with_a_port);
    tcase_add_test(tests, a_path_is_accepted_as_far_as_the_kernel_takes_it);
    tcase_add_test(tests, some_options_accept_a_path_only);
    tcase_add_test(tests, other_hosts_reach_neither_a_path_nor_the_loopback_address);
    tcase_add_test(tests, a_socket_file_has_its_mode_from_the_beginning);
    tcase_add_test(tests, a_socket_file_without_a_listener_is_replaced);
    tcase_add_test(tests, a_socket_that_somebody_listens_on_stays);
    tcase_add_test(tests, a_file_that_is_no_socket_stays);
    tcase_add_test(tests, an_address_is_listened_on);
    return run_suite(suite);
}
