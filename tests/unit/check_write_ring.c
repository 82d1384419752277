#include "http/write_ring.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* Sockets with an item each, whose message is two pieces: its number and a text.
 * Every fourth has one, the number. */
static struct write_ring *ring;
static int ring_fd; /* its descriptor */
static struct write_ring_item items[WRITE_RING_MAX];
static struct iovec pieces[WRITE_RING_MAX][2];
static char numbers[WRITE_RING_MAX][8];
static int readers[WRITE_RING_MAX];
static char text[5000];

static void open_item(int i)
{
    int fds[2], size = 4096;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    readers[i] = fds[1];
    snprintf(numbers[i], sizeof numbers[i], "%06d ", i);
    pieces[i][0] = (struct iovec){numbers[i], 7};
    pieces[i][1] = (struct iovec){text, 100};
    items[i] = (struct write_ring_item){
        .fd = fds[0], .message = {.msg_iov = pieces[i], .msg_iovlen = i % 4 ? 2 : 1}};
}

/* False where the kernel does not allow it: then each test is about nothing, and says so. */
static bool begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    memset(text, 'x', sizeof text);
    ring_fd = dup(0); /* the next free one */
    close(ring_fd);
    int err = write_ring_new(&ring);
    if (err) {
        printf("write_ring: io_uring is not available: %s\n", strerror(-err));
        ck_assert_ptr_null(ring);
        return false;
    }
    for (int i = 0; i < WRITE_RING_MAX; i++)
        open_item(i);
    return true;
}

static void finish(void)
{
    for (int i = 0; i < WRITE_RING_MAX; i++) {
        if (readers[i] >= 0)
            close(readers[i]);
        if (items[i].fd >= 0)
            close(items[i].fd);
    }
    write_ring_free(&ring);
    ck_assert_ptr_null(ring);
    write_ring_free(&ring); /* NULL is allowed */
}

/* What item i wrote has arrived, and nothing else. */
static void assert_arrived(int i)
{
    char got[200], should[200];
    int len = snprintf(should, sizeof should, "%06d %.*s", i, i % 4 ? 100 : 0, text);
    ck_assert_int_eq(items[i].result, len);
    ck_assert_int_eq(read(readers[i], got, sizeof got), len);
    ck_assert_mem_eq(got, should, (size_t)len);
}

START_TEST(every_item_of_a_run_is_written)
{
    static const size_t counts[] = {0, 1, 2, WRITE_RING_MAX};
    if (!begin())
        return;
    for (int round = 0; round < 100; round++) {
        size_t count = counts[round % 4];
        write_ring_run(ring, items, count);
        for (size_t i = 0; i < count; i++)
            assert_arrived((int)i);
    }
    finish();
}
END_TEST

/* Those beside it are written. A descriptor that is none is refused before the others are looked
 * at. */
START_TEST(what_fails_fails_alone)
{
    if (!begin())
        return;
    close(readers[3]);
    readers[3] = -1;
    close(items[7].fd);
    items[7].fd = -1;
    close(items[8].fd);
    items[8].fd = -1;

    write_ring_run(ring, items, WRITE_RING_MAX);
    ck_assert_int_eq(items[3].result, -EPIPE);
    ck_assert_int_eq(items[7].result, -EBADF);
    ck_assert_int_eq(items[8].result, -EBADF);
    for (int i = 0; i < WRITE_RING_MAX; i++)
        if (i != 3 && i != 7 && i != 8)
            assert_arrived(i);
    finish();
}
END_TEST

START_TEST(a_full_socket_takes_a_part_then_nothing)
{
    if (!begin())
        return;
    ssize_t taken = 0;
    pieces[1][1].iov_len = sizeof text;
    for (int round = 0; round < 100; round++) {
        write_ring_run(ring, items, 3);
        assert_arrived(0);
        assert_arrived(2);
        if (items[1].result < 0)
            break;
        taken += items[1].result;
    }
    ck_assert_int_eq(items[1].result, -EAGAIN);
    ck_assert_int_gt(taken, 0);
    finish();
}
END_TEST

/* Its descriptor is closed under it. */
START_TEST(without_its_ring_it_writes_one_by_one)
{
    if (!begin())
        return;
    close(ring_fd);
    for (int round = 0; round < 3; round++) {
        write_ring_run(ring, items, WRITE_RING_MAX);
        for (int i = 0; i < WRITE_RING_MAX; i++)
            assert_arrived(i);
    }
    ck_assert_int_ge(dup(0), 0); /* for the ring to close */
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("write_ring");
    TCase *tests = one_case(suite, "write_ring");
    tcase_add_test(tests, every_item_of_a_run_is_written);
    tcase_add_test(tests, what_fails_fails_alone);
    tcase_add_test(tests, a_full_socket_takes_a_part_then_nothing);
    tcase_add_test(tests, without_its_ring_it_writes_one_by_one);
    return run_suite(suite);
}
