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

void presence_set_epoch(struct presence *p, uint64_t epoch)
{
    p->epoch = epoch;
}

/* --- connections --- */

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

/* --- changes --- */

static void set_change(struct presence_work *w, enum presence_what what, bool silent, enum end_cause cause)
{
    w->change = (struct presence_change){what, silent, table_name(w->told->slot), w->told, cause};
}

/* The connection was opened. */
static bool connection_opens(struct presence *p, struct connection *c, bool silent)
{
    struct presence_work *w = &p->work;
    MUST(!w->told);
    w->told = c;
    w->told_session = false;
    set_change(w, PRESENCE_CONNECTED, silent, END_CLIENT);
    return true;
}

bool connection_ends(struct presence *p, struct connection *c, enum end_cause cause)
{
    struct presence_work *w = &p->work;
    MUST(!w->told);
    w->told = c;
    w->told_session = false;
    set_change(w, PRESENCE_DISCONNECTED, false, c->ends_at ? c->cause : cause);
    return true;
}

/* What follows from the change that was returned last: its session comes online or goes offline, and
 * what has ended is dropped. True when there is a change. */
static bool follow_up(struct presence *p)
{
    struct presence_work *w = &p->work;
    bool ends = w->change.what == PRESENCE_DISCONNECTED || w->change.what == PRESENCE_SESSION_OFFLINE;
    struct connection *c = w->told;
    if (!c)
        return false;

    if (!w->told_session && only_one(c)) {
        w->told_session = true;
        set_change(w, ends ? PRESENCE_SESSION_OFFLINE : PRESENCE_SESSION_ONLINE, w->change.silent, w->change.cause);
        return true;
    }
    w->told = NULL;
    if (ends)
        drop_connection(p, c);
    return false;
}

/* --- opening --- */

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

/* NULL when out of memory: then the rest of the report is not applied. */
static struct connection *add_connection(struct presence *p, const struct wire_presence_item *item)
{
    struct presence_work *w = &p->work;
    struct connection *c = new_connection(p, item);
    int err = c ? 0 : -ENOMEM;
    if (c) {
        connection_set_worker(w->worker, c);
        err = connection_join_all(p, c, item);
    }
    if (!err) {
        c->full = w->worker->full;
        return c;
    }

    if (c)
        drop_connection(p, c);
    w->result = -ESTALE;
    w->report.items = (struct slice){0};
    return NULL;
}

static struct connection *find_connection(const struct presence *p, struct slice id)
{
    struct connection **c = table_find(p->connections, id);
    return c ? *c : NULL;
}

/* --- the items of a report --- */

static bool on_opened(struct presence *p, const struct wire_presence_item *item)
{
    struct presence_work *w = &p->work;
    struct connection *c = find_connection(p, item->connection);
    if (c && c->worker == w->worker && slice_equal(connection_session(c), item->session)) {
        c->full = w->worker->full;
        return false;
    }
    if (c) { /* the worker uses an id again */
        w->again = true;
        return connection_ends(p, c, END_WORKER_LOST);
    }

    c = add_connection(p, item);
    return c && connection_opens(p, c, w->takeover && item->told);
}

/* A full report ends an unknown connection: it ended, and perhaps opened, while no broker ran. */
static bool on_ended_meanwhile(struct presence *p, const struct wire_presence_item *item)
{
    struct presence_work *w = &p->work;
    if (item->told && !w->takeover)
        return false; /* it was reported before */
    struct connection *c = add_connection(p, item);
    if (!c)
        return false;

    if (!item->told || !only_one(c)) {
        w->again = true; /* it is known now, and ends */
    } else {
        c->ends_at = w->now + p->settle_ms;
        c->cause = item->cause;
        p->ending++;
    }
    return connection_opens(p, c, item->told);
}

static bool on_ended(struct presence *p, const struct wire_presence_item *item)
{
    struct connection *c = find_connection(p, item->connection);
    if (!c)
        return p->work.report.full && on_ended_meanwhile(p, item);
    return c->worker == p->work.worker && connection_ends(p, c, item->cause);
}

