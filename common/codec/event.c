/* The entry is encoded once and kept as a whole; parsed fields point into it. So storing,
 * sending and replaying an event copies bytes and parses nothing. */
#include "codec/event.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/digits.h"
#include "base/hash.h"
#include "base/must.h"
#include "codec/sse.h"

#define FLAG_HAS_TO 1
#define FLAG_SEQ_AS_ID 2
#define FLAG_REMOVE 4
#define FLAG_PRIVATE 8
#define ENTRY_MAX ((size_t)UINT32_MAX)
#define TIME_MAX_MS (INT64_MAX / 4) /* unix time: sums of times and durations do not overflow */

/* --- the index of `except` --- */

/* A replay asks every event whether it excludes the reader. So the names of a long `except` are
 * found by their hash. The index is a hash table with open addressing, behind the entry. A slot
 * is the offset of a name in the entry, or 0. */
#define INDEX_NAMES_MIN 16u /* fewer names are compared one by one */
#define ENTRY_NAME_MIN 3u   /* bytes of a name in an entry: its length and one character */

/* The number of slots, a power of two, for this number of names. */
static uint32_t slots_for(size_t names)
{
    if (names < INDEX_NAMES_MIN)
        return 0;

    uint32_t slots = 1;
    while (slots < 2 * names)
        slots *= 2;
    return slots;
}

/* An event with room for an entry of this size that names `excepted` names in its `except`
 * lists. NULL when out of memory. */
static struct event *event_room(size_t entry_size, size_t excepted)
{
    const size_t unit = sizeof(uint32_t);
    size_t entry_room = (entry_size + unit - 1) / unit * unit;
    uint32_t slots = slots_for(excepted);
    struct event *e = malloc(sizeof *e + entry_room + slots * unit);
    if (!e)
        return NULL;

    *e = (struct event){.refs = 1, .entry = {e->bytes, entry_size}, .index_slots = slots};
    if (slots)
        e->index = (uint32_t *)((char *)(e + 1) + entry_room);
    return e;
}

static struct slice name_at(const struct event *e, size_t offset)
{
    return (struct slice){e->bytes + offset + 2, get_u16(e->bytes + offset)};
}

/* The offset behind the last name of the list. */
static size_t list_end(const struct event *e, enum event_list list)
{
    return list + 1 < EVENT_LISTS ? e->offsets[list + 1] : (size_t)(e->text.data - e->bytes);
}

/* Is the name at this offset of the entry one of the list? */
static bool in_list(const struct event *e, enum event_list list, size_t offset)
{
    return offset >= e->offsets[list] && offset < list_end(e, list);
}

/* The slot of this name, which is 0 when the list does not have it. */
static uint32_t *index_slot(const struct event *e, enum event_list list, struct slice name)
{
    uint32_t mask = e->index_slots - 1;
    uint32_t at = (uint32_t)hash_keyed(name) & mask;

    while (e->index[at] && !(in_list(e, list, e->index[at]) && slice_equal(name_at(e, e->index[at]), name)))
        at = (at + 1) & mask;
    return &e->index[at];
}

/* Fill the index, when there is one: the entry is whole by now. A name that is there twice takes
 * one slot. */
static void index_excepts(struct event *e)
{
    size_t cursor;
    struct slice name;

    if (!e->index)
        return;

    memset(e->index, 0, e->index_slots * sizeof *e->index);
    for (enum event_list list = EXCEPT_SESSIONS; list <= EXCEPT_CONNECTIONS; list++)
        for (cursor = 0; event_next_name(e, list, &cursor, &name);)
            *index_slot(e, list, name) = (uint32_t)(name.data - 2 - e->bytes);
}

size_t event_index_bytes(const struct event *e)
{
    return e->index_slots * sizeof *e->index;
}

static size_t names_size(const struct names *lists)
{
    size_t size = 0;
    for (int list = 0; list < EVENT_LISTS; list++)
        for (size_t i = 0; i < lists[list].count; i++)
            size += 2 + lists[list].items[i].len;
    return size;
}

static size_t excepted_names(const struct names *lists)
{
    return lists[EXCEPT_SESSIONS].count + lists[EXCEPT_CHANNELS].count + lists[EXCEPT_CONNECTIONS].count;
}

