/* Workers: under which lease each one is, when it is lost, and its counters. */
#include "presence/tracker.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

/* The counters of a lost worker are kept for this time, in case it was only stopped. */
#define REMEMBER_MS (10 * 60 * 1000)

/* The broker reads messages of workers each second at least. After a longer gap it was busy or
 * stopped. */
#define READ_WITHIN_MS 1500

void lease_renew(struct presence *p, struct presence_worker *w, int64_t now)
{
    w->heard_at = now;
    p->lost -= w->lost;
    w->lost = false;
}

static int keep_labels(struct presence_worker *w, struct slice labels)
{
    char *copy = labels.len ? malloc(labels.len) : NULL;
    if (labels.len && !copy)
        return -ENOMEM;
    if (copy)
        memcpy(copy, labels.data, labels.len);
    free(w->labels);
    w->labels = copy;
    w->labels_len = labels.len;
    return 0;
}

int presence_hello(struct presence *p, struct slice id, const struct wire_hello *m, int64_t now)
{
    MUST(p->work.step == WORK_NONE);
    struct presence_worker *w = table_insert(p->workers, id);
    if (!w)
        return -ENOMEM;
    lease_renew(p, w, now);
    w->met = w->met || !m->position;
    w->synced = w->reporting = false;
    w->name_len = m->worker.len < sizeof w->name ? m->worker.len : sizeof w->name;
    if (w->name_len)
        memcpy(w->name, m->worker.data, w->name_len);
    return keep_labels(w, m->raw_labels);
}

/* The first report of a worker includes its counts for earlier brokers. */
void lease_note_numbers(struct presence *p, struct presence_worker *w,
                        const struct wire_presence *m)
{
    for (int i = 0; i < WORKER_COUNTERS && !w->met; i++)
        p->before[i] += m->counters[i];
    w->met = true;
    memcpy(w->counters, m->counters, sizeof w->counters);
    memcpy(w->gauges, m->gauges, sizeof w->gauges);
    if (p->lag)
        w->lag = p->lag(p->lag_context, m->gauges[GAUGE_POSITION]);
}

void presence_measure_lag(struct presence *p,
                          struct history_lag (*lag)(void *context, uint64_t position),
                          void *context)
{
    p->lag = lag;
    p->lag_context = context;
}

void lease_forget(struct presence *p, struct presence_worker *w)
{
    MUST(!w->first);
    for (int i = 0; i < WORKER_COUNTERS; i++)
        p->gone[i] += w->counters[i];
    free(w->labels);
    table_remove(p->workers, w);
}

struct presence_worker *lease_find(struct presence *p, struct slice id)
{
    struct presence_worker *w = table_find(p->workers, id);
    return w && !w->lost ? w : NULL;
}

uint64_t presence_acknowledged(const struct presence *p, struct slice id)
{
    const struct presence_worker *w = table_find(p->workers, id);
    return w ? w->n : 0;
}

void presence_renew(struct presence *p, struct slice id, int64_t now)
{
    struct presence_worker *w = lease_find(p, id);
    if (w)
        lease_renew(p, w, now);
}

static void worker_forget_lost(struct presence *p, struct presence_worker *w)
{
    MUST(w->lost && p->lost > 0);
    p->lost--;
    lease_forget(p, w);
}

void presence_set_lease(struct presence *p, int64_t ms)
{
    p->lease_ms = ms;
}

int64_t presence_lease(const struct presence *p)
{
    return p->lease_ms;
}

/* The part of the time since the last presence_note_read() in which no worker was heard. */
static int64_t deaf_for(const struct presence *p, int64_t now)
{
    int64_t gap = p->read_at ? now - p->read_at : 0;
    bool heard_all = p->all_read && gap <= READ_WITHIN_MS;
    return heard_all ? 0 : gap;
}

void presence_note_read(struct presence *p, int64_t now, bool all_read)
{
    int64_t deaf = deaf_for(p, now);
    for (struct presence_worker *w = deaf > 0 ? table_next(p->workers, NULL) : NULL; w;
         w = table_next(p->workers, w))
        if (!w->lost)
            w->heard_at = w->heard_at + deaf < now ? w->heard_at + deaf : now;
    p->read_at = now;
    p->all_read = all_read;
}

