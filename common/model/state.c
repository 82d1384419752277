/* Each key has a slot in a table, by its target and its name. For reading there is a deque of
 * events for each target, in order of seq. A superseded event stays in its deque until half of the
 * deque is superseded; so a change costs the same whatever the number of keys. */
#include "model/state.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/expiry.h"
#include "base/must.h"
#include "base/table.h"
#include "model/deque.h"
#include "model/due.h"
#include "model/merge.h"

#define SLOT_NAME_MAX (2 + NAME_BYTES_MAX + EVENT_KEY_MAX)
#define SUPERSEDED_MIN 16u /* a deque with fewer superseded events is left as it is */

/* A key. */
struct slot {
    struct expiry_item expiry; /* first */
    struct event *event;       /* in its index; NULL: removed, and kept until that is final */
    struct event *text;        /* see state_text(); NULL: not made yet */
    uint64_t seq;              /* of the last event of the key */
    uint64_t settled;          /* likewise, as far as changes are final */
    struct due_item due;       /* while its record is final */
};

/* The events for one target, or all. The deque owns a reference of each. */
struct index {
    struct deque deque;
    size_t superseded; /* events in the deque */
    uint64_t members;  /* keys of event_member_key() with a session */
};

struct change {
    struct state_change events; /* a reference each */
    uint64_t seq;               /* of the slot before */
    uint64_t record;            /* the event that made the change, or has it */
};

struct state {
    struct table *slots; /* target and key -> struct slot */
    struct index all;
    struct index everyone;
    struct table *sessions, *channels; /* name -> struct index */
    struct expiry ends;
    struct due due;        /* slots by their records */
    uint64_t record;       /* seq of the EVENT_STATE that is applied; 0: none is */
    uint64_t count, bytes; /* of keys */
    uint64_t member_bytes; /* of members, which are not in bytes */
    bool held;
    struct change *changes;
    size_t change_count, change_cap;
};

/* --- slots --- */

/* The length keeps target and key apart. */
static struct slice put_slot_name(char *out, enum event_target kind, struct slice target, struct slice key)
{
    out[0] = (char)kind;
    out[1] = (char)target.len;
    char *end = put_slice(put_slice(out + 2, target), key);
    return (struct slice){out, (size_t)(end - out)};
}

/* The name in s->slots. */
static struct slice slot_name(const struct event *e, char out[SLOT_NAME_MAX])
{
    struct slice target;
    enum event_target kind = event_key_target(e, &target);

    return put_slot_name(out, kind, target, e->key);
}

static struct slot *find_slot(const struct state *s, const struct event *e)
{
    char name[SLOT_NAME_MAX];
    return table_find(s->slots, slot_name(e, name));
}

static struct slot *insert_slot(struct state *s, const struct event *e)
{
    char name[SLOT_NAME_MAX];
    return table_insert(s->slots, slot_name(e, name));
}

/* NULL for NULL. */
static struct slot *slot_of(struct due_item *item)
{
    return item ? DUE_OWNER(item, struct slot, due) : NULL;
}

/* In the order of the records; NULL: the first. */
static struct slot *next_slot(const struct state *s, const struct slot *slot)
{
    return slot_of(due_next(&s->due, slot ? &slot->due : NULL));
}

/* The event of the slot is in this record, which is the last one. */
static void note_record(struct state *s, struct slot *slot, uint64_t record)
{
    if (s->held)
        due_note(&s->due, &slot->due, record);
}

static void remove_slot(struct state *s, struct slot *slot)
{
    MUST(!slot->event && !slot->text && !slot->expiry.place);
    due_drop(&s->due, &slot->due);
    table_remove(s->slots, slot);
}

static uint64_t cost(const struct event *e)
{
    return e->entry.len + STATE_KEY_COST;
}

static struct index *find_index(const struct state *s, const struct event *e);

/* The key is the broker's own: it counts for its channel, and not for the state. */
static bool is_member(const struct event *e, uint64_t *members)
{
    struct slice session;
    bool is = event_is_member_key(e->key, &session);
    *members = session.len > 0;
    return is;
}

static void count_in(struct state *s, const struct event *e)
{
    uint64_t members;
    if (is_member(e, &members)) {
        find_index(s, e)->members += members;
        s->member_bytes += cost(e);
        return;
    }
    s->count++;
    s->bytes += cost(e);
}

