/* Why a bell: libzmq's descriptor tells changes, and sending may swallow one. So a caller who sent something outside of its loop rings,
 * and looks again. Why ZMQ_IMMEDIATE: among several endpoints none gets a request that is not there. */
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REPLY_MAX (64LL << 20) /* bytes; the broker's largest are of a few MiB */

struct parcel {
    zmq_msg_t frames[2];
    int count;
};

struct link {
    void *context, *socket;
    zmq_msg_t message; /* the one received last */
    int epoll, bell;
    bool rung;
};

/* ---- parcels ---- */

static int fill(zmq_msg_t *frame, struct slice bytes)
{
    if (zmq_msg_init_size(frame, bytes.len))
        return -ENOMEM;
    if (bytes.len > 0)
        memcpy(zmq_msg_data(frame), bytes.data, bytes.len);
    return 0;
}

static int pack(struct parcel *p, struct slice bytes)
{
    int err = fill(&p->frames[p->count], bytes);
    if (!err)
        p->count++;
    return err;
}

struct parcel *parcel_new(struct slice json, const struct slice *payload)
{
    struct parcel *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    if (pack(p, json) || (payload && pack(p, *payload)))
        parcel_free(&p);
    return p;
}

void parcel_free(struct parcel **p)
{
    if (!*p)
        return;
    while ((*p)->count > 0)
        zmq_msg_close(&(*p)->frames[--(*p)->count]);
    free(*p);
    *p = NULL;
}

struct slice parcel_json(const struct parcel *p)
{
    zmq_msg_t *frame = (zmq_msg_t *)&p->frames[0]; /* libzmq knows no const here */
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
        {ZMQ_RCVHWM, 0}, /* replies are as many as the requests under way */
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

static int set_curve(void *socket, const struct ssecast_curve *curve)
{
    char public_key[41], secret_key[41];
    if (!curve->server_key)
        return curve->public_key || curve->secret_key ? -EINVAL : 0;
    if (!curve->public_key != !curve->secret_key)
        return -EINVAL;
    int err = curve->public_key ? 0 : ssecast_curve_keypair(public_key, secret_key);
    if (!err)
        err = set_key(socket, ZMQ_CURVE_SERVERKEY, curve->server_key);
    if (!err)
        err = set_key(socket, ZMQ_CURVE_PUBLICKEY, curve->public_key ? curve->public_key : public_key);
    if (!err)
        err = set_key(socket, ZMQ_CURVE_SECRETKEY, curve->secret_key ? curve->secret_key : secret_key);
    explicit_bzero(secret_key, sizeof secret_key);
    return err;
}

static int connect_all(void *socket, const struct ssecast_publisher_options *options)
{
    static const char *const usual[] = {"tcp://127.0.0.1:5570"};
    const char *const *endpoints = options->endpoint_count ? options->endpoints : usual;
    size_t count = options->endpoint_count ? options->endpoint_count : COUNT(usual);
    for (size_t i = 0; i < count; i++)
        if (zmq_connect(socket, endpoints[i]))
            return errno == EPROTONOSUPPORT ? -EINVAL : -errno;
    return 0;
}

static int watch(const struct link *l, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_descriptors(struct link *l)
{
    int fd;
    size_t size = sizeof fd;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->bell = l->epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->bell < 0 || zmq_getsockopt(l->socket, ZMQ_FD, &fd, &size))
        return -errno;
    int err = watch(l, fd);
    return err ? err : watch(l, l->bell);
}

static int open_link(struct link *l, const struct ssecast_publisher_options *options)
{
    l->context = zmq_ctx_new();
    l->socket = l->context ? zmq_socket(l->context, ZMQ_DEALER) : NULL;
    if (!l->socket)
        return errno ? -errno : -ENOMEM;
    int err = set_numbers(l->socket);
    if (!err)
        err = set_curve(l->socket, &options->curve);
    if (!err)
        err = open_descriptors(l);
    return err ? err : connect_all(l->socket, options);
}

int link_new(struct link **out, const struct ssecast_publisher_options *options)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->epoll = l->bell = -1;
    zmq_msg_init(&l->message);
    int err = open_link(l, options);
    if (err)
        link_free(&l);
    else
        link_ring(l); /* its first look must not wait for a change */
    *out = l;
    return err;
}

void link_free(struct link **l)
{
    if (!*l)
        return;
    zmq_msg_close(&(*l)->message);
    if ((*l)->socket)
        zmq_close((*l)->socket);
    if ((*l)->context)
        zmq_ctx_term((*l)->context);
    if ((*l)->bell >= 0)
        close((*l)->bell);
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

void link_ring(struct link *l)
{
    if (!l->rung)
        l->rung = eventfd_write(l->bell, 1) == 0;
}

void link_quiet(struct link *l)
{
    eventfd_t count;
    if (l->rung)
        eventfd_read(l->bell, &count);
    l->rung = false;
}

bool link_rung(const struct link *l)
{
    return l->rung;
}

/* ---- messages ---- */

static int send_frame(struct link *l, zmq_msg_t *frame, int flags)
{
    zmq_msg_t copy;
    zmq_msg_init(&copy);
    if (zmq_msg_copy(&copy, frame) == 0 && zmq_msg_send(&copy, l->socket, flags | ZMQ_DONTWAIT) >= 0)
        return 0;
    int err = -errno;
    zmq_msg_close(&copy);
    return err;
}

/* Should the connection end between two frames, libzmq takes the first one back. */
int link_send(struct link *l, struct parcel *p)
{
    int err = 0;
    for (int i = 0; i < p->count && !err; i++)
        err = send_frame(l, &p->frames[i], i + 1 < p->count ? ZMQ_SNDMORE : 0);
    return err;
}

/* 0, or -errno; -EAGAIN: none. */
static int next_frame(struct link *l)
{
    return zmq_msg_recv(&l->message, l->socket, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

/* The frames behind the one that counts. */
static void skip_rest(struct link *l)
{
    zmq_msg_t frame;
    bool more = zmq_msg_more(&l->message);
    while (more) {
        zmq_msg_init(&frame);
        more = zmq_msg_recv(&frame, l->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
}

int link_receive(struct link *l, struct slice *text)
{
    int err = next_frame(l);
    while (!err && zmq_msg_size(&l->message) == 0 && zmq_msg_more(&l->message))
        err = next_frame(l);
    if (err)
        return err == -EAGAIN ? 0 : err;
    skip_rest(l);
    *text = (struct slice){zmq_msg_data(&l->message), zmq_msg_size(&l->message)};
    return 1;
}
