#include "net/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int listeners_init(struct listeners *l, size_t max)
{
    *l = (struct listeners){.items = calloc(max, sizeof *l->items), .max = max};
    return l->items ? 0 : -ENOMEM;
}

void listeners_release(struct listeners *l)
{
    free(l->items);
    l->items = NULL;
}

static bool is_tcp_listener(int fd)
{
    int family = 0, listens = 0;
    socklen_t len = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0)
        return false;
    return listens && (family == AF_INET || family == AF_INET6);
}

/* A socket filter that drops everything stops the listener from accepting. Unbinding would end its
 * connections as well. */
static void hold_listener(int fd, bool held)
{
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog filter = {.len = 1, .filter = nothing};
    int ignored = 0;
    if (!is_tcp_listener(fd))
        return;
    if (held)
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    else
        setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
}

static void close_waiting(int listener)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        close(fd);
}

/* Runs in a thread. With a descriptor table of its own it has free descriptors, which the threads
 * of libzmq cannot take. What it closes stays open in theirs. */
static void *close_all_waiting(void *context)
{
    const struct listeners *l = context;
    int last = 0;
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i] > last)
            last = l->items[i];
    if (close_range((unsigned)last + 1, UINT_MAX, CLOSE_RANGE_UNSHARE) != 0 &&
        unshare(CLONE_FILES) != 0)
        return NULL;

    for (int fd = 0; fd < last; fd++)
        if (!is_tcp_listener(fd))
            close(fd);
    for (size_t i = 0; i < l->count; i++)
        if (is_tcp_listener(l->items[i]))
            close_waiting(l->items[i]);
    return NULL;
}

static bool has(const struct listeners *l, int fd)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i] == fd)
            return true;
    return false;
}

/* The system reuses the number of a closed listener, so each one is checked before use. Two threads
 * may accept at the same time, and neither may block: so each listener is non-blocking from the
 * start. */
void listeners_add(struct listeners *l, int fd)
{
    for (size_t i = 0; i < l->count; i++)
        if (!is_tcp_listener(l->items[i]))
            l->items[i--] = l->items[--l->count];
    if (!is_tcp_listener(fd) || (!has(l, fd) && l->count == l->max))
        return;

    if (!has(l, fd))
        l->items[l->count++] = fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    hold_listener(fd, l->held);
}

/* Without a free descriptor the accept loop of libzmq spins while connections wait: they are
 * accepted and closed here. Their clients reconnect. */
void listeners_hold(struct listeners *l, bool held)
{
    pthread_t thread;

    l->held = held;
    for (size_t i = 0; i < l->count; i++)
        hold_listener(l->items[i], held);
    if (held && l->count && pthread_create(&thread, NULL, close_all_waiting, l) == 0)
        pthread_join(thread, NULL);
}
