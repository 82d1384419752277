/* A change is made in three places: in the slot of its key, in the indexes that readers see, and in
 * what is taken of the room. While changes are held, what each of them replaced is kept as well. */
#include "model/state.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/must.h"
#include "codec/event_key.h"
#include "codec/event_record.h"
#include "model/merge.h"
#include "model/state_data.h"

/* --- slots --- */

void state_note_record(struct state *s, struct state_slot *slot, uint64_t record)
{
    if (s->held)
        due_note(&s->keys.due, &slot->due, record);
}

/* Make e, which is in its indexes, or no event the one of the slot. */
static void fill_slot(struct state *s, struct state_slot *slot, struct event *e, uint64_t seq)
{
    struct event *before = slot->event;
    if (before && state_room_remove(&s->room, before))
        state_indexes_count_member(&s->indexes, before, -1);

    state_slots_fill(&s->keys, slot, e, seq);
    if (e && state_room_add(&s->room, e))
        state_indexes_count_member(&s->indexes, e, 1);
}

/* --- changes --- */

static int reserve_change(struct state *s)
{
    if (!s->held)
        return 0;

    struct held_change *changes =
        array_reserve(s->changes, &s->change_cap, s->change_count + 1, sizeof *changes);
    if (!changes)
        return -ENOMEM;
    s->changes = changes;
    return 0;
}

static void note_change(struct state *s, struct event *before, struct event *after, uint64_t seq)
{
    struct held_change *c = &s->changes[s->change_count++];
    *c = (struct held_change){{before, event_ref(after)}, seq, s->record ? s->record : after->seq};
    if (before)
        event_ref(before);
}

static void finish_change(struct state *s, struct state_slot *slot, struct event *before,
                          struct event *after, uint64_t seq)
{
    if (s->held) {
        note_change(s, before, after, seq);
        return;
    }

    slot->settled = slot->seq;
    if (!slot->event)
        state_slots_remove(&s->keys, slot);
    if (before)
        state_indexes_tidy(&s->indexes, after);
}

/* Make e, or no event, the one of the slot. */
static void change_slot(struct state *s, struct state_slot *slot, struct event *e,
                        struct event *after)
{
    struct event *before = slot->event;
    uint64_t seq = slot->seq;

    fill_slot(s, slot, e, after->seq);
    if (before)
        state_indexes_supersede(&s->indexes, before);
    finish_change(s, slot, before, after, seq);
}

static int forget_key(struct state *s, struct event *e, struct state_slot *slot)
{
    if (!slot || !slot->event)
        return 0;
    if (reserve_change(s) != 0)
        return -ENOMEM;

    change_slot(s, slot, NULL, e);
    return 0;
}

void state_forget_slot(struct state *s, struct state_slot *slot)
{
    struct event *e = event_ref(slot->event);
    MUST(!s->change_count);

    fill_slot(s, slot, NULL, slot->seq);
    state_slots_remove(&s->keys, slot);
    state_indexes_supersede(&s->indexes, e);
    state_indexes_tidy(&s->indexes, e);
    event_unref(&e);
}

/* An event with this seq is about to be put in: forget another one that has it. */
static void drop_void(struct state *s, uint64_t seq)
{
    const struct event *e = s->change_count ? NULL : state_indexes_at(&s->indexes, seq);
    if (e)
        state_forget_slot(s, state_slots_find(&s->keys, e));
}

/* Put e into its indexes. Nothing that follows needs memory. 0 or -ENOMEM: unchanged. */
static int make_room(struct state *s, struct event *e)
{
    int err = reserve_change(s);
    if (!err && e->ttl_s)
        err = state_slots_reserve_end(&s->keys);
    return err ? err : state_indexes_put(&s->indexes, e);
}

static int set_key(struct state *s, struct event *e, struct state_slot *slot)
{
    bool fresh = !slot;

    drop_void(s, e->seq);
    slot = slot ? slot : state_slots_insert(&s->keys, e);
    if (slot && make_room(s, e) == 0) {
        change_slot(s, slot, e, e);
        return 0;
    }

    if (slot && fresh)
        state_slots_remove(&s->keys, slot);
    return -ENOMEM;
}

struct state_slot *state_revive_key(struct state *s, struct event *e)
{
    MUST(e->superseded && !state_slots_find(&s->keys, e));
    drop_void(s, e->seq);
    struct state_slot *slot = state_slots_insert(&s->keys, e);
    if (!slot)
        return NULL;

    if (state_slots_reserve_end(&s->keys) != 0 || state_indexes_revive(&s->indexes, e) != 0) {
        state_slots_remove(&s->keys, slot);
        return NULL;
    }

