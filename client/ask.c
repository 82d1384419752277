#include "ask.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#define TIMEOUT_MAX_MS 86400000u /* ZeroMQ's times are an int */

static int last_error(void)
{
    return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int prepare(void *socket, uint64_t timeout_ms)
{
    int timeout = (int)(timeout_ms < TIMEOUT_MAX_MS ? timeout_ms : TIMEOUT_MAX_MS), linger = 0;
    if (zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout) ||
        zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout, sizeof timeout) ||
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger))
        return last_error();
    return 0;
}

static int send_question(void *socket, const struct question *q)
{
    if (zmq_send(socket, q->request.data, q->request.len, q->has_payload ? ZMQ_SNDMORE : 0) < 0)
        return last_error();
    if (q->has_payload && zmq_send(socket, q->payload.data, q->payload.len, 0) < 0)
        return last_error();
    return 0;
}

static int keep(struct answer *a, zmq_msg_t *message)
{
    a->len = zmq_msg_size(message);
    a->data = malloc(a->len + 1);
    if (!a->data)
        return -ENOMEM;
    memcpy(a->data, zmq_msg_data(message), a->len);
    return 0;
}

static int receive_answer(void *socket, struct answer *a)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    int err = zmq_msg_recv(&message, socket, 0) < 0 ? last_error() : keep(a, &message);
    zmq_msg_close(&message);
    return err;
}

static int exchange(void *socket, const struct question *q, struct answer *a)
{
    int err = prepare(socket, q->timeout_ms);
    if (!err && zmq_connect(socket, q->endpoint))
        err = last_error();
    if (!err)
        err = send_question(socket, q);
    return err ? err : receive_answer(socket, a);
}

int ask(const struct question *q, struct answer *a)
{
    *a = (struct answer){0};
    void *context = zmq_ctx_new();
    void *socket = context ? zmq_socket(context, ZMQ_REQ) : NULL;
    int err = socket ? exchange(socket, q, a) : last_error();
    if (socket)
        zmq_close(socket);
    if (context)
        zmq_ctx_term(context);
    return err;
}

void answer_release(struct answer *a)
{
    free(a->data);
    *a = (struct answer){0};
}
