/* A connection is a member of groups: its session first, then its channels. Groups exist while they have members, and
 * workers, too, hold their connections in a list, so that everything ends at the cost of what ends. */
#include "presence.h"

#include <errno.h>
#include <stdlib.h>

#include "ranking.h"
#include "table.h"

/* A lost worker's counters stay with its id for so long, in case it was only stopped and returns. */
#define REMEMBER_MS (10 * 60 * 1000)

struct member {
    struct connection *connection;
    struct group *group; /* NULL: not in */
    struct member *prev, *next;
};

/* A session or a channel: the value of a table, under its name. */
struct group {
    struct ranked rank; /* among sessions; its count may be smaller than ours when memory was short */
    struct member *first;
    size_t count;
    struct table *table;     /* the one it is in */
    struct ranking *ranking; /* NULL: a channel */
};

struct worker {
    struct connection *first;
    size_t count; /* of connections */
    int64_t heard_at;
    uint64_t n;  /* of the last report taken */
    bool synced; /* a full report was taken */
    bool lost;
    bool met; /* what its counters counted for another broker is known */
    uint64_t counters[WORKER_COUNTERS];
    uint64_t gauges[WORKER_GAUGES];
    uint64_t lag_events;
    int64_t lag_ms;
    char name[EVENT_NAME_MAX];
    size_t name_len;
};

struct connection {
    struct connection **slot; /* in the table of connections */
    struct worker *worker;
    struct connection *prev, *next; /* of the worker */
    int64_t since_ms;
    uint64_t mark; /* the last count that met it */
    size_t member_count;
    struct member members[];
};

struct presence {
    struct table *workers;     /* routing id -> struct worker */
    struct table *connections; /* id -> struct connection * */
    struct table *sessions, *channels;
    struct ranking largest; /* sessions */
    size_t lost;            /* workers in the table that are only remembered */
    uint64_t mark;
    uint64_t gone[WORKER_COUNTERS];   /* counted by workers that are forgotten */
    uint64_t before[WORKER_COUNTERS]; /* by workers before they were met */
};

/* --- life --- */

struct presence *presence_new(void)
{
    struct presence *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->workers = table_new(sizeof(struct worker));
    p->connections = table_new(sizeof(struct connection *));
    p->sessions = table_new(sizeof(struct group));
    p->channels = table_new(sizeof(struct group));
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
    table_free(&(*p)->workers);
    table_free(&(*p)->connections);
    table_free(&(*p)->sessions);
    table_free(&(*p)->channels);
    ranking_release(&(*p)->largest);
    free(*p);
    *p = NULL;
}

/* --- groups --- */

static int join(struct table *groups, struct ranking *ranking, struct slice name, struct member *m)
{
    struct group *g = table_insert(groups, name);
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
        ranking_up(ranking, &g->rank); /* without memory it stands too low, which harms nobody */
    return 0;
}

