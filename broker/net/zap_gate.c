#include "net/zap_gate.h"

#include <errno.h>
#include <string.h>

#include "ops/zsock.h"

#define FRAMES (ZAP_GATE_PREFIX + ZAP_REQUEST_FRAMES)

int zap_gate_open(struct zap_gate *g, void *zmq, struct znotice *notice, zap_gate_admit *admit,
                  void *context)
{
    void *socket = zmq_socket(zmq, ZMQ_ROUTER);
    if (!socket)
        return -errno;

    *g = (struct zap_gate){.socket = socket, .notice = notice, .admit = admit, .context = context};
    for (size_t i = 0; i < FRAMES; i++)
        zmq_msg_init(&g->frames[i]);
    return zmq_bind(socket, ZAP_ENDPOINT) == 0 ? znotice_init(notice, socket) : -errno;
}

void zap_gate_close(struct zap_gate *g)
{
    int none = 0;
    if (!g->socket)
        return;
    for (size_t i = 0; i < FRAMES; i++)
        zmq_msg_close(&g->frames[i]);
    zmq_setsockopt(g->socket, ZMQ_LINGER, &none, sizeof none);
    zmq_close(g->socket);
    g->socket = NULL;
}

/* Receive a request. Returns the number of its frames; 0: no request waits. */
static size_t gate_receive(struct zap_gate *g)
{
    size_t count = 0;
    for (bool more = true; more && count < FRAMES; count++) {
        if (znotice_receive(g->notice, &g->frames[count]) <= 0)
            break;
        more = zmq_msg_more(&g->frames[count]);
    }
    return count;
}

static bool gate_bars(const struct zap_gate *g, const struct curve_key *key)
{
    for (size_t i = 0; i < ZAP_GATE_BARRED; i++)
        if (strcmp(g->barred[i].text, key->text) == 0)
            return true;
    return false;
}

/* The key of the peer becomes the name of its user. Empty: it may not connect. */
static struct slice gate_judge(const struct zap_gate *g, const struct zap_request *q,
                               struct curve_key *key)
{
    struct slice none = {0};
    if (!q->key.len)
        return none;

    curve_key_encode((const unsigned char *)q->key.data, key);
    if (gate_bars(g, key) || !g->admit(g->context, q->domain, slice_of(key->text), q->address))
        return none;
    return slice_of(key->text);
}

static void gate_reply(struct zap_gate *g, const struct zap_request *q, struct slice user)
{
    struct slice frames[ZAP_REPLY_FRAMES];
    zmq_msg_t *peer = &g->frames[0];
    zap_reply(q, user, frames);
    zmq_send(g->socket, zmq_msg_data(peer), zmq_msg_size(peer), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(g->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    for (size_t i = 0; i < ZAP_REPLY_FRAMES; i++)
        zmq_send(g->socket, frames[i].data, frames[i].len,
                 ZMQ_DONTWAIT | (i + 1 < ZAP_REPLY_FRAMES ? ZMQ_SNDMORE : 0));
}

void zap_gate_answer(struct zap_gate *g)
{
    struct slice frames[ZAP_REQUEST_FRAMES];
    struct zap_request q;
    struct curve_key key;
    if (!g->socket)
        return;

    for (size_t count; (count = gate_receive(g)) > 0;) {
        for (size_t i = ZAP_GATE_PREFIX; i < count; i++)
            frames[i - ZAP_GATE_PREFIX] = zsock_slice(&g->frames[i]);
        if (count >= ZAP_GATE_PREFIX && zap_read(frames, count - ZAP_GATE_PREFIX, &q))
            gate_reply(g, &q, gate_judge(g, &q, &key));
    }
}

void zap_gate_bar(struct zap_gate *g, const char *key)
{
    if (strlen(key) == CURVE_KEY_LEN)
        memcpy(g->barred[g->barred_count++ % ZAP_GATE_BARRED].text, key, CURVE_KEY_LEN + 1);
}
