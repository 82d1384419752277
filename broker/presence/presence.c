/* Connections, and the reports of workers that open and end them. */
#include "presence/tracker.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

/* --- life --- */

struct presence *presence_new(void)
{
    struct presence *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->settle_ms = PRESENCE_SETTLE_MS;
    p->lease_ms = PRESENCE_LEASE_MS;
    p->workers = table_new(sizeof(struct presence_worker));
    p->connections = table_new(sizeof(struct connection *));
    p->sessions = table_new(sizeof(struct presence_group));
    p->channels = table_new(sizeof(struct presence_group));
    if (!p->workers || !p->connections || !p->sessions || !p->channels)
        presence_free(&p);
    return p;
}

void presence_free(struct presence **p)
{
    if (!*p)
        return;
    struct connection **slot = NULL;
    while ((*p)->connections && (slot = table_next((*p)->connections, slot)))
        free(*slot);
    struct presence_worker *w = NULL;
    while ((*p)->workers && (w = table_next((*p)->workers, w)))
        free(w->labels);
    table_free(&(*p)->workers);
    table_free(&(*p)->connections);
    table_free(&(*p)->sessions);
    table_free(&(*p)->channels);
    ranking_release(&(*p)->largest);
    free(*p);
    *p = NULL;
}

void presence_set_settle(struct presence *p, int64_t ms)
{
    MUST(ms > 0);
    p->settle_ms = ms;
}

void presence_observe(struct presence *p, uint64_t epoch,
                      void (*changed)(void *context, const struct presence_change *change), void *context)
{
    p->epoch = epoch;
    p->changed = changed;
    p->context = context;
}

/* --- connections --- */

static void report_change(const struct presence *p, const struct connection *c, enum presence_what what, bool silent,
                          enum end_cause cause)
{
    struct presence_change change = {what, silent, table_name(c->slot), c, cause};
    if (p->changed)
        p->changed(p->context, &change);
}

/* The only one of its session. False without a session, which neither comes online nor goes
 * offline. */
static bool only_one(const struct connection *c)
{
    const struct presence_group *g = c->members[0].group;
    return g && g->count == 1;
}

static void drop_connection(struct presence *p, struct connection *c)
{
    p->ending -= c->ends_at != 0;
    for (size_t i = 0; i < c->member_count; i++)
        group_leave(&c->members[i]);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->worker->first = c->next;
    c->worker->count--;
    table_remove(p->connections, c->slot);
    free(c);
}

void end_connection(struct presence *p, struct connection *c, enum end_cause cause)
{
    cause = c->ends_at ? c->cause : cause;
    report_change(p, c, PRESENCE_DISCONNECTED, false, cause);
    if (only_one(c))
        report_change(p, c, PRESENCE_SESSION_OFFLINE, false, cause);
    drop_connection(p, c);
}

static size_t count_names(struct slice names)
{
    size_t count = 0;
    struct slice name;
    while (wire_next_name(&names, &name))
        count++;
    return count;
}

static void connection_set_worker(struct presence_worker *w, struct connection *c)
{
    c->worker = w;
    w->count++;
    c->next = w->first;
    if (w->first)
        w->first->prev = c;
    w->first = c;
}

static int connection_join_all(struct presence *p, struct connection *c, const struct wire_presence_item *item)
{
    struct slice names = item->raw_channels, name;
    for (size_t i = 0; i < c->member_count; i++)
        c->members[i].connection = c;
    int err = item->session.len ? group_join(p->sessions, &p->largest, item->session, &c->members[0]) : 0;
    for (size_t i = 1; !err && wire_next_name(&names, &name); i++)
        if (name.len)
            err = group_join(p->channels, NULL, name, &c->members[i]);
    return err;
}

/* Allocate the connection of item and insert it into the table. NULL when out of memory. */
static struct connection *new_connection(struct presence *p, const struct wire_presence_item *item)
{
    size_t members = 1 + count_names(item->raw_channels);
    struct connection *c = calloc(1, sizeof *c + members * sizeof c->members[0] + item->meta.len);
    struct connection **slot = c ? table_insert(p->connections, item->connection) : NULL;
    if (!slot) {
        free(c);
        return NULL;
    }
    *slot = c;
    c->slot = slot;
    c->since_ms = item->since_ms;
    c->member_count = (uint32_t)members;
    c->meta_len = (uint32_t)item->meta.len;
    if (item->meta.len)
        memcpy(&c->members[members], item->meta.data, item->meta.len);
    return c;
}

static int add_connection(struct presence *p, struct presence_worker *w, const struct wire_presence_item *item,
                          bool silent)
{
    struct connection *c = new_connection(p, item);
    if (!c)
        return -ENOMEM;
    connection_set_worker(w, c);
    int err = connection_join_all(p, c, item);
    if (err) {
        drop_connection(p, c);
        return err;
    }
    c->full = w->full;
    report_change(p, c, PRESENCE_CONNECTED, silent, END_CLIENT);
    if (only_one(c))
        report_change(p, c, PRESENCE_SESSION_ONLINE, silent, END_CLIENT);
    return 0;
}

static struct connection *find_connection(const struct presence *p, struct slice id)
{
    struct connection **c = table_find(p->connections, id);
    return c ? *c : NULL;
}

/* --- reports --- */

/* A report that is being applied. */
struct report_context {
    struct presence *p;
    struct presence_worker *worker;
    bool full;
    bool takeover; /* the worker has reported its connections to an earlier epoch, and not yet to this one */
    int64_t now;
};

