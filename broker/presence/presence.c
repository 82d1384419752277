/* presence.c - a connection is a member of groups: its session first, then its channels. A
 * connection without a session is no member of the first.
 *
 * A group exists while it has members. Workers hold their connections in a list. So ending
 * connections costs only what ends.
 */
#include "presence/presence.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/table.h"
#include "codec/meta.h"
#include "presence/ranking.h"

/* The counters of a lost worker are kept for this time, in case it was only stopped. */
#define REMEMBER_MS (10 * 60 * 1000)

/* The broker reads messages of workers each second at least. After a longer gap it was busy or
 * stopped. */
#define ATTEND_MS 1500

struct group_member {
    struct connection *connection;
    struct presence_group *group; /* NULL: not a member */
    struct group_member *prev, *next;
};

/* A session or a channel: the value of a table, under its name. */
struct presence_group {
    struct ranked rank; /* among sessions; its count may be lower than ours after an allocation failed */
    struct group_member *first;
    size_t count;
    uint64_t mark;           /* the last count that included all of its members */
    struct table *table;     /* the table it is in */
    struct ranking *ranking; /* NULL: a channel */
};

struct presence_worker {
    struct connection *first;
    size_t count; /* of connections */
    int64_t heard_at;
    uint64_t n;     /* of the last report applied */
    bool synced;    /* a full report was applied */
    bool reporting; /* a full report has begun: its next piece is due */
    bool takeover;  /* by that report: it was sent to an earlier epoch before */
    bool lost;
    bool met; /* the counts for earlier brokers are known */
    uint64_t counters[WORKER_COUNTERS];
    uint64_t gauges[WORKER_GAUGES];
    struct history_lag lag;
    char name[NAME_BYTES_MAX];
    size_t name_len;
    char *labels; /* names of the meta values of its connections, from its hello; NULL: none */
    size_t labels_len;
    uint64_t full;  /* full reports so far: marks the connections in the last one */
    uint64_t round; /* reports of lagging connections so far */
};

struct connection {
    struct connection **slot; /* in the table of connections */
    struct presence_worker *worker;
    struct connection *prev, *next; /* of the worker */
    int64_t since_ms;
    uint64_t mark;         /* the last count that included it */
    uint64_t full;         /* the last full report of the worker that had it */
    uint64_t round;        /* the last report of lagging connections that had it */
    uint64_t sent, queued; /* from that report */
    int64_t ends_at;       /* when its end is to be reported; 0: it has not ended */
    enum end_cause cause;  /* of that end */
    uint32_t member_count;
    uint32_t meta_len;
    struct group_member members[]; /* followed by the packed values */
};

struct presence {
    struct table *workers;     /* routing id -> struct presence_worker */
    struct table *connections; /* id -> struct connection * */
    struct table *sessions, *channels;
    struct ranking largest; /* sessions */
    size_t lost;            /* lost workers in the table */
    int64_t lease_ms;
    int64_t attended_at; /* when the broker last read messages of workers; 0: not yet */
    bool all_read;       /* it had read all of them */
    uint64_t mark;
    uint64_t gone[WORKER_COUNTERS];   /* counted by forgotten workers */
    uint64_t before[WORKER_COUNTERS]; /* counted by workers for earlier brokers */
    size_t ending;                    /* connections with a delayed end */
    int64_t settle_ms;
    uint64_t epoch;
    void (*changed)(void *context, const struct presence_change *change); /* NULL: no observer */
    void *context;
    struct history_lag (*lag)(void *context, uint64_t position); /* NULL: no worker is behind */
    void *lag_context;
};

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

/* --- groups --- */

static int group_join(struct table *groups, struct ranking *ranking, struct slice name, struct group_member *m)
{
    MUST(name.len > 0); /* connections without a session share no group */
    struct presence_group *g = table_insert(groups, name);
    if (!g)
        return -ENOMEM;
    g->table = groups;
    g->ranking = ranking;
    if (g->first && g->first->connection == m->connection)
        return 0; /* a channel named twice counts once */
    m->group = g;
    m->next = g->first;
    if (g->first)
        g->first->prev = m;
    g->first = m;
    g->count++;
    if (ranking)
        ranking_up(ranking, &g->rank); /* without memory its rank is too low, which is harmless */
    return 0;
}

