/* unread.h - bounds the bytes of large replies that wait for a peer which does not read.
 *
 * libzmq bounds the waiting messages of a peer by number only. libzmq calls a function when a large
 * reply was sent or dropped; until then its bytes count.
 *
 * It does not know sockets. unread_release() may be called from any thread, everything else from
 * one thread.
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

/* Count len more bytes for this peer. NULL when that exceeds the limit (the first reply may have
 * any size), or out of memory. Pass the result to unread_release() once. */
atomic_size_t *unread_reserve(struct unread *u, struct slice peer, size_t len);

void unread_release(atomic_size_t *waiting, size_t len);

/* The number of peers in the table. */
size_t unread_peers(const struct unread *u);

#endif
