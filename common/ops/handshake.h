/* handshake.h - explains why a connection to the broker fails.
 *
 * ZeroMQ connects in the background and reports nothing by itself. zsock.c translates the events of
 * a socket's monitor into enum handshake, and its user reports the problem.
 */
#ifndef SSECAST_HANDSHAKE_H
#define SSECAST_HANDSHAKE_H

#include <stdbool.h>

enum handshake {
    HANDSHAKE_NONE,     /* no failure since the last success */
    HANDSHAKE_REFUSED,  /* the broker rejected our key; libzmq does not retry */
    HANDSHAKE_MISMATCH, /* the security mechanisms differ; libzmq does not retry */
    /* The peer is no endpoint of the kind that belongs to this socket; libzmq does not retry. */
    HANDSHAKE_OTHER,
    HANDSHAKE_CUT,    /* the connection ended during the handshake */
    HANDSHAKE_SILENT, /* a peer accepted the connection and never sent a greeting */
};

#define HANDSHAKE_CUTS 3 /* in a row before they are reported: networks cut connections too */

/* A line that says what to check. curve: whether this side uses a key. NULL for HANDSHAKE_NONE. */
const char *handshake_problem(enum handshake what, bool curve);

/* True when libzmq does not retry after this failure, so that the caller has to reconnect. */
bool handshake_final(enum handshake what);

/* The handshakes of one socket. Zeroed: there was none. */
struct handshakes {
    enum handshake last; /* how the last one ended */
    unsigned cuts;       /* HANDSHAKE_CUT in a row */
    bool reached;        /* a peer accepted a connection */
    bool greeted;        /* a handshake succeeded once */
};

/* A handshake ended. HANDSHAKE_SILENT: it began. */
void handshakes_note(struct handshakes *h, enum handshake what);

/* handshake_problem() of what happened last; NULL while it is not clear. */
const char *handshakes_problem(const struct handshakes *h, bool curve);

#endif
