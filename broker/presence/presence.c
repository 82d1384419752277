/* The reports of workers, which open and end connections. */
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

/* --- the items of a report --- */

static bool on_opened(struct presence *p, const struct wire_presence_item *item)
{
    struct presence_work *w = &p->work;
    struct connection *c = connection_find(p, item->connection);
    if (c && c->worker == w->worker && slice_equal(connection_session(c), item->session)) {
        c->full = w->worker->full;
        return false;
    }
    if (c) { /* the worker uses an id again */
        w->again = true;
        return connection_ends(p, c, END_WORKER_LOST);
    }

    c = connection_add(p, item);
    return c && connection_opens(p, c, w->takeover && item->acknowledged);
}

/* A full report ends an unknown connection: it ended, and perhaps opened, while no broker ran. */
static bool on_ended_meanwhile(struct presence *p, const struct wire_presence_item *item)
{
    struct presence_work *w = &p->work;
    if (item->acknowledged && !w->takeover)
        return false; /* it was reported before */
    struct connection *c = connection_add(p, item);
    if (!c)
        return false;

    if (!item->acknowledged || !connection_is_only(c)) {
        w->again = true; /* it is known now, and ends */
    } else {
        c->ends_at = w->now + p->settle_ms;
        c->cause = item->cause;
        p->ending++;
    }
    return connection_opens(p, c, item->acknowledged);
}

static bool on_ended(struct presence *p, const struct wire_presence_item *item)
{
    struct connection *c = connection_find(p, item->connection);
    if (!c)
        return p->work.report.full && on_ended_meanwhile(p, item);
    return c->worker == p->work.worker && connection_ends(p, c, item->cause);
}

static void on_lags(struct presence *p, const struct wire_presence_item *item)
{
    struct connection *c = connection_find(p, item->connection);
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
static void begin_full(const struct presence *p, struct presence_worker *w,
                       const struct wire_presence *m)
{
    w->full++;
    w->reporting = true;
    w->synced = false;
    w->takeover = m->acked_epoch && m->acked_epoch != p->epoch;
}

void presence_report(struct presence *p, struct slice id, const struct wire_presence *m,
                     int64_t now)
{
    struct presence_work *work = &p->work;
    struct presence_worker *w = lease_find(p, id);
    MUST(work->step == WORK_NONE && !work->changed);
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
    *work = (struct presence_work){.step = WORK_ITEMS,
                                   .now = now,
                                   .worker = w,
                                   .report = *m,
                                   .takeover = m->full && w->takeover};
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
    bool changed = connection_follow_up(p);
    while (!changed && p->work.step != WORK_NONE)
        changed = work_step(p);
    if (changed)
        *out = p->work.change;
    return changed;
}
