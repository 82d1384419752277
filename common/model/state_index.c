#include "model/state_index.h"

#include <errno.h>

#include "base/must.h"
#include "codec/event_key.h"
#include "codec/subscription.h"

#define SUPERSEDED_MIN 16u /* a deque with fewer superseded events is left as it is */
/* The indexes of an event's target, beside the index of all. */
struct index_places {
    enum event_target kind;
    struct slice target;
    struct state_index *own;           /* NULL: the target has no index */
    struct state_index *subscriptions; /* NULL: it is no subscription */
};

/* --- which indexes --- */

static bool is_subscription(const struct event *e, const struct index_places *p)
{
    struct slice session;
    return event_is_member_key(e->key, &session) && session.len && subscription_is_topic(p->target);
}

static struct table *table_of(const struct state_indexes *set, enum event_target kind)
{
    return kind == TARGET_SESSION ? set->sessions : set->channels;
}

/* All but p->own. */
static void find_target(const struct state_indexes *set, const struct event *e,
                        struct index_places *p)
{
    p->kind = event_key_target(e, &p->target);
    p->subscriptions = NULL;
    if (p->kind == TARGET_CHANNEL && is_subscription(e, p))
        p->subscriptions = (struct state_index *)&set->subscriptions;
}

static void find_places(const struct state_indexes *set, const struct event *e,
                        struct index_places *p)
{
    find_target(set, e, p);
    if (p->kind == TARGET_EVERYONE)
        p->own = (struct state_index *)&set->everyone;
    else
        p->own = table_find(table_of(set, p->kind), p->target);
}

/* Those of an event that is in them. */
static void find_its_places(const struct state_indexes *set, const struct event *e,
                            struct index_places *p)
{
    find_places(set, e, p);
    MUST(p->own);
}

/* Forget the index of the target when it has no events. */
static void drop_empty(struct state_indexes *set, const struct index_places *p)
{
    struct state_index *index = p->own;
    if (!index || index->deque.count)
        return;

    deque_release(&index->deque);
    if (p->kind != TARGET_EVERYONE)
        table_remove(table_of(set, p->kind), index);
}

static int reserve_deques(struct state_indexes *set, const struct index_places *p)
{
    int err = deque_reserve(&set->all.deque);
    err = err ? err : deque_reserve(&p->own->deque);
    return err || !p->subscriptions ? err : deque_reserve(&p->subscriptions->deque);
}

/* Make sure that all indexes of e have room for it. 0 or -ENOMEM: unchanged. */
static int reserve_places(struct state_indexes *set, const struct event *e, struct index_places *p)
{
    find_target(set, e, p);
    if (p->kind == TARGET_EVERYONE)
        p->own = &set->everyone;
    else
        p->own = table_insert(table_of(set, p->kind), p->target);
    if (!p->own)
        return -ENOMEM;

    int err = reserve_deques(set, p);
    if (err)
        drop_empty(set, p);
    return err;
}

/* --- one index --- */

/* There is room. */
static void put_in(struct state_index *index, struct event *e)
{
    MUST(deque_insert(&index->deque, event_ref(e)) == 0);
}

static void take_from(struct state_index *index, struct event *e)
{
    MUST(deque_take(&index->deque, e));
    event_unref(&e);
}

static void replace_in(struct state_index *index, struct event *before, struct event *e)
{
    MUST(deque_replace(&index->deque, before, event_ref(e)));
    event_unref(&before);
}

static void count_superseded(struct state_index *index, int change)
{
    index->superseded += (size_t)change;
    MUST(index->superseded <= index->deque.count);
}

/* e was superseded, and may have left the index since. There is room. */
static void revive_in(struct state_index *index, struct event *e)
{
    if (deque_has(&index->deque, e))
        count_superseded(index, -1);
    else
        put_in(index, e);
}

/* Take the superseded events out. */
static void sweep_index(struct state_index *index)
{
    for (size_t left = index->deque.count; left; left--) {
        struct event *oldest = deque_pop_front(&index->deque);
        if (oldest->superseded)
            event_unref(&oldest);
        else
            MUST(deque_push(&index->deque, oldest) == 0); /* it has the room of the one that left */
    }
    index->superseded = 0;
    deque_shrink(&index->deque);
}

/* The same when they are many. */
static void tidy_index(struct state_index *index)
{
    bool many = index->superseded >= SUPERSEDED_MIN || index->superseded == index->deque.count;
    if (many && index->superseded * 2 >= index->deque.count)
        sweep_index(index);
}

static void clear_index(struct state_index *index)
{
    for (struct event *e; (e = deque_pop_front(&index->deque));)
        event_unref(&e);
    deque_release(&index->deque);
    index->superseded = 0;
}

/* --- all indexes of an event --- */

