/* Each list of waiting descriptors is in the order of deadlines: a new deadline is always the
 * same time from now, and its owner moves to the end of the list. */
#include "http/accept.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "http/intake.h"
#include "http/listen_socket.h"

#define LOG_SUBSYSTEM "http"
#include "ops/log.h"

#define ACCEPTS_PER_TURN 256
/* Sockets that are handed over are taken in between, and free their listeners. */
#define SCGI_PER_TURN 32
#define ACCEPT_US 10000 /* in a turn: a request may take some 100 us */
#define PAUSE_MS 100    /* without accepting, when there are no descriptors left */
#define SILENT_MS 1000  /* a peer that is silent for longer may be closed to free its descriptor */
#define SILENT_AT_ONCE 64

struct waiting;

/* A descriptor without a complete request. */
struct pending {
    struct loop_watch watch;
    struct acceptor *acceptor;
    struct waiting *list; /* that contains it */
    struct intake intake;
    int64_t since, deadline;
    TAILQ_ENTRY(pending) link;
};

/* Descriptors with the same timeout, the oldest first. */
struct waiting {
    TAILQ_HEAD(pending_list, pending) all;
    size_t count;
    int timeout_ms;
};

struct acceptor {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer timer; /* of the oldest of both lists */
    struct loop_timer pause; /* until accepting resumes */
    struct intakes intakes;
    const struct accept_hooks *hooks;
    void *context;
    struct waiting requests; /* before or within a request */
    struct waiting kept;     /* between two requests */
};

void accept_cgi_body(const struct accept_hooks *hooks, void *context, int timeout_ms, int stop_fd,
                     struct params *params)
{
    struct intakes set = {.body_max = hooks->body_max, .context = context};
    intake_cgi_body(&set, STDIN_FILENO, stop_fd, timeout_ms, params);
}

/* --- incomplete requests --- */

static void unlink_pending(struct pending *p)
{
    struct waiting *list = p->list;

    MUST(list->count);
    list->count--;
    TAILQ_REMOVE(&list->all, p, link);
    p->list = NULL;
}

static void append_pending(struct waiting *list, struct pending *p)
{
    MUST(!p->list);
    p->deadline = loop_now(p->acceptor->loop) + list->timeout_ms;
    const struct pending *last = TAILQ_LAST(&list->all, pending_list);
    MUST(!last || last->deadline <= p->deadline);
    p->list = list;
    list->count++;
    TAILQ_INSERT_TAIL(&list->all, p, link);
}

/* Stop waiting and free p; its descriptor is the caller's. */
static int accept_release(struct pending *p)
{
    int fd = p->watch.fd;
    loop_remove(p->acceptor->loop, &p->watch);
    unlink_pending(p);
    intake_release(&p->acceptor->intakes, &p->intake);
    free(p);
    return fd;
}

/* The request of p is complete, or will never be. */
static void accept_settle(struct pending *p, enum intake_progress progress, struct params *params)
{
    struct acceptor *a = p->acceptor;
    int fd = accept_release(p);
    if (progress == INTAKE_READY) {
        a->hooks->request(a->context, fd, params);
        return;
    }
    a->hooks->dropped(a->context);
    close(fd);
}

/* A body that keeps arriving may take longer than a request. */
static void prolong(struct pending *p)
{
    struct acceptor *a = p->acceptor;
    if (!intake_wants_body(&p->intake) ||
        loop_now(a->loop) + a->requests.timeout_ms > p->since + ACCEPT_BODY_MS)
        return;
    unlink_pending(p);
    append_pending(&a->requests, p);
}

static void pending_ready(void *context, uint32_t events)
{
    struct pending *p = context;
    struct params params = {0};
    enum intake_progress progress =
        intake_more(&p->acceptor->intakes, &p->intake, p->watch.fd, &params);
    (void)events;
    if (progress == INTAKE_WAITING)
        prolong(p);
    else
        accept_settle(p, progress, &params);
}

