/* zsock.h - a libzmq socket: its options, its keys, what its monitor reports, and reconnecting.
 *
 * Every socket checks its peers with heartbeats: a peer that is silent for 15 s is disconnected,
 * and so is one from which libzmq has stopped reading. A socket that does not succeed in connecting
 * knows why (handshake.h).
 *
 * It does not know the messages. `socket` may be used with libzmq's functions.
 *
 * Ownership: the context is the caller's. zsock_close() frees the rest.
 */
#ifndef SSECAST_ZSOCK_H
#define SSECAST_ZSOCK_H

#include <stdint.h>
#include <zmq.h>

#include "base/slice.h"
#include "ops/handshake.h"

struct zsock_options {
    int type;             /* ZMQ_DEALER, ... */
    int linger_ms;        /* for unsent messages when the socket is closed */
    int handshake_ms;     /* a peer that takes longer is disconnected */
    int send_max;         /* messages that wait for one peer; 0: no limit */
    int receive_max;      /* the same of one peer */
    int64_t message_max;  /* bytes of one; a peer that sends more is disconnected. 0: no limit */
    int reconnect_max_ms; /* longest pause between two attempts; 0: the socket does not connect */
    int again_ms;         /* pause after a handshake that libzmq does not repeat */
    bool immediate;       /* no message waits for a peer that is not connected */
    int monitored;        /* ZMQ_EVENT_ of the monitor */
};

/* What the monitor of a socket that connects is asked for. */
#define ZSOCK_HANDSHAKES                                                                           \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                        \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                       \
     ZMQ_EVENT_DISCONNECTED)

struct zsock {
    void *socket;   /* NULL: not open */
    void *monitor;  /* of the events in `monitored` */
    char *endpoint; /* that it connects to; NULL: none */
    bool curve;     /* it has keys */
    int again_ms;
    int64_t again_at; /* when to connect again, because libzmq does not; 0: never */
    bool judged;      /* the monitor has reported how the handshake of this connection ended */
    struct handshakes handshakes;
};

/* Each returns 0 or -errno; zmq_strerror() explains it. After a failure the caller calls
 * zsock_close(). */

int zsock_open(struct zsock *z, void *context, const struct zsock_options *options);

/* A number, by libzmq's name of the option. */
int zsock_set(struct zsock *z, int option, int value);

/* Keys of a client: that of its server and its own pair, each CURVE_KEY_LEN characters.
 * public_key NULL: that of the secret key. -EINVAL: one is no key. Call it before
 * zsock_connect(). */
int zsock_protect(struct zsock *z, const char *server_key, const char *public_key,
                  const char *secret_key);

/* Connect, in the background. -EPROTONOSUPPORT, -EINVAL: endpoint is none. */
int zsock_connect(struct zsock *z, const char *endpoint);

/* Bind. IPv6 is used for addresses in brackets only. */
int zsock_bind(struct zsock *z, const char *endpoint);

/* Safe on a zeroed or a closed one. */
void zsock_close(struct zsock *z);

/* The descriptor that becomes readable (edge-triggered) when the state of the socket may have
 * changed; or -errno. */
int zsock_fd(void *socket);

/* What a socket can do now: ZMQ_POLLIN, ZMQ_POLLOUT, or both. -errno on an error. Asking is a use
 * of the socket, so its descriptor no longer reports what is returned here. */
int zsock_events(void *socket);

/* Receive a message into m: 1, and *text is its first frame that is not empty; the others are
 * dropped. 0: there is none. Or -errno. */
int zsock_receive(struct zsock *z, zmq_msg_t *m, struct slice *text);

/* The bytes of a frame. */
struct slice zsock_slice(const zmq_msg_t *frame);

/* The next event of the monitor and its value (a descriptor or an error). False: none. */
bool zsock_next_event(struct zsock *z, uint16_t *event, int32_t *value);

/* Take note of the next handshake that the monitor reports. False: none. */
bool zsock_next_handshake(struct zsock *z, int64_t now_ms);

/* Connect again when it is time (again_at). */
void zsock_reconnect(struct zsock *z, int64_t now_ms);

/* Why it does not connect, as a line; NULL: no problem is known. */
const char *zsock_problem(const struct zsock *z);

#endif
