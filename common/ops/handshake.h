/* handshake.h - explains why a connection to the broker fails.
 *
 * ZeroMQ connects in the background and reports nothing by itself. The users of libzmq translate
 * the events of a socket's monitor into enum handshake and report the problem.
 */
#ifndef SSECAST_HANDSHAKE_H
#define SSECAST_HANDSHAKE_H

#include <stdbool.h>

enum handshake {
    HANDSHAKE_NONE,     /* no failure since the last success */
    HANDSHAKE_REFUSED,  /* the broker rejected our key; libzmq does not retry */
    HANDSHAKE_MISMATCH, /* the security mechanisms differ; libzmq does not retry */
    HANDSHAKE_CUT,      /* the connection ended during the handshake */
    HANDSHAKE_SILENT,   /* a peer accepted the connection and never sent a greeting */
};

#define HANDSHAKE_CUTS 3 /* in a row before they are reported: networks cut connections too */

/* A line that says what to check. curve: whether this side uses a key. NULL for HANDSHAKE_NONE. */
const char *handshake_problem(enum handshake what, bool curve);

/* True when libzmq does not retry after this failure, so that the caller has to reconnect. */
bool handshake_final(enum handshake what);

#endif
