/* handshake.h - why a connection to the broker does not come about, in words.
 *
 * ZeroMQ connects in the background and says nothing; who watches a socket's handshakes translates what it sees into these, and tells people.
 */
#ifndef SSECAST_HANDSHAKE_H
#define SSECAST_HANDSHAKE_H

#include <stdbool.h>

enum handshake {
    HANDSHAKE_NONE,     /* nothing has failed lately */
    HANDSHAKE_REFUSED,  /* the broker knows who we are and does not let us in. libzmq does not try again */
    HANDSHAKE_MISMATCH, /* the two sides want different things. libzmq does not try again */
    HANDSHAKE_CUT,      /* the connection ended in the middle */
    HANDSHAKE_SILENT,   /* somebody took the connection and has never greeted */
};

#define HANDSHAKE_CUTS 3 /* in a row, before it means anything: a network may cut too */

/* What to look at. curve: we use a key. NULL for HANDSHAKE_NONE. */
const char *handshake_problem(enum handshake what, bool curve);

/* Does libzmq leave the endpoint alone after this, so that it has to be connected to anew? */
bool handshake_final(enum handshake what);

#endif
