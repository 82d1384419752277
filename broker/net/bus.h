/* bus.h - the broker's sockets: commands (ROUTER), feed (XPUB), sync (ROUTER) and presence (XPUB). The only user of libzmq.
 *
 * It moves messages and knows nothing of what they say. Nothing in it blocks but bus_wait() and bus_close().
 *
 * Ownership: a received message belongs to the bus and is valid until the next bus_receive() from the same socket.
 */
#ifndef SSECAST_BUS_H
#define SSECAST_BUS_H

#include <stdint.h>

#include "base/slice.h"

struct bus;

enum bus_socket { BUS_COMMANDS, BUS_SYNC, BUS_FEED, BUS_PRESENCE };
#define BUS_SOCKETS 4

/* Through CURVE, somebody with this public key (as text) wants to connect to a socket from this address. May they? It is called from
 * bus_wait(). */
typedef bool bus_admit(void *context, enum bus_socket socket, struct slice key, struct slice address);

struct bus_config {
    char *const *commands; /* endpoints */
    size_t commands_count;
    const char *feed, *sync, *presence;
    bool presence_optional; /* nobody asked for it: that it cannot be bound is a warning */
    size_t max_command; /* bytes in one frame of a request; who sends more is disconnected by libzmq, without a reply */
    int max_replies;    /* that wait for one publisher; beyond, and beyond 32 MiB of large ones, they are dropped */
    int handshake_ms;   /* who has not finished greeting by then is disconnected */
    unsigned ipc_mode;  /* permissions of ipc sockets */
    const char *secret_key; /* CURVE for every tcp endpoint, with this key (text); NULL: for none */
    bus_admit *admit;       /* with CURVE */
    void *admit_context;
};

#define BUS_PEER_MAX 255u /* bytes of a peer's routing id */
#define BUS_FRAMES 2u     /* that are kept of a message */

/* What may stand before a request, up to an empty frame (ZeroMQ's REQ and REP, RFC 28): the ids of devices that it came through, and a REQ's
 * number. It comes back before the reply. Bounds of the frames before the empty one: */
#define ENVELOPE_FRAMES 8u
#define ENVELOPE_FRAME_MAX 255u
#define ENVELOPE_MAX (ENVELOPE_FRAMES * (1 + ENVELOPE_FRAME_MAX) + 1) /* bytes of one as struct bus_message has it */

struct bus_message {
    struct slice peer;
    struct slice
        envelope; /* each frame's length (one byte) and its bytes, the empty frame last; empty: there was none */
    struct slice frames[BUS_FRAMES]; /* empty where there was none */
    struct slice user;               /* through CURVE: the public key that was admitted, as text; else empty */
    size_t frame_count;              /* as sent, so it may be more than BUS_FRAMES; at least 1 */
};

/* Bind all endpoints and log where. NULL when that fails; one line on the log has said which option and why. */
struct bus *bus_open(const struct bus_config *config);

/* Close the sockets, wait for what was sent to leave (for linger_ms at most), and set *b to NULL. Safe on NULL. */
void bus_close(struct bus **b, int linger_ms);

/* Wait until a message may be there, fd (-1: none) is readable, or timeout_ms have passed. True when fd is readable. */
bool bus_wait(struct bus *b, int fd, int64_t timeout_ms);

/* End every tcp connection of a socket. Its endpoint is bound anew, within a moment, by bus_wait(); peers that are admitted then come back by
 * themselves. */
void bus_cut(struct bus *b, enum bus_socket which);

/* What happened on the sockets since the last call. */
struct bus_events {
    uint64_t accepted; /* connections */
    uint64_t
        failed; /* handshakes, but for those that were not admitted: garbage, no or another mechanism, another key of ours than we have,
                          too slow */
};
struct bus_events bus_events(struct bus *b);

/* Accept no new tcp connections, or accept them again. Meanwhile the system drops them unseen, and their peers try again. */
void bus_hold(struct bus *b, bool held);

#define BUS_WATCHES 2

/* From now on a readable fd ends bus_wait() too; -1: none. which: below BUS_WATCHES. */
void bus_watch(struct bus *b, unsigned which, int fd);

/* Messages on the commands socket do not end bus_wait(), or they do again. */
void bus_pause(struct bus *b, bool paused);

/* The next message from a ROUTER socket, if one is there. */
bool bus_receive(struct bus *b, enum bus_socket from, struct bus_message *m);

/* Send body to a peer of a ROUTER socket, behind this envelope (empty: none). 0; -EHOSTUNREACH when the peer is gone, -EAGAIN when too much waits for it:
 * then the message was dropped. */
int bus_send(struct bus *b, enum bus_socket to, struct slice peer, struct slice envelope, struct slice body);

/* Send message to everybody who subscribed to an XPUB socket. Who has too much waiting loses it, and notices by the numbers. */
int bus_publish(struct bus *b, enum bus_socket on, struct slice message);

#endif
