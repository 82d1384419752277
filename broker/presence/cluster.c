#include "presence/cluster.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"
#include "base/table.h"
#include "ops/log.h"

/* Another broker: the value of a table, under the eight bytes of its epoch. */
struct peer {
    int64_t heard_at;
    bool named;  /* its name is known */
    bool silent; /* it stopped sending without a GOSSIP_BYE */
    char name[NAME_BYTES_MAX];
    size_t name_len;
    uint64_t counters[BROKER_COUNTERS];
    struct gossip_whole whole;
};

/* Which broker a worker belongs to: the value of a table, under the worker's routing id. */
struct worker_home {
    uint64_t epoch;
    int64_t requested_at; /* a full report was requested, and has not arrived; 0: it was not */
    /* A full report was applied: new connections in the next one are changes here, too. */
    bool met;
    int64_t heard_at;
};

struct cluster {
    struct cluster_config config;
    struct table *peers, *workers;
    uint64_t number;
    bool asked;                    /* reports of all workers were requested */
    int64_t ticked_at;             /* 0: not yet */
    struct worker_home *reporting; /* its report has begun; NULL: none */
    bool reporting_full;
    uint64_t gone[BROKER_COUNTERS]; /* counted by forgotten brokers */
    struct buf here;
};

/* --- life --- */

struct cluster *cluster_new(const struct cluster_config *config)
{
    struct cluster *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->config = *config;
    c->peers = table_new(sizeof(struct peer));
    c->workers = table_new(sizeof(struct worker_home));
    if (!c->peers || !c->workers)
        cluster_free(&c);
    return c;
}

void cluster_free(struct cluster **c)
{
    if (!*c)
        return;
    struct peer *p = NULL;
    while ((*c)->peers && (p = table_next((*c)->peers, p)))
        buf_release(&p->whole.body);
    table_free(&(*c)->peers);
    table_free(&(*c)->workers);
    buf_release(&(*c)->here);
    free(*c);
    *c = NULL;
}

/* --- sending --- */

static void cluster_send(struct cluster *c, enum gossip_type type, struct slice name,
                         struct slice body)
{
    struct gossip m = {type, c->config.epoch, ++c->number, name, body};
    c->config.send(c->config.send_context, &m);
}

static void cluster_request(struct cluster *c, struct slice worker)
{
    cluster_send(c, GOSSIP_REQUEST, worker, (struct slice){0});
}

#define REQUEST_AGAIN_MS 5000 /* a request, or what it asks for, may be lost */

/* Request a hello and a full report of the worker, unless they may be on their way. */
static void request_worker(struct cluster *c, struct worker_home *b, int64_t now)
{
    if (b->requested_at && now - b->requested_at < REQUEST_AGAIN_MS)
        return;
    b->requested_at = now;
    cluster_request(c, table_name(b));
}

void cluster_forward(struct cluster *c, struct slice worker, struct slice message, int64_t now)
{
    struct worker_home *b = table_insert(c->workers, worker);
    if (b)
        *b = (struct worker_home){.epoch = c->config.epoch, .met = true, .heard_at = now};
    cluster_send(c, GOSSIP_WORKER, worker, message);
}

static void send_here(struct cluster *c)
{
    char counters[BROKER_COUNTERS * 8];
    for (size_t i = 0; i < BROKER_COUNTERS; i++)
        put_u64(counters + 8 * i, c->config.counters[i]);
    cluster_send(c, GOSSIP_HERE, c->config.name, (struct slice){counters, sizeof counters});
}

void cluster_leave(struct cluster *c)
{
    cluster_send(c, GOSSIP_BYE, c->config.name, (struct slice){0});
}

void cluster_rejoin(struct cluster *c)
{
    c->asked = false;
}

/* --- receiving --- */

static struct slice name_of(const struct peer *p)
{
    return (struct slice){p->name, p->name_len};
}

static void epoch_key(uint64_t epoch, char key[8])
{
    put_u64(key, epoch);
}

static void peer_forget(struct cluster *c, struct peer *p)
{
    for (size_t i = 0; i < BROKER_COUNTERS; i++)
        c->gone[i] += p->counters[i];
    buf_release(&p->whole.body);
    table_remove(c->peers, p);
}

