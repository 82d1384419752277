#include "model/state_slots.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/must.h"
#include "codec/event_key.h"

#define SLOT_NAME_MAX (2 + NAME_BYTES_MAX + EVENT_KEY_MAX)

/* The length keeps target and key apart. */
static struct slice put_slot_name(char *out, const struct event_place *place, struct slice key)
{
    MUST(place->name.len <= NAME_BYTES_MAX && key.len <= EVENT_KEY_MAX);
    out[0] = (char)(2 * (int)place->kind + place->is_private);
    out[1] = (char)place->name.len;
    char *end = put_slice(put_slice(out + 2, place->name), key);
    return (struct slice){out, (size_t)(end - out)};
}

static struct slice slot_name(const struct event *e, char out[SLOT_NAME_MAX])
{
    struct event_place place = event_place_of(e);
    return put_slot_name(out, &place, e->key);
}

struct state_slot *state_slots_find(const struct state_slots *set, const struct event *e)
{
    char name[SLOT_NAME_MAX];
    return table_find(set->slots, slot_name(e, name));
}

struct state_slot *state_slots_find_member(const struct state_slots *set, struct slice channel,
                                           struct slice session)
{
    char name[SLOT_NAME_MAX], room[EVENT_KEY_MAX];
    struct slice key = event_member_key(session, room);
    struct event_place place = {.kind = TARGET_CHANNEL, .name = channel};
    return table_find(set->slots, put_slot_name(name, &place, key));
}

struct state_slot *state_slots_insert(struct state_slots *set, const struct event *e)
{
    char name[SLOT_NAME_MAX];
    return table_insert(set->slots, slot_name(e, name));
}

void state_slots_remove(struct state_slots *set, struct state_slot *slot)
{
    MUST(!slot->event && !slot->text && !slot->expiry.place);
    due_drop(&set->due, &slot->due);
    table_remove(set->slots, slot);
}

void state_slots_fill(struct state_slots *set, struct state_slot *slot, struct event *e,
                      uint64_t seq)
{
    expiry_remove(&set->ends, &slot->expiry);
    event_unref(&slot->text);
    slot->event = e;
    slot->seq = seq;
    if (e && e->ttl_s)
        MUST(expiry_add(&set->ends, &slot->expiry, event_expires_ms(e)) == 0);
}

int state_slots_reserve_end(struct state_slots *set)
{
    struct expiry_item probe = {0};
    int err = expiry_add(&set->ends, &probe, INT64_MAX);

    if (!err)
        expiry_remove(&set->ends, &probe);
    return err;
}

struct state_slot *state_slots_first_end(const struct state_slots *set)
{
    return (struct state_slot *)expiry_first(&set->ends);
}

struct state_slot *state_slot_of(struct due_item *item)
{
    return item ? DUE_OWNER(item, struct state_slot, due) : NULL;
}

struct state_slot *state_slots_next(const struct state_slots *set, const struct state_slot *slot)
{
    return state_slot_of(due_next(&set->due, slot ? &slot->due : NULL));
}

int state_slots_init(struct state_slots *set)
{
    due_init(&set->due);
    set->slots = table_new(sizeof(struct state_slot));
    return set->slots ? 0 : -ENOMEM;
}

void state_slots_release(struct state_slots *set)
{
    MUST(!set->slots || table_count(set->slots) == 0);
    table_free(&set->slots);
    expiry_release(&set->ends);
}
