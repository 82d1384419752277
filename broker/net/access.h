/* access.h - who may do what at the broker: the keys in force, what each may connect to, and the file of keys read anew.
 *
 * Without a file everybody who reaches an endpoint may do everything there.
 */
#ifndef SSECAST_ACCESS_H
#define SSECAST_ACCESS_H

#include "net/bus.h"
#include "net/keys.h"
#include "stats/counters.h"

struct access {
    const char *file;   /* of the keys; NULL: none */
    struct keys *keys;  /* NULL: without a file */
    uint64_t readings;  /* of the file anew: each is told apart in the log */
    uint64_t *counters; /* BROKER_COUNTERS of them */
};

/* Read the file (NULL: none). 0, or -EINVAL with a line in the log. */
int access_open(struct access *a, const char *file, uint64_t *counters);
void access_close(struct access *a);

/* A bus_admit; the context is a struct access. */
bool access_admit(void *context, enum bus_socket socket, struct slice key, struct slice address);

/* What the sender of m may do. A key that was taken out of the file may do nothing; who came through no key, which only an ipc endpoint
 * allows, everything. Valid until the file is read anew. */
const struct grant *access_grant(const struct access *a, const struct bus_message *m);

/* Read the file anew; when something is wrong in it the old keys stay. True for each socket in cut that somebody may be connected to who would
 * not be admitted any more. */
void access_reload(struct access *a, bool cut[BUS_SOCKETS]);

#endif
