/* bus.h - the broker's sockets: commands (ROUTER), feed (XPUB), sync (ROUTER) and presence (XPUB). The only user of libzmq.
 *
 * It moves messages and knows nothing of what they say. Nothing in it blocks but bus_wait() and bus_close().
 *
 * Ownership: a received message belongs to the bus and is valid until the next bus_receive() from the same socket.
 */
#ifndef SSECAST_BUS_H
#define SSECAST_BUS_H

#include <stdint.h>

#include "slice.h"

struct bus;

enum bus_socket { BUS_COMMANDS, BUS_SYNC, BUS_FEED, BUS_PRESENCE };

struct bus_config {
    char *const *commands; /* endpoints */
    size_t commands_count;
    const char *feed, *sync, *presence;
    bool presence_optional; /* nobody asked for it: that it cannot be bound is a warning */
    size_t max_command; /* bytes in one frame of a request; who sends more is disconnected by libzmq, without a reply */
};

#define BUS_PEER_MAX 255u /* bytes of a peer's routing id */
#define BUS_FRAMES 2u     /* that are kept of a message */

struct bus_message {
    struct slice peer;
    bool delimiter;                  /* an empty frame stood between peer and frames: the answer needs one too */
    struct slice frames[BUS_FRAMES]; /* empty where there was none */
    size_t frame_count;              /* as sent, so it may be more than BUS_FRAMES; at least 1 */
};

/* Bind all endpoints and log where. NULL when that fails; one line on the log has said which option and why. */
struct bus *bus_open(const struct bus_config *config);

/* Close the sockets, wait for what was sent to leave (for linger_ms at most), and set *b to NULL. Safe on NULL. */
void bus_close(struct bus **b, int linger_ms);

/* Wait until a message may be there, fd (-1: none) is readable, or timeout_ms have passed. True when fd is readable. */
bool bus_wait(struct bus *b, int fd, int64_t timeout_ms);

/* The next message from a ROUTER socket, if one is there. */
bool bus_receive(struct bus *b, enum bus_socket from, struct bus_message *m);

/* Send body to a peer of a ROUTER socket. 0; -EHOSTUNREACH when the peer is gone, -EAGAIN when too much waits for it:
 * then the message was dropped. */
int bus_send(struct bus *b, enum bus_socket to, struct slice peer, bool delimiter, struct slice body);

/* Send message to everybody who subscribed to an XPUB socket. Who has too much waiting loses it, and notices by the numbers. */
int bus_publish(struct bus *b, enum bus_socket on, struct slice message);

#endif
