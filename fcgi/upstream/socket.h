/* socket.h - a socket to a broker, feed (SUB) or sync (DEALER), and the reason why it does not
 * connect.
 *
 * libzmq connects and reconnects in the background, and wakes the loop when messages may have
 * arrived. It does not read messages.
 *
 * Ownership: a received message belongs to the socket and is valid until its next socket_receive().
 */
#ifndef SSECAST_SOCKET_H
#define SSECAST_SOCKET_H

#include "base/loop.h"
#include "base/slice.h"
#include "ops/curve_key.h"

/* What all sockets of a worker share. */
struct broker_sockets;
struct broker_socket;

enum socket_kind { SOCKET_FEED, SOCKET_SYNC };

struct sockets_config {
    struct loop *loop;
    const char *name;                 /* of this worker, its routing id; stays valid */
    const struct curve_client *curve; /* keys for tcp endpoints; NULL or zeroed: without CURVE */
};

/* NULL on failure. */
struct broker_sockets *sockets_new(const struct sockets_config *config);

/* Every socket is closed. The last messages have half a second to be sent. Safe on NULL. */
void sockets_free(struct broker_sockets **l);

/* Begin to connect. broker: index of its key when several are configured. NULL with a line in
 * the log. */
struct broker_socket *socket_open(struct broker_sockets *l, enum socket_kind kind,
                                  const char *endpoint, size_t broker);

/* Safe on NULL. */
void socket_close(struct broker_socket **l);

/* Send without waiting. 0 or -errno: there is no connection (no messages are queued for it), or
 * l is NULL. */
int socket_send(struct broker_socket *l, struct slice message);

/* Is there a connection? When libzmq found it while the socket was used, the loop is not told.
 * False on NULL. */
bool socket_can_send(struct broker_socket *l);

/* The next message. False when there is none, or none was noticed (by the loop, or by
 * sockets_may_receive()), and on NULL. */
bool socket_receive(struct broker_socket *l, struct slice *message);

/* Was it used since socket_receive() last found nothing? A message may have arrived of which the
 * loop is not told: libzmq takes its own notices also when it sends (znotice.h). False on NULL. */
bool socket_is_unsure(const struct broker_socket *l);

/* Look whether one of two sockets (each may be NULL) has a message. It costs one system call. */
bool sockets_may_receive(struct broker_socket *one, struct broker_socket *other);

/* Each second: log once why there is no connection, and reconnect where libzmq does not. Safe on
 * NULL. */
void socket_tick(struct broker_socket *l, int64_t now);

/* A failed handshake was logged, and none has succeeded since. False on NULL. */
bool socket_turned_away(const struct broker_socket *l);

#endif
