#define LOG_SUBSYSTEM "sockets"

#include "net/bus.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/must.h"
#include "codec/wire.h"
#include "net/endpoint_lock.h"
#include "net/large_reply.h"
#include "net/listeners.h"
#include "net/unread.h"
#include "net/zap.h"
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
/* Batches that wait for one worker. A batch has up to 256 KiB, shared among all workers. The bound
 * is high, because a dropped batch has to be fetched through sync. It exists, because a worker that
 * does not read would hold memory without end. Under load the heartbeat disconnects such a worker
 * after 15 s, which frees its queue. */
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
#define BARRED 8u                /* keys */

static const int socket_types[SOCKETS] = {ZMQ_ROUTER, ZMQ_ROUTER, ZMQ_XPUB, ZMQ_XPUB};
static const char *const option_names[SOCKETS] = {"commands", "sync", "feed", "presence"};

#define ZAP_PREFIX 2u /* frames before a ZAP request: routing id, delimiter */
#define REBIND_MS 10
#define REBIND_ATTEMPTS 200 /* before a failure is logged */

/* An endpoint as it was bound: with the port, where a wildcard was asked for. */
struct binding {
    enum bus_socket socket;
    unsigned attempts; /* to bind it again; 0: it is bound */
    char endpoint[512];
};