static void fire_for(struct acceptor *a, const struct waiting *list)
{
    const struct pending *first = TAILQ_FIRST(&list->all);
    if (first && (!a->timer.due || first->deadline < a->timer.due))
        loop_timer_set(a->loop, &a->timer, first->deadline);
}

static void set_timer(struct acceptor *a)
{
    fire_for(a, &a->requests);
    fire_for(a, &a->kept);
}

/* Close at most max kept connections whose deadline is up to now (INT64_MAX: all). Not while
 * events are handled: one may refer to them. */
static void close_kept(struct acceptor *a, int64_t now, size_t max)
{
    struct pending *p;

    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): accept_release() unlinks what it frees
    while (max-- && (p = TAILQ_FIRST(&a->kept.all)) && p->deadline <= now)
        close(accept_release(p));
}

static void times_up(void *context, int64_t now)
{
    struct acceptor *a = context;
    struct pending *p;
    while ((p = TAILQ_FIRST(&a->requests.all)) && p->deadline <= now) {
        struct params params = {0};
        accept_settle(p, intake_give_up(&a->intakes, &p->intake, &params), &params);
    }
    close_kept(a, a->watch.fd < 0 ? INT64_MAX : now, SIZE_MAX);
    set_timer(a);
}

/* Wait on fd (taken over) in this list; begun (taken over) has what was read of the request.
 * Edge-triggered: what is there is read to its end each time. */
static void wait_in(struct acceptor *a, struct waiting *list, int fd, struct intake *begun,
                    void (*ready)(void *context, uint32_t events))
{
    struct pending *p = calloc(1, sizeof *p);
    if (p) {
        p->watch = (struct loop_watch){fd, ready, p};
        p->acceptor = a;
        p->intake = *begun;
        p->since = loop_now(a->loop);
    }
    if (!p || loop_add(a->loop, &p->watch, EPOLLIN | EPOLLRDHUP | EPOLLET) != 0) {
        intake_release(&a->intakes, begun);
        free(p);
        close(fd);
        return;
    }
    append_pending(list, p);
    set_timer(a);
}

/* --- accepting --- */

/* Apache writes the whole request at once, so it is there already, usually. */
static void arrived_scgi(struct acceptor *a, int fd)
{
    struct params params = {0};
    struct intake begun = {0};
    enum intake_progress progress = intake_more(&a->intakes, &begun, fd, &params);
    if (progress == INTAKE_WAITING) {
        wait_in(a, &a->requests, fd, &begun, pending_ready);
        return;
    }

    intake_release(&a->intakes, &begun);
    if (progress == INTAKE_READY) {
        a->hooks->request(a->context, fd, &params);
        return;
    }
    a->hooks->dropped(a->context);
    close(fd);
}

static void arrived_fcgi(struct acceptor *a, int fd)
{
    struct params params = {0};
    switch (intake_at_once(&a->intakes, fd, &params)) {
    case INTAKE_READY:
        a->hooks->request(a->context, fd, &params);
        break;
    case INTAKE_BROKEN:
        a->hooks->dropped(a->context);
        break;
    case INTAKE_WAITING:
        wait_in(a, &a->requests, fd, &(struct intake){0}, pending_ready);
    }
}

static void arrived(struct acceptor *a, int fd)
{
    if (a->intakes.scgi)
        arrived_scgi(a, fd);
    else
        arrived_fcgi(a, fd);
}

/* A kept connection begins its next request, or was closed. */
static void kept_ready(void *context, uint32_t events)
{
    struct pending *p = context;
    struct acceptor *a = p->acceptor;
    char byte;
    ssize_t n = recv(p->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    (void)events;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    int fd = accept_release(p);
    if (n > 0)
        arrived(a, fd);
    else
        close(fd);
}

void acceptor_keep(struct acceptor *a, int fd)
{
    if (a->watch.fd < 0 || a->kept.count >= ACCEPT_KEPT_MAX)
        close(fd);
    else
        wait_in(a, &a->kept, fd, &(struct intake){0}, kept_ready);
}

static bool out_of_resources(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

/* Close kept connections and the longest silent ones, to free descriptors. */
static void make_way(struct acceptor *a, int64_t now)
{
    struct pending *p;
    close_kept(a, INT64_MAX, SILENT_AT_ONCE);
    for (int i = 0; i < SILENT_AT_ONCE && (p = TAILQ_FIRST(&a->requests.all)); i++) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): accept_settle() unlinks what it frees
        if (p->deadline - a->requests.timeout_ms + SILENT_MS > now)
            return;
        accept_settle(p, INTAKE_BROKEN, NULL);
    }
}

