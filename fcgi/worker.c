/* The order of things. At the start the listening socket is there first, so that no web server is
 * refused. Requests are taken from it when the broker has reported the position of the sequence, or
 * after JOIN_TIMEOUT_MS without it. At the end a socket of our own stays open until all streams are
 * closed. A web server that finds none answers 503, on which EventSource gives up for good. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "dispatch.h"
#include "http/accept.h"
#include "listening.h"
#include "news.h"
#include "ops/endpoint.h"
#include "ops/log.h"
#include "ops/notify.h"
#include "ops/privilege.h"
#include "ops/variables.h"
#include "setup.h"
#include "stream/report.h"

#define JOIN_TIMEOUT_MS 1000
#define JOIN_LOOK_MS 10
#define DRAIN_STEP_MS 50
#define TICK_MS 1000
#define REQUESTS_ROOM (16u << 20) /* bytes held for requests that are not complete */
#define BODIES 32u                /* of the largest that may be published; more for those */
#define STOP_TIMEOUT_MS 3000      /* after the drain, for the last bytes to leave */

/* A CGI program serves one request: that it starts and stops is no news. */
static enum log_level news_level(const struct worker *w)
{
    return w->listening.cgi ? LOG_DEBUG : LOG_INFO;
}

/* --- the end --- */

/* Accept the connections that were made before the files of our sockets were removed. */
static void take_backlogs(struct worker *w)
{
    if (w->acceptor)
        acceptor_take_backlog(w->acceptor);
    if (w->scgi_acceptor)
        acceptor_take_backlog(w->scgi_acceptor);
}

static void stop_accepting(struct worker *w)
{
    if (w->acceptor)
        acceptor_stop(w->acceptor);
    if (w->scgi_acceptor)
        acceptor_stop(w->scgi_acceptor);
}

/* Close this step's share of the streams that are left. The number of streams after it. */
static size_t drain_share(struct worker *w, int64_t now)
{
    size_t streams = registry_count(w->streams.registry);
    int64_t time_left = w->drain_until - now;
    size_t steps = time_left > DRAIN_STEP_MS ? (size_t)(time_left / DRAIN_STEP_MS) : 1;
    return streams_drain(&w->streams, (streams + steps - 1) / steps);
}

/* Close the streams one after the other. When there are none, accept no more. */
static void drain_step(void *context, int64_t now)
{
    struct worker *w = context;
    size_t streams = drain_share(w, now);
    if (!streams) {
        listening_remove(&w->listening, &w->options);
        take_backlogs(w);
        stop_accepting(w);
    }

    if (streams || w->exchanges.conns.count)
        loop_timer_set(w->loop, &w->drain_timer, now + DRAIN_STEP_MS);
    if (now >= w->drain_until + STOP_TIMEOUT_MS) {
        services_give_up(&w->services);
        loop_stop(w->loop);
    }
}

static void begin_stop(struct worker *w)
{
    if (!w->options.listen && w->acceptor)
        acceptor_stop(w->acceptor); /* a handed socket: the next worker takes what waits there */
    if (!w->options.handoff_listen && w->scgi_acceptor)
        acceptor_stop(w->scgi_acceptor);
    log_write(news_level(w), "worker stopping: closing %zu streams over %" PRIu64 " ms",
              registry_count(w->streams.registry), w->options.drain_ms);
    notify_send("STOPPING=1\nSTATUS=closing %zu streams", registry_count(w->streams.registry));
    w->stopping = true;
    w->streams.draining = true;
    w->drain_until = loop_now(w->loop) + (int64_t)w->options.drain_ms;
    drain_step(w, loop_now(w->loop));
}

/* Read the files again. */
static void reload(struct worker *w)
{
    if (w->streams.tokens)
        tokens_reload(w->streams.tokens);
    monitor_reload(w->monitor);
}

static void signalled(void *context, uint32_t events)
{
    struct worker *w = context;
    struct signalfd_siginfo info;
    (void)events;
    while (read(w->signals.fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGUSR1)
            log_toggle_debug();
        else if (info.ssi_signo == SIGHUP)
            reload(w);
        else if (w->stopping)
            loop_stop(w->loop);
        else
            begin_stop(w);
    }
}

/* Once a second. */
static void worker_tick(void *context, int64_t now)
{
    struct worker *w = context;
    log_tick(now);
    loop_timer_set(w->loop, &w->tick_timer, now + TICK_MS);
}

