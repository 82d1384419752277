#include "ops/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ops/log.h"
#include "ops/log_line.h"
#include "support.h"

static int before = -1; /* the test program's own stderr */

static void set_stderr(int fd)
{
    before = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
}

static void restore_stderr(void)
{
    dup2(before, STDERR_FILENO);
    close(before);
}

/* The two ways in which a reader may be connected: ends[0] reads, ends[1] is stderr. */
static void connect_ends(int kind, int ends[2])
{
    if (kind == 0)
        ck_assert_int_eq(pipe(ends), 0);
    else
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

/* Write lines, long ones and then short ones, until not even a short one is taken.
 * How many bytes were taken. */
static size_t fill(void)
{
    char line[1000];
    size_t taken = 0;

    memset(line, 'x', sizeof line);
    for (size_t len = sizeof line; len > 0; len /= 10) {
        line[len - 1] = '\n';
        while (log_sink_write(line, len) == 0)
            taken += len;
    }
    log_sink_forget_dropped();
    return taken;
}

/* Everything that waits at the reader's end, appended to text. */
static size_t drain(int fd, char *text, size_t cap)
{
    size_t len = 0;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    for (ssize_t n; len < cap && (n = read(fd, text + len, cap - len)) > 0;)
        len += (size_t)n;
    return len;
}

START_TEST(a_reader_that_stands_still_costs_lines_and_not_time)
{
    static char text[4 << 20];
    int ends[2];

    connect_ends(_i, ends);
    set_stderr(ends[1]);
    size_t taken = fill(), more = 0;
    while (more < 100 && log_sink_write("more\n", 5) == -EAGAIN)
        more++;
    size_t len = drain(ends[0], text, sizeof text);
    int result = log_sink_write("after\n", 6);
    len += drain(ends[0], text + len, sizeof text - len);
    restore_stderr();

    ck_assert_uint_gt(taken, 10000);
    ck_assert_uint_eq(more, 100);
    ck_assert_int_eq(result, 0);
    ck_assert_uint_eq(log_sink_dropped(), 100);
    log_sink_forget_dropped();
    ck_assert_uint_eq(log_sink_dropped(), 0);
    ck_assert_uint_eq(len, taken + 6);
    ck_assert_int_eq(memcmp(text + len - 6, "after\n", 6), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(the_open_file_is_not_changed)
{
    int ends[2];

    connect_ends(_i, ends);
    int flags = fcntl(ends[1], F_GETFL);
    set_stderr(ends[1]);
    fill();
    restore_stderr();

    log_sink_forget_dropped();
    ck_assert_int_eq(fcntl(ends[1], F_GETFL), flags);
    ck_assert_int_eq(flags & O_NONBLOCK, 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(what_was_dropped_is_told_when_stderr_is_read_again)
{
    static char text[4 << 20];
    int ends[2];

    connect_ends(_i, ends);
    log_open("prog", LOG_INFO);
    set_stderr(ends[1]);
    fill();
    log_warn("not read %d", _i);
    drain(ends[0], text, sizeof text);
    log_tick(1000);
    size_t len = drain(ends[0], text, sizeof text - 1);
    restore_stderr();

    text[len] = '\0';
    ck_assert_ptr_nonnull(
        strstr(text, "log lines were dropped because stderr was not read lines=1\n"));
    ck_assert_ptr_null(strstr(text, "not read 0"));
    ck_assert_uint_eq(log_sink_dropped(), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_reader_that_left_is_no_reason_to_count)
{
    int ends[2];

    connect_ends(_i, ends);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    set_stderr(ends[1]);
    int result = log_sink_write("line\n", 5);
    restore_stderr();

    ck_assert_int_eq(result, 0);
    ck_assert_uint_eq(log_sink_dropped(), 0);
    close(ends[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_sink");
    TCase *tests = one_case(suite, "log_sink");
    tcase_add_loop_test(tests, a_reader_that_stands_still_costs_lines_and_not_time, 0, 2);
    tcase_add_loop_test(tests, the_open_file_is_not_changed, 0, 2);
    tcase_add_loop_test(tests, what_was_dropped_is_told_when_stderr_is_read_again, 0, 2);
    tcase_add_loop_test(tests, a_reader_that_left_is_no_reason_to_count, 0, 2);
    return run_suite(suite);
}
