#define LOG_SUBSYSTEM "upstream"

#include "upstream/line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <zmq.h>

#include "codec/wire.h"
#include "ops/endpoint.h"
#include "ops/handshake.h"
#include "ops/log.h"

#define AGAIN_MS 2000 /* until a broker that refused us is tried again */
#define LINGER_MS 500 /* for the last report to leave when the worker stops */

struct lines {
    struct lines_config config;
    void *zmq;
    unsigned monitors; /* made so far: each has a name of its own */
};

struct line {
    struct lines *lines;
    enum line_kind kind;
    const char *endpoint;
    size_t broker;
    void *socket;
    void *monitor; /* where libzmq tells of handshakes */
    struct loop_watch watch;
    zmq_msg_t message;   /* received last */
    enum handshake last; /* how the last one failed */
    unsigned cuts;       /* in a row */
    bool told;           /* since the last one that succeeded */
    int64_t again_at;    /* when to connect anew, because libzmq does not; 0: not at all */
};

static const char *const option_names[] = {[LINE_FEED] = "feed", [LINE_SYNC] = "sync"};

struct lines *lines_new(const struct lines_config *config)
{
    struct lines *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct lines){.config = *config, .zmq = zmq_ctx_new()};
    if (!l->zmq)
        lines_free(&l);
    return l;
}

void lines_free(struct lines **l)
{
    if (!*l)
        return;
    if ((*l)->zmq)
        zmq_ctx_term((*l)->zmq);
    free(*l);
    *l = NULL;
}

/* --- opening --- */

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

/* ZMQ_FD is edge-triggered and says only that something happened; the worker looks after every turn. */
static void woken(void *context, uint32_t events)
{
    (void)context;
    (void)events;
}

/* ipc endpoints of a broker use no keys. */
static bool uses_curve(const struct line *l)
{
    const struct curve_client *c = l->lines->config.curve;
    return c && c->broker_count && strncmp(l->endpoint, "tcp://", 6) == 0;
}

/* 0 or -1 with errno. */
static int set_curve(const struct line *l)
{
    const struct curve_client *c = l->lines->config.curve;
    struct curve_key public;
    if (!uses_curve(l))
        return 0;
    const struct curve_key *broker = &c->brokers[c->broker_count > 1 ? l->broker : 0];
    if (zmq_curve_public(public.text, c->secret.text) != 0 ||
        zmq_setsockopt(l->socket, ZMQ_CURVE_SERVERKEY, broker->text, sizeof broker->text) != 0 ||
        zmq_setsockopt(l->socket, ZMQ_CURVE_PUBLICKEY, public.text, sizeof public.text) != 0)
        return -1;
    return zmq_setsockopt(l->socket, ZMQ_CURVE_SECRETKEY, c->secret.text, sizeof c->secret.text);
}

static void set_options(const struct line *l)
{
    const char *name = l->lines->config.name;
    set_int(l->socket, ZMQ_LINGER, 0);
    set_int(l->socket, ZMQ_IPV6, endpoint_is_ipv6(l->endpoint));
    set_int(l->socket, ZMQ_RECONNECT_IVL, 100);
    set_int(l->socket, ZMQ_RECONNECT_IVL_MAX, 5000);
    set_int(l->socket, ZMQ_HEARTBEAT_IVL, 5000);
    set_int(l->socket, ZMQ_HEARTBEAT_TIMEOUT, 15000);
    set_int(l->socket, ZMQ_HANDSHAKE_IVL, 5000);
    set_int(l->socket, ZMQ_SNDHWM, 100000);
    set_int(l->socket, ZMQ_RCVHWM, 100000);
    if (l->kind == LINE_FEED) {
        zmq_setsockopt(l->socket, ZMQ_SUBSCRIBE, WIRE_PREFIX, WIRE_PREFIX_LEN);
        return;
    }
    set_int(l->socket, ZMQ_LINGER, LINGER_MS);
    set_int(l->socket, ZMQ_IMMEDIATE, 1); /* nothing piles up for a broker that is away */
    zmq_setsockopt(l->socket, ZMQ_ROUTING_ID, name, strlen(name));
}

