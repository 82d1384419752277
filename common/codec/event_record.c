/* event_record.c - a record holds messages only. That is looked at before an entry is parsed:
 * records within records would be parsed by recursion: a message of 1 MB would take 10 GB. */
#include "codec/event_record.h"

#include "base/bytes.h"
#include "base/must.h"

#define BAN_SIZE 10u /* beside the name */

size_t event_ban_size(struct slice session)
{
    return BAN_SIZE + session.len;
}

void event_put_ban(char *out, struct slice session, int64_t until_ms)
{
    put_u16(out, (uint16_t)session.len);
    put_u64(put_slice(out + 2, session), (uint64_t)until_ms);
}

/* The ban at the start of bytes. The size of it; 0: there is no whole one. */
static size_t ban_at(struct slice bytes, struct slice *session, int64_t *until_ms)
{
    if (bytes.len < BAN_SIZE)
        return 0;

    size_t len = get_u16(bytes.data);
    if (!len || len > NAME_BYTES_MAX || bytes.len < BAN_SIZE + len)
        return 0;

    *session = (struct slice){bytes.data + 2, len};
    *until_ms = (int64_t)get_u64(bytes.data + 2 + len);
    return *until_ms < 0 ? 0 : BAN_SIZE + len;
}

bool event_next_ban(const struct event *e, size_t *cursor, struct slice *session, int64_t *until_ms)
{
    if (e->kind != EVENT_BANS)
        return false;

    MUST(*cursor <= e->text.len);
    size_t size =
        ban_at((struct slice){e->text.data + *cursor, e->text.len - *cursor}, session, until_ms);
    *cursor += size;
    return size > 0;
}

static bool begins_message(struct slice entries)
{
    return entries.len >= EVENT_ENTRY_MIN && entries.data[4] == EVENT_MESSAGE;
}

struct event *event_next_entry(const struct event *e, size_t *cursor)
{
    size_t used;
    if (e->kind != EVENT_STATE)
        return NULL;

    MUST(*cursor <= e->text.len);
    struct slice rest = {e->text.data + *cursor, e->text.len - *cursor};
    struct event *one = begins_message(rest) ? event_parse(rest, &used) : NULL;
    if (one && (!one->key.len || one->remove || one->seq >= e->seq))
        event_unref(&one);
    if (one)
        *cursor += used;
    return one;
}

/* The length of the bans or entries at the start of the text. */
static size_t record_length(const struct event *e)
{
    struct slice session;
    int64_t until_ms;
    size_t cursor = 0;

    while (event_next_ban(e, &cursor, &session, &until_ms))
        continue;
    for (struct event *one; (one = event_next_entry(e, &cursor));)
        event_unref(&one);
    return cursor;
}

bool event_record_is_whole(const struct event *e)
{
    for (int list = 0; list < EVENT_LISTS; list++)
        if (e->counts[list])
            return false;
    return e->has_to && !e->id.len && !e->key.len && record_length(e) == e->text.len;
}
