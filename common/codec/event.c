/* event.c - an event as a value: references, its names, its text with another id. */
#include "codec/event.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/must.h"
#include "codec/event_entry.h"
#include "codec/event_index.h"

struct event *event_room(size_t entry_size, size_t names)
{
    const size_t unit = sizeof(uint32_t);
    size_t entry_room = (entry_size + unit - 1) / unit * unit;
    uint32_t slots = event_index_slots(names);
    struct event *e = malloc(sizeof *e + entry_room + slots * unit);
    if (!e)
        return NULL;

    *e = (struct event){.refs = 1, .entry = {e->bytes, entry_size}, .index_slots = slots};
    if (slots)
        e->index = (uint32_t *)((char *)(e + 1) + entry_room);
    return e;
}

struct event *event_text_room(size_t len)
{
    struct event *e = malloc(sizeof *e + len);
    if (e)
        *e = (struct event){.refs = 1, .kind = EVENT_TEXT, .text = {e->bytes, len}};
    return e;
}

struct event *event_text(struct slice text)
{
    struct event *e = event_text_room(text.len);
    if (e)
        put_slice(e->bytes, text);
    return e;
}

struct event *event_ref(struct event *e)
{
    e->refs++;
    return e;
}

void event_unref(struct event **e)
{
    if (*e && --(*e)->refs == 0)
        free(*e);
    *e = NULL;
}

bool event_shows_id(const struct event *e)
{
    return e->id.len && !e->seq_as_id;
}

bool event_next_name(const struct event *e, enum event_list list, size_t *cursor,
                     struct slice *name)
{
    /* The cursor is 0 before the first name, then the offset of the next one. */
    size_t at = *cursor ? *cursor : e->offsets[list];
    if (!e->counts[list] || at >= event_list_end(e, list))
        return false;
    *name = event_name_at(e, at);
    *cursor = at + 2 + name->len;
    return true;
}

int64_t event_expires_ms(const struct event *e)
{
    return e->ttl_s ? e->time_ms + (int64_t)e->ttl_s * 1000 : INT64_MAX;
}

struct event *event_without_id(const struct event *e)
{
    static const char field[] = "id:";
    struct slice text = e->text;
    const char *end = memchr(text.data, '\n', text.len);

    if (end && memcmp(text.data, field, sizeof field - 1) == 0)
        text = (struct slice){end + 1, text.len - (size_t)(end + 1 - text.data)};
    return event_text(text);
}

struct event *event_with_id(const struct event *e, struct slice id)
{
    static const char field[] = "id: ", end[] = "\n";
    struct event *bare = event_without_id(e);
    struct event *out =
        bare ? event_text_room(sizeof field + sizeof end - 2 + id.len + bare->text.len) : NULL;
    if (out) {
        char *p = put_slice(out->bytes, slice_of(field));
        p = put_slice(p, id);
        p = put_slice(p, slice_of(end));
        p = put_slice(p, bare->text);
        MUST((size_t)(p - out->bytes) == out->text.len);
        out->seq = e->seq;
        out->time_ms = e->time_ms;
    }
    event_unref(&bare);
    return out;
}
