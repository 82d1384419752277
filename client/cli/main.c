#include "cli/cli.h"
#include "ops/zguard.h"

/* In the place of the C library's, for libzmq (docs/adr/14-libzmq-is-guarded.md). */
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    return zguard_epoll_ctl(epoll, op, fd, event);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    return zguard_epoll_wait(epoll, events, max, timeout_ms);
}

int main(int argc, char **argv)
{
    return cli_run(argc, argv);
}
