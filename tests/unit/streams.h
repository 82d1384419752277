/* streams.h - streams over a socket pair, as plain CGI so that the text stands alone. What the
 * broker would say is said through the functions of feed.h; upstream itself is there and finds
 * nobody. */
#ifndef SSECAST_TESTS_STREAMS_H
#define SSECAST_TESTS_STREAMS_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "one_broker.h"
#include "stream/current.h"
#include "stream/feed.h"
#include "stream/open.h"
#include "support.h"
#include "turns.h"

static char *session_source = (char *)"query:session", *channel_source = (char *)"query:channels";
static const struct option_list session_from = {&session_source, 1},
                                channels_from = {&channel_source, 1}, none = {NULL, 0};
static struct exchanges exchanges;
static struct streams set;

static inline bool turn_end(void *context)
{
    (void)context;
    streams_settle(&set);
    bool more = conns_flush(&exchanges.conns);
    conns_reap(&exchanges.conns);
    return more;
}

static inline void turn(void)
{
    turn_for(set.loop, 0);
}

static inline void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    set = (struct streams){
        .loop = new_turns(turn_end),
        .exchanges = &exchanges,
        .request_rules = {.session_from = &session_from,
                          .channels_from = &channels_from,
                          .cors_origins = &none,
                          .meta = &none,
                          .max_channels = 64,
                          .max_name_bytes = 255},
        .reply_rules = {&none, &none},
        .limits = {.connections = 1000,
                   .heartbeat_ms = 600000,
                   .retry = 15000,
                   .window_bytes = 1u << 24},
    };
    exchanges_init(&exchanges, set.loop, 1u << 20, 0, set.counters);
    ck_assert_int_eq(streams_init(&set, "w", 1u << 20), 0);
    set.upstream = upstream_of_nobody(set.loop, set.counters);
}

static inline void teardown(void)
{
    conns_close(&exchanges.conns);
    streams_release(&set);
    upstream_free(&set.upstream);
    loop_free(&set.loop);
}

/* --- a client --- */

struct client {
    int fd;
    bool ended;
    char text[1 << 20]; /* what has come and was not looked at */
    size_t len;
};

static struct client clients[4];

static inline void receive(struct client *c, size_t max)
{
    ssize_t n = 1;
    while (max && c->len < sizeof c->text - 1 && !c->ended) {
        size_t room = sizeof c->text - 1 - c->len;
        n = read(c->fd, c->text + c->len, max < room ? max : room);
        if (n <= 0)
            break;
        c->len += (size_t)n;
        max -= (size_t)n;
    }
    c->ended = c->ended || n == 0;
    c->text[c->len] = '\0';
}

/* Answer this request, which comes from fd. */
static inline void request_stream(int fd, struct params *params)
{
    open_request(&set, &(struct incoming){fd, params, CONN_PIPE});
    params_release(params);
}

/* Open a stream; extra may be NULL or a further parameter. */
static inline struct client *open_with(int number, int buffer, const char *query, const char *extra)
{
    struct client *c = &clients[number];
    struct params params = {.request = 1};
    int fds[2];
    *c = (struct client){0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (buffer)
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    c->fd = fds[1];
    ck_assert_int_eq(
        params_copy(&params, (char *[]){"REQUEST_METHOD=GET", (char *)query, (char *)extra, NULL}),
        0);
    request_stream(fds[0], &params);
    return c;
}

static inline void join(uint64_t position)
{
    feed_joined(&set, position);
}

#endif