static int on_opened(const struct report_context *r, const struct wire_presence_item *item)
{
    struct connection *c = find_connection(r->p, item->connection);
    if (c && c->worker == r->worker && slice_equal(connection_session(c), item->session)) {
        c->full = r->worker->full;
        return 0;
    }
    if (c)
        end_connection(r->p, c, END_WORKER_LOST); /* the worker uses an id again */
    return add_connection(r->p, r->worker, item, r->takeover && item->told);
}

/* A full report ends an unknown connection: it ended, and perhaps opened, while no broker ran. */
static int on_ended_meanwhile(const struct report_context *r, const struct wire_presence_item *item)
{
    if (item->told && !r->takeover)
        return 0; /* it was reported before */
    int err = add_connection(r->p, r->worker, item, item->told);
    if (err)
        return err;
    struct connection *c = find_connection(r->p, item->connection);
    if (!item->told || !only_one(c)) {
        end_connection(r->p, c, item->cause);
        return 0;
    }
    c->ends_at = r->now + r->p->settle_ms;
    c->cause = item->cause;
    r->p->ending++;
    return 0;
}

static int on_ended(const struct report_context *r, const struct wire_presence_item *item)
{
    struct connection *c = find_connection(r->p, item->connection);
    if (!c)
        return r->full ? on_ended_meanwhile(r, item) : 0;
    if (c->worker == r->worker)
        end_connection(r->p, c, item->cause);
    return 0;
}

static void on_lags(const struct report_context *r, const struct wire_presence_item *item)
{
    struct connection *c = find_connection(r->p, item->connection);
    if (!c || c->worker != r->worker)
        return;
    c->round = r->worker->round;
    c->sent = item->sent;
    c->queued = item->queued;
}

static int apply_item(const struct report_context *r, const struct wire_presence_item *item)
{
    switch (item->kind) {
    case ITEM_OPENED:
        return on_opened(r, item);
    case ITEM_ENDED:
        return on_ended(r, item);
    case ITEM_LAGS:
        on_lags(r, item);
        break;
    }
    return 0;
}

/* --- a report --- */

/* End the connections that the completed full report did not have. */
static void end_unreported_of(struct presence *p, struct presence_worker *w)
{
    struct connection *next;
    for (struct connection *c = w->first; c; c = next) {
        next = c->next;
        if (c->full != w->full && !c->ends_at)
            end_connection(p, c, END_WORKER_LOST);
    }
}

static int apply_items(const struct report_context *r, struct slice rest)
{
    struct wire_presence_item item;
    int err = 0;
    while (!err && wire_next_presence(&rest, &item))
        err = apply_item(r, &item);
    return err;
}

/* Whether this report, or this piece of one, follows the one applied last. */
static bool report_follows(const struct presence_worker *w, const struct wire_presence *m)
{
    if (m->full && !m->rest)
        return true;
    bool begun = m->full ? w->reporting : w->synced;
    return begun && m->n == w->n + 1;
}

/* A full report begins. The connections of an earlier incomplete report stay, and the end of this
 * report removes those that have ended. */
static void begin_full(const struct presence *p, struct presence_worker *w, const struct wire_presence *m)
{
    w->full++;
    w->reporting = true;
    w->synced = false;
    w->takeover = m->told && m->told != p->epoch;
}

static void end_full(struct presence *p, struct presence_worker *w)
{
    MUST(w->reporting);
    end_unreported_of(p, w);
    w->reporting = false;
    w->synced = true;
}

static void worker_goodbye(struct presence *p, struct presence_worker *w)
{
    lease_end_connections(p, w, END_DRAIN);
    lease_forget(p, w);
}

int presence_report(struct presence *p, struct slice id, const struct wire_presence *m, int64_t now)
{
    struct presence_worker *w = lease_find(p, id);
    if (!w)
        return -ESTALE;
    lease_renew(p, w, now);

    if (!report_follows(w, m)) {
        w->synced = w->reporting = false;
        return -ESTALE;
    }
    if (m->full && !m->rest)
        begin_full(p, w, m);
    w->round += m->lags;
    const struct report_context report = {p, w, m->full, m->full && w->takeover, now};
    int err = apply_items(&report, m->items);
    lease_note_numbers(p, w, m);
    if (err) {
        w->synced = w->reporting = false;
        return -ESTALE;
    }

    w->n = m->n;
    if (m->full && !m->more)
        end_full(p, w);
    if (m->bye)
        worker_goodbye(p, w);
    return 0;
}

void connection_describe(const struct connection *c, struct connection_info *out)
{
    const struct presence_worker *w = c->worker;
    *out = (struct connection_info){
        .session = connection_session(c),
        .worker = {w->name, w->name_len},
        .since_ms = c->since_ms,
        .labels = {w->labels, w->labels_len},
        .meta = {(const char *)&c->members[c->member_count], c->meta_len},
        .lags = w->round && c->round == w->round,
        .sent = c->sent,
        .queued = c->queued,
    };
    for (size_t i = 1; i < c->member_count; i++)
        out->channel_count += c->members[i].group != NULL;
}

struct slice connection_channel(const struct connection *c, size_t i)
{
    for (size_t at = 1; at < c->member_count; at++)
        if (c->members[at].group && i-- == 0)
            return table_name(c->members[at].group);
    return (struct slice){0};
}
