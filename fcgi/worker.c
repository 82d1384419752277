/* The order of things. At the start the listening socket is there first, so that no web server
 * is refused; requests are taken from it as soon as the broker has told where the sequence
 * stands, or after JOIN_TIMEOUT_MS without it. At the end a socket of our own stays open until
 * all streams are closed, because a web server that finds none answers 503, on which EventSource
 * gives up for good. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
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
#include "options.h"
#include "service/monitor.h"
#include "service/service.h"
#include "stream/report.h"
#include "stream/stream.h"
#include "upstream/upstream.h"

#define JOIN_TIMEOUT_MS 1000
#define JOIN_LOOK_MS 10
#define DRAIN_STEP_MS 50
#define TICK_MS 1000
#define REQUESTS_ROOM (16u << 20) /* bytes held for requests that are not complete */
#define BODIES 32u                /* of the largest that may be published; more for those */
#define STOP_TIMEOUT_MS 3000      /* after the drain, for the last bytes to leave */

struct worker {
    struct options options;
    struct exchanges exchanges;
    struct streams streams;
    struct services services;
    struct loop *loop;
    struct upstream *upstream;
    struct curve_client curve;
    struct monitor *monitor;
    struct acceptor *acceptor;
    struct acceptor *scgi_acceptor; /* of Apache's hand-off */
    struct listening listening;     /* until the acceptors have its descriptors */
    char name[NAME_BYTES_MAX];
    char label_texts[META_MAX][META_LABEL_MAX + 1]; /* of what is kept of requests */
    struct slice labels[META_MAX];
    size_t label_count;
    sigset_t held; /* the signals that end it */
    struct loop_watch signals;
    struct loop_timer start_timer, drain_timer, tick_timer;
    int64_t start_by;
    int64_t drain_until;
    uint64_t paused_turn; /* the last one in which news_take() left news for later */
    bool stopping;
};

/* --- names --- */

static void make_names(struct worker *w, char prefix[24])
{
    char host[64] = "";
    uint64_t random = 0;
    gethostname(host, sizeof host - 1);
    if (getrandom(&random, sizeof random, 0) < 0)
        random = (uint64_t)clock_unix_us();
    snprintf(w->name, sizeof w->name, "%s-%ld-%08" PRIx32, host, (long)getpid(), (uint32_t)random);
    snprintf(prefix, 24, "%016" PRIx64, random);
}

/* What the values of --meta are called. */
static void make_labels(struct worker *w)
{
    for (size_t i = 0; i < w->options.meta.count && w->label_count < META_MAX; i++) {
        char *text = w->label_texts[w->label_count];
        if (*request_meta_label(w->options.meta.items[i], text))
            w->labels[w->label_count++] = slice_of(text);
    }
}

/* A CGI program's life is one request: no news. */
static enum log_level news_level(const struct worker *w)
{
    return w->listening.cgi ? LOG_DEBUG : LOG_INFO;
}

/* --- the end --- */

static void stop_listening(struct worker *w, bool sweep)
{
    listening_remove(&w->listening, &w->options);
    if (w->acceptor)
        acceptor_stop(w->acceptor, sweep);
    if (w->scgi_acceptor)
        acceptor_stop(w->scgi_acceptor, sweep);
}

/* Close the streams one after the other: each step those whose time has come. */
static void drain_step(void *context, int64_t now)
{
    struct worker *w = context;
    size_t left = registry_count(w->streams.registry);
    int64_t time_left = w->drain_until - now;
    size_t steps = time_left > DRAIN_STEP_MS ? (size_t)(time_left / DRAIN_STEP_MS) : 1;
    left = streams_drain(&w->streams, (left + steps - 1) / steps);
    if (!left)
        stop_listening(w, true);
    else
        loop_timer_set(w->loop, &w->drain_timer, now + DRAIN_STEP_MS);
    if (!left && w->exchanges.conns.count)
        loop_timer_set(w->loop, &w->drain_timer, now + DRAIN_STEP_MS);
    if (now >= w->drain_until + STOP_TIMEOUT_MS) {
        services_give_up(&w->services);
        loop_stop(w->loop);
    }
}

static void begin_stop(struct worker *w)
{
    if (!w->options.listen && w->acceptor)
        acceptor_stop(w->acceptor, false); /* a handed socket: the next worker takes what waits there */
    if (!w->options.handoff_listen && w->scgi_acceptor)
        acceptor_stop(w->scgi_acceptor, false);
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
    return more || upstream_is_unsure(w->upstream); /* reports and streams that were drained may have sent something */
}

/* --- the start --- */

