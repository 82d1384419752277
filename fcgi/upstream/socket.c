#define LOG_SUBSYSTEM "upstream"

#include "upstream/socket.h"

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

#define AGAIN_MS 2000 /* until reconnecting to a broker that refused the handshake */
#define LINGER_MS 500 /* for the last report to be sent when the worker stops */

struct broker_sockets {
    struct sockets_config config;
    void *zmq;
    unsigned monitors; /* created so far: each has its own name */
};

struct broker_socket {
    struct broker_sockets *sockets;
    enum socket_kind kind;
    const char *endpoint;
    size_t broker;
    void *socket;
    void *monitor; /* reports handshakes */
    struct loop_watch watch;
    zmq_msg_t message;   /* received last */
    enum handshake last; /* result of the last handshake */
    unsigned cuts;       /* handshakes in a row that were cut */
    bool logged;         /* the problem was logged since the last success */
    int64_t again_at;    /* when to reconnect, because libzmq does not; 0: never */
};

static const char *const option_names[] = {[SOCKET_FEED] = "feed", [SOCKET_SYNC] = "sync"};

struct broker_sockets *sockets_new(const struct sockets_config *config)
{
    struct broker_sockets *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct broker_sockets){.config = *config, .zmq = zmq_ctx_new()};
    if (!l->zmq)
        sockets_free(&l);
    return l;
}

void sockets_free(struct broker_sockets **l)
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

/* ZMQ_FD is edge-triggered and says only that an event happened; the worker receives after every
 * iteration. */
static void woken(void *context, uint32_t events)
{
    (void)context;
    (void)events;
}

/* ipc endpoints of a broker use no keys. */
static bool uses_curve(const struct broker_socket *l)
{
    const struct curve_client *c = l->sockets->config.curve;
    return c && c->broker_count && strncmp(l->endpoint, "tcp://", 6) == 0;
}

/* 0 or -1 with errno. */
static int set_curve(const struct broker_socket *l)
{
    const struct curve_client *c = l->sockets->config.curve;
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

static void set_options(const struct broker_socket *l)
{
    const char *name = l->sockets->config.name;
    set_int(l->socket, ZMQ_LINGER, 0);
    set_int(l->socket, ZMQ_IPV6, endpoint_is_ipv6(l->endpoint));
    set_int(l->socket, ZMQ_RECONNECT_IVL, 100);
    set_int(l->socket, ZMQ_RECONNECT_IVL_MAX, 5000);
    set_int(l->socket, ZMQ_HEARTBEAT_IVL, 5000);
    set_int(l->socket, ZMQ_HEARTBEAT_TIMEOUT, 15000);
    set_int(l->socket, ZMQ_HANDSHAKE_IVL, 5000);
    set_int(l->socket, ZMQ_SNDHWM, 100000);
    set_int(l->socket, ZMQ_RCVHWM, 100000);
    if (l->kind == SOCKET_FEED) {
        zmq_setsockopt(l->socket, ZMQ_SUBSCRIBE, WIRE_PREFIX, WIRE_PREFIX_LEN);
        return;
    }
    set_int(l->socket, ZMQ_LINGER, LINGER_MS);
    set_int(l->socket, ZMQ_IMMEDIATE, 1); /* nothing piles up for a broker that is away */
    zmq_setsockopt(l->socket, ZMQ_ROUTING_ID, name, strlen(name));
}

/* Nothing in the monitor may ever wait for us: it would stop libzmq's thread. */
static int watch_handshakes(struct broker_socket *l)
{
    char name[32];
    snprintf(name, sizeof name, "inproc://monitor-%u", ++l->sockets->monitors);
    l->monitor = zmq_socket(l->sockets->zmq, ZMQ_PAIR);
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
static int connect_line(struct broker_socket *l)
{
    size_t len = sizeof l->watch.fd;
    l->socket = zmq_socket(l->sockets->zmq, l->kind == SOCKET_FEED ? ZMQ_SUB : ZMQ_DEALER);
    if (!l->socket)
        return -1;
    set_options(l);
    if (set_curve(l) != 0 || watch_handshakes(l) != 0 || zmq_connect(l->socket, l->endpoint) != 0 ||
        zmq_getsockopt(l->socket, ZMQ_FD, &l->watch.fd, &len) != 0)
        return -1;
    int err = loop_add(l->sockets->config.loop, &l->watch, EPOLLIN);
    errno = -err;
    return err ? -1 : 0;
}

struct broker_socket *socket_open(struct broker_sockets *sockets, enum socket_kind kind, const char *endpoint,
                                  size_t broker)
{
    struct broker_socket *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct broker_socket){
        .sockets = sockets, .kind = kind, .endpoint = endpoint, .broker = broker, .watch = {-1, woken, l}};
    zmq_msg_init(&l->message);
    if (connect_line(l) == 0)
        return l;
    log_error("--%s %s: %s", option_names[kind], endpoint, zmq_strerror(errno));
    socket_close(&l);
    return NULL;
}

void socket_close(struct broker_socket **l)
{
    if (!*l)
        return;
    loop_remove((*l)->sockets->config.loop, &(*l)->watch);
    zmq_msg_close(&(*l)->message);
    if ((*l)->socket)
        zmq_close((*l)->socket);
    if ((*l)->monitor)
        zmq_close((*l)->monitor);
    free(*l);
    *l = NULL;
}

/* --- messages --- */

int socket_send(struct broker_socket *l, struct slice message)
{
    if (!l)
        return -ENOTCONN;
    return zmq_send(l->socket, message.data, message.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

bool socket_receive(struct broker_socket *l, struct slice *message)
{
    if (!l || zmq_msg_recv(&l->message, l->socket, ZMQ_DONTWAIT) < 0)
        return false;
    *message = (struct slice){zmq_msg_data(&l->message), zmq_msg_size(&l->message)};
    return true;
}

/* --- handshakes --- */

/* What the next event of the monitor says; false: there is none. */
static bool next_handshake(const struct broker_socket *l, enum handshake *what)
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
static void tell_problem(struct broker_socket *l)
{
    if (l->logged || l->last == HANDSHAKE_NONE || (l->last == HANDSHAKE_CUT && l->cuts < HANDSHAKE_CUTS))
        return;
    log_warn("--%s %s: %s", option_names[l->kind], l->endpoint, handshake_problem(l->last, uses_curve(l)));
    l->logged = true;
}

void socket_tick(struct broker_socket *l, int64_t now)
{
    enum handshake what;
    while (l && next_handshake(l, &what)) {
        l->last = what;
        l->cuts = what == HANDSHAKE_CUT ? l->cuts + 1 : 0;
        if (what == HANDSHAKE_NONE)
            l->logged = false;
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

bool socket_turned_away(const struct broker_socket *l)
{
    return l && l->logged;
}
