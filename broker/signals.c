#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

int signals_open(void)
{
    sigset_t set;
    stop_signals(&set);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of writing, like a full disk */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int signals_take(int fd)
{
    struct signalfd_siginfo info = {0};
    sigset_t set;
    ssize_t got = read(fd, &info, sizeof info);
    close(fd);
    stop_signals(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return got == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}
