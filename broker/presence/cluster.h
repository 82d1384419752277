/* cluster.h - the other brokers of a cluster: who is connected through them, what they have counted, and who of them is silent.
 *
 * What a worker says to its broker about its connections is told to all the others, who take it as if it had been said to them. So each
 * broker answers for the whole cluster from what it knows, and its presence feed tells of everybody. A worker belongs to the broker that it said
 * hello to last. What was lost on the way shows by the reports' own numbers; then the worker's broker is asked to let it report in full.
 *
 * It knows neither sockets nor clocks: messages (gossip.h) come in decoded from parts, go out through a hook, and the time (ms of a clock that
 * does not step back) is passed in.
 *
 * Ownership: everything in the config is the caller's; what is passed in is copied.
 */
#ifndef SSECAST_CLUSTER_H
#define SSECAST_CLUSTER_H

#include "presence/gossip.h"
#include "presence/presence.h"
#include "stats/counters.h"

struct cluster;

#define CLUSTER_SILENCE_MS 5000            /* a broker that says nothing for so long is named as missing, ... */
#define CLUSTER_FORGET_MS (10 * 60 * 1000) /* ... and not any more after so long */

#define CLUSTER_PEERS_MAX 64u /* brokers that are known at once; parts from further ones are ignored */

struct cluster_config {
    uint64_t run;
    struct slice name; /* of this broker, for people */
    struct presence *presence;
    const uint64_t *counters; /* BROKER_COUNTERS of them */
    /* To every other broker; m is valid during the call. What is not sent is lost. */
    void (*send)(void *send_context, const struct gossip *m);
    void *send_context;
    /* Ask a worker of ours to say hello and to report in full. */
    void (*resync)(void *context, struct slice worker);
    void *context;
};

/* NULL when out of memory. */
struct cluster *cluster_new(const struct cluster_config *config);
void cluster_free(struct cluster **c);

/* A worker said this to us (a hello or a presence report that was taken): pass it on. */
void cluster_worker_said(struct cluster *c, struct slice worker, struct slice message, int64_t now);

/* Take a part of what another broker sent. */
void cluster_receive(struct cluster *c, struct slice part, int64_t now);

/* Each second, and once at the start: say that we are here, and look who is not. */
void cluster_tick(struct cluster *c, int64_t now);

/* We were cut off, and may have missed anything. */
void cluster_rejoin(struct cluster *c);

/* We stop. */
void cluster_leave(struct cluster *c);

/* Brokers that are there, this one included. */
size_t cluster_brokers(const struct cluster *c);

/* Walk the names of those that were there and are silent: NULL first, then what it gave; NULL at the end. Safe on a NULL cluster. */
const void *cluster_next_missing(const struct cluster *c, const void *cursor, struct slice *name);

/* Add what the others have counted to sums (BROKER_COUNTERS of them). Safe on a NULL cluster. */
void cluster_add_counters(const struct cluster *c, uint64_t *sums);

#endif