struct bus {
    void *zmq;
    struct zsock sockets[SOCKETS]; /* monitored: listeners, connections and failed handshakes */
    struct znotice notices[NOTICES];
    zmq_msg_t parts[SOCKETS][1 + BUS_FRAMES]; /* of the message received last: peer, frames */
    char envelopes[SOCKETS][ENVELOPE_MAX];    /* of the message received last */
    int *locks;
    size_t lock_count;
    struct binding *bindings;
    size_t binding_count, binding_max;
    struct listeners listeners;
    size_t subscribed[SOCKETS];      /* bytes of distinct topics */
    struct curve_key barred[BARRED]; /* the last keys that subscribed too much; empty: none */
    size_t barred_count;             /* since the start */
    struct unread *unread;           /* of large replies on the commands socket */
    void *zap;                       /* receives ZAP requests; NULL: without CURVE */
    zmq_msg_t zap_frames[ZAP_PREFIX + ZAP_REQUEST_FRAMES];
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

static int lock_endpoint(struct bus *b, const char *option, const char *endpoint)
{
    char why[FOLDER_WHY_MAX];
    int lock, err = endpoint_lock(endpoint, &lock);
    if (err == -EWOULDBLOCK)
        log_error("--%s %s: another broker uses this endpoint (it holds its lock file)", option, endpoint);
    else if (err)
        log_error("--%s %s: cannot lock its lock file: %s", option, endpoint,
                  folder_problem(endpoint + strlen("ipc://"), -err, why));
    if (!err && lock != ENDPOINT_LOCK_NONE)
        b->locks[b->lock_count++] = lock;
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

/* The umask ensures that the file of an ipc endpoint never has more permissions than --ipc-mode. */
static int bind_with_mode(struct bus *b, enum bus_socket which, const char *endpoint)
{
    mode_t before = umask(0777 & ~(mode_t)b->config->ipc_mode);
    int err = zsock_bind(&b->sockets[which], endpoint);
    umask(before);
    return err;
}

static int bind_endpoint(struct bus *b, enum bus_socket which, const char *endpoint)
{
    const char *option = option_names[which];
    struct binding *bound = &b->bindings[b->binding_count];
    size_t len = sizeof bound->endpoint;
    if (lock_endpoint(b, option, endpoint) != 0)
        return -1;

    int err = bind_with_mode(b, which, endpoint);
    if (err) {
        log_error("--%s %s: cannot bind: %s", option, endpoint, zmq_strerror(-err));
        return -1;
    }
    bound->socket = which;
    zmq_getsockopt(b->sockets[which].socket, ZMQ_LAST_ENDPOINT, bound->endpoint, &len);
    b->binding_count++;
    return 0;
}

/* The endpoints of a socket. */
static size_t endpoints_of(const struct bus_config *c, enum bus_socket which, char *const **out, char *single[1])
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

/* Bind the tcp endpoints of a socket, or all others. */
static int bind_all(struct bus *b, enum bus_socket which, bool tcp)
{
    char *single[1], *const *endpoints;
    size_t count = endpoints_of(b->config, which, &endpoints, single);
    for (size_t i = 0; i < count; i++)
        if (endpoint_is_tcp(endpoints[i]) == tcp && bind_endpoint(b, which, endpoints[i]) != 0)
            return -1;
    return 0;
}

/* Call it before any endpoint is bound: libzmq admits every peer while there is no ZAP socket. */
static int open_zap(struct bus *b)
{
    if (!b->config->secret_key)
        return 0;
    b->admit = b->config->admit;
    b->admit_context = b->config->admit_context;
    b->zap = zmq_socket(b->zmq, ZMQ_ROUTER);
    if (b->zap && zmq_bind(b->zap, ZAP_ENDPOINT) == 0 && znotice_init(&b->notices[ZAP], b->zap) == 0)
        return 0;
    log_error("cannot create the socket for authentication: %s", zmq_strerror(errno));
    return -1;
}

static int open_socket(struct bus *b, enum bus_socket which)
{
    int err = set_up(b, which);
    if (err) {
        log_error("--%s: cannot create the socket: %s", option_names[which], zmq_strerror(-err));
        return -1;
    }
    if (bind_all(b, which, false) != 0)
        return -1;

    err = protect(b, which);
    if (err) {
        log_error("--curve-key-file: libzmq rejects the key: %s", zmq_strerror(-err));
        return -1;
    }
    return bind_all(b, which, true);
}

static int open_all(struct bus *b)
{
    if (!b->zmq || !b->locks || !b->bindings || !b->listeners.items || !b->unread) {
        log_error("out of memory");
        return -1;
    }
    if (open_zap(b) != 0 || open_socket(b, BUS_COMMANDS) != 0 || open_socket(b, BUS_FEED) != 0 ||
        open_socket(b, BUS_SYNC) != 0)
        return -1;
    if (open_socket(b, BUS_PRESENCE) != 0) {
        if (!b->config->presence_optional)
            return -1;
        log_warn("presence changes are not published: set --presence to an endpoint of this broker");
    }
    for (size_t i = 0; i < b->binding_count; i++)
        log_info("%s at %s%s", option_names[b->bindings[i].socket], b->bindings[i].endpoint,
                 b->zap && endpoint_is_tcp(b->bindings[i].endpoint) ? ", with CURVE" : "");
    return 0;
}

struct bus *bus_open(const struct bus_config *config)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->zmq = zmq_ctx_new();
    b->locks = calloc(config->commands_count + SOCKETS - 1, sizeof *b->locks);
    b->binding_max = config->commands_count + SOCKETS - 1;
    b->bindings = calloc(b->binding_max, sizeof *b->bindings);
    listeners_init(&b->listeners, b->binding_max); /* open_all() checks it */
    b->unread = unread_new(LARGE_REPLIES_WAITING);
    b->config = config;
    for (unsigned i = 0; i < BUS_WATCHES; i++)
        b->watched[i] = -1;
    for (int i = 0; i < NOTICES; i++)
        b->notices[i] = (struct znotice){.fd = -1, .quiet = true};
    for (int s = 0; s < SOCKETS; s++)
        for (size_t i = 0; i <= BUS_FRAMES; i++)
            zmq_msg_init(&b->parts[s][i]);
    for (size_t i = 0; i < ZAP_PREFIX + ZAP_REQUEST_FRAMES; i++)
        zmq_msg_init(&b->zap_frames[i]);
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

static void close_zap(struct bus *b)
{
    for (size_t i = 0; i < ZAP_PREFIX + ZAP_REQUEST_FRAMES; i++)
        zmq_msg_close(&b->zap_frames[i]);
    if (b->zap) {
        int none = 0;
        zmq_setsockopt(b->zap, ZMQ_LINGER, &none, sizeof none);
        zmq_close(b->zap);
    }
}

void bus_close(struct bus **b, int linger_ms)
{
    if (!*b)
        return;
    for (int which = 0; which < SOCKETS; which++)
        close_socket(*b, which, linger_ms);
    close_zap(*b);
    if ((*b)->zmq)
        zmq_ctx_term((*b)->zmq);
    unread_free(&(*b)->unread); /* libzmq holds no reply any longer */
    for (size_t i = 0; i < (*b)->lock_count; i++)
        close((*b)->locks[i]);
    free((*b)->locks);
    listeners_release(&(*b)->listeners);
    free((*b)->bindings);
    free(*b);
    *b = NULL;
}

/* --- admission --- */

/* Receive a ZAP request. Returns the number of its frames; 0: no request waits. */
static size_t receive_zap(struct bus *b)
{
    size_t count = 0;
    for (bool more = true; more && count < ZAP_PREFIX + ZAP_REQUEST_FRAMES; count++) {
        if (znotice_receive(&b->notices[ZAP], &b->zap_frames[count]) <= 0)
            break;
        more = zmq_msg_more(&b->zap_frames[count]);
    }
    return count;
}

static bool is_barred(const struct bus *b, const struct curve_key *key)
{
    for (size_t i = 0; i < BARRED; i++)
        if (strcmp(b->barred[i].text, key->text) == 0)
            return true;
    return false;
}

static bool admitted(struct bus *b, const struct zap_request *q, const struct curve_key *key)
{
    if (is_barred(b, key))
        return false;
    for (int which = 0; which < SOCKETS; which++)
        if (slice_equal(q->domain, slice_of(option_names[which])))
            return b->admit(b->admit_context, (enum bus_socket)which, slice_of(key->text), q->address);
    return false;
}

static void send_zap_reply(struct bus *b, const struct zap_request *q, struct slice user)
{
    struct slice frames[ZAP_REPLY_FRAMES];
    zap_reply(q, user, frames);
    zmq_send(b->zap, zmq_msg_data(&b->zap_frames[0]), zmq_msg_size(&b->zap_frames[0]), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(b->zap, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    for (size_t i = 0; i < ZAP_REPLY_FRAMES; i++)
        zmq_send(b->zap, frames[i].data, frames[i].len, ZMQ_DONTWAIT | (i + 1 < ZAP_REPLY_FRAMES ? ZMQ_SNDMORE : 0));
}

static void answer_zap(struct bus *b)
{
    struct slice frames[ZAP_REQUEST_FRAMES];
    struct zap_request q;
    struct curve_key key = {0};
    for (size_t count; (count = receive_zap(b)) > 0;) {
        for (size_t i = ZAP_PREFIX; i < count; i++)
            frames[i - ZAP_PREFIX] = zsock_slice(&b->zap_frames[i]);
        if (count < ZAP_PREFIX || !zap_read(frames, count - ZAP_PREFIX, &q))
            continue;
        if (q.key.len)
            curve_key_encode((const unsigned char *)q.key.data, &key);
        send_zap_reply(b, &q, q.key.len && admitted(b, &q, &key) ? slice_of(key.text) : (struct slice){0});
    }
}

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
    for (size_t i = 0; i < b->binding_count; i++) {
        struct binding *bound = &b->bindings[i];
        if (bound->socket == which && endpoint_is_tcp(bound->endpoint) && !bound->attempts &&
            zmq_unbind(b->sockets[which].socket, bound->endpoint) == 0)
            bound->attempts = 1;
    }
    znotice_used(&b->notices[which]);
}

/* libzmq unbinds an endpoint in its own thread, so binding it again takes some attempts. True when
 * one is still unbound. */
static bool rebind(struct bus *b)
{
    bool missing = false;
    for (size_t i = 0; i < b->binding_count; i++) {
        struct binding *bound = &b->bindings[i];
        if (!bound->attempts)
            continue;

        int err = zsock_bind(&b->sockets[bound->socket], bound->endpoint);
        znotice_used(&b->notices[bound->socket]);
        if (!err)
            bound->attempts = 0;
        else if (++bound->attempts == REBIND_ATTEMPTS)
            log_error("--%s %s: rebind failed: %s; retrying", option_names[bound->socket], bound->endpoint,
                      zmq_strerror(-err));
        missing = missing || bound->attempts;
    }
    return missing;
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
    if (user && strlen(user) == CURVE_KEY_LEN)
        memcpy(b->barred[b->barred_count++ % BARRED].text, user, CURVE_KEY_LEN + 1);
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

/* The descriptors of libzmq's sockets, and when to look at them at the latest: at once, if one of the
 * sockets has a message. */
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
    if (rebind(b) && timeout_ms > REBIND_MS)
        timeout_ms = REBIND_MS;

    timeout_ms = watch_notices(b, fds, timeout_ms);
    fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    for (unsigned i = 0; i < BUS_WATCHES; i++)
        fds[count++] = (struct pollfd){.fd = b->watched[i], .events = POLLIN};
    if (!poll_all(b, fds, count, timeout_ms))
        return false;

    drain_subscriptions(b, BUS_FEED);
    drain_subscriptions(b, BUS_PRESENCE);
    answer_zap(b);
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

/* Frames before an empty frame may be an envelope. *len is its length so far. False when this frame
 * cannot be part of one. */
static bool add_to_envelope(char *envelope, size_t *len, size_t count, struct slice frame)
{
    if (count >= ENVELOPE_FRAMES || frame.len > ENVELOPE_FRAME_MAX)
        return false;
    MUST(*len + 1 + frame.len < ENVELOPE_MAX);
    envelope[(*len)++] = (char)frame.len;
    if (frame.len)
        memcpy(envelope + *len, frame.data, frame.len);
    *len += frame.len;
    return true;
}

/* Receive the rest of a message into parts[1...]; frames beyond BUS_FRAMES are dropped. The first
 * empty frame that is not the last frame ends an envelope, if the frames before it can be one. */
static void receive_frames(void *socket, zmq_msg_t *parts, char *envelope, struct bus_message *m)
{
    zmq_msg_t surplus;
    size_t len = 0;
    bool in_envelope = true;
    zmq_msg_init(&surplus);
    for (bool more = true; more;) {
        zmq_msg_t *part = m->frame_count < BUS_FRAMES ? &parts[1 + m->frame_count] : &surplus;
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            break; /* cannot be: a message arrives whole */
        more = zmq_msg_more(part);
        struct slice frame = zsock_slice(part);
        if (in_envelope && more && !frame.len) {
            envelope[len++] = 0;
            m->envelope = (struct slice){envelope, len};
            m->frame_count = 0;
            in_envelope = false;
            continue;
        }
        in_envelope = in_envelope && add_to_envelope(envelope, &len, m->frame_count, frame);
        if (m->frame_count < BUS_FRAMES)
            m->frames[m->frame_count] = frame;
        m->frame_count++;
    }
    zmq_msg_close(&surplus);
    for (size_t i = m->frame_count; i < BUS_FRAMES; i++)
        m->frames[i] = (struct slice){0}; /* it belonged to the envelope */
}

bool bus_receive(struct bus *b, enum bus_socket from, struct bus_message *m)
{
    zmq_msg_t *parts = b->parts[from];
    if (znotice_receive(&b->notices[from], &parts[0]) <= 0)
        return false;
    *m = (struct bus_message){.peer = zsock_slice(&parts[0])};
    if (zmq_msg_more(&parts[0]))
        receive_frames(b->sockets[from].socket, parts, b->envelopes[from], m);
    const char *user = b->zap && m->frame_count ? zmq_msg_gets(&parts[1], "User-Id") : NULL;
    m->user = slice_of(user);
    if (m->frame_count == 0)
        m->frame_count = 1; /* no peer can send that; treat it as one empty frame */
    return true;
}

/* --- sending --- */

/* Cannot fail once libzmq has accepted the routing id of the peer. */
static void send_envelope(void *socket, struct slice envelope)
{
    for (size_t at = 0; at < envelope.len;) {
        size_t len = (unsigned char)envelope.data[at];
        MUST(at + 1 + len <= envelope.len);
        zmq_send(socket, envelope.data + at + 1, len, ZMQ_SNDMORE | ZMQ_DONTWAIT);
        at += 1 + len;
    }
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

int bus_send(struct bus *b, enum bus_socket to, struct slice peer, struct slice envelope, struct slice body)
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

/* The socket is not asked for subscriptions afterwards. One that libzmq took while it sent is counted
 * with the next one. */
int bus_publish(struct bus *b, enum bus_socket on, struct slice message)
{
    return zmq_send(b->sockets[on].socket, message.data, message.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}
