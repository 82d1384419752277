#define LOG_SUBSYSTEM "sockets"

#include "net/bus.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/wire.h"
#include "net/bindings.h"
#include "net/envelope.h"
#include "net/large_reply.h"
#include "net/listeners.h"
#include "net/unread.h"
#include "net/zap_gate.h"
#include "ops/curve_key.h"
#include "ops/endpoint.h"
#include "ops/log.h"
#include "ops/znotice.h"
#include "ops/zsock.h"

#define SOCKETS BUS_SOCKETS

/* What is watched of libzmq: the sockets, their monitors behind them, and the socket for ZAP. */
#define MONITORS SOCKETS
#define ZAP (2 * SOCKETS)
#define NOTICES (ZAP + 1)

/* Answers that wait for one worker. The worker retries when one was dropped. */
#define ANSWERS_WAITING 10000
/* Requests that wait from one peer. libzmq's own default. */
#define REQUESTS_WAITING 1000
/* Messages of peers with a wrong routing id, until other work has its turn. */
#define DROPPED_AT_A_TIME 100
/* Batches that wait for one worker. A batch has up to 256 KiB, shared among all workers. The bound
 * is high, because a dropped batch has to be fetched through sync. It exists, because a worker that
 * does not read would hold memory without end. Such a worker is disconnected after 15 s, which
 * frees its queue (zsock.h). */
#define BATCHES_WAITING 20000
/* Messages that wait for a subscriber of presence. A subscriber that misses one takes a snapshot
 * again. A message has a few hundred bytes, 17 KB with the default limit of channels. Subscribers
 * share it. */
#define CHANGES_WAITING 20000

/* Replies that wait for one publisher. Replies of at least LARGE_REPLY bytes are limited by their
 * bytes, smaller ones by max_replies alone. The largest, of `history`, have 4 MiB. */
#define LARGE_REPLY 512u
#define LARGE_REPLIES_WAITING ((size_t)32 << 20)

#define SUBSCRIPTION_MAX 2048LL /* a topic has a few bytes, a CURVE handshake some hundred */

/* Bytes of distinct topics on one socket, of all peers. libzmq needs about 30 times that. A worker
 * needs 4 bytes, a service none. */
#define SUBSCRIPTIONS_MAX (64u << 10)
#define SUBSCRIPTIONS_WAITING 64 /* of one peer, until they are counted */

static const int socket_types[SOCKETS] = {ZMQ_ROUTER, ZMQ_ROUTER, ZMQ_XPUB, ZMQ_XPUB};
static const char *const option_names[SOCKETS] = {"commands", "sync", "feed", "presence"};

struct bus {
    void *zmq;
    struct zsock sockets[SOCKETS]; /* monitored: listeners, connections and failed handshakes */
    struct znotice notices[NOTICES];
    zmq_msg_t parts[SOCKETS][1 + BUS_FRAMES]; /* of the message received last: peer, frames */
    struct envelope envelopes[SOCKETS];       /* of the message received last */
    struct bindings bindings;
    struct listeners listeners;
    size_t subscribed[SOCKETS]; /* bytes of distinct topics */
    struct unread *unread;      /* of large replies on the commands socket */
    struct zap_gate gate;       /* not open: without CURVE */
    bus_admit *admit;
    void *admit_context;
    const struct bus_config *config; /* while opening */
    int watched[BUS_WATCHES];        /* end bus_wait(); -1: none */
    bool paused;                     /* commands do not end bus_wait() */
};

/* --- opening --- */

static int monitored_of(enum bus_socket which)
{
    int events = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
    return which == BUS_FEED ? events | ZMQ_EVENT_HANDSHAKE_SUCCEEDED : events;
}