static void on_lags(struct presence *p, const struct wire_presence_item *item)
{
    struct connection *c = find_connection(p, item->connection);
    if (!c || c->worker != p->work.worker)
        return;
    c->round = p->work.worker->round;
    c->sent = item->sent;
    c->queued = item->queued;
}

static bool apply_item(struct presence *p, const struct wire_presence_item *item)
{
    switch (item->kind) {
    case ITEM_OPENED:
        return on_opened(p, item);
    case ITEM_ENDED:
        return on_ended(p, item);
    case ITEM_LAGS:
        on_lags(p, item);
        break;
    }
    return false;
}

/* --- a report --- */

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

void presence_report(struct presence *p, struct slice id, const struct wire_presence *m, int64_t now)
{
    struct presence_work *work = &p->work;
    struct presence_worker *w = lease_find(p, id);
    MUST(work->step == WORK_NONE && !work->told);
    *work = (struct presence_work){.result = -ESTALE};
    if (!w)
        return;
    lease_renew(p, w, now);

    if (!report_follows(w, m)) {
        w->synced = w->reporting = false;
        return;
    }
    if (m->full && !m->rest)
        begin_full(p, w, m);
    w->round += m->lags;
    *work = (struct presence_work){
        .step = WORK_ITEMS, .now = now, .worker = w, .report = *m, .takeover = m->full && w->takeover};
}

int presence_result(const struct presence *p)
{
    MUST(p->work.step == WORK_NONE);
    return p->work.result;
}

static void end_report(struct presence_work *work)
{
    work->step = work->report.bye ? WORK_GOODBYE : WORK_NONE;
}

static void end_items(struct presence *p)
{
    struct presence_work *work = &p->work;
    struct presence_worker *w = work->worker;
    lease_note_numbers(p, w, &work->report);
    if (work->result != 0) {
        w->synced = w->reporting = false;
        work->step = WORK_NONE;
        return;
    }

    w->n = work->report.n;
    if (work->report.full && !work->report.more) {
        work->step = WORK_UNREPORTED;
        work->next = w->first;
    } else {
        end_report(work);
    }
}

static bool items_step(struct presence *p)
{
    struct presence_work *work = &p->work;
    if (!work->again && !wire_next_presence(&work->report.items, &work->item)) {
        end_items(p);
        return false;
    }
    work->again = false;
    return apply_item(p, &work->item);
}

/* End the connections that the completed full report did not have. */
static bool unreported_step(struct presence *p)
{
    struct presence_work *work = &p->work;
    struct presence_worker *w = work->worker;
    struct connection *c = work->next;
    MUST(w->reporting);
    if (!c) {
        w->reporting = false;
        w->synced = true;
        end_report(work);
        return false;
    }

    work->next = c->next;
    return c->full != w->full && !c->ends_at && connection_ends(p, c, END_WORKER_LOST);
}

static bool goodbye_step(struct presence *p)
{
    struct presence_work *work = &p->work;
    if (work->worker->first)
        return connection_ends(p, work->worker->first, END_DRAIN);
    lease_forget(p, work->worker);
    work->step = WORK_NONE;
    return false;
}

static bool work_step(struct presence *p)
{
    switch (p->work.step) {
    case WORK_ITEMS:
        return items_step(p);
    case WORK_UNREPORTED:
        return unreported_step(p);
    case WORK_GOODBYE:
        return goodbye_step(p);
    case WORK_DUE:
    case WORK_LEASES:
    case WORK_LOST:
        return lease_step(p);
    case WORK_NONE:
        break;
    }
    return false;
}

bool presence_next(struct presence *p, struct presence_change *out)
{
    bool changed = follow_up(p);
    while (!changed && p->work.step != WORK_NONE)
        changed = work_step(p);
    if (changed)
        *out = p->work.change;
    return changed;
}

/* --- a connection --- */

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
