#include "ops/zguard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WITHOUT_INPUT (UINT64_C(1) << 63) /* in the data of an event: libzmq's are pointers */

#define NOTED_MAX (1u << 20) /* descriptors */
static atomic_bool unread[NOTED_MAX];

static void note_unread(int fd, bool is_unread)
{
    if ((unsigned)fd < NOTED_MAX)
        atomic_store(&unread[fd], is_unread);
}

bool zguard_is_unread(int fd)
{
    return (unsigned)fd < NOTED_MAX && atomic_load(&unread[fd]);
}

int zguard_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    struct epoll_event e = event ? *event : (struct epoll_event){0};
    bool without_input = op == EPOLL_CTL_MOD && !(e.events & EPOLLIN);
    note_unread(fd, without_input);
    if (without_input) {
        e.data.u64 |= WITHOUT_INPUT;
        op = e.events & EPOLLOUT ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    }

    int result = (int)syscall(SYS_epoll_ctl, epoll, op, fd, &e);
    if (result == 0 || errno != ENOENT)
        return result;
    return op == EPOLL_CTL_DEL ? 0 : (int)syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &e);
}

int zguard_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int count = (int)syscall(SYS_epoll_pwait, epoll, events, max, timeout_ms, NULL, 0);
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 & WITHOUT_INPUT) {
            events[i].data.u64 &= ~WITHOUT_INPUT;
            events[i].events = EPOLLOUT;
        } else if (events[i].events & (EPOLLERR | EPOLLHUP)) {
            events[i].events = (events[i].events & EPOLLOUT) | EPOLLIN;
        }
    return count;
}
