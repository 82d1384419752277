/* event_encode.c - builds an event: its entry is written once and kept as a whole, and its fields
 * point into it. So storing, sending and replaying an event copies bytes and parses nothing. */
#include <string.h>

#include "base/digits.h"
#include "base/must.h"
#include "codec/event.h"
#include "codec/event_entry.h"
#include "codec/event_index.h"
#include "codec/event_key.h"
#include "codec/event_record.h"
#include "codec/sse.h"

static size_t encoded_names_size(const struct names *lists)
{
    size_t size = 0;
    for (int list = 0; list < EVENT_LISTS; list++)
        for (size_t i = 0; i < lists[list].count; i++)
            size += 2 + lists[list].items[i].len;
    return size;
}

static size_t count_names(const struct names *lists)
{
    size_t count = 0;
    for (int list = 0; list < EVENT_LISTS; list++)
        count += lists[list].count;
    return count;
}

static bool spec_fits(const struct event_spec *spec, size_t size)
{
    for (int list = 0; list < EVENT_LISTS; list++)
        if (spec->lists[list].count > EVENT_LIST_MAX)
            return false;

    return size <= ENTRY_MAX && spec->id.len <= NAME_BYTES_MAX &&
           spec->publisher.len <= EVENT_PUBLISHER_MAX && spec->key.len <= EVENT_KEY_MAX;
}

static char *put_names(char *p, struct event *e, const struct names *lists)
{
    for (int list = 0; list < EVENT_LISTS; list++) {
        e->counts[list] = (uint16_t)lists[list].count;
        e->offsets[list] = (uint32_t)(p - e->bytes);
        for (size_t i = 0; i < lists[list].count; i++) {
            put_u16(p, (uint16_t)lists[list].items[i].len);
            p = put_slice(p + 2, lists[list].items[i]);
        }
    }
    return p;
}

static void put_head(char *p, const struct event *e)
{
    memset(p, 0, EVENT_ENTRY_MIN);
    put_u32(p, (uint32_t)e->entry.len);
    p[4] = (char)e->kind;
    p[5] = (char)(ENTRY_HAS_TO * e->has_to | ENTRY_SEQ_AS_ID * e->seq_as_id |
                  ENTRY_REMOVE * e->remove | ENTRY_PRIVATE * e->is_private);
    put_u16(p + 6, (uint16_t)e->id.len);
    put_u64(p + 8, e->seq);
    put_u64(p + 16, (uint64_t)e->time_ms);
    put_u32(p + 24, e->kind == EVENT_SHUTDOWN ? e->block_s : e->ttl_s);
    put_u32(p + 28, (uint32_t)e->text.len);
    for (int list = 0; list < EVENT_LISTS; list++)
        put_u16(p + 32 + 2 * list, e->counts[list]);
    put_u16(p + 44, (uint16_t)e->publisher.len);
    put_u16(p + 46, (uint16_t)e->key.len);
}

/* The id: line's value: the publisher's own id, else the seq; empty for our own events. */
static struct slice id_line(const struct event_spec *spec, char digits[DIGITS_MAX])
{
    if (spec->kind == EVENT_SHUTDOWN)
        return (struct slice){0};

    if (spec->id.len && !spec->seq_as_id)
        return spec->id;

    return digits_plain(spec->seq, digits);
}

static struct event *encode_record(const struct event_spec *spec)
{
    size_t size = EVENT_ENTRY_MIN + spec->data.len;
    struct event *e = size <= ENTRY_MAX ? event_room(size, 0) : NULL;
    if (!e)
        return NULL;

    e->seq = spec->seq;
    e->time_ms = spec->time_ms;
    e->kind = spec->kind;
    e->has_to = true;
    put_names(e->bytes + EVENT_ENTRY_MIN, e, (struct names[EVENT_LISTS]){{0}});
    put_slice(e->bytes + EVENT_ENTRY_MIN, spec->data);
    e->text = (struct slice){e->bytes + EVENT_ENTRY_MIN, spec->data.len};
    put_head(e->bytes, e);
    MUST(spec->kind != EVENT_BANS || event_record_is_whole(e));
    return e;
}

struct event *event_new(const struct event_spec *spec)
{
    if (spec->kind == EVENT_BANS || spec->kind == EVENT_STATE)
        return encode_record(spec);

    char digits[DIGITS_MAX];
    struct sse_block block = {
        .id = id_line(spec, digits),
        .event = spec->event,
        .data = spec->data,
        .has_data = true,
        .has_retry = spec->has_retry,
        .retry = spec->retry,
    };
    struct slice publisher = spec->id.len ? spec->publisher : (struct slice){0};
    size_t text_len = sse_encoded_size(&block);
    size_t size = EVENT_ENTRY_MIN + spec->id.len + publisher.len + spec->key.len +
                  encoded_names_size(spec->lists) + text_len;
    if (!spec_fits(spec, size))
        return NULL;

    struct event *e = event_room(size, count_names(spec->lists));
    if (!e)
        return NULL;

    e->seq = spec->seq;
    e->time_ms = spec->time_ms;
    e->kind = spec->kind;
    e->block_s = spec->block_s;
    e->ttl_s = spec->ttl_s;
    e->remove = spec->remove;
    e->is_private = spec->is_private;
    e->has_to = spec->has_to;
    e->seq_as_id = spec->id.len && spec->seq_as_id;
    char *p = e->bytes + EVENT_ENTRY_MIN;
    e->id = (struct slice){p, spec->id.len};
    p = put_slice(p, spec->id);
    e->publisher = (struct slice){p, publisher.len};
    p = put_slice(p, publisher);
    e->key = (struct slice){p, spec->key.len};
    p = put_slice(p, spec->key);
    p = put_names(p, e, spec->lists);
    e->text = (struct slice){p, sse_encode(&block, p)};
    put_head(e->bytes, e);
    event_index_fill(e);
    MUST(event_key_fits(e) && (!e->is_private || event_may_be_private(e)));
    return e;
}
