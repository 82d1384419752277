/* ssecast top on a terminal, without a broker: how it waits. */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "cli/verb.h"
#include "support.h"

#define LONG_MS 500 /* it waits up to a second; the first waits end at once */

static int number; /* of the signal that comes just before the wait; 0: none */
static int waits;  /* that came to their end after the signal */
static bool raised;
static int terminal, kept[2];

static bool is_for_keys(const struct pollfd *fds, nfds_t count)
{
    return count == 2 && fds->fd == STDIN_FILENO;
}

static void interrupt_wait(const struct pollfd *fds, nfds_t count, long ms)
{
    int due = number;
    if (!due || !is_for_keys(fds, count) || ms < LONG_MS)
        return;
    number = 0;
    raised = true;
    raise(due);
}

static int count_wait(const struct pollfd *fds, nfds_t count, int ready)
{
    waits += raised && ready == 0 && is_for_keys(fds, count);
    return ready;
}

/* In the place of the C library's. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    static int (*real)(struct pollfd *, nfds_t, int);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "poll");
    interrupt_wait(fds, count, timeout);
    return count_wait(fds, count, real(fds, count, timeout));
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    static int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "ppoll");
    interrupt_wait(fds, count, timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000);
    return count_wait(fds, count, real(fds, count, timeout, mask));
}

/* Standard input and output are a terminal. */
static void setup(void)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal) | unlockpt(terminal), 0);
    int end = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(end, 0);

    fflush(stdout);
    for (int fd = 0; fd < 2; fd++) {
        kept[fd] = dup(fd);
        ck_assert_int_eq(dup2(end, fd), fd);
    }
    close(end);
    setenv("TERM", "xterm", 1);
}

static void teardown(void)
{
    fflush(stdout);
    for (int fd = 0; fd < 2; fd++) {
        dup2(kept[fd], fd);
        close(kept[fd]);
    }
    close(terminal);
}

/* Nothing listens at the endpoint: only the time and a signal end a wait. */
static int run_top(void)
{
    char endpoint[] = "ipc:///nonexistent/commands";
    static const struct {
        bool once;
    } flags;
    const struct settings settings = {.commands = endpoint, .timeout_ms = 60000};
    const struct verb_call call = {.verb = &verb_top, .settings = &settings, .flags = &flags};
    return verb_top.run(&call);
}

START_TEST(a_signal_just_before_the_wait_ends_it_at_once)
{
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    number = SIGTERM;

    ck_assert_int_eq(run_top(), STATUS_OK);
    ck_assert_int_eq(number, 0);
    ck_assert_int_eq(waits, 0);

    sigprocmask(SIG_SETMASK, NULL, &after);
    ck_assert_int_eq(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verb_top");
    TCase *tests = one_case(suite, "signals");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_signal_just_before_the_wait_ends_it_at_once);
    return run_suite(suite);
}
