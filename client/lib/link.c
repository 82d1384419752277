/* libzmq's descriptor reports changes of state once, and each use of a socket takes the report
 * back: sending that of a reply, receiving that of a connection. So a caller that used the sockets
 * asks link_can_proceed(), or makes the descriptor readable with link_wake() and uses them again.
 *
 * Each endpoint has its own socket with ZMQ_IMMEDIATE. One DEALER for all would distribute
 * requests round robin, and brokers of a cluster would sequence them in any order. No request is
 * queued for an endpoint that is not connected. */
#include "lib/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "ops/curve_key.h"
#include "ops/endpoint.h"
#include "ops/zsock.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AGAIN_MS 1000
#define REPLY_MAX (64LL << 20) /* bytes; the broker's largest replies have a few MiB */

struct link_message {
    zmq_msg_t frames[2];
    int count;
};

struct link {
    void *context;
    struct zsock *endpoints;
    size_t count;
    size_t current;    /* the endpoint in use */
    zmq_msg_t message; /* received last */
    int epoll, wakeup;
    bool woken;
};

/* ---- messages ---- */

static int fill(zmq_msg_t *frame, struct slice bytes)
{
    if (zmq_msg_init_size(frame, bytes.len))
        return -ENOMEM;
    if (bytes.len > 0)
        memcpy(zmq_msg_data(frame), bytes.data, bytes.len);
    return 0;
}

static int pack(struct link_message *p, struct slice bytes)
{
    int err = fill(&p->frames[p->count], bytes);
    if (!err)
        p->count++;
    return err;
}

struct link_message *link_message_new(struct slice json, const struct slice *payload)
{
    struct link_message *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    if (pack(p, json) || (payload && pack(p, *payload)))
        link_message_free(&p);
    return p;
}

void link_message_free(struct link_message **p)
{
    if (!*p)
        return;
    while ((*p)->count > 0)
        zmq_msg_close(&(*p)->frames[--(*p)->count]);
    free(*p);
    *p = NULL;
}

struct slice link_message_json(const struct link_message *p)
{
    return zsock_slice(&p->frames[0]);
}

/* ---- opening ---- */

/* The options of a socket of this type. send_max 0: the window limits pending requests, and -EAGAIN
 * means that the socket is not connected. receive_max 0: at most one reply for each request. */
static struct zsock_options options_of(int type, int receive_max)
{
    return (struct zsock_options){
        .type = type,
        .handshake_ms = 5000,
        .receive_max = receive_max,
        .message_max = REPLY_MAX,
        .reconnect_max_ms = 1000,
        .again_ms = AGAIN_MS,
        .immediate = true,
        .monitored = ZMQ_EVENT_CONNECTED | ZSOCK_HANDSHAKES,
    };
}

int ssecast_curve_keypair(char public_key[41], char secret_key[41])
{
    return zmq_curve_keypair(public_key, secret_key) ? -errno : 0;
}

int ssecast_curve_read(const char *file, char public_key[41], char secret_key[41])
{
    struct curve_key secret, public;
    char why[CURVE_KEY_WHY];
    int err = curve_key_load(file, CURVE_SECRET, &secret, why);
    if (!err && zmq_curve_public(public.text, secret.text) != 0)
        err = -errno;
    if (!err) {
        memcpy(public_key, public.text, sizeof public.text);
        memcpy(secret_key, secret.text, sizeof secret.text);
    }
    curve_key_wipe(&secret);
    return err;
}

/* Brokers use keys on tcp only; ipc is protected by file permissions. */
static int protect(struct zsock *z, const char *endpoint, const struct ssecast_curve *curve)
{
    char public_key[41], secret_key[41];
    if (!curve->server_key)
        return curve->public_key || curve->secret_key ? -EINVAL : 0;
    if (!endpoint_is_tcp(endpoint))
        return 0;
    if (curve->secret_key)
        return zsock_protect(z, curve->server_key, curve->public_key, curve->secret_key);
    if (curve->public_key)
        return -EINVAL;

    int err = ssecast_curve_keypair(public_key, secret_key);
    if (!err)
        err = zsock_protect(z, curve->server_key, public_key, secret_key);
    explicit_bzero(secret_key, sizeof secret_key);
    return err;
}