static int open_zsock(struct bus *b, enum bus_socket which)
{
    const struct bus_config *c = b->config;
    const int64_t message_max[SOCKETS] = {
        [BUS_COMMANDS] = (int64_t)c->max_command,
        [BUS_SYNC] = (int64_t)WIRE_MESSAGE_MAX,
        [BUS_FEED] = SUBSCRIPTION_MAX,
        [BUS_PRESENCE] = SUBSCRIPTION_MAX,
    };
    const int send_max[SOCKETS] = {
        [BUS_COMMANDS] = c->max_replies,
        [BUS_SYNC] = ANSWERS_WAITING,
        [BUS_FEED] = BATCHES_WAITING,
        [BUS_PRESENCE] = CHANGES_WAITING,
    };
    const struct zsock_options options = {
        .type = socket_types[which],
        .handshake_ms = c->handshake_ms,
        .send_max = send_max[which],
        .receive_max = socket_types[which] == ZMQ_XPUB ? SUBSCRIPTIONS_WAITING : REQUESTS_WAITING,
        .message_max = message_max[which],
        .monitored = monitored_of(which),
    };
    return zsock_open(&b->sockets[which], b->zmq, &options);
}

/* ROUTER_HANDOVER: a worker may reconnect before its dead connection was noticed. */
static int set_up(struct bus *b, enum bus_socket which)
{
    struct zsock *z = &b->sockets[which];
    int err = open_zsock(b, which);
    if (!err)
        err = znotice_init(&b->notices[which], z->socket);
    if (!err)
        err = znotice_init(&b->notices[MONITORS + which], z->monitor);
    if (!err && (which == BUS_COMMANDS || which == BUS_SYNC))
        err = zsock_set(z, ZMQ_ROUTER_MANDATORY, 1);
    if (!err && which == BUS_SYNC)
        err = zsock_set(z, ZMQ_ROUTER_HANDOVER, 1);
    return err;
}

/* Enable CURVE for endpoints that are bound from now on: libzmq copies the options of a socket when
 * it binds. This cannot be undone. */
static int protect(struct bus *b, enum bus_socket which)
{
    struct zsock *z = &b->sockets[which];
    const char *secret = b->config->secret_key, *domain = option_names[which];
    if (!secret)
        return 0;
    if (zmq_setsockopt(z->socket, ZMQ_CURVE_SECRETKEY, secret, CURVE_KEY_LEN + 1) != 0 ||
        zmq_setsockopt(z->socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) != 0)
        return -errno;
    return zsock_set(z, ZMQ_CURVE_SERVER, 1);
}

/* The endpoints of a socket. */
static size_t endpoints_of(const struct bus_config *c, enum bus_socket which, char *const **out,
                           char *single[1])
{
    if (which == BUS_COMMANDS) {
        *out = c->commands;
        return c->commands_count;
    }

    single[0] = (char *)(which == BUS_SYNC ? c->sync : c->presence);
    if (which == BUS_FEED)
        single[0] = (char *)c->feed;
    *out = single;
    return 1;
}

/* The endpoints of a socket that are bound together: CURVE is for tcp alone, see protect(). */
enum bind_part { BIND_OTHERS, BIND_TCP };

static int bind_all(struct bus *b, enum bus_socket which, enum bind_part part)
{
    char *single[1], *const *endpoints;
    size_t count = endpoints_of(b->config, which, &endpoints, single);
    for (size_t i = 0; i < count; i++)
        if (endpoint_is_tcp(endpoints[i]) == (part == BIND_TCP) &&
            bindings_add(&b->bindings, option_names[which], endpoints[i],
                         (mode_t)b->config->ipc_mode, &b->sockets[which], &b->notices[which]) != 0)
            return -1;
    return 0;
}

/* The domain of a ZAP request is the name of the socket. */
static bool admit_peer(void *context, struct slice domain, struct slice key, struct slice address)
{
    struct bus *b = context;
    for (int which = 0; which < SOCKETS; which++)
        if (slice_equal(domain, slice_of(option_names[which])))
            return b->admit(b->admit_context, (enum bus_socket)which, key, address);
    return false;
}

static int open_gate(struct bus *b)
{
    if (!b->config->secret_key)
        return 0;
    b->admit = b->config->admit;
    b->admit_context = b->config->admit_context;
    int err = zap_gate_open(&b->gate, b->zmq, &b->notices[ZAP], admit_peer, b);
    if (err)
        log_error("cannot create the socket for authentication: %s", zmq_strerror(-err));
    return err;
}