static void count_out(struct state *s, const struct event *e)
{
    uint64_t members;
    if (is_member(e, &members)) {
        struct index *index = find_index(s, e);
        MUST(index && index->members >= members && s->member_bytes >= cost(e));
        index->members -= members;
        s->member_bytes -= cost(e);
        return;
    }
    MUST(s->count > 0 && s->bytes >= cost(e));
    s->count--;
    s->bytes -= cost(e);
}

/* Make e, which is in its index, or no event the one of the slot. The heap has room when the slot
 * was in it or expiry_add() succeeded for it before. */
static void fill_slot(struct state *s, struct slot *slot, struct event *e, uint64_t seq)
{
    expiry_remove(&s->ends, &slot->expiry);
    event_unref(&slot->text);
    if (slot->event)
        count_out(s, slot->event);

    slot->event = e;
    slot->seq = seq;
    if (!e)
        return;

    count_in(s, e);
    if (e->ttl_s)
        MUST(expiry_add(&s->ends, &slot->expiry, event_expires_ms(e)) == 0);
}

/* Make sure that the heap has room for one more. */
static int reserve_end(struct state *s)
{
    struct expiry_item probe = {0};
    int err = expiry_add(&s->ends, &probe, INT64_MAX);

    if (!err)
        expiry_remove(&s->ends, &probe);
    return err;
}

/* --- indexes --- */

static struct index *find_index(const struct state *s, const struct event *e)
{
    struct slice target;
    switch (event_key_target(e, &target)) {
    case TARGET_SESSION:
        return table_find(s->sessions, target);
    case TARGET_CHANNEL:
        return table_find(s->channels, target);
    case TARGET_EVERYONE:
        break;
    }
    return (struct index *)&s->everyone;
}

static struct index *insert_index(struct state *s, const struct event *e)
{
    struct slice target;
    switch (event_key_target(e, &target)) {
    case TARGET_SESSION:
        return table_insert(s->sessions, target);
    case TARGET_CHANNEL:
        return table_insert(s->channels, target);
    case TARGET_EVERYONE:
        break;
    }
    return &s->everyone;
}

/* Put e where its seq belongs; there is room. */
static void put(struct index *index, struct event *e)
{
    MUST(deque_insert(&index->deque, event_ref(e)) == 0);
}

static void take(struct index *index, struct event *e)
{
    MUST(deque_take(&index->deque, e));
    event_unref(&e);
}

/* Put e in the place of another object with the same content. */
static void replace(struct index *index, struct event *before, struct event *e)
{
    MUST(deque_replace(&index->deque, before, event_ref(e)));
    event_unref(&before);
}

/* Forget the index of e's target when it has no events. */
static void drop_empty(struct state *s, const struct event *e)
{
    struct slice target;
    enum event_target kind = event_key_target(e, &target);
    struct index *index = find_index(s, e);
    if (!index || index->deque.count)
        return;

    deque_release(&index->deque);
    if (kind != TARGET_EVERYONE)
        table_remove(kind == TARGET_SESSION ? s->sessions : s->channels, index);
}

static void count_superseded(struct index *index, int change)
{
    index->superseded += (size_t)change;
    MUST(index->superseded <= index->deque.count);
}

static void supersede(struct state *s, struct event *e)
{
    e->superseded = true;
    count_superseded(find_index(s, e), 1);
    count_superseded(&s->all, 1);
}

/* Take the superseded events out. */
static void sweep_index(struct index *index)
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
static void tidy_index(struct index *index)
{
    bool many = index->superseded >= SUPERSEDED_MIN || index->superseded == index->deque.count;
    if (many && index->superseded * 2 >= index->deque.count)
        sweep_index(index);
}

/* The same for the indexes of e, which is kept by its caller. */
static void tidy(struct state *s, const struct event *e)
{
    struct index *index = find_index(s, e);
    tidy_index(&s->all);
    if (index)
        tidy_index(index);
    drop_empty(s, e);
}

/* --- changes --- */

