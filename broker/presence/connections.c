/* One connection: how it opens and ends, what changes with it, and how it is described. */
#include "presence/tracker.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"

/* The only one of its session. False without a session, which neither comes online nor goes
 * offline. */
bool connection_is_only(const struct connection *c)
{
    const struct group *session = c->members[0].group;
    return session && session->count == 1;
}

static void drop_connection(struct presence *p, struct connection *c)
{
    p->ending -= c->ends_at != 0;
    for (size_t i = 0; i < c->member_count; i++)
        audience_leave(&c->members[i]);
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

static void set_change(struct presence_work *w, enum presence_what what, bool silent,
                       enum end_cause cause)
{
    w->change =
        (struct presence_change){what, silent, table_name(w->changed->slot), w->changed, cause};
}

/* The connection was opened. */
bool connection_opens(struct presence *p, struct connection *c, bool silent)
{
    struct presence_work *w = &p->work;
    MUST(!w->changed);
    w->changed = c;
    w->session_changed = false;
    set_change(w, PRESENCE_CONNECTED, silent, END_CLIENT);
    return true;
}

bool connection_ends(struct presence *p, struct connection *c, enum end_cause cause)
{
    struct presence_work *w = &p->work;
    MUST(!w->changed);
    w->changed = c;
    w->session_changed = false;
    set_change(w, PRESENCE_DISCONNECTED, false, c->ends_at ? c->cause : cause);
    return true;
}

/* What follows from the change that was returned last: its session comes online or goes offline,
 * and what has ended is dropped. True when there is a change. */
bool connection_follow_up(struct presence *p)
{
    struct presence_work *w = &p->work;
    bool ends =
        w->change.what == PRESENCE_DISCONNECTED || w->change.what == PRESENCE_SESSION_OFFLINE;
    struct connection *c = w->changed;
    if (!c)
        return false;

    if (!w->session_changed && connection_is_only(c)) {
        w->session_changed = true;
        set_change(w, ends ? PRESENCE_SESSION_OFFLINE : PRESENCE_SESSION_ONLINE, w->change.silent,
                   w->change.cause);
        return true;
    }
    w->changed = NULL;
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

static int connection_join_all(struct presence *p, struct connection *c,
                               const struct wire_presence_item *item)
{
    struct slice names = item->raw_channels, name;
    for (size_t i = 0; i < c->member_count; i++)
        c->members[i].member = c;
    int err = item->session.len
                  ? audience_join(p->sessions, &p->largest, item->session, &c->members[0])
                  : 0;
    for (size_t i = 1; !err && wire_next_name(&names, &name); i++)
        if (name.len)
            err = audience_join(p->channels, NULL, name, &c->members[i]);
    return err;
}

/* Allocate the connection of item and insert it into the table. NULL when out of memory. */
static struct connection *new_connection(struct presence *p, const struct wire_presence_item *item)
{
    size_t members = 1 + count_names(item->raw_channels);
    struct connection *c = calloc(1, sizeof *c + members * sizeof c->members[0] + item->meta.len +
                                         item->subscriptions.len);
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
    c->subscriptions_len = (uint32_t)item->subscriptions.len;
    put_slice(put_slice((char *)&c->members[members], item->meta), item->subscriptions);
    return c;
}

/* NULL when out of memory: then the rest of the report is not applied. */
struct connection *connection_add(struct presence *p, const struct wire_presence_item *item)
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

struct connection *connection_find(const struct presence *p, struct slice id)
{
    struct connection **c = table_find(p->connections, id);
    return c ? *c : NULL;
}

const struct connection *presence_find(const struct presence *p, struct slice id)
{
    return connection_find(p, id);
}

/* --- what is known of it --- */

void connection_describe(const struct connection *c, struct connection_info *out)
{
    const struct presence_worker *w = c->worker;
    *out = (struct connection_info){
        .session = connection_session(c),
        .worker = {w->name, w->name_len},
        .since_ms = c->since_ms,
        .labels = {w->labels, w->labels_len},
        .meta = {(const char *)&c->members[c->member_count], c->meta_len},
        .subscriptions = {(const char *)&c->members[c->member_count] + c->meta_len,
                          c->subscriptions_len},
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
            return table_name(presence_group_of(&c->members[at]));
    return (struct slice){0};
}
