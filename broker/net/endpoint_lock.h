/* endpoint_lock.h - one broker for each ipc endpoint.
 *
 * Binding an ipc endpoint silently replaces the socket of another broker. So a file PATH.lock is
 * locked while the endpoint is in use. The kernel releases the lock however the program ends. The
 * file stays.
 */
#ifndef SSECAST_ENDPOINT_LOCK_H
#define SSECAST_ENDPOINT_LOCK_H

#define ENDPOINT_LOCK_NONE (-1) /* the endpoint needs no lock: it is not an ipc path */

/* Lock endpoint. 0 with *lock a descriptor to close, or ENDPOINT_LOCK_NONE; -EWOULDBLOCK when
 * another process holds it; -ENOTSOCK when a file at the path is no socket, which binding would
 * replace; or the errno of opening the lock file. */
int endpoint_lock(const char *endpoint, int *lock);

#endif