int state_indexes_put(struct state_indexes *set, struct event *e)
{
    struct index_places p;
    int err = reserve_places(set, e, &p);
    if (err)
        return err;

    put_in(&set->all, e);
    put_in(p.own, e);
    if (p.subscriptions)
        put_in(p.subscriptions, e);
    return 0;
}

void state_indexes_take(struct state_indexes *set, struct event *e)
{
    struct index_places p;
    find_its_places(set, e, &p);

    take_from(&set->all, e);
    take_from(p.own, e);
    if (p.subscriptions)
        take_from(p.subscriptions, e);
    drop_empty(set, &p);
}

void state_indexes_replace(struct state_indexes *set, struct event *before, struct event *e)
{
    struct index_places p;
    find_its_places(set, e, &p);

    replace_in(&set->all, before, e);
    replace_in(p.own, before, e);
    if (p.subscriptions)
        replace_in(p.subscriptions, before, e);
}

void state_indexes_supersede(struct state_indexes *set, struct event *e)
{
    struct index_places p;
    find_its_places(set, e, &p);

    e->superseded = true;
    count_superseded(&set->all, 1);
    count_superseded(p.own, 1);
    if (p.subscriptions)
        count_superseded(p.subscriptions, 1);
}

void state_indexes_restore(struct state_indexes *set, struct event *e)
{
    struct index_places p;
    find_its_places(set, e, &p);

    e->superseded = false;
    count_superseded(&set->all, -1);
    count_superseded(p.own, -1);
    if (p.subscriptions)
        count_superseded(p.subscriptions, -1);
}

int state_indexes_revive(struct state_indexes *set, struct event *e)
{
    struct index_places p;
    int err = reserve_places(set, e, &p);
    if (err)
        return err;

    revive_in(&set->all, e);
    revive_in(p.own, e);
    if (p.subscriptions)
        revive_in(p.subscriptions, e);
    e->superseded = false;
    return 0;
}

void state_indexes_tidy(struct state_indexes *set, const struct event *e)
{
    struct index_places p;
    find_places(set, e, &p);

    tidy_index(&set->all);
    if (p.own)
        tidy_index(p.own);
    if (p.subscriptions)
        tidy_index(p.subscriptions);
    drop_empty(set, &p);
}

/* --- members --- */

void state_indexes_count_member(struct state_indexes *set, const struct event *e, int change)
{
    struct index_places p;
    find_its_places(set, e, &p);

    MUST(change > 0 || p.own->members > 0);
    p.own->members += (uint64_t)change;
}

uint64_t state_indexes_members(const struct state_indexes *set, struct slice channel)
{
    const struct state_index *index = table_find(set->channels, channel);
    return index ? index->members : 0;
}

/* --- reading --- */

struct event *state_indexes_at(const struct state_indexes *set, uint64_t seq)
{
    const struct deque *all = &set->all.deque;
    const struct event *last = deque_back(all);
    struct event *e;
    if (!last || last->seq < seq)
        return NULL;

    size_t at = deque_after(all, seq - 1);
    while ((e = deque_at(all, at)) && e->seq == seq && e->superseded)
        at++;
    return e && e->seq == seq ? e : NULL;
}

static void merge_index(const struct table *t, struct slice name, uint64_t after, struct merge *m)
{
    const struct state_index *index = table_find(t, name);
    if (index)
        merge_add(m, &index->deque, after);
}

void state_indexes_merge(const struct state_indexes *set, const struct audience *who,
                         uint64_t after, struct merge *m)
{
    merge_init(m);
    if (!who || who->every_channel) {
        merge_add(m, &set->all.deque, after);
        return;
    }

    merge_add(m, &set->everyone.deque, after);
    if (who->session.len)
        merge_index(set->sessions, who->session, after, m);
    for (size_t i = 0; i < who->channels.count; i++)
        merge_index(set->channels, who->channels.items[i], after, m);
}

/* --- life --- */

int state_indexes_init(struct state_indexes *set)
{
    set->sessions = table_new(sizeof(struct state_index));
    set->channels = table_new(sizeof(struct state_index));
    return set->sessions && set->channels ? 0 : -ENOMEM;
}

static void clear_table(struct table *t)
{
    for (struct state_index *index = t ? table_next(t, NULL) : NULL, *next; index; index = next) {
        next = table_next(t, index);
        clear_index(index);
        table_remove(t, index);
    }
}

void state_indexes_clear(struct state_indexes *set)
{
    clear_index(&set->all);
    clear_index(&set->everyone);
    clear_index(&set->subscriptions);
    clear_table(set->sessions);
    clear_table(set->channels);
}

void state_indexes_release(struct state_indexes *set)
{
    state_indexes_clear(set);
    table_free(&set->sessions);
    table_free(&set->channels);
}
