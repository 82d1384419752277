/* cluster_link.h - the line to the other brokers of a cluster: a subject on the NATS servers that also hold the sequence.
 *
 * It carries what cluster.c says and hears, in messages as large as the servers take. What is sent while the servers are away is lost; when
 * they are back, everybody is asked for everything. Nothing in it waits, but cluster_link_open().
 *
 * Ownership: it owns its connection and the cluster; the rest of the config is the caller's.
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
int cluster_link_open(const struct cluster_link_config *config, struct cluster_link **out, char why[NATS_LINK_WHY_MAX]);

/* Says good-bye. Safe on NULL; sets *l to NULL. */
void cluster_link_close(struct cluster_link **l);

/* Readable when cluster_link_turn() has something to do. */
int cluster_link_fd(const struct cluster_link *l);

/* Take in what came. */
void cluster_link_turn(struct cluster_link *l, int64_t now);

/* Each second. */
void cluster_link_tick(struct cluster_link *l, int64_t now);

struct cluster *cluster_link_cluster(const struct cluster_link *l);

#endif
