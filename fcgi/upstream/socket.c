#define LOG_SUBSYSTEM "upstream"

#include "upstream/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "codec/wire.h"
#include "ops/endpoint.h"
#include "ops/log.h"
#include "ops/znotice.h"
#include "ops/zsock.h"

#define AGAIN_MS 2000 /* until reconnecting to a broker that refused the handshake */
#define LINGER_MS 500 /* for the last report to be sent when the worker stops */
#define HANDSHAKE_MS 5000
#define RECONNECT_MAX_MS 5000
#define WAITING_MAX 100000 /* messages */

struct broker_sockets {
    struct sockets_config config;
    void *zmq;
};

struct broker_socket {
    struct broker_sockets *sockets;
    enum socket_kind kind;
    const char *endpoint;
    size_t broker;
    struct zsock zsock;
    struct loop_watch watch;
    zmq_msg_t message; /* received last */
    struct znotice notice;
    bool logged; /* the problem was logged since the last success */
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

/* The worker receives at the end of the iteration. */
static void woken(void *context, uint32_t events)
{
    struct broker_socket *l = context;

    (void)events;
    znotice_used(&l->notice);
}

/* ipc endpoints of a broker use no keys. */
static int use_curve(struct broker_socket *l)
{
    const struct curve_client *c = l->sockets->config.curve;
    if (!c || !c->broker_count || !endpoint_is_tcp(l->endpoint))
        return 0;

    const struct curve_key *broker = &c->brokers[c->broker_count > 1 ? l->broker : 0];
    return zsock_protect(&l->zsock, broker->text, NULL, c->secret.text);
}

static int name_it(struct broker_socket *l, int option, const char *bytes, size_t len)
{
    return zmq_setsockopt(l->zsock.socket, option, bytes, len) == 0 ? 0 : -errno;
}

static int open_zsock(struct broker_socket *l)
{
    const char *name = l->sockets->config.name;
    bool feed = l->kind == SOCKET_FEED;
    const struct zsock_options options = {
        .type = feed ? ZMQ_SUB : ZMQ_DEALER,
        .linger_ms = feed ? 0 : LINGER_MS,
        .handshake_ms = HANDSHAKE_MS,
        .send_max = WAITING_MAX,
        .receive_max = WAITING_MAX,
        .reconnect_max_ms = RECONNECT_MAX_MS,
        .again_ms = AGAIN_MS,
        .immediate = !feed, /* no request waits for a broker that is not connected */
        .monitored = ZSOCK_HANDSHAKES,
    };
    int err = zsock_open(&l->zsock, l->sockets->zmq, &options);
    if (err)
        return err;
    if (feed)
        return name_it(l, ZMQ_SUBSCRIBE, WIRE_PREFIX, WIRE_PREFIX_LEN);
    return name_it(l, ZMQ_ROUTING_ID, name, strlen(name));
}

/* 0 or -errno. */
static int connect_socket(struct broker_socket *l)
{
    int err = open_zsock(l);
    if (!err)
        err = use_curve(l);
    if (!err)
        err = zsock_connect(&l->zsock, l->endpoint);
    if (err)
        return err;

    err = znotice_init(&l->notice, l->zsock.socket);
    if (err)
        return err;
    l->watch.fd = l->notice.fd;
    return loop_add(l->sockets->config.loop, &l->watch, EPOLLIN);
}

struct broker_socket *socket_open(struct broker_sockets *sockets, enum socket_kind kind,
                                  const char *endpoint, size_t broker)
{
    struct broker_socket *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct broker_socket){.sockets = sockets,
                                .kind = kind,
                                .endpoint = endpoint,
                                .broker = broker,
                                .watch = {-1, woken, l}};
    zmq_msg_init(&l->message);
    int err = connect_socket(l);
    if (!err)
        return l;

    log_error("--%s %s: %s", option_names[kind], endpoint, zmq_strerror(-err));
    socket_close(&l);
    return NULL;
}

void socket_close(struct broker_socket **l)
{
    if (!*l)
        return;
    loop_remove((*l)->sockets->config.loop, &(*l)->watch);
    zmq_msg_close(&(*l)->message);
    zsock_close(&(*l)->zsock);
    free(*l);
    *l = NULL;
}

/* --- messages --- */

int socket_send(struct broker_socket *l, struct slice message)
{
    if (!l)
        return -ENOTCONN;

    znotice_used(&l->notice);
    return zmq_send(l->zsock.socket, message.data, message.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

bool socket_is_unsure(const struct broker_socket *l)
{
    return l && znotice_is_unsure(&l->notice);
}

bool socket_can_send(struct broker_socket *l)
{
    return l && znotice_can_send(&l->notice);
}

bool socket_receive(struct broker_socket *l, struct slice *message)
{
    if (!socket_is_unsure(l))
        return false;

    int found = zsock_receive(&l->zsock, &l->message, message);
    znotice_received(&l->notice, found);
    return found > 0;
}

bool sockets_may_receive(struct broker_socket *one, struct broker_socket *other)
{
    struct broker_socket *both[] = {one, other};
    struct pollfd fds[2];
    for (int i = 0; i < 2; i++)
        fds[i] = (struct pollfd){.fd = both[i] ? both[i]->watch.fd : -1, .events = POLLIN};

    if (poll(fds, 2, 0) > 0)
        for (int i = 0; i < 2; i++)
            if (fds[i].revents)
                znotice_used(&both[i]->notice);
    return socket_is_unsure(one) || socket_is_unsure(other);
}

/* --- handshakes --- */

/* Log a problem once, when it is clear. */
static void log_problem(struct broker_socket *l)
{
    const char *problem = zsock_problem(&l->zsock);
    if (l->zsock.handshakes.last == HANDSHAKE_NONE)
        l->logged = false;
    if (l->logged || !problem)
        return;

    log_each(LOG_WARN, "--%s %s: %s", option_names[l->kind], l->endpoint, problem);
    l->logged = true;
}

void socket_tick(struct broker_socket *l, int64_t now)
{
    if (!l)
        return;

    znotice_used(&l->notice);
    while (zsock_next_handshake(&l->zsock, now))
        log_problem(l);
    zsock_reconnect(&l->zsock, now);
}

bool socket_turned_away(const struct broker_socket *l)
{
    return l && l->logged;
}
