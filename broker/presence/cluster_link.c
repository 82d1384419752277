#include "presence/cluster_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/log.h"

#define SUBJECT_MAX 300
#define HEADERS_ROOM 1024u /* of a message's limit */

struct cluster_link {
    struct cluster_link_config config;
    char subject[SUBJECT_MAX];
    struct nats_link *link; /* NULL: the servers refused the connection; retried each second */
    struct nats_listener *listener;
    struct cluster *cluster;
    struct buf part;
    bool denied; /* the subject is not permitted, and that was logged */
};

/* --- the connection --- */

static int connect_link(struct cluster_link *l, char why[NATS_LINK_WHY_MAX])
{
    int err = nats_link_open(&l->config.link, &l->link, why);
    if (err)
        return err;
    l->listener = nats_link_listen(l->link, l->subject);
    return l->listener ? 0 : -ENOMEM;
}

static void disconnect(struct cluster_link *l)
{
    nats_link_unlisten(&l->listener);
    nats_link_free(&l->link);
}

/* The hook of cluster.c. */
static void send_all(void *context, const struct gossip *m)
{
    struct cluster_link *l = context;
    unsigned parts = 1;
    if (!l->link)
        return;
    for (unsigned i = 0; i < parts; i++) {
        parts = gossip_put(&l->part, m, i, nats_link_max_message(l->link) - HEADERS_ROOM);
        if (l->part.failed || nats_link_send(l->link, l->subject, NULL, NULL, NULL,
                                             (struct slice){l->part.data, l->part.len}) != 0)
            break; /* brokers that miss it request it */
    }
    if (l->part.failed)
        buf_release(&l->part);
}

/* --- life --- */

int cluster_link_open(const struct cluster_link_config *config, struct cluster_link **out,
                      char why[NATS_LINK_WHY_MAX])
{
    struct cluster_link *l = calloc(1, sizeof *l);
    snprintf(why, NATS_LINK_WHY_MAX, "out of memory");
    if (!l)
        return -ENOMEM;
    l->config = *config;
    l->config.cluster.send = send_all;
    l->config.cluster.send_context = l;
    snprintf(l->subject, sizeof l->subject, "%s.brokers", config->stream);
    l->cluster = cluster_new(&l->config.cluster);
    int err = l->cluster ? connect_link(l, why) : -ENOMEM;
    if (err)
        cluster_link_close(&l);
    *out = l;
    return err;
}

void cluster_link_close(struct cluster_link **l)
{
    if (!*l)
        return;
    if ((*l)->link && (*l)->cluster)
        cluster_leave((*l)->cluster);
    disconnect(*l);
    cluster_free(&(*l)->cluster);
    buf_release(&(*l)->part);
    free(*l);
    *l = NULL;
}

int cluster_link_fd(const struct cluster_link *l)
{
    return l->link ? nats_link_fd(l->link) : -1;
}

struct cluster *cluster_link_cluster(const struct cluster_link *l)
{
    return l ? l->cluster : NULL;
}

/* --- iterations --- */

/* Each message is refused, so it is logged once. */
static void warn_denied(struct cluster_link *l)
{
    if (!l->denied)
        log_warn("the NATS server does not permit the subject %s: this broker "
                 "does not know the connections of the others; permit it for publish and subscribe",
                 l->subject);
    l->denied = true;
}

bool cluster_link_receive(struct cluster_link *l, int64_t now)
{
    struct nats_link_message m;
    cluster_reported(l->cluster);

    while (l->link && nats_link_receive(l->link, &m)) {
        if (m.news == NATS_LINK_MESSAGE && cluster_receive(l->cluster, m.data, now))
            return true;
        if (m.news == NATS_LINK_UP)
            cluster_rejoin(l->cluster);
        else if (m.news == NATS_LINK_DENIED)
            warn_denied(l);
        else if (m.news == NATS_LINK_CLOSED)
            disconnect(l);
    }
    return false;
}

/* Connecting blocks, so it is repeated only after a server had refused the connection (credentials
 * may have been replaced). */
static void reconnect(struct cluster_link *l)
{
    char why[NATS_LINK_WHY_MAX];
    if (connect_link(l, why) == 0) {
        cluster_rejoin(l->cluster);
        return;
    }
    log_warn("cannot reach the other brokers: %s", why);
    disconnect(l);
}

void cluster_link_tick(struct cluster_link *l, int64_t now)
{
    if (!l->link)
        reconnect(l);
    cluster_tick(l->cluster, now);
}