static int reserve_change(struct state *s)
{
    if (!s->held)
        return 0;

    struct change *changes = array_reserve(s->changes, &s->change_cap, s->change_count + 1, sizeof *changes);
    if (!changes)
        return -ENOMEM;
    s->changes = changes;
    return 0;
}

static void note_change(struct state *s, struct event *before, struct event *after, uint64_t seq)
{
    struct change *c = &s->changes[s->change_count++];
    *c = (struct change){{before, event_ref(after)}, seq, s->record ? s->record : after->seq};
    if (before)
        event_ref(before);
}

/* Its index, when that and all others have room for e, so that nothing that follows needs memory.
 * NULL: out of memory, unchanged. */
static struct index *reserve_room(struct state *s, struct event *e)
{
    struct index *index = insert_index(s, e);
    if (!index)
        return NULL;

    int err = reserve_change(s);
    err = err ? err : reserve_end(s);
    err = err ? err : deque_reserve(&s->all.deque);
    err = err ? err : deque_reserve(&index->deque);
    if (!err)
        return index;

    drop_empty(s, e);
    return NULL;
}

/* Put e into its indexes. 0 or -ENOMEM: unchanged. */
static int make_room(struct state *s, struct event *e)
{
    struct index *index = reserve_room(s, e);
    if (!index)
        return -ENOMEM;

    put(&s->all, e);
    put(index, e);
    return 0;
}

static void give_back_room(struct state *s, struct event *e)
{
    take(&s->all, e);
    take(find_index(s, e), e);
    drop_empty(s, e);
}

static void finish_change(struct state *s, struct slot *slot, struct event *before, struct event *after, uint64_t seq)
{
    if (s->held) {
        note_change(s, before, after, seq);
        return;
    }

    slot->settled = slot->seq;
    if (!slot->event)
        remove_slot(s, slot);
    if (before)
        tidy(s, after);
}

/* Make e, or no event, the one of the slot. */
static void change_slot(struct state *s, struct slot *slot, struct event *e, struct event *after)
{
    struct event *before = slot->event;
    uint64_t seq = slot->seq;

    fill_slot(s, slot, e, after->seq);
    if (before)
        supersede(s, before);
    finish_change(s, slot, before, after, seq);
}

static int forget_key(struct state *s, struct event *e, struct slot *slot)
{
    if (!slot || !slot->event)
        return 0;
    if (reserve_change(s) != 0)
        return -ENOMEM;

    change_slot(s, slot, NULL, e);
    return 0;
}

/* Forget the key of this slot; its event is marked. All changes are final. */
static void forget_slot(struct state *s, struct slot *slot)
{
    struct event *e = event_ref(slot->event);
    MUST(!s->change_count);

    fill_slot(s, slot, NULL, slot->seq);
    remove_slot(s, slot);
    supersede(s, e);
    tidy(s, e);
    event_unref(&e);
}

/* An event with this seq is about to be put in: forget another one that has it. */
static void drop_void(struct state *s, uint64_t seq)
{
    const struct event *last = deque_back(&s->all.deque), *e;
    if (!last || last->seq < seq || s->change_count)
        return;

    size_t at = deque_after(&s->all.deque, seq - 1);
    while ((e = deque_at(&s->all.deque, at)) && e->seq == seq && e->superseded)
        at++;
    if (e && e->seq == seq)
        forget_slot(s, find_slot(s, e));
}

static int set_key(struct state *s, struct event *e, struct slot *slot)
{
    bool fresh = !slot;

    drop_void(s, e->seq);
    slot = slot ? slot : insert_slot(s, e);
    if (slot && make_room(s, e) == 0) {
        change_slot(s, slot, e, e);
        return 0;
    }

    if (slot && fresh)
        remove_slot(s, slot);
    return -ENOMEM;
}

/* e was applied as another object. From now on e stands for it, so that it is e that is marked. */
static void adopt(struct state *s, struct slot *slot, struct event *e)
{
    struct event *before = slot->event;
    note_record(s, slot, s->record ? s->record : e->seq);
    if (before == e || s->record) /* the object of a record is nowhere else */
        return;

    slot->event = e;
    replace(find_index(s, e), before, e);
    replace(&s->all, before, e);
}

