/* bus.h - the sockets of the broker: commands (ROUTER), feed (XPUB), sync (ROUTER) and presence
 * (XPUB).
 *
 * It moves messages and does not interpret them. Only bus_wait() and bus_close() block. In the
 * broker only the bus and what it is made of (bindings, zap_gate, large_reply) use libzmq.
 *
 * Ownership: a received message belongs to the bus and is valid until the next bus_receive() from
 * the same socket.
 */
#ifndef SSECAST_BUS_H
#define SSECAST_BUS_H

#include <stdint.h>

#include "base/slice.h"

struct bus;

enum bus_socket { BUS_COMMANDS, BUS_SYNC, BUS_FEED, BUS_PRESENCE };
#define BUS_SOCKETS 4

/* Whether a peer with this public key (as text) may connect to a socket from this address. Called
 * from bus_wait(), for CURVE only. */
typedef bool bus_admit(void *context, enum bus_socket socket, struct slice key,
                       struct slice address);

struct bus_config {
    char *const *commands; /* endpoints */
    size_t commands_count;
    const char *feed, *sync, *presence;
    bool presence_optional; /* --presence was not set: log a warning when it cannot be bound */
    /* Bytes in one frame of a request; libzmq disconnects a peer that sends more,
     * without a reply. */
    size_t max_command;
    /* Replies that wait for one publisher; more, or more than 32 MiB of large ones, are dropped. */
    int max_replies;
    int handshake_ms;       /* peers without a completed handshake by then are disconnected */
    unsigned ipc_mode;      /* permissions of ipc sockets */
    const char *secret_key; /* CURVE for every tcp endpoint, with this key (text); NULL: for none */
    bus_admit *admit;       /* with CURVE */
    void *admit_context;
};

#define BUS_PEER_MAX 255u /* bytes of a peer's routing id */
#define BUS_FRAMES 2u     /* that are kept of a message */

struct bus_message {
    struct slice peer;
    struct slice envelope;           /* as envelope.h; empty: there was none */
    struct slice frames[BUS_FRAMES]; /* empty where there was none */
    struct slice user;               /* with CURVE: the admitted public key as text; else empty */
    size_t frame_count;              /* as sent, so it may be more than BUS_FRAMES; at least 1 */
};

/* Bind all endpoints and log them. NULL on failure, with a line in the log: which option, and
 * why. */
struct bus *bus_open(const struct bus_config *config);

/* Close the sockets, and wait up to linger_ms until everything is sent. Sets *b to NULL. Safe on
 * NULL. */
void bus_close(struct bus **b, int linger_ms);

/* Wait until a message may be there, fd (-1: none) is readable, or timeout_ms have passed. True
 * when fd is readable. */
bool bus_wait(struct bus *b, int fd, int64_t timeout_ms);

/* End every tcp connection of a socket. bus_wait() soon binds the endpoint again, and admitted
 * peers reconnect. */
void bus_cut(struct bus *b, enum bus_socket which);

/* Events on the sockets since the last call. */
struct bus_events {
    uint64_t accepted;    /* connections */
    uint64_t subscribers; /* handshakes of the feed: the peers are about to subscribe */
    /* Handshakes: garbage, wrong mechanism or server key, too slow; without refused keys. */
    uint64_t failed;
};
struct bus_events bus_events(struct bus *b);

/* Stop or resume accepting tcp connections. Meanwhile the kernel drops connection attempts, and
 * peers retry. */
void bus_hold(struct bus *b, bool held);

#define BUS_WATCHES 2

/* A readable fd ends bus_wait() from now on; -1: none. which: below BUS_WATCHES. */
void bus_watch(struct bus *b, unsigned which, int fd);

/* While paused, messages on the commands socket do not end bus_wait(). */
void bus_pause(struct bus *b, bool paused);

/* Receive the next message from a ROUTER socket. False when no message is waiting. */
bool bus_receive(struct bus *b, enum bus_socket from, struct bus_message *m);

/* Send body to a peer of a ROUTER socket, behind this envelope (empty: none). 0; -EHOSTUNREACH when
 * the peer is disconnected, -EAGAIN when too much waits for it. Then the message was dropped. */
int bus_send(struct bus *b, enum bus_socket to, struct slice peer, struct slice envelope,
             struct slice body);

/* Send message to all subscribers of an XPUB socket. A subscriber with too much waiting loses it,
 * and notices by the numbers. */
int bus_publish(struct bus *b, enum bus_socket on, struct slice message);

#endif
