/* event_parse.c - reads an entry of any peer: of a broker, of a store, of a shared log. */
#include <stdlib.h>
#include <string.h>

#include "codec/event.h"
#include "codec/event_entry.h"
#include "codec/event_index.h"
#include "codec/event_key.h"
#include "codec/event_record.h"

#define TIME_MAX_MS (INT64_MAX / 4) /* unix time: sums of times and durations do not overflow */

/* Find where each list of names begins. Returns what follows the names, or NULL when they do not
 * fit before end. */
static const char *scan_names(struct event *e, const char *p, const char *end)
{
    for (int list = 0; list < EVENT_LISTS; list++) {
        e->counts[list] = get_u16(e->bytes + 32 + 2 * list);
        e->offsets[list] = (uint32_t)(p - e->bytes);
        for (uint16_t i = 0; i < e->counts[list]; i++) {
            if (end - p < 2)
                return NULL;
            size_t len = get_u16(p);
            if (!len || len > NAME_BYTES_MAX || (size_t)(end - p) < 2 + len)
                return NULL;
            p += 2 + len;
        }
    }
    return p;
}

/* Find the own id, its publisher and the key. Returns what follows them, or NULL when they are not
 * as event_new() writes them. */
static const char *scan_id(struct event *e)
{
    const char *head = e->bytes;
    size_t id_len = get_u16(head + 6), publisher_len = get_u16(head + 44),
           key_len = get_u16(head + 46);

    if (id_len > NAME_BYTES_MAX || publisher_len > EVENT_PUBLISHER_MAX || key_len > EVENT_KEY_MAX)
        return NULL;

    if (e->entry.len - EVENT_ENTRY_MIN < id_len + publisher_len + key_len)
        return NULL;

    if (!id_len && (publisher_len || e->seq_as_id))
        return NULL;

    e->id = (struct slice){head + EVENT_ENTRY_MIN, id_len};
    e->publisher = (struct slice){e->id.data + id_len, publisher_len};
    e->key = (struct slice){e->publisher.data + publisher_len, key_len};
    return e->key.data + key_len;
}

/* Read the seconds in the head. False when its kind has none. */
static bool scan_seconds(struct event *e)
{
    uint32_t seconds = get_u32(e->bytes + 24);

    e->block_s = e->kind == EVENT_SHUTDOWN ? seconds : 0;
    e->ttl_s = e->kind == EVENT_MESSAGE ? seconds : 0;
    return e->block_s + e->ttl_s == seconds && e->ttl_s <= EVENT_TTL_MAX;
}

/* e->bytes holds a whole entry of e->entry.len bytes: fill in the rest. */
static bool scan_entry(struct event *e)
{
    const char *head = e->bytes, *end = e->bytes + e->entry.len;
    size_t text_len = get_u32(head + 28);
    e->kind = (enum event_kind)head[4];
    e->has_to = head[5] & ENTRY_HAS_TO;
    e->seq_as_id = (head[5] & ENTRY_SEQ_AS_ID) != 0;
    e->seq = get_u64(head + 8);
    e->time_ms = (int64_t)get_u64(head + 16);
    e->remove = (head[5] & ENTRY_REMOVE) != 0;
    e->is_private = (head[5] & ENTRY_PRIVATE) != 0;
    bool known = e->kind == EVENT_MESSAGE || e->kind == EVENT_SHUTDOWN;
    if ((!known && !event_is_record(e)) || e->seq == 0 || e->time_ms < 0 ||
        e->time_ms > TIME_MAX_MS || !scan_seconds(e))
        return false;
    const char *names = scan_id(e);
    const char *text = names ? scan_names(e, names, end) : NULL;
    if (!text || (size_t)(end - text) != text_len)
        return false;
    e->text = (struct slice){text, text_len};
    event_index_fill(e);
    if (e->is_private && !event_may_be_private(e))
        return false;
    return event_key_fits(e) && (!event_is_record(e) || event_record_is_whole(e));
}

/* How many names the head says are in the lists. More than an entry of this size can hold are
 * none: the entry will be refused. */
static size_t names_in_head(const char *head, size_t size)
{
    size_t names = 0;
    for (enum event_list list = TO_SESSIONS; list < EVENT_LISTS; list++)
        names += get_u16(head + 32 + 2 * list);

    return names * ENTRY_NAME_MIN <= size ? names : 0;
}

struct event *event_parse(struct slice bytes, size_t *used)
{
    *used = 0;
    if (bytes.len < EVENT_ENTRY_MIN)
        return NULL;
    size_t size = get_u32(bytes.data);
    if (size < EVENT_ENTRY_MIN || size > bytes.len)
        return NULL;
    struct event *e = event_room(size, names_in_head(bytes.data, size));
    if (!e)
        return NULL;
    memcpy(e->bytes, bytes.data, size);
    if (!scan_entry(e)) {
        free(e);
        return NULL;
    }
    *used = size;
    return e;
}
