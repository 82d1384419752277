/* floor - the least that a server of event streams can do: for each event one write() to each
 * reader.
 *
 *     floor PORT
 *
 * GET opens a stream, the body of a POST is an event for all. No history, no queues, no names, no
 * HTTP but what the load client needs. What a real server costs above this is the price of its
 * features.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS 20000

struct peer {
    int fd;
    bool reader;
    size_t index; /* in readers */
    size_t len;
    char *in;
};

#define IN_MAX 65536u

static struct peer *readers[PEERS];
static size_t count;
static int epoll;
static unsigned long long sequence;

static void peer_close(struct peer *p)
{
    if (p->reader) {
        readers[p->index] = readers[--count];
        readers[p->index]->index = p->index;
    }
    close(p->fd);
    free(p->in);
    free(p);
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* it is closed when its socket says so */
        if (n < 0) {
            struct pollfd item = {fd, POLLOUT, 0};
            poll(&item, 1, 1000);
            continue;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void publish(const char *data, size_t data_len)
{
    char event[IN_MAX + 64], chunk[IN_MAX + 128];
    int len =
        snprintf(event, sizeof event, "id: %llu\ndata: %.*s\n\n", ++sequence, (int)data_len, data);
    int chunk_len = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)len, event);
    for (size_t i = 0; i < count; i++)
        write_all(readers[i]->fd, chunk, (size_t)chunk_len);
}

static void open_stream(struct peer *p)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n";
    p->reader = true;
    p->index = count;
    readers[count++] = p;
    free(p->in);
    p->in = NULL;
    p->len = 0;
    write_all(p->fd, head, sizeof head - 1);
}

/* Handle one request at the front of what was read;
 * the bytes it took, 0 when it is not complete. */
static size_t request(struct peer *p)
{
    p->in[p->len] = '\0';
    char *end = strstr(p->in, "\r\n\r\n"), *length = strcasestr(p->in, "content-length:");
    if (!end)
        return 0;
    size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0,
           head = (size_t)(end + 4 - p->in);
    if (p->len < head + body)
        return 0;
    if (p->in[0] == 'G') {
        open_stream(p);
    } else {
        static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        publish(p->in + head, body);
        write_all(p->fd, ok, sizeof ok - 1);
    }
    return head + body;
}

static bool readable(struct peer *p)
{
    char byte;
    if (p->reader)
        return recv(p->fd, &byte, 1, 0) > 0;
    ssize_t n = recv(p->fd, p->in + p->len, IN_MAX - p->len, 0);
    if (n <= 0)
        return false;
    p->len += (size_t)n;
    for (size_t used; !p->reader && (used = request(p)) && !p->reader;)
        memmove(p->in, p->in + used, p->len -= used);
    return true;
}

static void accept_all(int listener)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): epoll keeps what a peer is
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int one = 1;
        struct peer *p = calloc(1, sizeof *p);
        *p = (struct peer){.fd = fd, .in = malloc(IN_MAX + 1)};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0) {
        perror("floor");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p)
                accept_all(listener);
            else if (!readable(p))
                peer_close(p);
        }
    }
}
