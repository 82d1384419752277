/* bindings.h - the endpoints that the broker's sockets are bound to: bound once, and again after
 * their connections were ended.
 *
 * A failure is logged with the option that names the endpoint. ipc endpoints are locked
 * (endpoint_lock.h).
 *
 * Ownership: sockets, notices and options are the caller's, and outlive it. The locks are held
 * until bindings_release().
 */
#ifndef SSECAST_BINDINGS_H
#define SSECAST_BINDINGS_H

#include <sys/stat.h>

#include "ops/znotice.h"
#include "ops/zsock.h"

/* An endpoint as it was bound: with the port, where a wildcard was asked for. */
struct binding {
    struct zsock *socket;
    struct znotice *notice;
    const char *option;
    unsigned attempts; /* to bind it again; 0: it is bound */
    int lock;
    char endpoint[512];
};

struct bindings {
    struct binding *items;
    size_t count, max;
};

/* There are at most max. 0 or -ENOMEM. */
int bindings_init(struct bindings *b, size_t max);

/* Release the locks: after the sockets were closed. Safe on a zeroed one. */
void bindings_release(struct bindings *b);

/* Lock and bind an endpoint. mode: permissions of an ipc socket.
 * 0, or -1 with a line in the log. */
int bindings_add(struct bindings *b, const char *option, const char *endpoint, mode_t mode,
                 struct zsock *socket, struct znotice *notice);

/* Unbind the tcp endpoints of a socket, which ends their connections. */
void bindings_cut(struct bindings *b, const struct zsock *socket);

/* Bind again what was cut. libzmq unbinds an endpoint in its own thread, so that takes some
 * attempts, BINDINGS_RETRY_MS apart. True when one is still unbound. */
bool bindings_restore(struct bindings *b);

#define BINDINGS_RETRY_MS 10

#endif