static void leave(struct member *m)
{
    struct group *g = m->group;
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

static void drop_connection(struct presence *p, struct connection *c)
{
    for (size_t i = 0; i < c->member_count; i++)
        leave(&c->members[i]);
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

static size_t count_names(struct slice names)
{
    size_t count = 0;
    struct slice name;
    while (wire_next_name(&names, &name))
        count++;
    return count;
}

static void give_to(struct worker *w, struct connection *c)
{
    c->worker = w;
    w->count++;
    c->next = w->first;
    if (w->first)
        w->first->prev = c;
    w->first = c;
}

static int join_all(struct presence *p, struct connection *c, const struct wire_presence_item *item)
{
    struct slice names = item->raw_channels, name;
    for (size_t i = 0; i < c->member_count; i++)
        c->members[i].connection = c;
    int err = join(p->sessions, &p->largest, item->session, &c->members[0]);
    for (size_t i = 1; !err && wire_next_name(&names, &name); i++)
        err = join(p->channels, NULL, name, &c->members[i]);
    return err;
}

static int add_connection(struct presence *p, struct worker *w, const struct wire_presence_item *item)
{
    struct connection **known = table_find(p->connections, item->connection);
    if (known)
        drop_connection(p, *known);
    size_t members = 1 + count_names(item->raw_channels);
    struct connection *c = calloc(1, sizeof *c + members * sizeof c->members[0]);
    struct connection **slot = c ? table_insert(p->connections, item->connection) : NULL;
    if (!slot) {
        free(c);
        return -ENOMEM;
    }
    *slot = c;
    c->slot = slot;
    c->since_ms = item->since_ms;
    c->member_count = members;
    give_to(w, c);
    int err = join_all(p, c, item);
    if (err)
        drop_connection(p, c);
    return err;
}

static int apply_item(struct presence *p, struct worker *w, const struct wire_presence_item *item)
{
    if (item->opened)
        return add_connection(p, w, item);
    struct connection **c = table_find(p->connections, item->connection);
    if (c && (*c)->worker == w)
        drop_connection(p, *c);
    return 0;
}

/* --- workers --- */

static void drop_connections_of(struct presence *p, struct worker *w)
{
    struct connection *next;
    for (struct connection *c = w->first; c; c = next) {
        next = c->next;
        drop_connection(p, c);
    }
}

static void hear(struct presence *p, struct worker *w, int64_t now)
{
    w->heard_at = now;
    p->lost -= w->lost;
    w->lost = false;
}

int presence_hello(struct presence *p, struct slice id, struct slice name, bool fresh, int64_t now)
{
    struct worker *w = table_insert(p->workers, id);
    if (!w)
        return -ENOMEM;
    hear(p, w, now);
    w->met = w->met || fresh;
    w->synced = false;
    w->name_len = name.len < sizeof w->name ? name.len : sizeof w->name;
    if (w->name_len)
        memcpy(w->name, name.data, w->name_len);
    return 0;
}

/* What a worker counted for the broker before us is in its first report, and is not of our time. */
static void take_numbers(struct presence *p, struct worker *w, const struct wire_presence *m)
{
    for (int i = 0; i < WORKER_COUNTERS && !w->met; i++)
        p->before[i] += m->counters[i];
    w->met = true;
    memcpy(w->counters, m->counters, sizeof w->counters);
    memcpy(w->gauges, m->gauges, sizeof w->gauges);
}

void presence_note_lag(struct presence *p, struct slice id, uint64_t events, int64_t ms)
{
    struct worker *w = table_find(p->workers, id);
    if (!w)
        return;
    w->lag_events = events;
    w->lag_ms = ms;
}

int presence_report(struct presence *p, struct slice id, const struct wire_presence *m, int64_t now)
{
    struct worker *w = table_find(p->workers, id);
    if (!w || w->lost)
        return -ESTALE;
    hear(p, w, now);
    if (!m->full && (!w->synced || m->n != w->n + 1)) {
        w->synced = false;
        return -ESTALE;
    }
    if (m->full)
        drop_connections_of(p, w);
    struct slice rest = m->items;
    struct wire_presence_item item;
    int err = 0;
    while (!err && wire_next_presence(&rest, &item))
        err = apply_item(p, w, &item);
    w->n = m->n;
    w->synced = !err;
    take_numbers(p, w, m);
    return err ? -ESTALE : 0;
}

void presence_renew(struct presence *p, struct slice id, int64_t now)
{
    struct worker *w = table_find(p->workers, id);
    if (w && !w->lost)
        hear(p, w, now);
}

static void lose(struct presence *p, struct worker *w)
{
    drop_connections_of(p, w);
    w->lost = true;
    w->synced = false;
    p->lost++;
}

static void forget(struct presence *p, struct worker *w)
{
    for (int i = 0; i < WORKER_COUNTERS; i++)
        p->gone[i] += w->counters[i];
    p->lost--;
    table_remove(p->workers, w);
}

size_t presence_expire(struct presence *p, int64_t now)
{
    size_t lost = 0;
    struct worker *next;
    for (struct worker *w = table_next(p->workers, NULL); w; w = next) {
        next = table_next(p->workers, w);
        if (!w->lost && now - w->heard_at > WIRE_LEASE_MS) {
            lose(p, w);
            lost++;
        }
        if (w->lost && now - w->heard_at > REMEMBER_MS)
            forget(p, w);
    }
    return lost;
}

/* --- counting --- */

/* Mark the members of a group; returns how many were not marked before. */
static size_t mark_group(const struct presence *p, const struct group *g)
{
    size_t fresh = 0;
    for (const struct member *m = g ? g->first : NULL; m; m = m->next) {
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

/* Mark all that the three lists name, beginning with this list of sessions. */
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

/* One session or channel and no exception: nobody can be counted twice, so nobody need be met. */
static const struct group *only_group(const struct presence *p, const struct names lists[EVENT_LISTS])
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
    const struct group *only = has_to ? only_group(p, lists) : NULL;
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
    const struct group *g = table_find(p->sessions, session);
    return g ? g->count : 0;
}

void presence_counters(const struct presence *p, uint64_t out[WORKER_COUNTERS])
{
    memcpy(out, p->gone, sizeof p->gone);
    for (const struct worker *w = table_next(p->workers, NULL); w; w = table_next(p->workers, w))
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
    for (const struct worker *w = table_next(p->workers, NULL); w; w = table_next(p->workers, w))
        for (int i = 0; i < WORKER_GAUGES && !w->lost; i++)
            out[i] += w->gauges[i];
}

/* --- listing --- */

size_t presence_top_sessions(const struct presence *p, struct top_session *out, size_t max)
{
    size_t count = 0;
    for (const struct ranked *one = p->largest.first; one && count < max; one = one->next) {
        const struct group *g = (const struct group *)one; /* its first field */
        out[count++] = (struct top_session){table_name(g), g->count};
    }
    return count;
}

void presence_list_workers(const struct presence *p, struct listing *out)
{
    for (const struct worker *w = table_next(p->workers, NULL); w; w = table_next(p->workers, w))
        if (!w->lost)
            listing_offer(out, (struct slice){w->name, w->name_len}, w);
}

void worker_describe(const struct worker *w, struct worker_info *out)
{
    *out = (struct worker_info){
        .connections = w->count,
        .heard_at = w->heard_at,
        .lag_events = w->lag_events,
        .lag_ms = w->lag_ms,
        .counters = w->counters,
        .gauges = w->gauges,
    };
}

static bool begins_with(struct slice name, struct slice prefix)
{
    return name.len >= prefix.len && (prefix.len == 0 || memcmp(name.data, prefix.data, prefix.len) == 0);
}

void presence_list_sessions(const struct presence *p, struct slice prefix, struct listing *out)
{
    for (const struct group *g = table_next(p->sessions, NULL); g; g = table_next(p->sessions, g))
        if (begins_with(table_name(g), prefix))
            listing_offer(out, table_name(g), g);
}

size_t presence_listed_connections(const struct listed *session)
{
    return ((const struct group *)session->value)->count;
}

static void list_session(const struct group *g, struct listing *out)
{
    for (const struct member *m = g ? g->first : NULL; m; m = m->next)
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

void connection_describe(const struct connection *c, struct connection_info *out)
{
    *out = (struct connection_info){
        .session = table_name(c->members[0].group),
        .worker = {c->worker->name, c->worker->name_len},
        .since_ms = c->since_ms,
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
