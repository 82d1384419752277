#include "bus.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

#include "endpoint_lock.h"
#define LOG_SUBSYSTEM "sockets"
#include "log.h"

#define SOCKETS 4

#define HEARTBEAT_MS 5000
#define HEARTBEAT_TIMEOUT_MS 15000
#define HANDSHAKE_MS 5000

/* Replies that wait for one publisher: more than it can sensibly have under way. Beyond, they are dropped. */
#define REPLIES_WAITING 100000
/* Answers that wait for one worker; it asks again for what was dropped. */
#define ANSWERS_WAITING 10000
/* Batches that wait for one worker, of up to about 256 KiB but shared among all. High, because what is dropped has to
 * be fetched by sync; bounded, because a worker that stands still would otherwise hold memory without end. Under load
 * the heartbeat is what counts: it disconnects such a worker after 15 s, and its queue is freed. */
#define BATCHES_WAITING 20000
/* Messages of a few hundred bytes that wait for one who watches; beyond, it has to take a snapshot again. */
#define CHANGES_WAITING 100000

#define SYNC_MESSAGE_MAX (256LL << 20) /* all connections of one worker, with their channels */
#define SUBSCRIPTION_MAX 256LL         /* what is subscribed to is a few bytes */

static const int socket_types[SOCKETS] = {ZMQ_ROUTER, ZMQ_ROUTER, ZMQ_XPUB, ZMQ_XPUB};
static const char *const option_names[SOCKETS] = {"commands", "sync", "feed", "presence"};

/* An endpoint as it was bound: with the port, where a wildcard was asked for. */
struct binding {
    enum bus_socket socket;
    char endpoint[512];
};

struct bus {
    void *zmq;
    void *sockets[SOCKETS];
    zmq_msg_t parts[SOCKETS][1 + BUS_FRAMES]; /* of the message received last: peer, frames */
    int *locks;
    size_t lock_count;
    struct binding *bindings;
    size_t binding_count;
    const struct bus_config *config; /* while opening */
};

/* --- opening --- */

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_max_message(void *socket, int64_t bytes)
{
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes, sizeof bytes);
}

static int set_up_commands(const struct bus *b, void *socket)
{
    return set_max_message(socket, (int64_t)b->config->max_command) | set_int(socket, ZMQ_SNDHWM, REPLIES_WAITING) |
           set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
}

/* HANDOVER: a worker that reconnects before its old connection was noticed to be dead takes its name over. */
static int set_up_sync(void *socket)
{
    return set_max_message(socket, SYNC_MESSAGE_MAX) | set_int(socket, ZMQ_SNDHWM, ANSWERS_WAITING) |
           set_int(socket, ZMQ_ROUTER_MANDATORY, 1) | set_int(socket, ZMQ_ROUTER_HANDOVER, 1);
}

static int set_up_publisher(void *socket, int waiting)
{
    return set_max_message(socket, SUBSCRIPTION_MAX) | set_int(socket, ZMQ_SNDHWM, waiting);
}

static int set_up(const struct bus *b, enum bus_socket which)
{
    void *socket = b->sockets[which];
    int err = set_int(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) |
              set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) |
              set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) | set_int(socket, ZMQ_LINGER, 0);
    switch (which) {
    case BUS_COMMANDS:
        return err | set_up_commands(b, socket);
    case BUS_SYNC:
        return err | set_up_sync(socket);
    case BUS_FEED:
        return err | set_up_publisher(socket, BATCHES_WAITING);
    case BUS_PRESENCE:
        break;
    }
    return err | set_up_publisher(socket, CHANGES_WAITING);
}

static int lock_endpoint(struct bus *b, const char *option, const char *endpoint)
{
    int lock, err = endpoint_lock(endpoint, &lock);
    if (err == -EWOULDBLOCK)
        log_error("--%s %s: another broker uses this endpoint (it holds the lock file beside it)", option, endpoint);
    else if (err)
        log_error("--%s %s: cannot lock the file beside it: %s", option, endpoint, strerror(-err));
    if (!err && lock != ENDPOINT_LOCK_NONE)
        b->locks[b->lock_count++] = lock;
    return err;
}

static int bind_endpoint(struct bus *b, enum bus_socket which, const char *endpoint)
{
    const char *option = option_names[which];
    struct binding *bound = &b->bindings[b->binding_count];
    size_t len = sizeof bound->endpoint;
    if (lock_endpoint(b, option, endpoint) != 0)
        return -1;
    if (zmq_bind(b->sockets[which], endpoint) != 0) {
        log_error("--%s %s: cannot bind: %s", option, endpoint, zmq_strerror(errno));
        return -1;
    }
    bound->socket = which;
    zmq_getsockopt(b->sockets[which], ZMQ_LAST_ENDPOINT, bound->endpoint, &len);
    b->binding_count++;
    return 0;
}

static const char *endpoint_of(const struct bus_config *c, enum bus_socket which)
{
    return which == BUS_FEED ? c->feed : which == BUS_SYNC ? c->sync : c->presence;
}

static int open_socket(struct bus *b, enum bus_socket which)
{
    b->sockets[which] = zmq_socket(b->zmq, socket_types[which]);
    if (!b->sockets[which] || set_up(b, which) != 0) {
        log_error("--%s: cannot make the socket: %s", option_names[which], zmq_strerror(errno));
        return -1;
    }
    for (size_t i = 0; which == BUS_COMMANDS && i < b->config->commands_count; i++)
        if (bind_endpoint(b, which, b->config->commands[i]) != 0)
            return -1;
    if (which == BUS_COMMANDS)
        return 0;
    return bind_endpoint(b, which, endpoint_of(b->config, which));
}