static int open_socket(struct bus *b, enum bus_socket which)
{
    int err = set_up(b, which);
    if (err) {
        log_error("--%s: cannot create the socket: %s", option_names[which], zmq_strerror(-err));
        return -1;
    }
    if (bind_all(b, which, BIND_OTHERS) != 0)
        return -1;

    err = protect(b, which);
    if (err) {
        log_error("--curve-key-file: libzmq rejects the key: %s", zmq_strerror(-err));
        return -1;
    }
    return bind_all(b, which, BIND_TCP);
}

static int open_all(struct bus *b)
{
    if (!b->zmq || !b->bindings.items || !b->listeners.items || !b->unread) {
        log_error("out of memory");
        return -1;
    }
    if (open_gate(b) != 0 || open_socket(b, BUS_COMMANDS) != 0 || open_socket(b, BUS_FEED) != 0 ||
        open_socket(b, BUS_SYNC) != 0)
        return -1;
    if (open_socket(b, BUS_PRESENCE) != 0) {
        if (!b->config->presence_optional)
            return -1;
        log_warn(
            "presence changes are not published: set --presence to an endpoint of this broker");
    }
    for (size_t i = 0; i < b->bindings.count; i++) {
        const struct binding *bound = &b->bindings.items[i];
        log_info("%s at %s%s", bound->option, bound->endpoint,
                 b->gate.socket && endpoint_is_tcp(bound->endpoint) ? ", with CURVE" : "");
    }
    return 0;
}

struct bus *bus_open(const struct bus_config *config)
{
    size_t endpoints = config->commands_count + SOCKETS - 1;
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->zmq = zmq_ctx_new();
    bindings_init(&b->bindings, endpoints); /* open_all() checks it, and the next */
    listeners_init(&b->listeners, endpoints);
    b->unread = unread_new(LARGE_REPLIES_WAITING);
    b->config = config;
    for (unsigned i = 0; i < BUS_WATCHES; i++)
        b->watched[i] = -1;
    for (int i = 0; i < NOTICES; i++)
        znotice_none(&b->notices[i]);
    for (int s = 0; s < SOCKETS; s++)
        for (size_t i = 0; i <= BUS_FRAMES; i++)
            zmq_msg_init(&b->parts[s][i]);
    if (open_all(b) != 0)
        bus_close(&b, 0);
    else
        b->config = NULL;
    return b;
}

/* --- closing --- */

static void close_socket(struct bus *b, int which, int linger_ms)
{
    for (size_t i = 0; i <= BUS_FRAMES; i++)
        zmq_msg_close(&b->parts[which][i]);
    if (b->sockets[which].socket)
        zsock_set(&b->sockets[which], ZMQ_LINGER, linger_ms);
    zsock_close(&b->sockets[which]);
}

void bus_close(struct bus **b, int linger_ms)
{
    if (!*b)
        return;
    for (int which = 0; which < SOCKETS; which++)
        close_socket(*b, which, linger_ms);
    zap_gate_close(&(*b)->gate);
    if ((*b)->zmq)
        zmq_ctx_term((*b)->zmq);
    unread_free(&(*b)->unread); /* libzmq holds no reply any longer */
    bindings_release(&(*b)->bindings);
    listeners_release(&(*b)->listeners);
    free(*b);
    *b = NULL;
}

/* --- connections --- */

struct bus_events bus_events(struct bus *b)
{
    struct bus_events events = {0};
    uint16_t event;
    int32_t value;
    for (int which = 0; which < SOCKETS; which++)
        while (znotice_has_message(&b->notices[MONITORS + which]) &&
               zsock_next_event(&b->sockets[which], &event, &value)) {
            if (event == ZMQ_EVENT_LISTENING)
                listeners_add(&b->listeners, value);
            else if (event == ZMQ_EVENT_ACCEPTED)
                events.accepted++;
            else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
                events.subscribers++;
            else
                events.failed++;
        }
    return events;
}