/* Make room for one more: forget the broker that is silent for longest. False when none is
 * silent. */
static bool make_room(struct cluster *c)
{
    struct peer *oldest = NULL;
    for (struct peer *p = table_next(c->peers, NULL); p; p = table_next(c->peers, p))
        if ((p->silent || !p->named) && (!oldest || p->heard_at < oldest->heard_at))
            oldest = p;
    if (oldest)
        peer_forget(c, oldest);
    return oldest != NULL;
}

/* NULL when there are too many, or out of memory. */
static struct peer *peer_of(struct cluster *c, uint64_t epoch)
{
    char bytes[8];
    epoch_key(epoch, bytes);
    struct slice key = {bytes, sizeof bytes};
    struct peer *p = table_find(c->peers, key);
    if (p)
        return p;

    if (table_count(c->peers) >= CLUSTER_PEERS_MAX && !make_room(c)) {
        log_warn("more than %u brokers on the subject of the cluster; ignoring the others",
                 CLUSTER_PEERS_MAX);
        return NULL;
    }
    p = table_insert(c->peers, key);
    MUST(table_count(c->peers) <= CLUSTER_PEERS_MAX);
    return p;
}

/* A broker that was killed and started again is no longer missing. */
static void forget_former(struct cluster *c, const struct peer *p)
{
    struct peer *next;
    for (struct peer *other = table_next(c->peers, NULL); other; other = next) {
        next = table_next(c->peers, other);
        if (other != p && other->named && slice_equal(name_of(other), name_of(p)))
            peer_forget(c, other);
    }
}

static void on_here(struct cluster *c, struct peer *p, const struct gossip *m)
{
    bool fresh = !p->named;
    if (fresh)
        log_each(LOG_INFO, "broker %.*s joined the cluster", (int)m->name.len, m->name.data);
    else if (p->silent)
        log_each(LOG_INFO, "broker %.*s reconnected", (int)m->name.len, m->name.data);
    p->named = true;
    p->silent = false;
    p->name_len = m->name.len;
    if (m->name.len)
        memcpy(p->name, m->name.data, m->name.len);
    if (fresh)
        forget_former(c, p);
    for (size_t i = 0; i < BROKER_COUNTERS && 8 * i + 8 <= m->body.len; i++)
        p->counters[i] = get_u64(m->body.data + 8 * i);
}

static void on_report(struct cluster *c, struct worker_home *b, const struct gossip *m,
                      struct wire_presence *report, int64_t now)
{
    /* Late, from the broker that the worker left; or its hello to this one was missed. */
    if (b->epoch != m->epoch) {
        request_worker(c, b, now);
        return;
    }
    if (b->met)
        report->acked_epoch = c->config.epoch;
    presence_report(c->config.presence, m->name, report, now);
    c->reporting = b;
    c->reporting_full = report->full;
}

/* For a report with a hole before it, a full report is requested from its broker. */
void cluster_reported(struct cluster *c)
{
    struct worker_home *b = c->reporting;
    if (!b)
        return;

    c->reporting = NULL;
    bool taken = presence_result(c->config.presence) == 0;
    if (taken)
        b->requested_at = 0;
    else
        request_worker(c, b, b->heard_at);
    b->met = b->met || (taken && c->reporting_full);
}

static void on_worker(struct cluster *c, const struct gossip *m, int64_t now)
{
    struct wire_hello hello;
    struct wire_presence report;
    struct worker_home *b = table_insert(c->workers, m->name);
    if (!b)
        return;
    if (!b->epoch)
        b->epoch = m->epoch;
    b->heard_at = now;
    if (wire_get_hello(m->body, &hello) == 0) {
        *b = (struct worker_home){.epoch = m->epoch, .met = b->met, .heard_at = now};
        presence_hello(c->config.presence, m->name, &hello, now);
    } else if (wire_get_presence(m->body, &report) == 0) {
        on_report(c, b, m, &report, now);
    }
}

static void resync_all(struct cluster *c)
{
    for (const struct worker_home *b = table_next(c->workers, NULL); b;
         b = table_next(c->workers, b))
        if (b->epoch == c->config.epoch)
            c->config.resync(c->config.context, table_name(b));
}

