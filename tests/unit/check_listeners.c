#include "net/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static struct listeners listeners;
static struct sockaddr_in address;
static int listener;

static void setup(void)
{
    socklen_t len = sizeof address;
    ck_assert_int_eq(listeners_init(&listeners, 2), 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
}

static void teardown(void)
{
    close(listener);
    listeners_release(&listeners);
}

/* A socket that connects to the listener, perhaps not yet. */
static int connect_one(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(fd, (struct sockaddr *)&address, sizeof address);
    return fd;
}

static bool waits_within(int ms)
{
    return poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, ms) == 1;
}

START_TEST(held_listeners_have_no_connection)
{
    listeners_add(&listeners, listener);
    int before = connect_one();
    ck_assert(waits_within(5000));
    listeners_hold(&listeners, true);
    ck_assert_msg(!waits_within(0), "the connection that waited is closed");
    int held = connect_one();
    ck_assert(!waits_within(0));
    listeners_hold(&listeners, false);
    int after = connect_one();
    ck_assert(waits_within(5000));
    close(before);
    close(held);
    close(after);
}
END_TEST

#define WAITING 8

/* Nobody else can take the descriptor with which a waiting connection is accepted:
 * there is none. */
START_TEST(they_are_emptied_without_a_free_descriptor)
{
    struct rlimit before, few;
    int waiting[WAITING], taken[64], count = 0;
    listeners_add(&listeners, listener);
    for (int i = 0; i < WAITING; i++)
        waiting[i] = connect_one();
    ck_assert(waits_within(5000));

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){(rlim_t)waiting[WAITING - 1] + 1, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 63 && (taken[count] = dup(listener)) >= 0)
        count++;
    ck_assert_int_eq(errno, EMFILE);
    listeners_hold(&listeners, true);
    ck_assert(!waits_within(0));
    ck_assert_msg(dup(listener) < 0, "a descriptor of the others was closed");
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);

    for (int i = 0; i < WAITING; i++)
        close(waiting[i]);
    while (count)
        close(taken[--count]);
}
END_TEST

START_TEST(a_new_listener_is_held_like_the_others)
{
    listeners_hold(&listeners, true);
    listeners_add(&listeners, listener);
    int fd = connect_one();
    ck_assert(!waits_within(0));
    close(fd);
}
END_TEST

/* As after bus_cut(): every endpoint is tcp,
 * and the one that is bound again gets the same number. */
START_TEST(a_listener_with_the_number_of_a_closed_one_is_held)
{
    int second = dup(listener), number = listener;
    socklen_t len = sizeof address;
    listeners_add(&listeners, listener);
    listeners_add(&listeners, second);
    listeners_hold(&listeners, true);
    close(number);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(listener, number);
    address.sin_port = 0;
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    listeners_add(&listeners, listener);
    int fd = connect_one();
    ck_assert_msg(!waits_within(200), "it accepts although the others are held");
    close(fd);
    close(second);
}
END_TEST

START_TEST(other_and_closed_descriptors_are_no_listeners)
{
    int other = open("/dev/null", O_RDONLY), second = dup(listener), third = dup(listener);
    listeners_add(&listeners, other);
    ck_assert_uint_eq(listeners.count, 0);
    listeners_add(&listeners, listener);
    listeners_add(&listeners, second);
    listeners_add(&listeners, third);
    ck_assert_msg(listeners.count == 2, "there is room for two");
    close(second);
    listeners_add(&listeners, third);
    ck_assert_uint_eq(listeners.count, 2);
    ck_assert_int_eq(listeners.items[1], third);
    close(other);
    close(third);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listeners");
    TCase *tests = one_case(suite, "listeners");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, held_listeners_have_no_connection);
    tcase_add_test(tests, a_listener_with_the_number_of_a_closed_one_is_held);
    tcase_add_test(tests, they_are_emptied_without_a_free_descriptor);
    tcase_add_test(tests, a_new_listener_is_held_like_the_others);
    tcase_add_test(tests, other_and_closed_descriptors_are_no_listeners);
    return run_suite(suite);
}
