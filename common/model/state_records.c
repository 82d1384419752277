#include "model/state_records.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"
#include "model/state_data.h"

/* Forget keys that no record has confirmed for a whole log. */
static void forget_stale(struct state *s)
{
    struct due_item *next;
    for (struct due_item *item = due_next_stale(&s->keys.due, NULL); item; item = next) {
        next = due_next_stale(&s->keys.due, item);
        state_forget_slot(s, state_slot_of(item));
    }
}

void state_next_quarter(struct state *s)
{
    due_next_quarter(&s->keys.due);
    if (!s->change_count)
        forget_stale(s);
}

/* A record that is ours to write again. */
static bool is_kept(const struct state_slot *slot)
{
    return slot->event && !slot->due.distrusted && slot->settled == slot->seq;
}

int64_t state_record_age(const struct state *s)
{
    const struct state_slot *slot = state_slots_next(&s->keys, NULL);
    while (slot && !is_kept(slot))
        slot = state_slots_next(&s->keys, slot);
    return slot ? due_age(&s->keys.due, &slot->due) : -1;
}

/* As state_collect(); out NULL: count only. */
static size_t collect_slots(const struct state *s, int64_t now_ms, size_t max, size_t longest,
                            const struct state_slot **cursor, char *out)
{
    const struct state_slot *slot = state_slots_next(&s->keys, *cursor);
    size_t len = 0;

    for (; slot && due_age(&s->keys.due, &slot->due) > 0 && len < max;
         slot = state_slots_next(&s->keys, slot)) {
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

size_t state_collect(const struct state *s, int64_t now_ms, size_t max, size_t longest,
                     const void **cursor, char **out)
{
    const struct state_slot *at = *cursor, *again = *cursor;
    size_t len = collect_slots(s, now_ms, max, longest, &at, NULL);

    *out = len ? malloc(len) : NULL;
    if (!*out)
        return 0;

    MUST(collect_slots(s, now_ms, max, longest, &again, *out) == len && again == at);
    *cursor = at;
    return len;
}

void state_doubt(struct state *s, uint64_t position)
{
    due_doubt(&s->keys.due, position);
}

/* Make e the event of its key again. Without memory the key stays without one: a record of another
 * broker gives it the event. */
static void revive(struct state *s, struct event *e)
{
    struct state_slot *slot = state_revive_key(s, e);
    if (!slot)
        return;

    state_note_record(s, slot, e->seq);
    due_hurry(&s->keys.due, &slot->due);
}

void state_undo(struct state *s, struct event *before, const struct event *after)
{
    struct state_slot *slot = state_slots_find(&s->keys, after);
    MUST(s->held && !s->change_count);
    if (slot && slot->seq != after->seq)
        return;

    if (slot)
        state_forget_slot(s, slot);
    if (before)
        revive(s, before);
}

void state_distrust(struct state *s)
{
    due_distrust(&s->keys.due);
}

void state_revoke(struct state *s, uint64_t position)
{
    struct state_slot *next;
    for (struct state_slot *slot = state_slots_next(&s->keys, NULL); slot; slot = next) {
        next = state_slots_next(&s->keys, slot);
        if (slot->event && slot->seq > position)
            state_forget_slot(s, slot);
    }
}
