/* cluster_link.h - carries the messages of a cluster over a subject on the NATS servers that also
 * hold the sequence.
 *
 * Messages are as large as the servers allow. Messages sent while the servers are unreachable are
 * lost; after a reconnection everything is requested again. Only cluster_link_open() blocks.
 *
 * Ownership: it owns its connection and the cluster. The rest of the config is the caller's.
 */
#ifndef SSECAST_CLUSTER_LINK_H
#define SSECAST_CLUSTER_LINK_H

#include "log/nats_link.h"
#include "presence/cluster.h"

struct cluster_link;

/* Strings must stay valid. */
struct cluster_link_config {
    struct nats_link_config link;
    const char *stream;            /* the subject is its name and ".brokers" */
    struct cluster_config cluster; /* send is filled in here */
};

/* As nats_link_open(). */
int cluster_link_open(const struct cluster_link_config *config, struct cluster_link **out,
                      char why[NATS_LINK_WHY_MAX]);

/* Announces the end. Safe on NULL; sets *l to NULL. */
void cluster_link_close(struct cluster_link **l);

/* Readable when cluster_link_receive() has something to do. */
int cluster_link_fd(const struct cluster_link *l);

/* Handle messages that have arrived. True when one is a report of a worker: take the changes
 * (presence_next()), then call it again. */
bool cluster_link_receive(struct cluster_link *l, int64_t now);

/* Call it each second. */
void cluster_link_tick(struct cluster_link *l, int64_t now);

struct cluster *cluster_link_cluster(const struct cluster_link *l);

#endif
