/* What libfcgi must not do here: accept, block, close slowly or write. So it gets a request with no listening socket, a
 * non-blocking descriptor that holds all it will read, and gives the descriptor back untouched. */
#include "accept.h"

#include <errno.h>
#include <fcgiapp.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_SUBSYSTEM "http"
#include "log.h"
#include "record.h"

#define PEEK_MAX 262144 /* bytes of a request that are looked at: more than a socket buffer holds by default */
#define BODY_PATIENCE                                                                                                  \
    65536 /* with so many bytes here, a request whose parameters are complete is not kept waiting for its body */
#define BACKLOG 4096
#define PASSED_FD 3 /* where systemd puts the first (sd_listen_fds) */
#define ACCEPTS_PER_TURN 256
#define PAUSE_MS 100 /* without accepting, when there are no descriptors left */

/* A descriptor whose request has not arrived yet. */
struct pending {
    struct loop_watch watch;
    struct acceptor *acceptor;
    int64_t deadline;
    struct pending *prev, *next;
};

struct acceptor {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer timer; /* of the oldest pending */
    struct loop_timer pause; /* until we accept again */
    accept_handler *handler;
    void *context;
    struct pending *first, *last; /* the oldest first */
    bool out_of_descriptors;      /* said so in the log already */
};

/* --- sockets from whoever started us --- */

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* How many descriptors systemd passed to this very process (and not to one that started it). */
static long passed_descriptors(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    return pid && count && strtol(pid, NULL, 10) == getpid() ? strtol(count, NULL, 10) : 0;
}

int accept_handed(void)
{
    long passed = passed_descriptors();
    if (passed == 1 && is_listening(PASSED_FD))
        return PASSED_FD;
    if (passed) {
        log_error("LISTEN_FDS=%ld: a worker takes one listening stream socket from systemd", passed);
        return -EINVAL;
    }
    return is_listening(STDIN_FILENO) ? STDIN_FILENO : -1;
}

bool accept_is_cgi(void)
{
    return !passed_descriptors() && !is_listening(STDIN_FILENO) && getenv("GATEWAY_INTERFACE");
}

/* --- libfcgi --- */

/* Let libfcgi read the request that waits in fd. 0 (fd is the caller's), or -EPROTO (fd is closed). */
static int read_request(int fd, struct params *params)
{
    char body[4096];
    FCGX_Request r;
    FCGX_InitRequest(&r, -1, 0);
    r.ipcFd = fd;
    r.keepConnection = 1; /* else its first step would be to close fd */
    FCGX_Detach(&r);      /* on an error, close at once */
    if (FCGX_Accept_r(&r) < 0)
        return -EPROTO;
    int err = params_copy(params, r.envp);
    params->request = (uint16_t)r.requestId;
    while (FCGX_GetStr(body, sizeof body, r.in) > 0)
        ;
    r.ipcFd = -1;
    FCGX_Free(&r, 0);
    if (err)
        close(fd);
    return err;
}

/* --- requests on their way --- */

static void unlink_pending(struct acceptor *a, struct pending *p)
{
    if (a->first == p)
        a->first = p->next;
    else
        p->prev->next = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        a->last = p->prev;
}

/* Stop waiting and free p; its descriptor is the caller's. */
static int release(struct pending *p)
{
    int fd = p->watch.fd;
    loop_remove(p->acceptor->loop, &p->watch);
    unlink_pending(p->acceptor, p);
    free(p);
    return fd;
}

/* Is the request there? now_or_never: its time is up. */
static enum record_progress look(int fd, bool now_or_never)
{
    static char bytes[PEEK_MAX];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return RECORD_PARTIAL;
    if (n <= 0)
        return RECORD_BAD;
    enum record_progress progress = record_scan((struct slice){bytes, (size_t)n});
    bool impatient = now_or_never || n >= BODY_PATIENCE;
    if (progress == RECORD_PARAMS)
        return impatient ? RECORD_COMPLETE : RECORD_PARTIAL;
    return progress == RECORD_PARTIAL && n == PEEK_MAX ? RECORD_BAD : progress;
}

static void hand_over(struct acceptor *a, int fd)
{
    struct params params = {0};
    int err = read_request(fd, &params);
    if (err)
        log_warn("a request could not be read (%s); is it a web server, speaking FastCGI, that uses this socket?",
                 strerror(-err));
    else
        a->handler(a->context, fd, &params);
}

static void check(struct pending *p, bool now_or_never)
{
    struct acceptor *a = p->acceptor;
    enum record_progress progress = look(p->watch.fd, now_or_never);
    if (progress == RECORD_PARTIAL && !now_or_never)
        return;
    int fd = release(p);
    if (progress == RECORD_COMPLETE)
        hand_over(a, fd);
    else
        close(fd);
}

static void pending_ready(void *context, uint32_t events)
{
    (void)events;
    check(context, false);
}

static void set_timer(struct acceptor *a)
{
    if (a->first && !a->timer.due)
        loop_timer_set(a->loop, &a->timer,
                       a->first->deadline); // NOLINT(clang-analyzer-unix.Malloc): check() unlinks what it frees
}

static void times_up(void *context, int64_t now)
{
    struct acceptor *a = context;
    struct pending *next;
    for (struct pending *p = a->first; p && p->deadline <= now; p = next) {
        next = p->next;
        check(p, true);
    }
    set_timer(a);
}