/* Nothing in the monitor may ever wait for us: it would stop libzmq's thread. */
static int watch_handshakes(struct line *l)
{
    char name[32];
    snprintf(name, sizeof name, "inproc://monitor-%u", ++l->lines->monitors);
    l->monitor = zmq_socket(l->lines->zmq, ZMQ_PAIR);
    if (!l->monitor)
        return -1;
    set_int(l->monitor, ZMQ_RCVHWM, 0);
    if (zmq_socket_monitor(l->socket, name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) != 0)
        return -1;
    return zmq_connect(l->monitor, name);
}

/* 0 or -1 with errno. */
static int connect_line(struct line *l)
{
    size_t len = sizeof l->watch.fd;
    l->socket = zmq_socket(l->lines->zmq, l->kind == LINE_FEED ? ZMQ_SUB : ZMQ_DEALER);
    if (!l->socket)
        return -1;
    set_options(l);
    if (set_curve(l) != 0 || watch_handshakes(l) != 0 || zmq_connect(l->socket, l->endpoint) != 0 ||
        zmq_getsockopt(l->socket, ZMQ_FD, &l->watch.fd, &len) != 0)
        return -1;
    int err = loop_add(l->lines->config.loop, &l->watch, EPOLLIN);
    errno = -err;
    return err ? -1 : 0;
}

struct line *line_open(struct lines *lines, enum line_kind kind, const char *endpoint, size_t broker)
{
    struct line *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct line){.lines = lines, .kind = kind, .endpoint = endpoint, .broker = broker, .watch = {-1, woken, l}};
    zmq_msg_init(&l->message);
    if (connect_line(l) == 0)
        return l;
    log_error("--%s %s: %s", option_names[kind], endpoint, zmq_strerror(errno));
    line_close(&l);
    return NULL;
}

void line_close(struct line **l)
{
    if (!*l)
        return;
    loop_remove((*l)->lines->config.loop, &(*l)->watch);
    zmq_msg_close(&(*l)->message);
    if ((*l)->socket)
        zmq_close((*l)->socket);
    if ((*l)->monitor)
        zmq_close((*l)->monitor);
    free(*l);
    *l = NULL;
}

/* --- messages --- */

int line_send(struct line *l, struct slice message)
{
    if (!l)
        return -ENOTCONN;
    return zmq_send(l->socket, message.data, message.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

bool line_receive(struct line *l, struct slice *message)
{
    if (!l || zmq_msg_recv(&l->message, l->socket, ZMQ_DONTWAIT) < 0)
        return false;
    *message = (struct slice){zmq_msg_data(&l->message), zmq_msg_size(&l->message)};
    return true;
}

/* --- handshakes --- */

/* What the next event of the monitor says; false: there is none. */
static bool next_handshake(const struct line *l, enum handshake *what)
{
    uint16_t event;
    char first[8], address[512];
    if (zmq_recv(l->monitor, first, sizeof first, ZMQ_DONTWAIT) < (int)sizeof event)
        return false;
    zmq_recv(l->monitor, address, sizeof address, ZMQ_DONTWAIT);
    memcpy(&event, first, sizeof event);
    *what = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED         ? HANDSHAKE_NONE
            : event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH     ? HANDSHAKE_REFUSED
            : event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? HANDSHAKE_MISMATCH
                                                           : HANDSHAKE_CUT;
    return true;
}

/* Tell it once, when it means something. */
static void tell_problem(struct line *l)
{
    if (l->told || l->last == HANDSHAKE_NONE || (l->last == HANDSHAKE_CUT && l->cuts < HANDSHAKE_CUTS))
        return;
    log_warn("--%s %s: %s", option_names[l->kind], l->endpoint, handshake_problem(l->last, uses_curve(l)));
    l->told = true;
}

void line_tick(struct line *l, int64_t now)
{
    enum handshake what;
    while (l && next_handshake(l, &what)) {
        l->last = what;
        l->cuts = what == HANDSHAKE_CUT ? l->cuts + 1 : 0;
        if (what == HANDSHAKE_NONE)
            l->told = false;
        if (handshake_final(what))
            l->again_at = now + AGAIN_MS;
        tell_problem(l);
    }
    if (l && l->again_at && now >= l->again_at) {
        l->again_at = 0;
        zmq_disconnect(l->socket, l->endpoint);
        zmq_connect(l->socket, l->endpoint);
    }
}

bool line_turned_away(const struct line *l)
{
    return l && l->told;
}
