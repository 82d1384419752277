#include "ops/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

/* A service manager's socket: its address, and what arrived there. */
struct manager {
    int fd;
    char name[108]; /* as in NOTIFY_SOCKET */
    char heard[2048];
};

static void manager_open(struct manager *m, const char *format)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = (size_t)snprintf(m->name, sizeof m->name, format, (long)getpid());
    memcpy(address.sun_path, m->name, len);
    if (m->name[0] == '@')
        address.sun_path[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ck_assert_int_eq(bind(m->fd, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", m->name, 1);
}

static const char *manager_hears(struct manager *m)
{
    ssize_t n = recv(m->fd, m->heard, sizeof m->heard - 1, 0);
    m->heard[n < 0 ? 0 : n] = '\0';
    return m->heard;
}

static void manager_close(struct manager *m)
{
    close(m->fd);
    if (m->name[0] == '/')
        unlink(m->name);
    unsetenv("NOTIFY_SOCKET");
}

START_TEST(a_manager_at_a_path_hears_it)
{
    struct manager m;
    manager_open(&m, "/tmp/check-notify-%ld");
    ck_assert_int_eq(notify_send("READY=1\nSTATUS=%d streams", 3), 0);
    ck_assert_str_eq(manager_hears(&m), "READY=1\nSTATUS=3 streams");
    manager_close(&m);
}
END_TEST

START_TEST(a_manager_with_an_abstract_name_hears_it)
{
    struct manager m;
    manager_open(&m, "@check-notify-%ld");
    ck_assert_int_eq(notify_send("STOPPING=1"), 0);
    ck_assert_str_eq(manager_hears(&m), "STOPPING=1");
    manager_close(&m);
}
END_TEST

START_TEST(without_a_manager_nothing_happens)
{
    unsetenv("NOTIFY_SOCKET");
    ck_assert_int_eq(notify_send("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    ck_assert_int_eq(notify_send("READY=1"), 0);
    unsetenv("NOTIFY_SOCKET");
}
END_TEST

START_TEST(a_manager_that_is_not_there_is_an_error)
{
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    ck_assert_int_eq(notify_send("READY=1"), -ENOENT);
    unsetenv("NOTIFY_SOCKET");
}
END_TEST

START_TEST(what_is_no_address_is_refused)
{
    char long_path[256];
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    const char *wrong[] = {"relative/path", "vsock:2:1234", "/", "@", long_path};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("NOTIFY_SOCKET", wrong[i], 1);
        ck_assert_int_eq(notify_send("READY=1"), -EINVAL);
    }
    unsetenv("NOTIFY_SOCKET");
}
END_TEST

START_TEST(a_manager_that_does_not_read_holds_nobody_up)
{
    struct manager m;
    int err = 0;
    manager_open(&m, "@check-notify-full-%ld");
    for (int i = 0; i < 100000 && !err; i++)
        err = notify_send("STATUS=%d", i);
    ck_assert_int_eq(err, -EAGAIN);
    manager_close(&m);
}
END_TEST

START_TEST(a_long_status_is_cut)
{
    struct manager m;
    manager_open(&m, "@check-notify-long-%ld");
    ck_assert_int_eq(notify_send("READY=1\nSTATUS=%01000d", 7), 0);
    ck_assert_uint_eq(strlen(manager_hears(&m)), 511);
    manager_close(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notify");
    TCase *tests = one_case(suite, "notify");
    tcase_add_test(tests, a_manager_at_a_path_hears_it);
    tcase_add_test(tests, a_manager_with_an_abstract_name_hears_it);
    tcase_add_test(tests, without_a_manager_nothing_happens);
    tcase_add_test(tests, a_manager_that_is_not_there_is_an_error);
    tcase_add_test(tests, what_is_no_address_is_refused);
    tcase_add_test(tests, a_manager_that_does_not_read_holds_nobody_up);
    tcase_add_test(tests, a_long_status_is_cut);
    return run_suite(suite);
}
