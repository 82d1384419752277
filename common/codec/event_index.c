/* event_index.c - a hash table with open addressing, behind the entry.
 * A slot is the offset of a name in the entry, or 0. */
#include "codec/event_index.h"

#include <string.h>

#include "base/hash.h"
#include "codec/event_entry.h"

#define INDEX_NAMES_MIN 16u /* fewer names are compared one by one */

uint32_t event_index_slots(size_t names)
{
    if (names < INDEX_NAMES_MIN)
        return 0;

    uint32_t slots = 1;
    while (slots < 2 * names)
        slots *= 2;
    return slots;
}

/* Is the name at this offset of the entry one of the list? */
static bool in_list(const struct event *e, enum event_list list, size_t offset)
{
    return offset >= e->offsets[list] && offset < event_list_end(e, list);
}

/* The slot of this name, which is 0 when the list does not have it. */
static uint32_t *index_slot(const struct event *e, enum event_list list, struct slice name)
{
    uint32_t mask = e->index_slots - 1;
    uint32_t at = (uint32_t)hash_keyed(name) & mask;

    while (e->index[at] &&
           !(in_list(e, list, e->index[at]) && slice_equal(event_name_at(e, e->index[at]), name)))
        at = (at + 1) & mask;
    return &e->index[at];
}

/* A name that is there twice takes one slot. */
void event_index_fill(struct event *e)
{
    size_t cursor;
    struct slice name;

    if (!e->index)
        return;

    memset(e->index, 0, e->index_slots * sizeof *e->index);
    for (enum event_list list = TO_SESSIONS; list < EVENT_LISTS; list++)
        for (cursor = 0; event_next_name(e, list, &cursor, &name);)
            *index_slot(e, list, name) = (uint32_t)(name.data - 2 - e->bytes);
}

size_t event_index_bytes(const struct event *e)
{
    return e->index_slots * sizeof *e->index;
}

bool event_index_has(const struct event *e, enum event_list list, struct slice name)
{
    if (e->index)
        return *index_slot(e, list, name) != 0;

    size_t cursor = 0;
    struct slice one;
    while (event_next_name(e, list, &cursor, &one))
        if (slice_equal(one, name))
            return true;
    return false;
}
