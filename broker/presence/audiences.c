/* Sessions and channels: who is in them, how many connections an event reaches, lists. */
#include "presence/tracker.h"

#include <errno.h>

#include "base/must.h"

/* --- groups --- */

int audience_join(struct table *groups, struct ranking *ranking, struct slice name,
                  struct membership *m)
{
    MUST(name.len > 0); /* connections without a session share no group */
    struct presence_group *g = table_insert(groups, name);
    if (!g)
        return -ENOMEM;

    g->table = groups;
    g->ranking = ranking;
    if (g->group.first && g->group.first->member == m->member)
        return 0; /* a channel named twice counts once */

    group_enter(&g->group, m);
    if (ranking)
        ranking_up(ranking, &g->rank); /* without memory its rank is too low, which is harmless */
    return 0;
}

void audience_leave(struct membership *m)
{
    struct presence_group *g = presence_group_of(m);
    if (!g)
        return;

    group_leave(m);
    while (g->ranking && g->rank.count > g->group.count)
        ranking_down(g->ranking, &g->rank);
    if (!g->group.count)
        table_remove(g->table, g);
}

/* Empty: it has none. */
struct slice connection_session(const struct connection *c)
{
    const struct presence_group *g = presence_group_of(&c->members[0]);
    return g ? table_name(g) : (struct slice){0};
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
    for (const struct membership *m = g->group.first; m; m = m->next) {
        struct connection *c = m->member;
        fresh += c->mark != p->mark;
        c->mark = p->mark;
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
static const struct presence_group *only_group(const struct presence *p,
                                               const struct names lists[EVENT_LISTS])
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
        return only->group.count;
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

size_t presence_session_connections(const struct presence *p, struct slice session)
{
    const struct presence_group *g = table_find(p->sessions, session);
    return g ? g->group.count : 0;
}

/* --- lists --- */

size_t presence_top_sessions(const struct presence *p, struct top_session *out, size_t max)
{
    size_t count = 0;
    for (const struct ranked *one = p->largest.first; one && count < max; one = one->next) {
        const struct presence_group *g = (const struct presence_group *)one; /* its first field */
        out[count++] = (struct top_session){table_name(g), g->group.count};
    }
    return count;
}

void presence_list_sessions(const struct presence *p, struct slice prefix, struct listing *out)
{
    for (const struct presence_group *g = table_next(p->sessions, NULL); g;
         g = table_next(p->sessions, g))
        if (slice_begins(table_name(g), prefix))
            listing_offer(out, table_name(g), g);
}

size_t presence_listed_connections(const struct listed *session)
{
    return ((const struct presence_group *)session->value)->group.count;
}

static void list_session(const struct presence_group *g, struct listing *out)
{
    for (const struct membership *m = g ? g->group.first : NULL; m; m = m->next) {
        const struct connection *c = m->member;
        listing_offer(out, table_name(c->slot), c);
    }
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
        if (presence_group_of(&c->members[i]) == channel)
            return true;
    return false;
}

bool connection_has_ended(const struct connection *c)
{
    return c->ends_at != 0;
}

/* Is a the better answer than b? */
static bool is_preferred(const struct connection *a, const struct connection *b)
{
    if (connection_has_ended(a) != connection_has_ended(b))
        return !connection_has_ended(a);
    return a->since_ms < b->since_ms;
}

const struct connection *presence_find_in(const struct presence *p, struct slice session,
                                          struct slice channel)
{
    const struct presence_group *g = table_find(p->sessions, session),
                                *in = table_find(p->channels, channel);
    const struct connection *best = NULL;

    for (const struct membership *m = g && in ? g->group.first : NULL; m; m = m->next) {
        const struct connection *c = m->member;
        if (is_in(c, in) && (!best || is_preferred(c, best)))
            best = c;
    }
    return best;
}