static bool fits(const struct event_spec *spec, size_t size)
{
    for (int list = 0; list < EVENT_LISTS; list++)
        if (spec->lists[list].count > EVENT_LIST_MAX)
            return false;

    return size <= ENTRY_MAX && spec->id.len <= NAME_BYTES_MAX && spec->publisher.len <= EVENT_PUBLISHER_MAX &&
           spec->key.len <= EVENT_KEY_MAX;
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
    p[5] = (char)(FLAG_HAS_TO * e->has_to | FLAG_SEQ_AS_ID * e->seq_as_id | FLAG_REMOVE * e->remove |
                  FLAG_PRIVATE * e->is_private);
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

/* --- bans --- */

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
static size_t read_ban(struct slice bytes, struct slice *session, int64_t *until_ms)
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
    size_t size = read_ban((struct slice){e->text.data + *cursor, e->text.len - *cursor}, session, until_ms);
    *cursor += size;
    return size > 0;
}

/* A record holds messages only. That is looked at before an entry is parsed: records within records
 * would be parsed by recursion: a message of 1 MB would take 10 GB. */
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

/* True when the text holds nothing but bans or entries and the event has no targets. */
static bool is_whole_record(const struct event *e)
{
    for (int list = 0; list < EVENT_LISTS; list++)
        if (e->counts[list])
            return false;
    return e->has_to && !e->id.len && !e->key.len && record_length(e) == e->text.len;
}

/* --- keys --- */

int64_t event_expires_ms(const struct event *e)
{
    return e->ttl_s ? e->time_ms + (int64_t)e->ttl_s * 1000 : INT64_MAX;
}

static bool one_target(bool has_to, size_t sessions, size_t channels, size_t others)
{
    return !others && sessions + channels == (has_to ? 1 : 0);
}

bool event_key_allows(bool has_to, const struct names lists[EVENT_LISTS])
{
    size_t others = lists[TO_CONNECTIONS].count + excepted_names(lists);
    return one_target(has_to, lists[TO_SESSIONS].count, lists[TO_CHANNELS].count, others);
}

#define MEMBER_MARK '\x01' /* not in names */

struct slice event_member_key(struct slice session, char *out)
{
    MUST(session.len <= NAME_BYTES_MAX);
    out[0] = MEMBER_MARK;
    put_slice(out + 1, session);
    return (struct slice){out, 1 + session.len};
}

bool event_is_member_key(struct slice key, struct slice *session)
{
    if (!key.len || key.data[0] != MEMBER_MARK)
        return false;

    *session = (struct slice){key.data + 1, key.len - 1};
    return true;
}

/* An event has a key and a target that goes with it, or nothing that goes with a key. */
static bool key_fits_target(const struct event *e)
{
    size_t others = e->counts[TO_CONNECTIONS];
    for (enum event_list list = EXCEPT_SESSIONS; list <= EXCEPT_CONNECTIONS; list++)
        others += e->counts[list];

    if (!e->key.len)
        return !e->remove;
    return e->kind == EVENT_MESSAGE && one_target(e->has_to, e->counts[TO_SESSIONS], e->counts[TO_CHANNELS], others);
}

/* An event for everyone cannot be private: there is no target to grant. */
static bool private_fits_target(const struct event *e)
{
    return e->kind == EVENT_MESSAGE && e->has_to;
}

enum event_target event_key_target(const struct event *e, struct slice *name)
{
    size_t session = 0, channel = 0;
    *name = (struct slice){0};

    MUST(e->key.len);
    if (event_next_name(e, TO_SESSIONS, &session, name))
        return TARGET_SESSION;
    return event_next_name(e, TO_CHANNELS, &channel, name) ? TARGET_CHANNEL : TARGET_EVERYONE;
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
    struct event *out = bare ? event_text_room(sizeof field + sizeof end - 2 + id.len + bare->text.len) : NULL;
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

static struct event *new_record(const struct event_spec *spec)
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
    MUST(spec->kind != EVENT_BANS || is_whole_record(e));
    return e;
}

struct event *event_new(const struct event_spec *spec)
{
    if (spec->kind == EVENT_BANS || spec->kind == EVENT_STATE)
        return new_record(spec);

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
    size_t size = EVENT_ENTRY_MIN + spec->id.len + publisher.len + spec->key.len + names_size(spec->lists) + text_len;
    if (!fits(spec, size))
        return NULL;