static void on_request(struct cluster *c, const struct gossip *m)
{
    const struct worker_home *b = m->name.len ? table_find(c->workers, m->name) : NULL;
    if (!m->name.len)
        resync_all(c);
    else if (b && b->epoch == c->config.epoch)
        c->config.resync(c->config.context, m->name);
}

static void on_gossip(struct cluster *c, struct peer *p, const struct gossip *m, int64_t now)
{
    switch (m->type) {
    case GOSSIP_HERE:
        on_here(c, p, m);
        break;
    case GOSSIP_WORKER:
        on_worker(c, m, now);
        break;
    case GOSSIP_REQUEST:
        on_request(c, m);
        break;
    case GOSSIP_BYE: /* a broker that stops in order is not missing: its workers reconnect */
        log_each(LOG_INFO, "broker %.*s left the cluster", (int)m->name.len, m->name.data);
        peer_forget(c, p);
        break;
    }
}

bool cluster_receive(struct cluster *c, struct slice part, int64_t now)
{
    uint64_t epoch;
    struct gossip m;
    MUST(!c->reporting);
    if (gossip_sender(part, &epoch) != 0 || epoch == c->config.epoch)
        return false;
    struct peer *p = peer_of(c, epoch);
    if (!p)
        return false;
    p->heard_at = now;
    if (gossip_join(&p->whole, part, &m) == 0)
        on_gossip(c, p, &m, now);
    return c->reporting != NULL;
}

/* --- time --- */

static void peer_check(struct cluster *c, struct peer *p, int64_t now)
{
    if (!p->silent && now - p->heard_at > CLUSTER_SILENCE_MS) {
        p->silent = true;
        log_each(LOG_WARN, "broker %.*s silent for %d s; its connections are unknown",
                 (int)p->name_len, p->name, CLUSTER_SILENCE_MS / 1000);
    }
    if (now - p->heard_at > CLUSTER_FORGET_MS)
        peer_forget(c, p);
}

static void drop_workers(struct cluster *c, int64_t now)
{
    struct worker_home *next;
    for (struct worker_home *b = table_next(c->workers, NULL); b; b = next) {
        next = table_next(c->workers, b);
        if (now - b->heard_at > CLUSTER_FORGET_MS)
            table_remove(c->workers, b);
    }
}

#define TICK_MS 1500 /* a tick is due each second; in a longer gap no broker was heard */

/* Time in which this broker was busy or stopped does not count as silence of the others. */
static void peers_excuse(struct cluster *c, int64_t now)
{
    int64_t gap = c->ticked_at ? now - c->ticked_at : 0, deaf = gap > TICK_MS ? gap : 0;
    for (struct peer *p = deaf ? table_next(c->peers, NULL) : NULL; p; p = table_next(c->peers, p))
        p->heard_at = p->heard_at + deaf < now ? p->heard_at + deaf : now;
    c->ticked_at = now;
}

void cluster_tick(struct cluster *c, int64_t now)
{
    struct peer *next;
    peers_excuse(c, now);
    send_here(c);
    if (!c->asked)
        cluster_request(c, (struct slice){0});
    c->asked = true;
    for (struct peer *p = table_next(c->peers, NULL); p; p = next) {
        next = table_next(c->peers, p);
        peer_check(c, p, now);
    }
    drop_workers(c, now);
}

/* --- state --- */

size_t cluster_brokers(const struct cluster *c)
{
    size_t count = 1;
    for (const struct peer *p = table_next(c->peers, NULL); p; p = table_next(c->peers, p))
        count += p->named && !p->silent;
    return count;
}

const void *cluster_next_missing(const struct cluster *c, const void *cursor, struct slice *name)
{
    const struct peer *p = c ? table_next(c->peers, cursor) : NULL;
    while (p && !(p->named && p->silent))
        p = table_next(c->peers, p);
    if (p)
        *name = name_of(p);
    return p;
}

void cluster_add_counters(const struct cluster *c, uint64_t *sums)
{
    if (!c)
        return;
    for (size_t i = 0; i < BROKER_COUNTERS; i++)
        sums[i] += c->gone[i];
    for (const struct peer *p = table_next(c->peers, NULL); p; p = table_next(c->peers, p))
        for (size_t i = 0; i < BROKER_COUNTERS; i++)
            sums[i] += p->counters[i];
}
