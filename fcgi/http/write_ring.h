/* write_ring.h - writes to many sockets in one system call (io_uring), or one by one where the
 * kernel does not allow that.
 *
 * No write waits: a socket without room takes nothing, or a part. It knows neither connections nor
 * records.
 *
 * Ownership: a ring has a descriptor and shared memory with the kernel. It touches what an item
 * points to only during write_ring_run().
 */
#ifndef SSECAST_WRITE_RING_H
#define SSECAST_WRITE_RING_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define WRITE_RING_MAX 128 /* items of one call */

/* Flags of each write to a socket, also without a ring. */
#define WRITE_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

struct write_ring;

struct write_ring_item {
    int fd; /* a socket */
    struct msghdr message;
    ssize_t result; /* bytes that were taken, or -errno: -EAGAIN without room */
};

/* A ring that uses io_uring. 0 or -errno: -ENOMEM, or why the kernel does not allow it (-ENOSYS,
 * -EPERM, ...); then *ring is NULL. */
int write_ring_new(struct write_ring **ring);

/* NULL is allowed. */
void write_ring_free(struct write_ring **ring);

/* Write a message to one socket, without a ring. Bytes that were taken, or -errno. */
ssize_t write_ring_one(int fd, const struct msghdr *message);

/* Write each of at most WRITE_RING_MAX items, and set its result. A ring that fails writes this and
 * all that follows one by one. */
void write_ring_run(struct write_ring *ring, struct write_ring_item *items, size_t count);

#endif