/* What has come from the broker goes first. Else a stream that is requested after the reply to a
 * publish or a shutdown would often begin before it. When one call leaves more news, later requests of
 * the turn do not take them: timers and other connections wait for the end of the turn. The answer is
 * written at once: what a request needs for a moment then leaves no holes between the memory of
 * streams. */
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

static const struct accept_hooks accept_hooks = {.request = take_request, .body_max = body_max, .dropped = dropped};
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
    struct acceptor *a = acceptor_new(w->loop, *fd, room_for_requests(&w->options), w->streams.limits.connections,
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
    notify_send("READY=1\nSTATUS=accepting streams, at most %" PRIu64, w->streams.limits.connections);
}

/* libzmq tries again without a word where it may not use a socket. */
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

/* As many open files as we may have: each stream takes one. */
static uint64_t stream_limit(uint64_t configured)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return configured ? configured : 960;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    uint64_t most = files.rlim_cur / 16 * 15;
    if (configured > most)
        log_warn("max-connections %" PRIu64 " exceeds the limit of open files (%" PRIu64 ")", configured,
                 (uint64_t)files.rlim_cur);
    return configured ? configured : most;
}

static int open_streams(struct worker *w, const char *prefix)
{
    const struct options *o = &w->options;
    w->streams.loop = w->loop;
    w->streams.exchanges = &w->exchanges;
    w->streams.name = w->name;
    w->streams.started_ms = clock_unix_ms();
    w->streams.request_rules = (struct request_rules){.session_from = &o->session_from,
                                                      .channels_from = &o->channels_from,
                                                      .cors_origins = &o->cors_origins,
                                                      .meta = &o->meta,
                                                      .max_channels = (size_t)o->max_channels,
                                                      .max_name_bytes = (size_t)o->max_name_bytes};
    w->streams.reply_rules = (struct reply_rules){&o->headers, &o->cors_origins};
    w->streams.limits = (struct stream_limits){
        .connections = stream_limit(o->max_connections),
        .per_session = o->max_per_session,
        .per_address = o->max_per_address,
        .connect_rate = o->connect_rate,
        .heartbeat_ms = o->heartbeat_ms,
        .retry = (uint32_t)o->retry_ms,
        .window_bytes = o->window_bytes,
        .publish_bytes = o->publish ? (size_t)o->publish_bytes : 0,
    };
    w->streams.mercure = (struct mercure_rules){.subscriptions = o->mercure_subscriptions,
                                                .anonymous = o->mercure_anonymous,
                                                .max_topics = (size_t)o->max_channels,
                                                .max_topic_bytes = (size_t)o->max_name_bytes,
                                                .max_patterns = (size_t)o->mercure_max_patterns,
                                                .publish_bytes = (size_t)o->publish_bytes,
                                                .cors_origins = &o->cors_origins};
    exchanges_init(&w->exchanges, w->loop, (size_t)o->queue_bytes, (int64_t)o->write_timeout_ms, w->streams.counters);
    bool many = o->io_uring && !w->listening.cgi;
    int err = many ? conns_write_together(&w->exchanges.conns) : 0;
    if (err)
        log_info("io_uring is not available (%s): each stream is written by itself", strerror(-err));
    return streams_init(&w->streams, prefix, (size_t)o->queue_bytes);
}

/* Where Apache passes the sockets of browsers. False with a line in the log. */
static bool open_handoff(struct worker *w)
{
    const struct options *o = &w->options;
    if (!o->handoff || w->listening.cgi)
        return true;
    const struct passwd *user = options_find_user(o->handoff_user);
    if (!user) {
        log_error("--handoff-user %s: no such user any more", o->handoff_user);
        return false;
    }

    struct handoff_config config = {.folder = o->handoff,
                                    .peer = user->pw_uid,
                                    .group = user->pw_gid,
                                    .user_timeout_ms =
                                        2 * (int64_t)o->write_timeout_ms}; /* the worker's own timeout comes first */
    w->streams.redirects = (struct stream_redirects){o->handoff_url, o->handoff_fallback};
    w->exchanges.handoffs = handoffs_new(w->loop, &config, &exchange_handoff_hooks, w->streams.counters);
    if (w->exchanges.handoffs)
        log_info("hand-off: SCGI at %s, sockets from user %s in %s",
                 o->handoff_listen ? o->handoff_listen : "inherited socket", o->handoff_user, o->handoff);
    return w->exchanges.handoffs != NULL;
}

/* The head of a stream whose socket is handed over is Apache's. */
static void warn_of_headers(const struct worker *w)
{
    if (w->options.handoff && w->options.headers.count)
        log_warn("--header has no effect on streams that Apache hands over: set these headers in its configuration");
}

