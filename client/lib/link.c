/* link_wake(): libzmq's descriptor reports changes of state, and sending may consume one. So a
 * caller that sent outside of its event loop makes the descriptor readable and processes the socket
 * again.
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
#include "ops/handshake.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AGAIN_MS 1000
#define REPLY_MAX (64LL << 20) /* bytes; the broker's largest replies have a few MiB */

struct link_message {
    zmq_msg_t frames[2];
    int count;
};

/* An endpoint, its socket and the state of its handshakes. */
struct link_endpoint {
    void *socket;
    void *monitor; /* receives libzmq's handshake events */
    char *endpoint;
    bool curve;
    enum handshake last; /* how the last handshake failed */
    unsigned cuts;       /* consecutive HANDSHAKE_CUT */
    bool reached;        /* a peer accepted a connection */
    bool greeted;        /* a handshake succeeded once */
    int64_t again_at;    /* when to reconnect, because libzmq does not; 0: not set */
};

struct link {
    void *context;
    struct link_endpoint *endpoints;
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
    zmq_msg_t *frame = (zmq_msg_t *)&p->frames[0]; /* libzmq's functions take no const */
    return (struct slice){zmq_msg_data(frame), zmq_msg_size(frame)};
}

/* ---- opening ---- */

static int set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) ? -errno : 0;
}

static int set_numbers(void *socket)
{
    static const struct {
        int option, value; /* ms where it is a time */
    } rows[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_IMMEDIATE, 1},
        {ZMQ_RECONNECT_IVL, 100},
        {ZMQ_RECONNECT_IVL_MAX, 1000},
        {ZMQ_HANDSHAKE_IVL, 5000},
        {ZMQ_HEARTBEAT_IVL, 5000},
        {ZMQ_HEARTBEAT_TIMEOUT, 15000},
        {ZMQ_SNDHWM, 0}, /* the window limits pending requests; -EAGAIN: not connected */
        {ZMQ_RCVHWM, 0}, /* at most one reply for each pending request */
    };
    int64_t max = REPLY_MAX;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int err = set_number(socket, rows[i].option, rows[i].value);
        if (err)
            return err;
    }
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) ? -errno : 0;
}

int ssecast_curve_keypair(char public_key[41], char secret_key[41])
{
    return zmq_curve_keypair(public_key, secret_key) ? -errno : 0;
}

static int set_key(void *socket, int option, const char *key)
{
    if (strlen(key) != 40)
        return -EINVAL;
    return zmq_setsockopt(socket, option, key, 41) ? -errno : 0;
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

/* The key pair in use: the caller's, or a new one. */
static int find_pair(const struct ssecast_curve *curve, char public_key[41], char secret_key[41])
{
    if (!curve->secret_key)
        return curve->public_key ? -EINVAL : ssecast_curve_keypair(public_key, secret_key);
    if (strlen(curve->secret_key) != CURVE_KEY_LEN || (curve->public_key && strlen(curve->public_key) != CURVE_KEY_LEN))
        return -EINVAL;
    memcpy(secret_key, curve->secret_key, CURVE_KEY_LEN + 1);
    if (!curve->public_key)
        return zmq_curve_public(public_key, secret_key) ? -errno : 0;
    memcpy(public_key, curve->public_key, CURVE_KEY_LEN + 1);
    return 0;
}

static int set_curve(void *socket, const struct ssecast_curve *curve)
{
    char public_key[41], secret_key[41];
    int err = find_pair(curve, public_key, secret_key);
    if (!err)
        err = set_key(socket, ZMQ_CURVE_SERVERKEY, curve->server_key);
    if (!err)
        err = set_key(socket, ZMQ_CURVE_PUBLICKEY, public_key);
    if (!err)
        err = set_key(socket, ZMQ_CURVE_SECRETKEY, secret_key);
    explicit_bzero(secret_key, sizeof secret_key);
    return err;
}

/* Brokers use keys on tcp only; ipc is protected by file permissions. */
static bool is_tcp(const char *endpoint)
{
    return strncmp(endpoint, "tcp://", 6) == 0;
}

static int protect(struct link_endpoint *s, const struct ssecast_curve *curve)
{
    if (!curve->server_key)
        return curve->public_key || curve->secret_key ? -EINVAL : 0;
    s->curve = is_tcp(s->endpoint);
    return s->curve ? set_curve(s->socket, curve) : 0;
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
    int fd;
    size_t size = sizeof fd;
    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) ? -errno : watch(l, fd);
}

