/* listeners.h - the tcp listeners of the broker, which stop and resume accepting.
 *
 * The library that binds the endpoints owns the descriptors and accepts. It does not know that
 * library, nor which endpoint a listener has.
 *
 * Ownership: it owns no descriptor.
 */
#ifndef SSECAST_LISTENERS_H
#define SSECAST_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

struct listeners {
    int *items; /* descriptors */
    size_t count, max;
    bool held;
};

/* There are at most max listeners. 0 or -ENOMEM: listeners_release() is called either way. */
int listeners_init(struct listeners *l, size_t max);
void listeners_release(struct listeners *l);

/* A descriptor that listens now. Ignored unless it is a tcp listener. It is held when the others
 * are. */
void listeners_add(struct listeners *l, int fd);

/* Stop accepting and close the connections that wait, or resume. Meanwhile the kernel drops
 * connection attempts, and peers retry. */
void listeners_hold(struct listeners *l, bool held);

#endif