static void group_leave(struct group_member *m)
{
    struct presence_group *g = m->group;
    if (!g)
        return;
    if (m->next)
        m->next->prev = m->prev;
    if (m->prev)
        m->prev->next = m->next;
    else
        g->first = m->next;
    g->count--;
    while (g->ranking && g->rank.count > g->count)
        ranking_down(g->ranking, &g->rank);
    if (!g->count)
        table_remove(g->table, g);
}

/* --- connections --- */

static void report_change(const struct presence *p, const struct connection *c, enum presence_what what, bool silent,
                          enum end_cause cause)
{
    struct presence_change change = {what, silent, table_name(c->slot), c, cause};
    if (p->changed)
        p->changed(p->context, &change);
}

/* Empty: it has none. */
static struct slice session_of(const struct connection *c)
{
    const struct presence_group *g = c->members[0].group;
    return g ? table_name(g) : (struct slice){0};
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

static void end_connection(struct presence *p, struct connection *c, enum end_cause cause)
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
    if (c && c->worker == r->worker && slice_equal(session_of(c), item->session)) {
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

/* --- workers --- */

static void end_connections_of(struct presence *p, struct presence_worker *w, enum end_cause cause)
{
    struct connection *next;
    for (struct connection *c = w->first; c; c = next) {
        next = c->next;
        end_connection(p, c, cause);
    }
    MUST(w->count == 0);
}

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

static void worker_heard(struct presence *p, struct presence_worker *w, int64_t now)
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
    struct presence_worker *w = table_insert(p->workers, id);
    if (!w)
        return -ENOMEM;
    worker_heard(p, w, now);
    w->met = w->met || !m->position;
    w->synced = w->reporting = false;
    w->name_len = m->worker.len < sizeof w->name ? m->worker.len : sizeof w->name;
    if (w->name_len)
        memcpy(w->name, m->worker.data, w->name_len);
    return keep_labels(w, m->raw_labels);
}

static int apply_items(const struct report_context *r, struct slice rest)
{
    struct wire_presence_item item;
    int err = 0;
    while (!err && wire_next_presence(&rest, &item))
        err = apply_item(r, &item);
    return err;
}

/* The first report of a worker includes its counts for earlier brokers. */
static void apply_numbers(struct presence *p, struct presence_worker *w, const struct wire_presence *m)
{
    for (int i = 0; i < WORKER_COUNTERS && !w->met; i++)
        p->before[i] += m->counters[i];
    w->met = true;
    memcpy(w->counters, m->counters, sizeof w->counters);
    memcpy(w->gauges, m->gauges, sizeof w->gauges);
    if (p->lag)
        w->lag = p->lag(p->lag_context, m->gauges[GAUGE_POSITION]);
}

void presence_measure_lag(struct presence *p, struct history_lag (*lag)(void *context, uint64_t position),
                          void *context)
{
    p->lag = lag;
    p->lag_context = context;
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

static void worker_forget(struct presence *p, struct presence_worker *w)
{
    MUST(!w->first);
    for (int i = 0; i < WORKER_COUNTERS; i++)
        p->gone[i] += w->counters[i];
    free(w->labels);
    table_remove(p->workers, w);
}

static void worker_goodbye(struct presence *p, struct presence_worker *w)
{
    end_connections_of(p, w, END_DRAIN);
    worker_forget(p, w);
}

int presence_report(struct presence *p, struct slice id, const struct wire_presence *m, int64_t now)
{
    struct presence_worker *w = table_find(p->workers, id);
    if (!w || w->lost)
        return -ESTALE;
    worker_heard(p, w, now);

    if (!report_follows(w, m)) {
        w->synced = w->reporting = false;
        return -ESTALE;
    }
    if (m->full && !m->rest)
        begin_full(p, w, m);
    w->round += m->lags;
    const struct report_context report = {p, w, m->full, m->full && w->takeover, now};
    int err = apply_items(&report, m->items);
    apply_numbers(p, w, m);
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

uint64_t presence_acknowledged(const struct presence *p, struct slice id)
{
    const struct presence_worker *w = table_find(p->workers, id);
    return w ? w->n : 0;
}

void presence_renew(struct presence *p, struct slice id, int64_t now)
{
    struct presence_worker *w = table_find(p->workers, id);
    if (w && !w->lost)
        worker_heard(p, w, now);
}

static void worker_lose(struct presence *p, struct presence_worker *w)
{
    end_connections_of(p, w, END_WORKER_LOST);
    w->lost = true;
    w->synced = w->reporting = false;
    p->lost++;
}

static void worker_forget_lost(struct presence *p, struct presence_worker *w)
{
    MUST(w->lost && p->lost > 0);
    p->lost--;
    worker_forget(p, w);
}

/* Report the delayed ends that are due. */
static void end_those_due(struct presence *p, int64_t now)
{
    struct connection **next;
    for (struct connection **c = p->ending ? table_next(p->connections, NULL) : NULL; c; c = next) {
        next = table_next(p->connections, c);
        if ((*c)->ends_at && (*c)->ends_at <= now)
            end_connection(p, *c, (*c)->cause);
    }
}

void presence_set_lease(struct presence *p, int64_t ms)
{
    p->lease_ms = ms;
}

int64_t presence_lease(const struct presence *p)
{
    return p->lease_ms;
}

/* The part of the time since the last presence_attend() in which no worker was heard. */
static int64_t deaf_for(const struct presence *p, int64_t now)
{
    int64_t gap = p->attended_at ? now - p->attended_at : 0;
    bool heard_all = p->all_read && gap <= ATTEND_MS;
    return heard_all ? 0 : gap;
}

void presence_attend(struct presence *p, int64_t now, bool all_read)
{
    int64_t deaf = deaf_for(p, now);
    for (struct presence_worker *w = deaf > 0 ? table_next(p->workers, NULL) : NULL; w; w = table_next(p->workers, w))
        if (!w->lost)
            w->heard_at = w->heard_at + deaf < now ? w->heard_at + deaf : now;
    p->attended_at = now;
    p->all_read = all_read;
}

/* No worker is lost while its messages may be unread. */
static bool leases_count(const struct presence *p, int64_t now)
{
    return !p->attended_at || (p->all_read && now - p->attended_at <= ATTEND_MS);
}

size_t presence_expire(struct presence *p, int64_t now)
{
    end_those_due(p, now);
    size_t lost = 0;
    bool count = leases_count(p, now);
    struct presence_worker *next;
    for (struct presence_worker *w = table_next(p->workers, NULL); w; w = next) {
        next = table_next(p->workers, w);
        if (count && !w->lost && now - w->heard_at > p->lease_ms) {
            worker_lose(p, w);
            lost++;
        }
        if (w->lost && now - w->heard_at > REMEMBER_MS)
            worker_forget_lost(p, w);
    }
    return lost;
}

/* --- counting --- */

/* Mark the members of a group; returns the number of newly marked ones. A publisher may name a
 * group 65,535 times: its members are visited once. */
static size_t mark_group(const struct presence *p, struct presence_group *g)
{
    size_t fresh = 0;

    if (!g || g->mark == p->mark)
        return 0;

    g->mark = p->mark;
    for (const struct group_member *m = g->first; m; m = m->next) {
        fresh += m->connection->mark != p->mark;
        m->connection->mark = p->mark;
    }
    return fresh;
}

static size_t mark_connection(const struct presence *p, struct slice id)
{
    struct connection **c = table_find(p->connections, id);
    if (!c || (*c)->mark == p->mark)
        return 0;
    (*c)->mark = p->mark;
    return 1;
}

/* Mark all connections in the three lists, of which lists[0] names sessions. */
static size_t mark_lists(const struct presence *p, const struct names *lists)
{
    size_t fresh = 0;
    for (size_t i = 0; i < lists[0].count; i++)
        fresh += mark_group(p, table_find(p->sessions, lists[0].items[i]));
    for (size_t i = 0; i < lists[1].count; i++)
        fresh += mark_group(p, table_find(p->channels, lists[1].items[i]));
    for (size_t i = 0; i < lists[2].count; i++)
        fresh += mark_connection(p, lists[2].items[i]);
    return fresh;
}

/* One session or channel and no exception: its count is the result, without a visit of its
 * members. */
static const struct presence_group *only_group(const struct presence *p, const struct names lists[EVENT_LISTS])
{
    size_t total = 0;
    for (int i = 0; i < EVENT_LISTS; i++)
        total += lists[i].count;
    if (total != 1 || lists[TO_SESSIONS].count + lists[TO_CHANNELS].count != 1)
        return NULL;
    if (lists[TO_SESSIONS].count)
        return table_find(p->sessions, lists[TO_SESSIONS].items[0]);
    return table_find(p->channels, lists[TO_CHANNELS].items[0]);
}

size_t presence_match(struct presence *p, bool has_to, const struct names lists[EVENT_LISTS])
{
    const struct presence_group *only = has_to ? only_group(p, lists) : NULL;
    if (only)
        return only->count;
    p->mark++;
    size_t excepted = mark_lists(p, &lists[EXCEPT_SESSIONS]);
    return has_to ? mark_lists(p, &lists[TO_SESSIONS]) : presence_connections(p) - excepted;
}

size_t presence_connections(const struct presence *p)
{
    return table_count(p->connections);
}

size_t presence_sessions(const struct presence *p)
{
    return table_count(p->sessions);
}

size_t presence_channels(const struct presence *p)
{
    return table_count(p->channels);
}

size_t presence_workers(const struct presence *p)
{
    return table_count(p->workers) - p->lost;
}

size_t presence_session_connections(const struct presence *p, struct slice session)
{
    const struct presence_group *g = table_find(p->sessions, session);
    return g ? g->count : 0;
}

void presence_counters(const struct presence *p, uint64_t out[WORKER_COUNTERS])
{
    memcpy(out, p->gone, sizeof p->gone);
    for (const struct presence_worker *w = table_next(p->workers, NULL); w; w = table_next(p->workers, w))
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
    for (const struct presence_worker *w = table_next(p->workers, NULL); w; w = table_next(p->workers, w))
        for (int i = 0; i < WORKER_GAUGES && !w->lost; i++)
            out[i] += w->gauges[i];
}

/* --- listing --- */

size_t presence_top_sessions(const struct presence *p, struct top_session *out, size_t max)
{
    size_t count = 0;
    for (const struct ranked *one = p->largest.first; one && count < max; one = one->next) {
        const struct presence_group *g = (const struct presence_group *)one; /* its first field */
        out[count++] = (struct top_session){table_name(g), g->count};
    }
    return count;
}

void presence_list_workers(const struct presence *p, struct listing *out)
{
    for (const struct presence_worker *w = table_next(p->workers, NULL); w; w = table_next(p->workers, w))
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

void presence_list_sessions(const struct presence *p, struct slice prefix, struct listing *out)
{
    for (const struct presence_group *g = table_next(p->sessions, NULL); g; g = table_next(p->sessions, g))
        if (slice_begins(table_name(g), prefix))
            listing_offer(out, table_name(g), g);
}

size_t presence_listed_connections(const struct listed *session)
{
    return ((const struct presence_group *)session->value)->count;
}

static void list_session(const struct presence_group *g, struct listing *out)
{
    for (const struct group_member *m = g ? g->first : NULL; m; m = m->next)
        listing_offer(out, table_name(m->connection->slot), m->connection);
}

void presence_list_connections(const struct presence *p, struct slice session, struct listing *out)
{
    if (session.len) {
        list_session(table_find(p->sessions, session), out);
        return;
    }
    struct connection *const *slot = NULL;
    while ((slot = table_next(p->connections, slot)))
        listing_offer(out, table_name(slot), *slot);
}

static bool is_in(const struct connection *c, const struct presence_group *channel)
{
    for (size_t i = 1; i < c->member_count; i++)
        if (c->members[i].group == channel)
            return true;
    return false;
}

const struct connection *presence_find_in(const struct presence *p, struct slice session, struct slice channel)
{
    const struct presence_group *g = table_find(p->sessions, session), *in = table_find(p->channels, channel);
    const struct connection *oldest = NULL;

    for (const struct group_member *m = g && in ? g->first : NULL; m; m = m->next)
        if (is_in(m->connection, in) && (!oldest || m->connection->since_ms < oldest->since_ms))
            oldest = m->connection;
    return oldest;
}

void connection_describe(const struct connection *c, struct connection_info *out)
{
    const struct presence_worker *w = c->worker;
    *out = (struct connection_info){
        .session = session_of(c),
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
