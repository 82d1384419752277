/* cluster.h - the other brokers of a cluster: their connections, their counters, and which of them
 * are silent.
 *
 * A broker forwards the hellos and reports of its workers to all others, which apply them as their
 * own. So each broker answers for the whole cluster, and its presence feed covers all connections.
 * A worker belongs to the broker that received its last hello. A lost message shows as a hole in
 * the numbers of reports, a lost hello as a report of another broker than the worker's. Then the
 * broker of the worker is requested to let it report in full, every 5 s until that has arrived.
 *
 * It does not know sockets or clocks: messages (gossip.h) are passed in as parts and leave through
 * a hook, and the time (ms of a monotonic clock) is passed in.
 *
 * Ownership: everything in the config is the caller's. Arguments are copied.
 */
#ifndef SSECAST_CLUSTER_H
#define SSECAST_CLUSTER_H

#include "presence/gossip.h"
#include "presence/presence.h"
#include "stats/counters.h"

struct cluster;

/* A broker that is silent for this time is listed as missing ... */
#define CLUSTER_SILENCE_MS 5000
#define CLUSTER_FORGET_MS (10 * 60 * 1000) /* ... and is forgotten after this time */

#define CLUSTER_PEERS_MAX 64u /* brokers that are known at once; further ones are ignored */

struct cluster_config {
    uint64_t epoch;
    struct slice name; /* of this broker */
    struct presence *presence;
    const uint64_t *counters; /* BROKER_COUNTERS of them */
    /* Send m to every other broker. It is valid during the call. It may be lost. */
    void (*send)(void *send_context, const struct gossip *m);
    void *send_context;
    /* Request a hello and a full report from a worker of this broker. */
    void (*resync)(void *context, struct slice worker);
    void *context;
};

/* NULL when out of memory. */
struct cluster *cluster_new(const struct cluster_config *config);
void cluster_free(struct cluster **c);

/* Forward a message of a worker of this broker: a hello, or a report that was applied. */
void cluster_forward(struct cluster *c, struct slice worker, struct slice message, int64_t now);

/* Handle a part of a message from another broker. True when a report of a worker has begun: take
 * the changes (presence_next()), then call cluster_reported(). part stays valid until then. */
bool cluster_receive(struct cluster *c, struct slice part, int64_t now);

/* The report that has begun was applied. Nothing happens when there was none. */
void cluster_reported(struct cluster *c);

/* Call it each second, and once at the start: announce this broker, and check which others are
 * silent. */
void cluster_tick(struct cluster *c, int64_t now);

/* The connection was lost: any message may have been missed. */
void cluster_rejoin(struct cluster *c);

/* This broker stops. */
void cluster_leave(struct cluster *c);

/* The number of brokers that are heard, this one included. */
size_t cluster_brokers(const struct cluster *c);

/* Iterate over the names of missing brokers. cursor: NULL first, then the last result; NULL at the
 * end. Safe on a NULL cluster. */
const void *cluster_next_missing(const struct cluster *c, const void *cursor, struct slice *name);

/* Add the counters of the other brokers to sums (BROKER_COUNTERS of them). Safe on a NULL
 * cluster. */
void cluster_add_counters(const struct cluster *c, uint64_t *sums);

#endif
