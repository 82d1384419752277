/* znotice.h - whether a libzmq socket may have a message, without asking the socket each time.
 *
 * To ask a socket costs two system calls, also when nothing has happened. Its descriptor (ZMQ_FD)
 * becomes readable when its state may have changed, but libzmq takes that notice back whenever the
 * socket is used. So a socket is quiet only if it had no message when it was asked last, and was
 * not used since. While it is quiet, its descriptor becomes readable with the next message.
 *
 * It does not wait. The caller watches `fd`, and calls znotice_used() when it is readable.
 *
 * Ownership: the socket is the caller's, and outlives the notice.
 */
#ifndef SSECAST_ZNOTICE_H
#define SSECAST_ZNOTICE_H

#include <stdbool.h>
#include <zmq.h>

/* Only the functions below write it. */
struct znotice {
    void *socket;
    int fd;
    bool quiet;
};

/* There is no socket, and so never a message. */
void znotice_none(struct znotice *n);

/* Begin: the socket may have a message. 0 or -errno; then fd is -1. */
int znotice_init(struct znotice *n, void *socket);

/* The socket was used other than through znotice_receive() (something was sent, an endpoint was
 * bound), or its descriptor is readable. */
void znotice_used(struct znotice *n);

/* The caller received from the socket itself. found: the result as of znotice_receive(). */
void znotice_received(struct znotice *n, int found);

/* May the socket have a message? It is not asked. */
bool znotice_is_unsure(const struct znotice *n);

/* Has the socket a message? It is asked unless it is quiet. */
bool znotice_has_message(struct znotice *n);

/* Would the socket accept a message? It is asked in any case. While it would not, its descriptor
 * becomes readable with the next message and with the next connection, until it is used again.
 * False on an error. */
bool znotice_can_send(struct znotice *n);

/* Receive a frame into m without waiting. 1, 0 without a message, or -errno. A quiet socket is not
 * asked. */
int znotice_receive(struct znotice *n, zmq_msg_t *m);

#endif