static int open_all(struct bus *b)
{
    if (!b->zmq || !b->locks || !b->bindings) {
        log_error("out of memory");
        return -1;
    }
    if (open_socket(b, BUS_COMMANDS) != 0 || open_socket(b, BUS_FEED) != 0 || open_socket(b, BUS_SYNC) != 0)
        return -1;
    if (open_socket(b, BUS_PRESENCE) != 0) {
        if (!b->config->presence_optional)
            return -1;
        log_warn("nobody is told who comes and goes: give this broker a --presence of its own");
    }
    for (size_t i = 0; i < b->binding_count; i++)
        log_info("%s at %s", option_names[b->bindings[i].socket], b->bindings[i].endpoint);
    return 0;
}

struct bus *bus_open(const struct bus_config *config)
{
    struct bus *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->zmq = zmq_ctx_new();
    b->locks = calloc(config->commands_count + SOCKETS - 1, sizeof *b->locks);
    b->bindings = calloc(config->commands_count + SOCKETS - 1, sizeof *b->bindings);
    b->config = config;
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
    if (!b->sockets[which])
        return;
    set_int(b->sockets[which], ZMQ_LINGER, linger_ms);
    zmq_close(b->sockets[which]);
}

void bus_close(struct bus **b, int linger_ms)
{
    if (!*b)
        return;
    for (int which = 0; which < SOCKETS; which++)
        close_socket(*b, which, linger_ms);
    if ((*b)->zmq)
        zmq_ctx_term((*b)->zmq);
    for (size_t i = 0; i < (*b)->lock_count; i++)
        close((*b)->locks[i]);
    free((*b)->locks);
    free((*b)->bindings);
    free(*b);
    *b = NULL;
}

/* --- receiving --- */

/* What was subscribed to is of no interest, but would pile up. */
static void drain_subscriptions(struct bus *b, enum bus_socket which)
{
    char topic[SUBSCRIPTION_MAX];
    while (zmq_recv(b->sockets[which], topic, sizeof topic, ZMQ_DONTWAIT) >= 0)
        continue;
}

bool bus_wait(struct bus *b, int fd, int64_t timeout_ms)
{
    zmq_pollitem_t items[] = {
        {.socket = b->sockets[BUS_COMMANDS], .events = ZMQ_POLLIN},
        {.socket = b->sockets[BUS_SYNC], .events = ZMQ_POLLIN},
        {.socket = b->sockets[BUS_FEED], .events = ZMQ_POLLIN},
        {.socket = b->sockets[BUS_PRESENCE], .events = ZMQ_POLLIN},
        {.fd = fd, .events = ZMQ_POLLIN},
    };
    if (zmq_poll(items, fd < 0 ? SOCKETS : SOCKETS + 1, (long)timeout_ms) < 0)
        return false;
    if (items[2].revents)
        drain_subscriptions(b, BUS_FEED);
    if (items[3].revents)
        drain_subscriptions(b, BUS_PRESENCE);
    return items[SOCKETS].revents != 0;
}

static struct slice slice_of_part(zmq_msg_t *part)
{
    return (struct slice){zmq_msg_data(part), zmq_msg_size(part)};
}

/* The rest of a message: frames into parts[1...], and what is beyond BUS_FRAMES away. */
static void receive_frames(void *socket, zmq_msg_t *parts, struct bus_message *m)
{
    zmq_msg_t surplus;
    zmq_msg_init(&surplus);
    for (bool more = true; more;) {
        zmq_msg_t *part = m->frame_count < BUS_FRAMES ? &parts[1 + m->frame_count] : &surplus;
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            break; /* cannot be: a message arrives whole */
        more = zmq_msg_more(part);
        if (m->frame_count == 0 && !m->delimiter && more && zmq_msg_size(part) == 0) {
            m->delimiter = true;
            continue;
        }
        if (m->frame_count < BUS_FRAMES)
            m->frames[m->frame_count] = slice_of_part(part);
        m->frame_count++;
    }
    zmq_msg_close(&surplus);
}

bool bus_receive(struct bus *b, enum bus_socket from, struct bus_message *m)
{
    zmq_msg_t *parts = b->parts[from];
    if (zmq_msg_recv(&parts[0], b->sockets[from], ZMQ_DONTWAIT) < 0)
        return false;
    *m = (struct bus_message){.peer = slice_of_part(&parts[0])};
    if (zmq_msg_more(&parts[0]))
        receive_frames(b->sockets[from], parts, m);
    if (m->frame_count == 0)
        m->frame_count = 1; /* a peer cannot send that; were it so, an empty frame would not be less */
    return true;
}

/* --- sending --- */

int bus_send(struct bus *b, enum bus_socket to, struct slice peer, bool delimiter, struct slice body)
{
    void *socket = b->sockets[to];
    /* Once the peer's name has been taken the rest cannot fail. */
    if (zmq_send(socket, peer.data, peer.len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return -errno;
    if (delimiter)
        zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    return zmq_send(socket, body.data, body.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}

int bus_publish(struct bus *b, enum bus_socket on, struct slice message)
{
    return zmq_send(b->sockets[on], message.data, message.len, ZMQ_DONTWAIT) < 0 ? -errno : 0;
}