/* The monitor has no high water mark: a full queue would block libzmq's thread. */
static int open_monitor(void *context, size_t number, struct link_endpoint *s)
{
    char name[32];
    snprintf(name, sizeof name, "inproc://monitor-%zu", number);
    s->monitor = zmq_socket(context, ZMQ_PAIR);
    int err = s->monitor ? set_number(s->monitor, ZMQ_RCVHWM, 0) : -errno;
    if (!err &&
        zmq_socket_monitor(s->socket, name,
                           ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH))
        err = -errno;
    if (!err && zmq_connect(s->monitor, name))
        err = -errno;
    return err;
}

static int connect_to(struct link *l, const char *endpoint, const struct ssecast_curve *curve)
{
    struct link_endpoint *s = &l->endpoints[l->count];
    s->socket = zmq_socket(l->context, ZMQ_DEALER);
    if (!s->socket)
        return -errno;
    l->count++;
    s->endpoint = strdup(endpoint);
    int err = s->endpoint ? set_numbers(s->socket) : -ENOMEM;
    if (!err)
        err = set_number(s->socket, ZMQ_IPV6, endpoint_is_ipv6(endpoint));
    if (!err)
        err = protect(s, curve);
    if (!err)
        err = open_monitor(l->context, l->count, s);
    if (!err)
        err = watch_socket(l, s->monitor);
    if (!err)
        err = watch_socket(l, s->socket);
    if (!err && zmq_connect(s->socket, endpoint))
        err = errno == EPROTONOSUPPORT ? -EINVAL : -errno;
    return err;
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
        err = connect_to(l, endpoints[i], &options->curve);
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

static void close_endpoint(struct link_endpoint *s)
{
    zmq_close(s->socket);
    if (s->monitor)
        zmq_close(s->monitor);
    free(s->endpoint);
}

void link_free(struct link **l)
{
    if (!*l)
        return;
    zmq_msg_close(&(*l)->message);
    for (size_t i = 0; i < (*l)->count; i++)
        close_endpoint(&(*l)->endpoints[i]);
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

static enum handshake meaning(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        return HANDSHAKE_SILENT; /* until the handshake ends */
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return HANDSHAKE_NONE;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return HANDSHAKE_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return HANDSHAKE_MISMATCH;
    default:
        return HANDSHAKE_CUT;
    }
}

/* Read the next event of a monitor, which has two frames. False when there is none. */
static bool next_handshake(void *monitor, enum handshake *what)
{
    uint16_t event;
    char first[8], address[512];
    if (zmq_recv(monitor, first, sizeof first, ZMQ_DONTWAIT) < (int)sizeof event)
        return false;
    zmq_recv(monitor, address, sizeof address, ZMQ_DONTWAIT);
    memcpy(&event, first, sizeof event);
    *what = meaning(event);
    return true;
}

static void note(struct link_endpoint *s, enum handshake what)
{
    if (what == HANDSHAKE_SILENT) {
        s->reached = true;
        return;
    }

    s->greeted = s->greeted || what == HANDSHAKE_NONE;
    s->last = what;
    s->cuts = what == HANDSHAKE_CUT ? s->cuts + 1 : 0;
}

static void look_at(struct link_endpoint *s, int64_t now)
{
    enum handshake what;
    while (next_handshake(s->monitor, &what)) {
        note(s, what);
        if (handshake_final(what))
            s->again_at = now + AGAIN_MS;
    }
    if (s->again_at && now >= s->again_at) {
        s->again_at = 0;
        zmq_disconnect(s->socket, s->endpoint);
        zmq_connect(s->socket, s->endpoint);
    }
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
    const struct link_endpoint *s = &l->endpoints[l->current];
    bool unsure = s->last == HANDSHAKE_NONE || (s->last == HANDSHAKE_CUT && s->cuts < HANDSHAKE_CUTS);
    if (unsure && s->reached && !s->greeted)
        return handshake_problem(HANDSHAKE_SILENT, s->curve);
    return unsure ? NULL : handshake_problem(s->last, s->curve);
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

/* 0, or -errno; -EAGAIN: none. */
static int next_frame(struct link *l, void *socket)
{
    return zmq_msg_recv(&l->message, socket, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

/* Skip the frames after the text. */
static void skip_rest(struct link *l, void *socket)
{
    zmq_msg_t frame;
    bool more = zmq_msg_more(&l->message);
    while (more) {
        zmq_msg_init(&frame);
        more = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
}

static int receive_from(struct link *l, void *socket, struct slice *text)
{
    int err = next_frame(l, socket);
    while (!err && zmq_msg_size(&l->message) == 0 && zmq_msg_more(&l->message))
        err = next_frame(l, socket);
    if (err)
        return err == -EAGAIN ? 0 : err;
    skip_rest(l, socket);
    *text = (struct slice){zmq_msg_data(&l->message), zmq_msg_size(&l->message)};
    return 1;
}

int link_receive(struct link *l, struct slice *text)
{
    int got = 0;
    for (size_t i = 0; got == 0 && i < l->count; i++)
        got = receive_from(l, l->endpoints[(l->current + i) % l->count].socket, text);
    return got;
}

/* ---- subscribing ---- */

/* Messages queued while the caller takes a snapshot. */
#define QUEUED_MAX 1000000

struct subscriber {
    void *context;
    struct link_endpoint endpoint;
    zmq_msg_t message; /* received last */
};

static int open_subscriber(struct subscriber *e, const char *endpoint, const struct ssecast_curve *curve)
{
    struct link_endpoint *s = &e->endpoint;
    e->context = zmq_ctx_new();
    s->socket = e->context ? zmq_socket(e->context, ZMQ_SUB) : NULL;
    if (!s->socket)
        return errno ? -errno : -ENOMEM;
    s->endpoint = strdup(endpoint);
    int err = s->endpoint ? set_numbers(s->socket) : -ENOMEM;
    if (!err)
        err = set_number(s->socket, ZMQ_IPV6, endpoint_is_ipv6(endpoint));
    if (!err)
        err = set_number(s->socket, ZMQ_RCVHWM, QUEUED_MAX);
    if (!err)
        err = protect(s, curve);
    if (!err)
        err = open_monitor(e->context, 0, s);
    if (!err && zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, "", 0))
        err = -errno;
    if (!err && zmq_connect(s->socket, endpoint))
        err = errno == EPROTONOSUPPORT ? -EINVAL : -errno;
    return err;
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
    if ((*e)->endpoint.socket)
        close_endpoint(&(*e)->endpoint);
    if ((*e)->context)
        zmq_ctx_term((*e)->context);
    free(*e);
    *e = NULL;
}

void subscriber_wait(struct subscriber *e, int fd, int64_t ms)
{
    look_at(&e->endpoint, clock_ms());
    zmq_pollitem_t items[] = {{.socket = e->endpoint.socket, .events = ZMQ_POLLIN}, {.fd = fd, .events = ZMQ_POLLIN}};
    zmq_poll(items, 2, (long)ms);
}

int subscriber_receive(struct subscriber *e, struct slice *text)
{
    zmq_msg_t surplus;
    if (zmq_msg_recv(&e->message, e->endpoint.socket, ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN ? 0 : -errno;
    for (bool more = zmq_msg_more(&e->message); more;) {
        zmq_msg_init(&surplus);
        more = zmq_msg_recv(&surplus, e->endpoint.socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&surplus);
        zmq_msg_close(&surplus);
    }
    *text = (struct slice){zmq_msg_data(&e->message), zmq_msg_size(&e->message)};
    return 1;
}