/* --- each turn --- */

static bool turn_end(void *context)
{
    struct worker *w = context;
    bool more = conns_flush(&w->exchanges.conns);
    more = news_take(&w->streams) || more;
    more = conns_flush(&w->exchanges.conns) || more;
    report_send(&w->streams); /* last: a stream whose write fails ends */
    conns_reap(&w->exchanges.conns);
    bool served = w->stopping || (w->listening.cgi && !w->start_timer.due);
    if (served && !w->exchanges.conns.count)
        loop_stop(w->loop);
    /* Reports and streams that were drained may have sent something. */
    return more || upstream_is_unsure(w->upstream);
}

/* --- the start --- */

/* What has come from the broker goes first. Else a stream that is requested after the reply to a
 * publish or a shutdown would often begin before it. When one call leaves more news, later requests
 * of the turn do not take them: timers and other connections wait for the end of the turn. The
 * answer is written at once: what a request needs for a moment then leaves no holes between the
 * memory of streams. */
static void hand_on(struct worker *w, const struct incoming *in)
{
    uint64_t turn = loop_turn(w->loop);
    MUST(w->paused_turn <= turn);
    if (w->paused_turn != turn && upstream_may_have_news(w->upstream) && news_take(&w->streams))
        w->paused_turn = turn;
    dispatch_request(&w->services, in);
    conns_flush(&w->exchanges.conns);
}

static void take_request(void *context, int fd, struct params *params)
{
    hand_on(context, &(struct incoming){fd, params, CONN_RECORDS});
}

static void take_scgi_request(void *context, int fd, struct params *params)
{
    hand_on(context, &(struct incoming){fd, params, CONN_SOCKET});
}

static size_t body_max(void *context, struct params *params)
{
    struct worker *w = context;
    return service_body_max(&w->services, params);
}

static void dropped(void *context)
{
    struct worker *w = context;
    w->streams.counters[REQUESTS_DROPPED]++;
}

static void keep(void *context, int fd)
{
    struct worker *w = context;
    if (w->acceptor)
        acceptor_keep(w->acceptor, fd);
    else
        close(fd);
}

static const struct accept_hooks accept_hooks = {
    .request = take_request, .body_max = body_max, .dropped = dropped};
static const struct accept_hooks scgi_hooks = {
    .scgi = true, .request = take_scgi_request, .body_max = body_max, .dropped = dropped};

/* Heads of 256 KiB at most, and bodies where publishing is enabled. */
static size_t room_for_requests(const struct options *o)
{
    return REQUESTS_ROOM + (o->publish || o->mercure ? BODIES * (size_t)o->publish_bytes : 0);
}

static void serve_cgi(struct worker *w)
{
    struct params params = {0};
    if (params_copy(&params, environ) != 0) {
        log_error("out of memory");
        loop_stop(w->loop);
        return;
    }
    accept_cgi_body(&accept_hooks, w, (int)w->options.request_timeout_ms, w->signals.fd, &params);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    dispatch_request(&w->services, &(struct incoming){STDOUT_FILENO, &params, CONN_PIPE});
}

static struct acceptor *accept_on(struct worker *w, int *fd, const struct accept_hooks *hooks)
{
    struct acceptor *a =
        acceptor_new(w->loop, *fd, room_for_requests(&w->options), w->streams.limits.connections,
                     (int)w->options.request_timeout_ms, hooks, w);
    if (a)
        *fd = -1;
    return a;
}

static void serve(struct worker *w)
{
    if (w->listening.cgi) {
        serve_cgi(w);
        return;
    }
    w->acceptor = accept_on(w, &w->listening.fd, &accept_hooks);
    if (w->acceptor && w->listening.scgi_fd >= 0)
        w->scgi_acceptor = accept_on(w, &w->listening.scgi_fd, &scgi_hooks);
    if (!w->acceptor || w->listening.scgi_fd >= 0) {
        log_error("cannot accept connections: %s", strerror(errno));
        loop_stop(w->loop);
        return;
    }
    w->exchanges.keep = keep;
    w->exchanges.keep_context = w;
    notify_send("READY=1\nSTATUS=accepting streams, at most %" PRIu64,
                w->streams.limits.connections);
}