    struct event *e = event_room(size, excepted_names(spec->lists));
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
    index_excepts(e);
    MUST(key_fits_target(e) && (!e->is_private || private_fits_target(e)));
    return e;
}

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
    size_t id_len = get_u16(head + 6), publisher_len = get_u16(head + 44), key_len = get_u16(head + 46);

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
    e->has_to = head[5] & FLAG_HAS_TO;
    e->seq_as_id = (head[5] & FLAG_SEQ_AS_ID) != 0;
    e->seq = get_u64(head + 8);
    e->time_ms = (int64_t)get_u64(head + 16);
    e->remove = (head[5] & FLAG_REMOVE) != 0;
    e->is_private = (head[5] & FLAG_PRIVATE) != 0;
    bool known = e->kind == EVENT_MESSAGE || e->kind == EVENT_SHUTDOWN;
    if ((!known && !event_is_record(e)) || e->seq == 0 || e->time_ms < 0 || e->time_ms > TIME_MAX_MS ||
        !scan_seconds(e))
        return false;
    const char *names = scan_id(e);
    const char *text = names ? scan_names(e, names, end) : NULL;
    if (!text || (size_t)(end - text) != text_len)
        return false;
    e->text = (struct slice){text, text_len};
    index_excepts(e);
    if (e->is_private && !private_fits_target(e))
        return false;
    return key_fits_target(e) && (!event_is_record(e) || is_whole_record(e));
}

/* How many names the head says are in `except`. More than an entry of this size can hold are
 * none: the entry will be refused. */
static size_t excepted_in_head(const char *head, size_t size)
{
    size_t names = 0;
    for (enum event_list list = EXCEPT_SESSIONS; list <= EXCEPT_CONNECTIONS; list++)
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
    struct event *e = event_room(size, excepted_in_head(bytes.data, size));
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

bool event_next_name(const struct event *e, enum event_list list, size_t *cursor, struct slice *name)
{
    /* The cursor is 0 before the first name, then the offset of the next one. */
    size_t at = *cursor ? *cursor : e->offsets[list];
    if (!e->counts[list] || at >= list_end(e, list))
        return false;
    *name = name_at(e, at);
    *cursor = at + 2 + name->len;
    return true;
}

static bool names_hold(const struct event *e, enum event_list list, struct slice wanted)
{
    if (list >= EXCEPT_SESSIONS && e->index)
        return *index_slot(e, list, wanted) != 0;

    size_t cursor = 0;
    struct slice name;
    while (event_next_name(e, list, &cursor, &name))
        if (slice_equal(name, wanted))
            return true;
    return false;
}

static bool lists_hold(const struct event *e, enum event_list sessions, const struct audience *who)
{
    if (who->session.len && names_hold(e, sessions, who->session))
        return true;
    if (names_hold(e, sessions + 2, who->connection))
        return true;
    for (size_t i = 0; e->counts[sessions + 1] && i < who->channels.count; i++)
        if (names_hold(e, sessions + 1, who->channels.items[i]))
            return true;
    return false;
}

bool event_concerns(const struct event *e, const struct audience *who)
{
    bool by_channel = who->every_channel && e->counts[TO_CHANNELS];
    return (!e->has_to || by_channel || lists_hold(e, TO_SESSIONS, who)) && !event_excludes(e, who);
}

bool event_names_itself(const struct event *e, const struct audience *who)
{
    struct audience itself = {.session = who->session, .connection = who->connection};
    return lists_hold(e, TO_SESSIONS, &itself);
}

bool event_names_channel(const struct event *e, const struct audience *who)
{
    if (!e->counts[TO_CHANNELS])
        return false;

    bool found = who->every_channel;
    for (size_t i = 0; !found && i < who->channels.count; i++)
        found = names_hold(e, TO_CHANNELS, who->channels.items[i]);
    return found;
}

bool event_excludes(const struct event *e, const struct audience *who)
{
    bool none = !e->counts[EXCEPT_SESSIONS] && !e->counts[EXCEPT_CHANNELS] && !e->counts[EXCEPT_CONNECTIONS];
    return !none && lists_hold(e, EXCEPT_SESSIONS, who);
}
