/* sessions - tells a broker of many connected sessions, as a worker would, without any streams.
 *
 *     sessions ENDPOINT COUNT
 *
 * Says "ready" when the broker has been told, then keeps the lease until standard input ends.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "codec/wire.h"

#define NAME "bench-sessions"

static struct slice slice(const char *text)
{
    return (struct slice){(char *)text, strlen(text)};
}

static void say(void *socket, struct buf *b)
{
    zmq_send(socket, b->data, b->len, 0);
    buf_release(b);
}

static void say_all(void *socket, unsigned long count, uint64_t n)
{
    struct buf b = {0};
    struct wire_presence m = {.n = n, .full = true};
    char connection[64], session[64];
    wire_put_presence(&b, &m);
    for (unsigned long i = 0; i < count; i++) {
        snprintf(connection, sizeof connection, NAME "-%lu", i);
        snprintf(session, sizeof session, "somebody-%lu", i);
        wire_add_presence(&b, &(struct wire_presence_item){.kind = ITEM_OPENED,
                                                           .connection = slice(connection),
                                                           .session = slice(session),
                                                           .since_ms = 1});
    }
    say(socket, &b);
}

static void keep_lease(void *socket, uint64_t n)
{
    struct buf b = {0};
    wire_put_presence(&b, &(struct wire_presence){.n = n});
    say(socket, &b);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    void *zmq = zmq_ctx_new(), *socket = zmq_socket(zmq, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_ROUTING_ID, NAME, strlen(NAME));
    if (zmq_connect(socket, argv[1]) != 0)
        return 1;
    struct buf b = {0};
    char answer[65536];
    wire_put_hello(&b, &(struct wire_hello){.worker = slice(NAME)});
    say(socket, &b);
    if (zmq_recv(socket, answer, sizeof answer, 0) < 0)
        return 1;
    uint64_t n = 1;
    say_all(socket, strtoul(argv[2], NULL, 10), n);
    puts("ready");
    fflush(stdout);
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, (int)WIRE_RENEW_MS) == 0) {
        while (zmq_recv(socket, answer, sizeof answer, ZMQ_DONTWAIT) >= 0) {
        }
        keep_lease(socket, ++n);
    }
    zmq_close(socket);
    zmq_ctx_term(zmq);
    return 0;
}