/* libzmq does not say that it has no permission to use a socket: it retries silently. */
static void warn_of_no_broker(const struct worker *w)
{
    const char *endpoints[] = {w->options.feeds.items[0], w->options.syncs.items[0]};
    int err = 0;
    size_t i = 0;
    while (i < 2 && (err = endpoint_access(endpoints[i])) == 0)
        i++;

    if (err)
        log_warn("no broker yet at %s: %s; streams open and wait", endpoints[i], strerror(-err));
    else
        log_warn("no broker yet at %s: streams open and wait", endpoints[1]);
}

static void try_to_serve(void *context, int64_t now)
{
    struct worker *w = context;
    if (w->stopping)
        return;
    if (!w->streams.window && now < w->start_by) {
        loop_timer_set(w->loop, &w->start_timer, now + JOIN_LOOK_MS);
        return;
    }
    if (!w->streams.window)
        warn_of_no_broker(w);
    serve(w);
}

/* Signals are read from a descriptor; no handler runs, libfcgi's neither. Call it before the socket
 * exists: a worker that accepts is never killed by a signal that it handles. */
static void hold_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGHUP);
    sigprocmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool open_signals(struct worker *w)
{
    w->signals =
        (struct loop_watch){signalfd(-1, &w->held, SFD_NONBLOCK | SFD_CLOEXEC), signalled, w};
    return w->signals.fd >= 0 && loop_add(w->loop, &w->signals, EPOLLIN) == 0;
}

static const char *listening_name(const struct worker *w)
{
    if (w->listening.cgi)
        return "stdout (CGI)";
    return w->options.listen ? w->options.listen : "inherited socket";
}

/* Everything up to the first turn of the loop. False with a line in the log. */
static bool worker_start(struct worker *w)
{
    w->loop = loop_new(turn_end, w);
    if (!w->loop || !open_signals(w)) {
        log_error("cannot start: %s", strerror(errno));
        return false;
    }
    if (!setup_parts(w))
        return false;

    w->start_by = loop_now(w->loop) + JOIN_TIMEOUT_MS;
    w->start_timer = (struct loop_timer){.fire = try_to_serve, .context = w};
    w->drain_timer = (struct loop_timer){.fire = drain_step, .context = w};
    w->tick_timer = (struct loop_timer){.fire = worker_tick, .context = w};
    loop_timer_set(w->loop, &w->tick_timer, loop_now(w->loop) + TICK_MS);
    loop_timer_set(w->loop, &w->start_timer, loop_now(w->loop) + JOIN_LOOK_MS);
    log_write(news_level(w), "worker %s: %s, feed %s, sync %s, at most %" PRIu64 " streams",
              w->name, listening_name(w), w->options.feeds.items[0], w->options.syncs.items[0],
              w->streams.limits.connections);
    return true;
}

/* Free all there is, after a failed start too. */
static void worker_stop(struct worker *w)
{
    listening_remove(&w->listening, &w->options);
    stop_accepting(w);
    listening_close(&w->listening);
    if (w->loop) {
        acceptor_free(&w->acceptor);
        acceptor_free(&w->scgi_acceptor);
        conns_close(&w->exchanges.conns);
        handoffs_free(&w->exchanges.handoffs);
        services_release(&w->services);
        streams_release(&w->streams);
        upstream_free(&w->upstream);
        curve_client_release(&w->curve);
        if (w->signals.fd >= 0)
            close(w->signals.fd);
    }
    loop_free(&w->loop);
}

static int worker_run(struct worker *w)
{
    log_open("ssecast-fcgi", log_level_of(w->options.log_level));
    log_set_format(w->options.log_format);
    privilege_warn();
    variables_warn(&worker_program);
    hold_signals(&w->held);
    if (!setup_keys(w))
        return 2;

    int status = listening_open(&w->listening, &w->options);
    if (!status)
        status = worker_start(w) && loop_run(w->loop) == 0 ? 0 : 1;
    worker_stop(w);
    log_close();
    return status;
}

int worker_main(int argc, char **argv)
{
    struct worker *w = calloc(1, sizeof *w);
    int status = 1;
    if (!w)
        return 1;
    switch (option_load(&worker_program, argc, argv, &w->options, NULL)) {
    case OPTION_RUN:
        status = worker_run(w);
        break;
    case OPTION_EXIT:
        status = 0;
        break;
    case OPTION_BAD:
        status = 2;
        break;
    }
    monitor_free(&w->monitor);
    tokens_free(&w->streams.tokens);
    option_release(&worker_program, &w->options);
    free(w);
    return status;
}