    fill_slot(s, slot, e, e->seq);
    slot->settled = e->seq;
    return slot;
}

/* e was applied as another object. From now on e stands for it, so that it is e that is marked. */
static void adopt(struct state *s, struct state_slot *slot, struct event *e)
{
    struct event *before = slot->event;
    state_note_record(s, slot, s->record ? s->record : e->seq);
    if (before == e || s->record) /* the object of a record is nowhere else */
        return;

    slot->event = e;
    state_indexes_replace(&s->indexes, before, e);
}

/* Does e show that the event of the slot is void? A record has the newest event of its time. */
static bool is_void(const struct state *s, const struct state_slot *slot, const struct event *e)
{
    if (!slot || !slot->event)
        return false;
    if (slot->seq == e->seq)
        return !slice_equal(slot->event->entry, e->entry);
    return s->record && slot->due.distrusted && slot->seq > e->seq;
}

static int apply_one(struct state *s, struct event *e)
{
    struct state_slot *slot = state_slots_find(&s->keys, e);
    if (!s->change_count && is_void(s, slot, e)) {
        state_forget_slot(s, slot);
        slot = NULL;
    }
    if (slot && slot->event && slot->seq == e->seq)
        adopt(s, slot, e);
    else if (slot && slot->seq >= e->seq)
        e->superseded = true;
    else
        return e->remove ? forget_key(s, e, slot) : set_key(s, e, slot);
    return 0;
}

void state_match(struct state *s, struct event *e)
{
    struct state_slot *slot = e->key.len ? state_slots_find(&s->keys, e) : NULL;
    if (slot && slot->event && slot->seq == e->seq)
        adopt(s, slot, e);
    else if (slot && slot->seq > e->seq)
        e->superseded = true;
}

bool state_supersedes(const struct state *s, const struct event *e)
{
    const struct state_slot *slot = event_is_value(e) ? state_slots_find(&s->keys, e) : NULL;
    return slot && slot->seq > e->seq;
}

/* Forget what the record shows to be void, while no change of its own is held. */
static void forget_void(struct state *s, const struct event *record)
{
    size_t cursor = 0;
    if (s->change_count)
        return;

    for (struct event *e; (e = event_next_entry(record, &cursor)); event_unref(&e)) {
        struct state_slot *slot = state_slots_find(&s->keys, e);
        if (is_void(s, slot, e))
            state_forget_slot(s, slot);
    }
}

/* The events of an EVENT_STATE. */
static int apply_record(struct state *s, const struct event *record)
{
    size_t cursor = 0;
    int err = 0;

    s->record = record->seq;
    forget_void(s, record);
    for (struct event *e; !err && (e = event_next_entry(record, &cursor)); event_unref(&e))
        err = apply_one(s, e);
    s->record = 0;
    return err || cursor == record->text.len ? err : -ENOMEM;
}

int state_apply(struct state *s, struct event *e)
{
    if (e->kind == EVENT_STATE)
        return apply_record(s, e);

    return e->key.len ? apply_one(s, e) : 0;
}

bool state_has_room(const struct state *s, const struct event *e, const struct state_limits *limits)
{
    if (!e->key.len || e->remove)
        return true;

    const struct state_slot *slot = state_slots_find(&s->keys, e);
    return state_room_fits(&s->room, e, slot ? slot->event : NULL, limits);
}

uint64_t state_expire_one(struct state *s, int64_t now_ms)
{
    struct state_slot *slot = state_slots_first_end(&s->keys);
    if (!slot || slot->expiry.at > now_ms)
        return 0;

    uint64_t seq = slot->event->seq;
    state_forget_slot(s, slot);
    return seq;
}

size_t state_expire(struct state *s, int64_t now_ms)
{
    size_t count = 0;
    while (state_expire_one(s, now_ms))
        count++;
    return count;
}

/* --- provisional changes --- */

void state_hold(struct state *s)
{
    s->held = true;
}

static void drop_last_change(struct state *s)
{
    struct held_change *c = &s->changes[--s->change_count];
    event_unref(&c->events.before);
    event_unref(&c->events.after);
}

static void revert_change(struct state *s, const struct held_change *c)
{
    struct event *before = c->events.before, *after = c->events.after;
    struct state_slot *slot = state_slots_find(&s->keys, after);

    MUST(slot && slot->seq == after->seq);
    fill_slot(s, slot, before, c->seq);
    if (before)
        state_indexes_restore(&s->indexes, before);
    if (!after->remove)
        state_indexes_take(&s->indexes, after);
    if (!before && !c->seq)
        state_slots_remove(&s->keys, slot);
}