void bus_hold(struct bus *b, bool held)
{
    listeners_hold(&b->listeners, held);
}

void bus_cut(struct bus *b, enum bus_socket which)
{
    bindings_cut(&b->bindings, &b->sockets[which]);
}

/* --- receiving --- */

/* libzmq keeps every subscription. Beyond the limit all connections of the socket are ended. With
 * CURVE the key that sent the last subscription is no longer admitted. */
static void end_subscriptions(struct bus *b, enum bus_socket which, zmq_msg_t *last)
{
    const char *user = zmq_msg_gets(last, "User-Id"), *address = zmq_msg_gets(last, "Peer-Address");
    log_event(LOG_WARN, "too many subscriptions: disconnecting the peers of this socket",
              log_name("socket", option_names[which]), log_text("address", slice_of(address)),
              log_text("key", slice_of(user)));
    b->subscribed[which] = 0;
    if (user)
        zap_gate_bar(&b->gate, user);
    bus_cut(b, which);
}

/* Subscriptions are only counted. A message is a byte, 1 for subscribe or 0 for unsubscribe, and
 * the topic. */
static void drain_subscriptions(struct bus *b, enum bus_socket which)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    while (znotice_receive(&b->notices[which], &message) > 0) {
        struct slice text = zsock_slice(&message);
        size_t *all = &b->subscribed[which];
        if (text.len && text.data[0] == 1)
            *all += text.len;
        else
            *all -= text.len < *all ? text.len : *all;
        if (*all > SUBSCRIPTIONS_MAX)
            end_subscriptions(b, which, &message);
    }
    zmq_msg_close(&message);
}

/* The descriptors of libzmq's sockets, and when to look at them at the latest: at once, if one of
 * the sockets has a message. */
static int64_t watch_notices(struct bus *b, struct pollfd *fds, int64_t timeout_ms)
{
    for (int i = 0; i < NOTICES; i++) {
        bool ignored = b->paused && i == BUS_COMMANDS;
        fds[i] = (struct pollfd){.fd = ignored ? -1 : b->notices[i].fd, .events = POLLIN};
        if (ignored)
            znotice_used(&b->notices[i]); /* its messages are not noticed meanwhile */
        else if (znotice_has_message(&b->notices[i]))
            timeout_ms = 0;
    }
    return timeout_ms;
}

static bool poll_all(struct bus *b, struct pollfd *fds, nfds_t count, int64_t timeout_ms)
{
    if (poll(fds, count, timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX) < 0)
        return false;

    for (int i = 0; i < NOTICES; i++)
        if (fds[i].revents)
            znotice_used(&b->notices[i]);
    return true;
}

bool bus_wait(struct bus *b, int fd, int64_t timeout_ms)
{
    struct pollfd fds[NOTICES + 1 + BUS_WATCHES];
    nfds_t count = NOTICES;
    if (bindings_restore(&b->bindings) && timeout_ms > BINDINGS_RETRY_MS)
        timeout_ms = BINDINGS_RETRY_MS;

    timeout_ms = watch_notices(b, fds, timeout_ms);
    fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    for (unsigned i = 0; i < BUS_WATCHES; i++)
        fds[count++] = (struct pollfd){.fd = b->watched[i], .events = POLLIN};
    if (!poll_all(b, fds, count, timeout_ms))
        return false;

    drain_subscriptions(b, BUS_FEED);
    drain_subscriptions(b, BUS_PRESENCE);
    zap_gate_answer(&b->gate);
    return fd >= 0 && fds[NOTICES].revents != 0;
}

void bus_watch(struct bus *b, unsigned which, int fd)
{
    b->watched[which] = fd;
}

void bus_pause(struct bus *b, bool paused)
{
    b->paused = paused;
}

/* Receive the rest of a message into parts[1...]; frames beyond BUS_FRAMES are dropped. The first
 * empty frame that is not the last frame ends an envelope, if the frames before it can be one. */
