/* echo - the least that a broker can do: a ROUTER that sends each message back.
 *
 *     echo ENDPOINT
 *
 * Its socket has the options of the broker's commands socket (broker/net/bus.c), and its loop is
 * the broker's: poll, take what has arrived, up to as many messages as the broker takes in a turn,
 * then answer them. What the broker costs above this is the price of its work.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/must.h"
#include "command/shares.h"
#include "ops/zsock.h"

#define TURN SHARE_REQUESTS
#define FRAMES 3u       /* of a message: the peer, and two at most */
#define IN_FLIGHT 10000 /* the default of --max-in-flight */

struct message {
    zmq_msg_t frames[FRAMES];
    size_t count;
};

static struct message turn[TURN];

static bool take(void *socket, struct message *m)
{
    bool more = true;
    for (m->count = 0; more; m->count++) {
        MUST(m->count < FRAMES);
        zmq_msg_init(&m->frames[m->count]);
        if (zmq_msg_recv(&m->frames[m->count], socket, ZMQ_DONTWAIT) < 0)
            return false;
        more = zmq_msg_more(&m->frames[m->count]);
    }
    return true;
}

/* A copy of the peer and of the content, as the broker's replies are copies. */
static void answer(void *socket, struct message *m)
{
    for (size_t i = 0; i < m->count; i++) {
        int more = i + 1 < m->count ? ZMQ_SNDMORE : 0;
        zmq_send(socket, zmq_msg_data(&m->frames[i]), zmq_msg_size(&m->frames[i]),
                 ZMQ_DONTWAIT | more);
        zmq_msg_close(&m->frames[i]);
    }
}

static void serve(void *socket)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    while (zmq_poll(&item, 1, -1) >= 0) {
        size_t count = 0;
        while (count < TURN && take(socket, &turn[count]))
            count++;
        for (size_t i = 0; i < count; i++)
            answer(socket, &turn[i]);
    }
}

int main(int argc, char **argv)
{
    struct zsock z = {0};
    void *context = zmq_ctx_new();
    const struct zsock_options options = {.type = ZMQ_ROUTER,
                                          .handshake_ms = 5000,
                                          .send_max = 2 * IN_FLIGHT + 2 * (int)SHARE_REQUESTS,
                                          .receive_max = 1000,
                                          .message_max = 8 << 20};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int err = zsock_open(&z, context, &options);
    if (!err)
        err = zsock_set(&z, ZMQ_ROUTER_MANDATORY, 1);
    if (!err)
        err = zsock_bind(&z, argc > 1 ? argv[1] : "");
    if (err) {
        fprintf(stderr, "echo: %s\n", zmq_strerror(-err));
        return 1;
    }
    serve(z.socket);
    return 1;
}
