/* access.h - the keys in force: which sockets a key may connect to, its grant, and reloading the
 * keys file.
 *
 * Without a keys file every peer that reaches an endpoint may do everything there.
 */
#ifndef SSECAST_ACCESS_H
#define SSECAST_ACCESS_H

#include "net/bus.h"
#include "net/keys.h"
#include "stats/counters.h"

struct access {
    const char *file;   /* of the keys; NULL: none */
    struct keys *keys;  /* NULL: without a file */
    uint64_t *counters; /* BROKER_COUNTERS of them */
};

/* Read the file (NULL: none). 0, or -EINVAL with a line in the log. */
int access_open(struct access *a, const char *file, uint64_t *counters);
void access_close(struct access *a);

/* Log a warning when the file has no keys: no peer can connect to a tcp endpoint. */
void access_warn(const struct keys *keys, const char *file);

/* A bus_admit; the context is a struct access. */
bool access_admit(void *context, enum bus_socket socket, struct slice key, struct slice address);

/* The grant of the sender of m. A removed key has none. A sender without a key, on an ipc endpoint,
 * may do everything. Valid until the next reload. */
const struct grant *access_grant(const struct access *a, const struct bus_message *m);

/* Reload the file. The old keys stay when it has an error. Sets cut[i] if a now-revoked peer may
 * still be connected to socket i. */
void access_reload(struct access *a, bool cut[BUS_SOCKETS]);

#endif