static void receive_frames(void *socket, zmq_msg_t *parts, struct envelope *envelope,
                           struct bus_message *m)
{
    zmq_msg_t surplus;
    bool in_envelope = true;
    envelope_begin(envelope);
    zmq_msg_init(&surplus);
    for (bool more = true; more;) {
        zmq_msg_t *part = m->frame_count < BUS_FRAMES ? &parts[1 + m->frame_count] : &surplus;
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            break; /* cannot be: a message arrives whole */
        more = zmq_msg_more(part);
        struct slice frame = zsock_slice(part);
        if (in_envelope && more && !frame.len) {
            m->envelope = envelope_end(envelope);
            m->frame_count = 0;
            in_envelope = false;
            continue;
        }
        in_envelope = in_envelope && envelope_add(envelope, frame);
        if (m->frame_count < BUS_FRAMES)
            m->frames[m->frame_count] = frame;
        m->frame_count++;
    }
    zmq_msg_close(&surplus);
    for (size_t i = m->frame_count; i < BUS_FRAMES; i++)
        m->frames[i] = (struct slice){0}; /* it belonged to the envelope */
}

static bool receive_message(struct bus *b, enum bus_socket from, struct bus_message *m)
{
    zmq_msg_t *parts = b->parts[from];
    if (znotice_receive(&b->notices[from], &parts[0]) <= 0)
        return false;
    *m = (struct bus_message){.peer = zsock_slice(&parts[0])};
    if (zmq_msg_more(&parts[0]))
        receive_frames(b->sockets[from].socket, parts, &b->envelopes[from], m);
    const char *user = b->gate.socket && m->frame_count ? zmq_msg_gets(&parts[1], "User-Id") : NULL;
    m->user = slice_of(user);
    if (m->frame_count == 0)
        m->frame_count = 1; /* no peer can send that; treat it as one empty frame */
    return true;
}

/* libzmq accepts routing ids that are longer than ZMTP allows. */
bool bus_receive(struct bus *b, enum bus_socket from, struct bus_message *m)
{
    for (int dropped = 0; dropped < DROPPED_AT_A_TIME && receive_message(b, from, m); dropped++) {
        if (m->peer.len <= BUS_PEER_MAX)
            return true;
        log_event(LOG_WARN, "a peer's messages are dropped: its routing id is too long",
                  log_name("socket", option_names[from]), log_count("bytes", m->peer.len));
    }
    return false;
}

/* --- sending --- */

/* Cannot fail once libzmq has accepted the routing id of the peer. */
static void send_envelope(void *socket, struct slice envelope)
{
    struct slice frame;
    while (envelope_next(&envelope, &frame))
        zmq_send(socket, frame.data, frame.len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
}

static int send_large(struct bus *b, struct slice peer, struct slice envelope, struct slice body)
{
    zmq_msg_t message;
    void *socket = b->sockets[BUS_COMMANDS].socket;
    int err = large_reply_make(b->unread, peer, body, &message);
    if (err)
        return err;
    if (zmq_send(socket, peer.data, peer.len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        err = -errno;
        zmq_msg_close(&message);
        return err;
    }
    send_envelope(socket, envelope);
    if (zmq_msg_send(&message, socket, ZMQ_DONTWAIT) >= 0)
        return 0;
    err = -errno;
    zmq_msg_close(&message);
    return err;
}

int bus_send(struct bus *b, enum bus_socket to, struct slice peer, struct slice envelope,
             struct slice body)
{
    void *socket = b->sockets[to].socket;
    znotice_used(&b->notices[to]);
    if (to == BUS_COMMANDS && body.len >= LARGE_REPLY)
        return send_large(b, peer, envelope, body);
    if (zmq_send(socket, peer.data, peer.len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return -errno;
    send_envelope(socket, envelope);
    return zmq_send(socket, body.data, body.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

/* The socket is not asked for subscriptions afterwards. One that libzmq took while it sent is
 * counted with the next one. */
int bus_publish(struct bus *b, enum bus_socket on, struct slice message)
{
    return zmq_send(b->sockets[on].socket, message.data, message.len, ZMQ_DONTWAIT) < 0 ? -errno
                                                                                        : 0;
}