/* No worker is lost while its messages may be unread. */
static bool leases_count(const struct presence *p, int64_t now)
{
    return !p->read_at || (p->all_read && now - p->read_at <= READ_WITHIN_MS);
}

void presence_expire(struct presence *p, int64_t now)
{
    MUST(p->work.step == WORK_NONE && !p->work.changed);
    p->work = (struct presence_work){.step = WORK_DUE, .now = now};
    p->work.next_due = p->ending ? table_next(p->connections, NULL) : NULL;
}

size_t presence_lost(const struct presence *p)
{
    MUST(p->work.step == WORK_NONE);
    return p->work.lost;
}

/* The next delayed end, if it is due. */
static bool due_step(struct presence *p)
{
    struct presence_work *work = &p->work;
    struct connection **c = work->next_due;
    if (!c) {
        work->step = WORK_LEASES;
        work->next_worker = table_next(p->workers, NULL);
        return false;
    }

    work->next_due = table_next(p->connections, c);
    return (*c)->ends_at && (*c)->ends_at <= work->now && connection_ends(p, *c, (*c)->cause);
}

/* A worker whose counters were kept for long enough is forgotten. */
static void lease_end_look(struct presence *p, struct presence_worker *w)
{
    p->work.step = WORK_LEASES;
    if (w->lost && p->work.now - w->heard_at > REMEMBER_MS)
        worker_forget_lost(p, w);
}

/* The next worker. */
static void leases_step(struct presence *p)
{
    struct presence_work *work = &p->work;
    struct presence_worker *w = work->worker = work->next_worker;
    if (!w) {
        work->step = WORK_NONE;
        return;
    }

    work->next_worker = table_next(p->workers, w);
    if (!w->lost && leases_count(p, work->now) && work->now - w->heard_at > p->lease_ms)
        work->step = WORK_LOST;
    else
        lease_end_look(p, w);
}

/* The next connection of a worker that is lost; it is lost when it has none left. */
static bool lost_step(struct presence *p)
{
    struct presence_worker *w = p->work.worker;
    if (w->first)
        return connection_ends(p, w->first, END_WORKER_LOST);

    MUST(w->count == 0);
    w->lost = true;
    w->synced = w->reporting = false;
    p->lost++;
    p->work.lost++;
    lease_end_look(p, w);
    return false;
}

bool lease_step(struct presence *p)
{
    MUST(p->work.step >= WORK_DUE);
    if (p->work.step == WORK_DUE)
        return due_step(p);
    if (p->work.step == WORK_LOST)
        return lost_step(p);
    leases_step(p);
    return false;
}

size_t presence_workers(const struct presence *p)
{
    return table_count(p->workers) - p->lost;
}

void presence_counters(const struct presence *p, uint64_t out[WORKER_COUNTERS])
{
    memcpy(out, p->gone, sizeof p->gone);
    for (const struct presence_worker *w = table_next(p->workers, NULL); w;
         w = table_next(p->workers, w))
        for (int i = 0; i < WORKER_COUNTERS; i++)
            out[i] += w->counters[i];
}

void presence_counted_before(const struct presence *p, uint64_t out[WORKER_COUNTERS])
{
    memcpy(out, p->before, sizeof p->before);
}

void presence_gauges(const struct presence *p, uint64_t out[WORKER_GAUGES])
{
    memset(out, 0, WORKER_GAUGES * sizeof *out);
    for (const struct presence_worker *w = table_next(p->workers, NULL); w;
         w = table_next(p->workers, w))
        for (int i = 0; i < WORKER_GAUGES && !w->lost; i++)
            out[i] += w->gauges[i];
}

void presence_list_workers(const struct presence *p, struct listing *out)
{
    for (const struct presence_worker *w = table_next(p->workers, NULL); w;
         w = table_next(p->workers, w))
        if (!w->lost)
            listing_offer(out, (struct slice){w->name, w->name_len}, w);
}

void presence_describe_worker(const struct presence_worker *w, struct worker_info *out)
{
    *out = (struct worker_info){
        .connections = w->count,
        .heard_at = w->heard_at,
        .lag_events = w->lag.events,
        .lag_ms = w->lag.ms,
        .counters = w->counters,
        .gauges = w->gauges,
    };
}
