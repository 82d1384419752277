#include "ops/zsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "ops/curve_key.h"
#include "ops/endpoint.h"

#define HEARTBEAT_MS 5000
#define HEARTBEAT_TIMEOUT_MS 15000
#define RECONNECT_MS 100 /* the first pause; each is longer than the one before */

/* An event of a monitor has two frames: a number (u16) with a value (u32), and an endpoint. */
#define EVENT_LEN 6

/* 0 or -errno, of libzmq's result. */
static int result_of(int result)
{
    return result == 0 ? 0 : -errno;
}

/* --- opening --- */

int zsock_set(struct zsock *z, int option, int value)
{
    return result_of(zmq_setsockopt(z->socket, option, &value, sizeof value));
}

static int set_options(struct zsock *z, const struct zsock_options *o)
{
    const struct {
        int option, value;
    } rows[] = {
        {ZMQ_LINGER, o->linger_ms},
        {ZMQ_HANDSHAKE_IVL, o->handshake_ms},
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS},
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_SNDHWM, o->send_max},
        {ZMQ_RCVHWM, o->receive_max},
        {ZMQ_IMMEDIATE, o->immediate},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, o->reconnect_max_ms},
    };
    int64_t message_max = o->message_max ? o->message_max : -1;
    int err = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !err; i++)
        err = zsock_set(z, rows[i].option, rows[i].value);
    return err ? err
               : result_of(
                     zmq_setsockopt(z->socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max));
}

/* The queue of the monitor has no bound: a full one would block the thread of libzmq. */
static int open_monitor(struct zsock *z, void *context, int events)
{
    char name[40];
    int unbounded = 0;
    snprintf(name, sizeof name, "inproc://monitor-%p", z->socket);
    z->monitor = zmq_socket(context, ZMQ_PAIR);
    if (!z->monitor || zmq_setsockopt(z->monitor, ZMQ_RCVHWM, &unbounded, sizeof unbounded) != 0 ||
        zmq_socket_monitor(z->socket, name, events) != 0)
        return -errno;
    return result_of(zmq_connect(z->monitor, name));
}

int zsock_open(struct zsock *z, void *context, const struct zsock_options *options)
{
    *z =
        (struct zsock){.socket = zmq_socket(context, options->type), .again_ms = options->again_ms};
    if (!z->socket)
        return -errno;

    int err = set_options(z, options);
    return err || !options->monitored ? err : open_monitor(z, context, options->monitored);
}

static int set_key(struct zsock *z, int option, const char *key)
{
    if (strlen(key) != CURVE_KEY_LEN)
        return -EINVAL;
    return result_of(zmq_setsockopt(z->socket, option, key, CURVE_KEY_LEN + 1));
}

int zsock_protect(struct zsock *z, const char *server_key, const char *public_key,
                  const char *secret_key)
{
    struct curve_key public;
    if (strlen(secret_key) != CURVE_KEY_LEN)
        return -EINVAL;
    if (!public_key && zmq_curve_public(public.text, secret_key) != 0)
        return -errno;

    z->curve = true;
    int err = set_key(z, ZMQ_CURVE_SERVERKEY, server_key);
    if (!err)
        err = set_key(z, ZMQ_CURVE_PUBLICKEY, public_key ? public_key : public.text);
    return err ? err : set_key(z, ZMQ_CURVE_SECRETKEY, secret_key);
}

int zsock_connect(struct zsock *z, const char *endpoint)
{
    MUST(!z->endpoint);
    z->endpoint = strdup(endpoint);
    if (!z->endpoint)
        return -ENOMEM;

    int err = zsock_set(z, ZMQ_IPV6, endpoint_is_ipv6(endpoint));
    return err ? err : result_of(zmq_connect(z->socket, endpoint));
}

int zsock_bind(struct zsock *z, const char *endpoint)
{
    int err = zsock_set(z, ZMQ_IPV6, endpoint_is_ipv6(endpoint));
    return err ? err : result_of(zmq_bind(z->socket, endpoint));
}