/* Does e show that the event of the slot is void? A record has the newest event of its time. */
static bool is_void(const struct state *s, const struct slot *slot, const struct event *e)
{
    if (!slot || !slot->event)
        return false;
    if (slot->seq == e->seq)
        return !slice_equal(slot->event->entry, e->entry);
    return s->record && slot->due.distrusted && slot->seq > e->seq;
}

static int apply_one(struct state *s, struct event *e)
{
    struct slot *slot = find_slot(s, e);
    if (is_void(s, slot, e)) {
        forget_slot(s, slot);
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
    struct slot *slot = e->key.len ? find_slot(s, e) : NULL;
    if (slot && slot->event && slot->seq == e->seq)
        adopt(s, slot, e);
    else if (slot ? slot->seq > e->seq : e->key.len && !e->remove)
        e->superseded = true;
}

bool state_supersedes(const struct state *s, const struct event *e)
{
    const struct slot *slot = e->key.len ? find_slot(s, e) : NULL;
    return slot && slot->seq > e->seq;
}

/* The events of an EVENT_STATE. */
static int apply_record(struct state *s, const struct event *record)
{
    size_t cursor = 0;
    int err = 0;

    s->record = record->seq;
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

/* Rounded up, so that no limit becomes 0, which can mean that there is none. */
static uint64_t three_quarters(uint64_t n)
{
    return n - n / 4;
}

struct state_limits state_limits_of_limited(const struct state_limits *limits)
{
    return (struct state_limits){.events = three_quarters(limits->events),
                                 .bytes = three_quarters(limits->bytes),
                                 .logged = three_quarters(limits->logged),
                                 .member_bytes = limits->member_bytes};
}

/* Members leave room for the numbers of members of channels, which are published when there is no
 * room for more members. */
static bool member_has_room(const struct state *s, const struct event *e, uint64_t members, uint64_t limit)
{
    uint64_t most = members ? limit : limit + limit / 4;
    return !limit || s->member_bytes + cost(e) <= most;
}

bool state_has_room(const struct state *s, const struct event *e, const struct state_limits *limits)
{
    uint64_t members;
    if (!e->key.len || e->remove)
        return true;
    if (is_member(e, &members))
        return member_has_room(s, e, members, limits->member_bytes);

    const struct slot *slot = find_slot(s, e);
    uint64_t count = slot && slot->event ? s->count : s->count + 1;
    uint64_t replaced = slot && slot->event ? cost(slot->event) : 0;
    uint64_t entries = s->bytes - s->count * STATE_KEY_COST;
    if (count > s->count && count > limits->events)
        return false;
    if (limits->logged && cost(e) > replaced &&
        entries + cost(e) - (replaced ? replaced : STATE_KEY_COST) > limits->logged)
        return false;
    return cost(e) <= replaced || s->bytes - replaced + cost(e) <= limits->bytes;
}

uint64_t state_expire_one(struct state *s, int64_t now_ms)
{
    struct slot *slot = (struct slot *)expiry_first(&s->ends);
    if (!slot || slot->expiry.at > now_ms)
        return 0;

    uint64_t seq = slot->event->seq;
    forget_slot(s, slot);
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

static void drop_change(struct state *s)
{
    struct change *c = &s->changes[--s->change_count];
    event_unref(&c->events.before);
    event_unref(&c->events.after);
}

static void revert(struct state *s, const struct change *c)
{
    struct event *before = c->events.before, *after = c->events.after;
    struct slot *slot = find_slot(s, after);

    MUST(slot && slot->seq == after->seq);
    fill_slot(s, slot, before, c->seq);
    if (before) {
        before->superseded = false;
        count_superseded(find_index(s, before), -1);
        count_superseded(&s->all, -1);
    }
    if (!after->remove)
        give_back_room(s, after);
    if (!before && !c->seq)
        remove_slot(s, slot);
}

void state_rollback(struct state *s, uint64_t position)
{
    while (s->change_count && s->changes[s->change_count - 1].events.after->seq > position) {
        revert(s, &s->changes[s->change_count - 1]);
        drop_change(s);
    }
}

static void settle(struct state *s, const struct change *c)
{
    struct slot *slot = find_slot(s, c->events.after);

    if (slot && slot->event == c->events.after)
        note_record(s, slot, c->record);
    if (slot)
        slot->settled = slot->seq;
    if (slot && !slot->event)
        remove_slot(s, slot);
    if (c->events.before)
        tidy(s, c->events.after);
}

void state_settle(struct state *s)
{
    for (size_t i = 0; i < s->change_count; i++)
        settle(s, &s->changes[i]);
    while (s->change_count)
        drop_change(s);
}

const struct state_change *state_change(const struct state *s, size_t number)
{
    return number < s->change_count ? &s->changes[number].events : NULL;
}

bool state_settled(const struct state *s, const struct event *e)
{
    const struct slot *slot = e->key.len && !e->remove ? find_slot(s, e) : NULL;
    return slot && slot->settled == e->seq;
}

/* --- before the log forgets --- */

/* Forget keys that no record has confirmed for a whole log. */
static void forget_stale(struct state *s)
{
    struct due_item *next;
    for (struct due_item *item = due_next_stale(&s->due, NULL); item; item = next) {
        next = due_next_stale(&s->due, item);
        forget_slot(s, slot_of(item));
    }
}

void state_next_quarter(struct state *s)
{
    due_next_quarter(&s->due);
    if (!s->change_count)
        forget_stale(s);
}

/* A record that is ours to write again. */
static bool is_kept(const struct slot *slot)
{
    return slot->event && !slot->due.distrusted && slot->settled == slot->seq;
}

int64_t state_record_age(const struct state *s)
{
    const struct slot *slot = next_slot(s, NULL);
    while (slot && !is_kept(slot))
        slot = next_slot(s, slot);
    return slot ? due_age(&s->due, &slot->due) : -1;
}

/* As state_collect(); out NULL: count only. */
static size_t collect(const struct state *s, int64_t now_ms, size_t max, size_t longest, const struct slot **cursor,
                      char *out)
{
    const struct slot *slot = next_slot(s, *cursor);
    size_t len = 0;

    for (; slot && due_age(&s->due, &slot->due) > 0 && len < max; slot = next_slot(s, slot)) {
        const struct event *e = slot->event;
        bool wanted = is_kept(slot) && now_ms < event_expires_ms(e) && e->entry.len <= longest;
        if (wanted && len && len + e->entry.len > max)
            break;
        if (wanted && out)
            put_slice(out + len, e->entry);
        len += wanted ? e->entry.len : 0;
        *cursor = slot;
    }
    return len;
}

size_t state_collect(const struct state *s, int64_t now_ms, size_t max, size_t longest, const void **cursor, char **out)
{
    const struct slot *at = *cursor, *again = *cursor;
    size_t len = collect(s, now_ms, max, longest, &at, NULL);

    *out = len ? malloc(len) : NULL;
    if (!*out)
        return 0;

    MUST(collect(s, now_ms, max, longest, &again, *out) == len && again == at);
    *cursor = at;
    return len;
}

void state_doubt(struct state *s, uint64_t position)
{
    due_doubt(&s->due, position);
}

/* e was superseded, and may have left the index since. There is room. */
static void revive_in(struct index *index, struct event *e)
{
    if (!deque_has(&index->deque, e)) {
        put(index, e);
        return;
    }
    MUST(index->superseded > 0);
    index->superseded--;
}

/* Make e, which was superseded, the event of its key again. The key has none. Without memory it
 * stays without: a record of another broker gives it the event. */
static void revive(struct state *s, struct event *e)
{
    MUST(e->superseded && !find_slot(s, e));
    drop_void(s, e->seq);
    struct index *index = reserve_room(s, e);
    struct slot *slot = index ? insert_slot(s, e) : NULL;
    if (!slot) {
        drop_empty(s, e);
        return;
    }

    revive_in(&s->all, e);
    revive_in(index, e);
    e->superseded = false;
    fill_slot(s, slot, e, e->seq);
    slot->settled = e->seq;
    note_record(s, slot, e->seq);
    due_hurry(&s->due, &slot->due);
}

void state_undo(struct state *s, struct event *before, const struct event *after)
{
    struct slot *slot = find_slot(s, after);
    MUST(s->held && !s->change_count);
    if (slot && slot->seq != after->seq)
        return;

    if (slot)
        forget_slot(s, slot);
    if (before)
        revive(s, before);
}

void state_distrust(struct state *s)
{
    due_distrust(&s->due);
}

void state_revoke(struct state *s, uint64_t position)
{
    struct slot *next;
    for (struct slot *slot = next_slot(s, NULL); slot; slot = next) {
        next = next_slot(s, slot);
        if (slot->event && slot->seq > position)
            forget_slot(s, slot);
    }
}

/* --- reading --- */

static void add_sources(const struct state *s, const struct audience *who, uint64_t after, struct merge *m)
{
    const struct index *index;

    m->count = 0;
    if (!who || who->every_channel) {
        merge_add(m, &s->all.deque, after);
        return;
    }

    merge_add(m, &s->everyone.deque, after);
    if (who->session.len && (index = table_find(s->sessions, who->session)))
        merge_add(m, &index->deque, after);
    for (size_t i = 0; i < who->channels.count; i++)
        if ((index = table_find(s->channels, who->channels.items[i])))
            merge_add(m, &index->deque, after);
}

static bool passes(const struct event *e, const struct history_filter *filter)
{
    return !e->superseded && filter->now_ms < event_expires_ms(e) && history_concerns(filter, e);
}

void state_each(const struct state *s, const struct history_filter *filter,
                void (*visit)(void *context, struct event *e), void *context)
{
    struct merge merge;

    add_sources(s, filter->who, 0, &merge);
    for (struct event *e; (e = merge_next(&merge));)
        if (passes(e, filter))
            visit(context, e);
}

size_t state_read(const struct state *s, const struct history_filter *filter, uint64_t after, uint64_t upto,
                  struct event **out, size_t max, size_t max_bytes)
{
    struct merge merge;
    size_t found = 0, bytes = 0;

    add_sources(s, filter->who, after, &merge);
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
    char name[SLOT_NAME_MAX], room[EVENT_KEY_MAX];
    struct slice key = event_member_key(session, room);
    const struct slot *slot = table_find(s->slots, put_slot_name(name, TARGET_CHANNEL, channel, key));
    return slot ? slot->event : NULL;
}

uint64_t state_members(const struct state *s, struct slice channel)
{
    const struct index *index = table_find(s->channels, channel);
    return index ? index->members : 0;
}

struct event *state_text(struct state *s, struct event *e)
{
    struct slot *slot = find_slot(s, e);
    if (!slot || slot->event != e)
        return NULL;

    if (!slot->text)
        slot->text = event_without_id(e);
    return slot->text;
}

uint64_t state_count(const struct state *s)
{
    return s->count;
}

bool state_is_empty(const struct state *s)
{
    return !s->all.deque.count;
}

uint64_t state_bytes(const struct state *s)
{
    return s->bytes;
}

/* --- life --- */

struct state *state_new(void)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;

    due_init(&s->due);
    s->slots = table_new(sizeof(struct slot));
    s->sessions = table_new(sizeof(struct index));
    s->channels = table_new(sizeof(struct index));
    if (!s->slots || !s->sessions || !s->channels)
        state_free(&s);
    return s;
}

static void clear_index(struct index *index)
{
    for (struct event *e; (e = deque_pop_front(&index->deque));)
        event_unref(&e);
    deque_release(&index->deque);
    index->superseded = 0;
}

static void clear_indexes(struct table *t)
{
    for (struct index *index = t ? table_next(t, NULL) : NULL, *next; index; index = next) {
        next = table_next(t, index);
        clear_index(index);
        table_remove(t, index);
    }
}

void state_clear(struct state *s)
{
    while (s->change_count)
        drop_change(s);

    for (struct slot *slot = s->slots ? table_next(s->slots, NULL) : NULL, *next; slot; slot = next) {
        next = table_next(s->slots, slot);
        fill_slot(s, slot, NULL, 0);
        remove_slot(s, slot);
    }
    clear_index(&s->all);
    clear_index(&s->everyone);
    clear_indexes(s->sessions);
    clear_indexes(s->channels);
    MUST(!s->count && !s->bytes);
}

void state_free(struct state **s)
{
    if (!*s)
        return;

    state_clear(*s);
    table_free(&(*s)->slots);
    table_free(&(*s)->sessions);
    table_free(&(*s)->channels);
    expiry_release(&(*s)->ends);
    free((*s)->changes);
    free(*s);
    *s = NULL;
}