/* Wait for the rest of a request. Edge-triggered: what was only peeked at stays readable. */
static void wait_for(struct acceptor *a, int fd)
{
    struct pending *p = calloc(1, sizeof *p);
    if (p) {
        p->watch = (struct loop_watch){fd, pending_ready, p};
        p->acceptor = a;
        p->deadline = loop_now(a->loop) + ACCEPT_TIMEOUT_MS;
    }
    if (!p || loop_add(a->loop, &p->watch, EPOLLIN | EPOLLRDHUP | EPOLLET) != 0) {
        free(p);
        close(fd);
        return;
    }
    p->prev = a->last;
    if (a->last)
        a->last->next = p;
    else
        a->first = p;
    a->last = p;
    set_timer(a);
}

/* --- accepting --- */

static void arrived(struct acceptor *a, int fd)
{
    switch (look(fd, false)) {
    case RECORD_COMPLETE:
        hand_over(a, fd);
        break;
    case RECORD_BAD:
        close(fd);
        break;
    default:
        wait_for(a, fd);
    }
}

static bool out_of_resources(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

static void pause_over(void *context, int64_t now)
{
    struct acceptor *a = context;
    (void)now;
    loop_set(a->loop, &a->watch, EPOLLIN);
}

/* Without a descriptor nothing can be answered; look again a little later instead of spinning. */
static void pause_accepting(struct acceptor *a)
{
    if (!a->out_of_descriptors)
        log_error("no descriptor left for new connections: raise the limit of open files or lower max-connections");
    a->out_of_descriptors = true;
    loop_set(a->loop, &a->watch, 0);
    loop_timer_set(a->loop, &a->pause, loop_now(a->loop) + PAUSE_MS);
}

static void take(struct acceptor *a, int max)
{
    errno = 0;
    for (int i = 0; i < max; i++) {
        int fd = accept4(a->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            arrived(a, fd);
        else if (errno != ECONNABORTED && errno != EINTR)
            break;
    }
    if (out_of_resources(errno))
        pause_accepting(a);
}

static void accept_ready(void *context, uint32_t events)
{
    (void)events;
    take(context, ACCEPTS_PER_TURN);
}

struct acceptor *acceptor_new(struct loop *loop, int listen_fd, accept_handler *handler, void *context)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct acceptor){.loop = loop, .handler = handler, .context = context};
    a->watch = (struct loop_watch){listen_fd, accept_ready, a};
    a->timer = (struct loop_timer){.fire = times_up, .context = a};
    a->pause = (struct loop_timer){.fire = pause_over, .context = a};
    if (FCGX_Init() != 0 || loop_add(loop, &a->watch, EPOLLIN) != 0) {
        free(a);
        return NULL;
    }
    return a;
}

void acceptor_stop(struct acceptor *a, bool sweep)
{
    int fd = a->watch.fd;
    if (fd < 0)
        return;
    if (sweep)
        take(a, BACKLOG);
    loop_remove(a->loop, &a->watch);
    close(fd);
}

void acceptor_free(struct acceptor **a)
{
    if (!*a)
        return;
    struct pending *next;
    for (struct pending *p = (*a)->first; p; p = next) {
        next = p->next;
        close(release(p));
    }
    int fd = (*a)->watch.fd;
    loop_remove((*a)->loop, &(*a)->watch);
    if (fd >= 0)
        close(fd);
    free(*a);
    *a = NULL;
}

/* --- the listening socket --- */

static bool is_path(const char *where)
{
    return strchr(where, '/') != NULL;
}

const char *accept_check_listen(const char *where)
{
    const char *colon = strrchr(where, ':');
    if (is_path(where))
        return strlen(where) < sizeof(((struct sockaddr_un *)0)->sun_path) ? NULL
                                                                           : "a unix socket path of at most 107 bytes";
    return colon && colon != where && colon[1] ? NULL : "a unix socket path (with a /) or HOST:PORT";
}

static int fail(int fd, const char *where, const char *what)
{
    log_error("--listen %s: %s: %s", where, what, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Is there a socket file that nobody listens on. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool stale =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int listen_unix(const char *path, unsigned mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memccpy(address.sun_path, path, '\0', sizeof address.sun_path - 1);
    if (is_stale(&address))
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(fd, path, "socket");
    mode_t mask = umask(0777 & ~mode); /* right from the moment it appears */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (bound != 0)
        return fail(fd, path, errno == EADDRINUSE ? "another process listens there" : "bind");
    if (listen(fd, BACKLOG) != 0)
        return fail(fd, path, "listen");
    return fd;
}

static int listen_tcp(const char *where)
{
    char host[256] = "";
    const char *colon = strrchr(where, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    size_t len = (size_t)(colon - where);
    bool bracketed = where[0] == '[' && len > 2 && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len), where + bracketed);
    int err = getaddrinfo(host, colon + 1, &hints, &found);
    if (err) {
        log_error("--listen %s: %s", where, gai_strerror(err));
        return -1;
    }
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
              bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    freeaddrinfo(found);
    return ok ? fd : fail(fd, where, "cannot listen");
}

int accept_listen(const char *where, unsigned mode)
{
    return is_path(where) ? listen_unix(where, mode) : listen_tcp(where);
}
