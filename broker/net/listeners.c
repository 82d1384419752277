#include "net/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int listeners_init(struct listeners *l, size_t max)
{
    *l = (struct listeners){.items = calloc(max, sizeof *l->items), .max = max};
    for (size_t i = 0; i < LISTENER_SPARES; i++)
        l->spares[i] = open_spare();
    return l->items ? 0 : -ENOMEM;
}

void listeners_release(struct listeners *l)
{
    for (size_t i = 0; i < LISTENER_SPARES; i++)
        if (l->spares[i] >= 0)
            close(l->spares[i]);
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

/* Without a free descriptor the accept loop of libzmq spins while connections wait. Spare
 * descriptors are freed to accept and close these connections; their clients reconnect. libzmq may
 * be faster and use a spare descriptor itself. */
static void close_waiting(struct listeners *l, int listener)
{
    struct pollfd waits = {.fd = listener, .events = POLLIN};

    for (size_t i = 0; i < LISTENER_SPARES; i++) {
        if (l->spares[i] >= 0)
            close(l->spares[i]);
        while (poll(&waits, 1, 0) == 1) {
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd < 0)
                break;
            close(fd);
        }
        l->spares[i] = open_spare();
    }
}

/* The system reuses the number of a closed listener, so each one is checked before use. */
void listeners_add(struct listeners *l, int fd)
{
    for (size_t i = 0; i < l->count; i++)
        if (!is_tcp_listener(l->items[i]))
            l->items[i--] = l->items[--l->count];
    if (l->count == l->max || !is_tcp_listener(fd))
        return;

    l->items[l->count++] = fd;
    hold_listener(fd, l->held);
}

void listeners_hold(struct listeners *l, bool held)
{
    l->held = held;
    for (size_t i = 0; i < l->count; i++) {
        hold_listener(l->items[i], held);
        if (held)
            close_waiting(l, l->items[i]);
    }
}