void state_rollback(struct state *s, uint64_t position)
{
    while (s->change_count && s->changes[s->change_count - 1].events.after->seq > position) {
        revert_change(s, &s->changes[s->change_count - 1]);
        drop_last_change(s);
    }
}

static void settle_change(struct state *s, const struct held_change *c)
{
    struct state_slot *slot = state_slots_find(&s->keys, c->events.after);

    if (slot && slot->event == c->events.after)
        state_note_record(s, slot, c->record);
    if (slot)
        slot->settled = slot->seq;
    if (slot && !slot->event)
        state_slots_remove(&s->keys, slot);
    if (c->events.before)
        state_indexes_tidy(&s->indexes, c->events.after);
}

void state_settle(struct state *s)
{
    for (size_t i = 0; i < s->change_count; i++)
        settle_change(s, &s->changes[i]);
    while (s->change_count)
        drop_last_change(s);
}

const struct state_change *state_change(const struct state *s, size_t number)
{
    return number < s->change_count ? &s->changes[number].events : NULL;
}

bool state_settled(const struct state *s, const struct event *e)
{
    const struct state_slot *slot = e->key.len && !e->remove ? state_slots_find(&s->keys, e) : NULL;
    return slot && slot->settled == e->seq;
}

/* --- reading --- */

static bool passes(const struct event *e, const struct history_filter *filter)
{
    return !e->superseded && filter->now_ms < event_expires_ms(e) && history_concerns(filter, e);
}

void state_each(const struct state *s, const struct history_filter *filter,
                void (*visit)(void *context, struct event *e), void *context)
{
    struct merge merge;

    state_indexes_merge(&s->indexes, filter->who, 0, &merge);
    for (struct event *e; (e = merge_next(&merge));)
        if (passes(e, filter))
            visit(context, e);
}

void state_each_subscription(const struct state *s, int64_t now_ms,
                             void (*visit)(void *context, struct event *e), void *context)
{
    const struct deque *all = &s->indexes.subscriptions.deque;
    struct event *e;

    for (size_t i = 0; (e = deque_at(all, i)); i++)
        if (!e->superseded && now_ms < event_expires_ms(e))
            visit(context, e);
}

size_t state_read(const struct state *s, const struct history_filter *filter, uint64_t after,
                  uint64_t upto, struct event **out, size_t max, size_t max_bytes)
{
    struct merge merge;
    size_t found = 0, bytes = 0;

    state_indexes_merge(&s->indexes, filter->who, after, &merge);
    for (struct event *e; (e = merge_next(&merge)) && e->seq <= upto;) {
        if (!passes(e, filter))
            continue;
        if (found == max || (found && bytes + e->entry.len > max_bytes))
            break;
        out[found++] = e;
        bytes += e->entry.len;
    }
    return found;
}

struct event *state_member(const struct state *s, struct slice channel, struct slice session)
{
    const struct state_slot *slot = state_slots_find_member(&s->keys, channel, session);
    return slot ? slot->event : NULL;
}

uint64_t state_members(const struct state *s, struct slice channel)
{
    return state_indexes_members(&s->indexes, channel);
}

struct event *state_text(struct state *s, struct event *e)
{
    struct state_slot *slot = state_slots_find(&s->keys, e);
    if (!slot || slot->event != e)
        return NULL;

    if (!slot->text)
        slot->text = event_without_id(e);
    return slot->text;
}

uint64_t state_count(const struct state *s)
{
    return s->room.count;
}

bool state_is_empty(const struct state *s)
{
    return !s->indexes.all.deque.count;
}

uint64_t state_bytes(const struct state *s)
{
    return s->room.bytes;
}

/* --- life --- */

struct state *state_new(void)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;

    if (state_slots_init(&s->keys) != 0 || state_indexes_init(&s->indexes) != 0)
        state_free(&s);
    return s;
}

void state_clear(struct state *s)
{
    while (s->change_count)
        drop_last_change(s);

    const struct table *slots = s->keys.slots;
    for (struct state_slot *slot = slots ? table_next(slots, NULL) : NULL, *next; slot;
         slot = next) {
        next = table_next(slots, slot);
        fill_slot(s, slot, NULL, 0);
        state_slots_remove(&s->keys, slot);
    }
    state_indexes_clear(&s->indexes);
    MUST(!s->room.count && !s->room.bytes && !s->room.member_bytes);
}

void state_free(struct state **s)
{
    if (!*s)
        return;

    state_clear(*s);
    state_slots_release(&(*s)->keys);
    state_indexes_release(&(*s)->indexes);
    free((*s)->changes);
    free(*s);
    *s = NULL;
}