static int watch(const struct link *l, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_descriptors(struct link *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wakeup = l->epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return l->wakeup < 0 ? -errno : watch(l, l->wakeup);
}

static int watch_socket(const struct link *l, void *socket)
{
    int fd = zsock_fd(socket);
    return fd < 0 ? fd : watch(l, fd);
}

/* libzmq accepts more than can be connected to: port 0, for example, which it tries without end. */
static int connect_to(struct zsock *z, const char *endpoint)
{
    return endpoint_check_connect(endpoint) ? -EINVAL : zsock_connect(z, endpoint);
}

/* Open one more socket. */
static int add_endpoint(struct link *l, const char *endpoint, const struct ssecast_curve *curve)
{
    const struct zsock_options options = options_of(ZMQ_DEALER, 0);
    struct zsock *z = &l->endpoints[l->count++];
    int err = zsock_open(z, l->context, &options);
    if (!err)
        err = protect(z, endpoint, curve);
    if (!err)
        err = watch_socket(l, z->monitor);
    if (!err)
        err = watch_socket(l, z->socket);
    return err ? err : connect_to(z, endpoint);
}

static int open_link(struct link *l, const struct ssecast_publisher_options *options)
{
    static const char *const usual[] = {"tcp://127.0.0.1:5570"};
    const char *const *endpoints = options->endpoint_count ? options->endpoints : usual;
    size_t count = options->endpoint_count ? options->endpoint_count : COUNT(usual);
    l->context = zmq_ctx_new();
    l->endpoints = calloc(count, sizeof *l->endpoints);
    if (!l->context || !l->endpoints)
        return -ENOMEM;
    int err = open_descriptors(l);
    for (size_t i = 0; i < count && !err; i++)
        err = add_endpoint(l, endpoints[i], &options->curve);
    return err;
}

int link_new(struct link **out, const struct ssecast_publisher_options *options)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->epoll = l->wakeup = -1;
    zmq_msg_init(&l->message);
    int err = open_link(l, options);
    if (err)
        link_free(&l);
    else
        link_wake(l); /* process it once before any event */
    *out = l;
    return err;
}

void link_free(struct link **l)
{
    if (!*l)
        return;
    zmq_msg_close(&(*l)->message);
    for (size_t i = 0; i < (*l)->count; i++)
        zsock_close(&(*l)->endpoints[i]);
    free((*l)->endpoints);
    if ((*l)->context)
        zmq_ctx_term((*l)->context);
    if ((*l)->wakeup >= 0)
        close((*l)->wakeup);
    if ((*l)->epoll >= 0)
        close((*l)->epoll);
    free(*l);
    *l = NULL;
}

/* ---- the descriptor ---- */

int link_fd(const struct link *l)
{
    return l->epoll;
}

void link_wake(struct link *l)
{
    if (!l->woken)
        l->woken = eventfd_write(l->wakeup, 1) == 0;
}

void link_clear_wakeup(struct link *l)
{
    eventfd_t count;
    if (l->woken)
        eventfd_read(l->wakeup, &count);
    l->woken = false;
}

bool link_is_woken(const struct link *l)
{
    return l->woken;
}

/* ---- handshakes ---- */

static void look_at(struct zsock *z, int64_t now)
{
    while (zsock_next_handshake(z, now))
        ;
    zsock_reconnect(z, now);
}

void link_look(struct link *l, int64_t now)
{
    for (size_t i = 0; i < l->count; i++)
        look_at(&l->endpoints[i], now);
}

int64_t link_due(const struct link *l)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < l->count; i++)
        if (l->endpoints[i].again_at && l->endpoints[i].again_at < due)
            due = l->endpoints[i].again_at;
    return due;
}

const char *link_problem(const struct link *l)
{
    return zsock_problem(&l->endpoints[l->current]);
}

/* ---- messages ---- */

