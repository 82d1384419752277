/* endpoint_lock.h - one broker for each ipc endpoint.
 *
 * Binding an ipc endpoint takes the path away from whoever has it, without a word. So a file beside it, PATH.lock, is
 * held locked while the endpoint is in use; the kernel lets go of it however the program ends. The file itself stays.
 */
#ifndef SSECAST_ENDPOINT_LOCK_H
#define SSECAST_ENDPOINT_LOCK_H

#define ENDPOINT_LOCK_NONE (-1) /* the endpoint needs no lock: it is not an ipc path */

/* Lock endpoint. 0 with *lock a descriptor to close, or ENDPOINT_LOCK_NONE; -EWOULDBLOCK when somebody holds it, or
 * the errno of opening the file. */
int endpoint_lock(const char *endpoint, int *lock);

#endif
