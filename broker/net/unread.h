/* unread.h - how many bytes of large replies wait for each peer, so that one that does not read cannot take memory without end.
 *
 * libzmq bounds what waits for a peer by number only. A large reply is handed to it with a function that it calls when the reply has left (or is
 * given up); until then its bytes count.
 *
 * Nothing here knows sockets. unread_release() may be called from any thread, everything else from one.
 */
#ifndef SSECAST_UNREAD_H
#define SSECAST_UNREAD_H

#include <stdatomic.h>

#include "base/slice.h"

struct unread;

/* max: bytes that may wait for one peer. NULL when out of memory. */
struct unread *unread_new(size_t max);

/* Every reservation has been released. Sets *u to NULL; safe on NULL. */
void unread_free(struct unread **u);

/* Count len more bytes for this peer. NULL when that would be too much (the first reply may have any size), or without memory. What is given is
 * handed to unread_release() once. */
atomic_size_t *unread_reserve(struct unread *u, struct slice peer, size_t len);

void unread_release(atomic_size_t *waiting, size_t len);

/* Peers that something is kept of. */
size_t unread_peers(const struct unread *u);

#endif