static int send_frame(void *socket, zmq_msg_t *frame, int flags)
{
    zmq_msg_t copy;
    zmq_msg_init(&copy);
    if (zmq_msg_copy(&copy, frame) == 0 && zmq_msg_send(&copy, socket, flags | ZMQ_DONTWAIT) >= 0)
        return 0;
    int err = -errno;
    zmq_msg_close(&copy);
    return err;
}

/* When the connection ends between two frames, libzmq drops the first one. */
static int link_send_message(void *socket, struct link_message *p)
{
    int err = 0;
    for (int i = 0; i < p->count && !err; i++)
        err = send_frame(socket, &p->frames[i], i + 1 < p->count ? ZMQ_SNDMORE : 0);
    return err;
}

int link_send(struct link *l, struct link_message *p)
{
    int err = link_send_message(l->endpoints[l->current].socket, p);
    for (size_t i = 1; err == -EAGAIN && i < l->count; i++) {
        size_t other = (l->current + 1) % l->count;
        err = link_send_message(l->endpoints[other].socket, p);
        l->current = other;
    }
    return err;
}

void link_move(struct link *l)
{
    l->current = (l->current + 1) % l->count;
}

int link_receive(struct link *l, struct slice *text)
{
    int got = 0;
    for (size_t i = 0; got == 0 && i < l->count; i++)
        got = zsock_receive(&l->endpoints[(l->current + i) % l->count], &l->message, text);
    return got;
}

bool link_can_proceed(const struct link *l, bool to_send)
{
    int wanted = ZMQ_POLLIN | (to_send ? ZMQ_POLLOUT : 0), found = 0;
    for (size_t i = 0; i < l->count; i++) {
        int events = zsock_events(l->endpoints[i].socket);
        found |= events < 0 ? 0 : events;
    }
    return found & wanted;
}

/* ---- subscribing ---- */

/* Messages queued while the caller takes a snapshot. */
#define QUEUED_MAX 1000000

struct subscriber {
    void *context;
    struct zsock zsock;
    zmq_msg_t message; /* received last */
};

static int open_subscriber(struct subscriber *e, const char *endpoint,
                           const struct ssecast_curve *curve)
{
    const struct zsock_options options = options_of(ZMQ_SUB, QUEUED_MAX);
    e->context = zmq_ctx_new();
    int err = e->context ? zsock_open(&e->zsock, e->context, &options) : -ENOMEM;
    if (!err)
        err = protect(&e->zsock, endpoint, curve);
    if (!err && zmq_setsockopt(e->zsock.socket, ZMQ_SUBSCRIBE, "", 0))
        err = -errno;
    return err ? err : connect_to(&e->zsock, endpoint);
}

int subscriber_new(struct subscriber **out, const char *endpoint, const struct ssecast_curve *curve)
{
    struct subscriber *e = *out = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    zmq_msg_init(&e->message);
    int err = open_subscriber(e, endpoint, curve);
    if (err)
        subscriber_free(out);
    return err;
}

void subscriber_free(struct subscriber **e)
{
    if (!*e)
        return;
    zmq_msg_close(&(*e)->message);
    zsock_close(&(*e)->zsock);
    if ((*e)->context)
        zmq_ctx_term((*e)->context);
    free(*e);
    *e = NULL;
}

/* Wait until one of both is readable. */
static void wait_for_either(void *socket, int fd, int64_t ms)
{
    zmq_pollitem_t items[] = {{.socket = socket, .events = ZMQ_POLLIN},
                              {.fd = fd, .events = ZMQ_POLLIN}};
    zmq_poll(items, 2, (long)ms);
}

bool subscriber_wait_connected(struct subscriber *e, int fd, int64_t ms)
{
    look_at(&e->zsock, clock_ms());
    if (!e->zsock.handshakes.greeted && ms > 0) {
        wait_for_either(e->zsock.monitor, fd, ms);
        look_at(&e->zsock, clock_ms());
    }
    return e->zsock.handshakes.greeted;
}

void subscriber_wait(struct subscriber *e, int fd, int64_t ms)
{
    look_at(&e->zsock, clock_ms());
    wait_for_either(e->zsock.socket, fd, ms);
}

int subscriber_receive(struct subscriber *e, struct slice *text)
{
    return zsock_receive(&e->zsock, &e->message, text);
}