static void open_services(struct worker *w)
{
    w->services = (struct services){
        .streams = &w->streams,
        .monitor = w->monitor,
        .route_rules = {.mounts = &w->options.mounts, .mercure = w->options.mercure, .cgi = w->listening.cgi},
    };
    services_init(&w->services);
}

static bool open_upstream(struct worker *w)
{
    const struct options *o = &w->options;
    char why[CURVE_KEY_WHY];
    if (curve_client_load(&w->curve, o->curve_key_file, o->broker_keys.items, o->broker_keys.count, o->feeds.count,
                          why) != 0) {
        log_error("%s", why);
        return false;
    }
    struct upstream_pace pace = UPSTREAM_PACE;
    pace.silence = (int64_t)o->broker_timeout_ms;

    struct upstream_config config = {
        .pace = pace,
        .feeds = o->feeds.items,
        .syncs = o->syncs.items,
        .brokers = o->feeds.count,
        .curve = &w->curve,
        .name = w->name,
        .labels = {w->labels, w->label_count},
        .counters = w->streams.counters,
        .ordering = &w->streams.ordering,
        .repairs = &w->streams.counters[REPAIRS],
    };
    w->upstream = w->streams.upstream = upstream_new(&config, w->loop);
    return w->upstream != NULL;
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
    w->signals = (struct loop_watch){signalfd(-1, &w->held, SFD_NONBLOCK | SFD_CLOEXEC), signalled, w};
    return w->signals.fd >= 0 && loop_add(w->loop, &w->signals, EPOLLIN) == 0;
}

/* Log it once. */
static void warn_if_open(const struct worker *w)
{
    const char *source = request_open_source(&w->streams.request_rules);
    if (source && !w->listening.cgi)
        log_warn("session-from %s: any client that knows a session's name can open its streams; to prevent it use jwt, "
                 "remote-user, or a cookie that cannot be guessed",
                 source);
}

/* Everything up to the first turn of the loop. False with a line in the log. */
static const char *listening_name(const struct worker *w)
{
    if (w->listening.cgi)
        return "stdout (CGI)";
    return w->options.listen ? w->options.listen : "inherited socket";
}

static bool worker_start(struct worker *w)
{
    char prefix[24];
    make_names(w, prefix);
    w->loop = loop_new(turn_end, w);
    if (!w->loop || !open_signals(w) || open_streams(w, prefix) != 0) {
        log_error("cannot start: %s", strerror(errno));
        return false;
    }
    open_services(w);
    if (!open_handoff(w) || !open_upstream(w))
        return false;
    warn_if_open(w);
    warn_of_headers(w);
    w->start_by = loop_now(w->loop) + JOIN_TIMEOUT_MS;
    w->start_timer = (struct loop_timer){.fire = try_to_serve, .context = w};
    w->drain_timer = (struct loop_timer){.fire = drain_step, .context = w};
    w->tick_timer = (struct loop_timer){.fire = worker_tick, .context = w};
    loop_timer_set(w->loop, &w->tick_timer, loop_now(w->loop) + TICK_MS);
    loop_timer_set(w->loop, &w->start_timer, loop_now(w->loop) + JOIN_LOOK_MS);
    log_write(news_level(w), "worker %s: %s, feed %s, sync %s, at most %" PRIu64 " streams", w->name, listening_name(w),
              w->options.feeds.items[0], w->options.syncs.items[0], w->streams.limits.connections);
    return true;
}

static void worker_stop(struct worker *w)
{
    stop_listening(w, false);
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

/* Keys, where tokens are to be judged. False with a line in the log. */
static bool open_tokens(struct worker *w)
{
    const struct options *o = &w->options;
    struct token_rules rules = {.secret_file = o->jwt_secret_file,
                                .key_file = o->jwt_key_file,
                                .issuer = o->jwt_issuer,
                                .audience = &o->jwt_audience,
                                .cookie = o->jwt_cookie,
                                .leeway_ms = (int64_t)o->jwt_leeway_ms};
    if (!rules.secret_file && !rules.key_file)
        return true;

    w->streams.tokens = tokens_new(&rules);
    return w->streams.tokens != NULL;
}

static int worker_run(struct worker *w)
{
    log_open("ssecast-fcgi", log_level_of(w->options.log_level));
    log_set_format(w->options.log_format);
    privilege_warn();
    variables_warn(&worker_program);
    hold_signals(&w->held);
    make_labels(w);
    w->monitor = monitor_new(&w->options.monitor_from, &w->options.monitor_hosts, w->options.monitor_token_file);
    if (!w->monitor || !open_tokens(w))
        return 2;
    int status = listening_open(&w->listening, &w->options);
    if (status)
        return status;
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