/* A closed socket lives on in libzmq's thread while it lingers and its connections end. Without a
 * receiver an event of it would block that thread for ever, and with it all sockets of the context:
 * so the events end first. */
void zsock_close(struct zsock *z)
{
    if (z->socket && z->monitor)
        zmq_socket_monitor(z->socket, NULL, 0);
    if (z->socket)
        zmq_close(z->socket);
    if (z->monitor)
        zmq_close(z->monitor);
    free(z->endpoint);
    *z = (struct zsock){0};
}

/* --- messages --- */

int zsock_fd(void *socket)
{
    int fd;
    size_t len = sizeof fd;
    return zmq_getsockopt(socket, ZMQ_FD, &fd, &len) == 0 ? fd : -errno;
}

int zsock_events(void *socket)
{
    int events;
    size_t len = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &len) == 0 ? events : -errno;
}

struct slice zsock_slice(const zmq_msg_t *frame)
{
    zmq_msg_t *f = (zmq_msg_t *)frame; /* libzmq's functions take no const */
    return (struct slice){zmq_msg_data(f), zmq_msg_size(f)};
}

static void skip_rest(void *socket)
{
    zmq_msg_t frame;
    for (bool more = true; more;) {
        zmq_msg_init(&frame);
        more = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
}

int zsock_receive(struct zsock *z, zmq_msg_t *m, struct slice *text)
{
    do
        if (zmq_msg_recv(m, z->socket, ZMQ_DONTWAIT) < 0)
            return errno == EAGAIN ? 0 : -errno;
    while (zmq_msg_size(m) == 0 && zmq_msg_more(m));

    if (zmq_msg_more(m))
        skip_rest(z->socket);
    *text = zsock_slice(m);
    return 1;
}

/* --- the monitor --- */

bool zsock_next_event(struct zsock *z, uint16_t *event, int32_t *value)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bool found = zmq_msg_recv(&frame, z->monitor, ZMQ_DONTWAIT) >= 0;
    if (found) {
        MUST(zmq_msg_size(&frame) == EVENT_LEN);
        const char *bytes = zmq_msg_data(&frame);
        memcpy(event, bytes, sizeof *event);
        memcpy(value, bytes + sizeof *event, sizeof *value);
        if (zmq_msg_more(&frame))
            skip_rest(z->monitor);
    }
    zmq_msg_close(&frame);
    return found;
}

static enum handshake outcome_of(uint16_t event)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        return HANDSHAKE_SILENT; /* until it ends */
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return HANDSHAKE_NONE;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return HANDSHAKE_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return HANDSHAKE_MISMATCH;
    case ZMQ_EVENT_DISCONNECTED:
        return HANDSHAKE_OTHER;
    default:
        return HANDSHAKE_CUT;
    }
}

/* Note whether the handshake of this connection is judged. True at the end of one that was. libzmq
 * reports a peer of the wrong kind by the end of the connection alone, and does not connect
 * again. */
static bool note_judged(struct zsock *z, uint16_t event)
{
    bool known = event == ZMQ_EVENT_DISCONNECTED && z->judged;
    z->judged = event != ZMQ_EVENT_DISCONNECTED && event != ZMQ_EVENT_CONNECTED;
    return known;
}

bool zsock_next_handshake(struct zsock *z, int64_t now_ms)
{
    uint16_t event;
    int32_t value;
    if (!zsock_next_event(z, &event, &value))
        return false;

    enum handshake outcome = outcome_of(event);
    if (note_judged(z, event))
        return true;
    handshakes_note(&z->handshakes, outcome);
    if (handshake_final(outcome))
        z->again_at = now_ms + z->again_ms;
    return true;
}

void zsock_reconnect(struct zsock *z, int64_t now_ms)
{
    if (!z->again_at || now_ms < z->again_at)
        return;

    z->again_at = 0;
    zmq_disconnect(z->socket, z->endpoint);
    zmq_connect(z->socket, z->endpoint);
}

const char *zsock_problem(const struct zsock *z)
{
    return handshakes_problem(&z->handshakes, z->curve);
}
