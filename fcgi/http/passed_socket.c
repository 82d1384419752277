#include "http/passed_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"

#define LOG_SUBSYSTEM "handoff"
#include "ops/log.h"

#define DESCRIPTORS 8 /* looked at in one message; the kernel closes more */

/* Probes of a browser that is silent, because no web server looks after the socket any more:
 * seconds of silence, between two probes, and unanswered probes. */
#define PROBE_AFTER_S 60
#define PROBE_EVERY_S 15
#define PROBES 4

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Is this the browser's end: a connected TCP socket? Those of a listener of Multipath TCP have a
 * protocol of their own. */
static bool is_tcp_connection(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) != 0)
        return false;
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
        return false;
    return getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
           (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

static void set_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) != 0)
        log_event(LOG_DEBUG, "socket option refused", log_count("option", (uint64_t)name));
}

/* Notice a browser that vanished without a word. */
static void prepare(int fd, int64_t user_timeout_ms)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_EVERY_S);
    if (user_timeout_ms)
        /* This takes the place of TCP_KEEPCNT. */
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout_ms);
    else
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* The descriptors that came with a message. */
struct passed_descriptors {
    int fds[DESCRIPTORS];
    size_t count;
    bool others; /* something else came along, or there was no room for all */
};

static void collect_descriptors(struct msghdr *message, struct passed_descriptors *out)
{
    out->others = message->msg_flags & (MSG_CTRUNC | MSG_TRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            out->others = true;
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        MUST(out->count + count <= DESCRIPTORS);
        memcpy(out->fds + out->count, CMSG_DATA(c), count * sizeof(int));
        out->count += count;
    }
}

/* The one acceptable descriptor of a message; -1: there is none, and all of them are closed. */
static int choose_descriptor(const struct passed_descriptors *d)
{
    if (d->count == 1 && !d->others && is_tcp_connection(d->fds[0]))
        return d->fds[0];

    for (size_t i = 0; i < d->count; i++)
        close(d->fds[i]);
    return -1;
}

bool passed_socket_receive(int peer, int64_t user_timeout_ms, int *browser)
{
    char byte;
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control.bytes};
    struct passed_descriptors received = {0};

    ssize_t n = recvmsg(peer, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n >= 0)
        collect_descriptors(&message, &received);

    *browser = choose_descriptor(&received);
    if (*browser >= 0)
        prepare(*browser, user_timeout_ms);
    return true;
}