/* Called by a timer: no closed connection has a pending event. */
static void pause_over(void *context, int64_t now)
{
    struct acceptor *a = context;
    make_way(a, now);
    loop_set(a->loop, &a->watch, EPOLLIN);
}

/* Without descriptors, pause accepting instead of spinning. */
static void pause_accepting(struct acceptor *a)
{
    log_error("out of file descriptors: raise the limit of open files or lower max-connections");
    loop_set(a->loop, &a->watch, 0);
    loop_timer_set(a->loop, &a->pause, loop_now(a->loop) + PAUSE_MS);
}

/* Accept what waits: this number at most, and none that begins after `until` (clock_us()). */
static void accept_take(struct acceptor *a, int max, int64_t until)
{
    int err = 0;
    for (int i = 0; i < max && !err && (!i || clock_us() < until); i++) {
        int fd = accept4(a->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            arrived(a, fd);
        else if (errno != ECONNABORTED && errno != EINTR)
            err = errno; /* that of accept4() alone counts */
    }
    if (out_of_resources(err))
        pause_accepting(a);
}

static void accept_ready(void *context, uint32_t events)
{
    struct acceptor *a = context;

    (void)events;
    accept_take(a, a->intakes.scgi ? SCGI_PER_TURN : ACCEPTS_PER_TURN, clock_us() + ACCEPT_US);
}

struct acceptor *acceptor_new(struct loop *loop, int listen_fd, size_t room, uint64_t max_requests,
                              int timeout_ms, const struct accept_hooks *hooks, void *context)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    *a = (struct acceptor){.loop = loop, .hooks = hooks, .context = context};
    TAILQ_INIT(&a->requests.all);
    TAILQ_INIT(&a->kept.all);
    a->requests.timeout_ms = timeout_ms;
    a->kept.timeout_ms = ACCEPT_KEEP_MS;
    a->intakes = (struct intakes){.body_max = hooks->body_max,
                                  .context = context,
                                  .scgi = hooks->scgi,
                                  .room = room,
                                  .max_requests = max_requests};
    a->watch = (struct loop_watch){listen_fd, accept_ready, a};
    a->timer = (struct loop_timer){.fire = times_up, .context = a};
    a->pause = (struct loop_timer){.fire = pause_over, .context = a};
    if (intake_init() != 0 || loop_add(loop, &a->watch, EPOLLIN) != 0) {
        free(a);
        return NULL;
    }
    return a;
}

void acceptor_take_backlog(struct acceptor *a)
{
    if (a->watch.fd >= 0)
        accept_take(a, LISTEN_SOCKET_BACKLOG, INT64_MAX);
}

void acceptor_stop(struct acceptor *a)
{
    int fd = a->watch.fd;
    if (fd < 0)
        return;
    loop_remove(a->loop, &a->watch);
    close(fd);
    /* Closes kept connections when no events are being handled. */
    loop_timer_set(a->loop, &a->timer, loop_now(a->loop));
}

void acceptor_free(struct acceptor **a)
{
    if (!*a)
        return;
    struct pending *p;
    while ((p = TAILQ_FIRST(&(*a)->requests.all)))
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): accept_release() unlinks what it frees
        close(accept_release(p));
    close_kept(*a, INT64_MAX, SIZE_MAX);
    int fd = (*a)->watch.fd;
    loop_remove((*a)->loop, &(*a)->watch);
    if (fd >= 0)
        close(fd);
    free(*a);
    *a = NULL;
}
