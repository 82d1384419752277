#include "ops/znotice.h"

#include <errno.h>
#include <stddef.h>

#include "base/must.h"
#include "ops/zsock.h"

void znotice_none(struct znotice *n)
{
    *n = (struct znotice){.fd = -1, .quiet = true};
}

int znotice_init(struct znotice *n, void *socket)
{
    MUST(socket);
    int fd = zsock_fd(socket);
    *n = (struct znotice){.socket = socket, .fd = fd < 0 ? -1 : fd};
    return fd < 0 ? fd : 0;
}

void znotice_used(struct znotice *n)
{
    n->quiet = false;
}

void znotice_received(struct znotice *n, int found)
{
    n->quiet = found == 0;
}

bool znotice_is_unsure(const struct znotice *n)
{
    return !n->quiet;
}

/* What the socket can do. False on an error. */
static bool ask_socket(struct znotice *n, int *events)
{
    *events = zsock_events(n->socket);
    if (*events < 0)
        return false;

    n->quiet = !(*events & ZMQ_POLLIN);
    return true;
}

bool znotice_has_message(struct znotice *n)
{
    int events;
    return !n->quiet && (!ask_socket(n, &events) || events & ZMQ_POLLIN);
}

bool znotice_can_send(struct znotice *n)
{
    int events;
    return ask_socket(n, &events) && events & ZMQ_POLLOUT;
}

int znotice_receive(struct znotice *n, zmq_msg_t *m)
{
    if (n->quiet)
        return 0;

    MUST(n->socket);
    if (zmq_msg_recv(m, n->socket, ZMQ_DONTWAIT) >= 0)
        return 1;
    if (errno != EAGAIN)
        return -errno;

    n->quiet = true;
    return 0;
}
