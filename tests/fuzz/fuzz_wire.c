/* Messages between broker and worker: what a decoder accepts can be walked to its end within the
 * message, encodes again to the same message (numbers that stand for yes, and counters beyond ours,
 * apart), and no other decoder accepts it.
 *
 * Input: one message. */
#include "codec/audience.h"
#include "codec/event_record.h"
#include "codec/meta.h"
#include "codec/wire.h"
#include "fuzz.h"

#define NAMES_MAX 2048

static struct slice bytes_of(const struct buf *b)
{
    must(!b->failed);
    return (struct slice){b->data, b->len};
}

static bool within(struct slice part, struct slice whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* Walk a list of names; those that fit are left in items. */
static struct names names_of(struct slice raw, struct slice *items)
{
    struct names names = {items, 0};
    struct slice name, whole = raw;
    size_t count = 0;
    while (raw.len) {
        must(wire_next_name(&raw, &name));
        must(name.len <= NAME_BYTES_MAX && within(name, whole) && within(raw, whole));
        if (count < NAMES_MAX)
            items[count] = name;
        count++;
    }
    names.count = count < NAMES_MAX ? count : 0;
    return names;
}

/* --- entries --- */

static void walk_names(const struct event *e)
{
    for (int list = 0; list < EVENT_LISTS; list++) {
        size_t cursor = 0, count = 0;
        struct slice name;
        while (event_next_name(e, list, &cursor, &name)) {
            must(name.len <= NAME_BYTES_MAX && within(name, e->entry));
            count++;
        }
        must(count == e->counts[list]);
    }
}

/* All of the text, and nobody is concerned. */
static void walk_bans(const struct event *e)
{
    struct slice session;
    int64_t until_ms;
    size_t cursor = 0;
    while (event_next_ban(e, &cursor, &session, &until_ms)) {
        must(within(session, e->text) && session.len && session.len <= NAME_BYTES_MAX &&
             until_ms >= 0);
        must(!event_concerns(e, &(struct audience){.session = session, .connection = session}));
    }
    must(cursor == (e->kind == EVENT_BANS ? e->text.len : 0));
}

static void walk_state(const struct event *e)
{
    size_t cursor = 0;
    for (struct event *one; (one = event_next_entry(e, &cursor)); event_unref(&one))
        must(one->kind == EVENT_MESSAGE && one->key.len && !one->remove && one->seq < e->seq);
    must(cursor == (e->kind == EVENT_STATE ? e->text.len : 0));
}

static void is_an_event(const struct event *e, struct slice rest, size_t used)
{
    struct audience who = {{"a", 1}, {"b", 1}, {&(struct slice){"c", 1}, 1}, false, false};
    must(used >= EVENT_ENTRY_MIN && used <= rest.len);
    must(e->entry.len == used && memcmp(e->entry.data, rest.data, used) == 0);
    must(within(e->text, e->entry) && within(e->id, e->entry) && e->id.len <= NAME_BYTES_MAX);
    must(within(e->publisher, e->entry) && e->publisher.len <= EVENT_PUBLISHER_MAX);
    must(e->id.len || (!e->publisher.len && !e->seq_as_id));
    must(e->seq && (e->kind == EVENT_MESSAGE || e->kind == EVENT_SHUTDOWN || event_is_record(e)));
    walk_bans(e);
    walk_state(e);
    must(!event_concerns(e, &who) || !event_excludes(e, &who));
    walk_names(e);
}

static size_t walk_entries(struct slice rest)
{
    size_t used, count = 0;
    while (rest.len) {
        struct event *e = event_parse(rest, &used);
        must(!e == !used);
        if (!e)
            break;
        is_an_event(e, rest, used);
        event_unref(&e);
        rest = (struct slice){rest.data + used, rest.len - used};
        count++;
    }
    return count;
}

/* --- each type: true when it was accepted; the message again in b --- */

static bool batch(struct slice message, struct buf *b)
{
    struct wire_batch m;
    if (wire_get_batch(message, &m) != 0)
        return false;
    walk_entries(m.entries);
    wire_put_batch(b, m.run, m.prev);
    wire_add_bytes(b, m.entries);
    return true;
}

static bool head(struct slice message, struct buf *b)
{
    struct wire_head m;
    if (wire_get_head(message, &m) != 0)
        return false;
    wire_put_head(b, &m);
    return true;
}

static bool hello(struct slice message, struct buf *b)
{
    struct slice labels[NAMES_MAX];
    struct wire_hello m;
    if (wire_get_hello(message, &m) != 0)
        return false;
    must(within(m.worker, message));
    m.labels = names_of(m.raw_labels, labels);
    wire_put_hello(b, &m);
    return true;
}

static bool welcome(struct slice message, struct buf *b)
{
    struct wire_welcome m;
    struct slice session;
    int64_t until;
    if (wire_get_welcome(message, &m) != 0)
        return false;
    wire_put_welcome(b, &m);
    while (m.bans.len) {
        must(wire_next_ban(&m.bans, &session, &until));
        must(within(session, message));
        wire_add_ban(b, session, until);
    }
    return true;
}

static bool bans(struct slice message, struct buf *b)
{
    struct wire_bans m;
    struct slice session;
    int64_t until;
    if (wire_get_bans(message, &m) != 0)
        return false;
    wire_put_bans(b, &m);
    while (m.bans.len) {
        must(wire_next_ban(&m.bans, &session, &until));
        must(within(session, message));
        wire_add_ban(b, session, until);
    }
    return true;
}

static bool state(struct slice message, struct buf *b)
{
    struct wire_state m;
    if (wire_get_state(message, &m) != 0)
        return false;
    walk_entries(m.entries);
    wire_put_state(b, &m);
    wire_add_bytes(b, m.entries);
    return true;
}

static bool shutdowns(struct slice message, struct buf *b)
{
    struct wire_shutdowns m;
    if (wire_get_shutdowns(message, &m) != 0)
        return false;
    wire_put_shutdowns(b, &m);
    return true;
}

static bool replay(struct slice message, struct buf *b)
{
    struct slice items[NAMES_MAX];
    struct wire_replay m;
    if (wire_get_replay(message, &m) != 0)
        return false;
    must(within(m.id, message) && within(m.who.session, message) &&
         within(m.who.connection, message));
    m.who.channels = names_of(m.channels, items);
    wire_put_replay(b, &m);
    return true;
}

static bool page(struct slice message, struct buf *b)
{
    struct wire_page m;
    if (wire_get_page(message, &m) != 0)
        return false;
    walk_entries(m.entries);
    wire_put_page(b, &m);
    wire_add_bytes(b, m.entries);
    return true;
}

/* What is packed comes out as texts, and packed again it is the same. */
static void unpack(struct slice packed)
{
    char text[META_VALUE_MAX], again[META_VALUE_MAX + 1];
    struct slice value, before = packed;
    for (unsigned count = 0; meta_next(&packed, text, &value); before = packed) {
        must(++count <= META_MAX && value.len <= META_VALUE_MAX);
        size_t len = meta_pack(value, again);
        must(len <= META_VALUE_MAX + 1);
        must(packed.len < before.len);
    }
    must(!packed.len);
}

/* Into pieces, and nothing is lost. */
static void cut(struct slice items)
{
    size_t ended, total = 0;
    for (size_t max = 1; items.len > total; max = max * 2 + 1) {
        struct slice rest = {items.data + total, items.len - total},
                     piece = wire_cut_presence(rest, max, &ended);
        must(piece.data == rest.data && piece.len > 0 && piece.len <= rest.len &&
             ended <= piece.len);
        must(piece.len >= max || piece.len == rest.len);
        total += piece.len;
    }
}

static bool presence(struct slice message, struct buf *b)
{
    struct slice items[NAMES_MAX];
    struct wire_presence m;
    struct wire_presence_item item;
    if (wire_get_presence(message, &m) != 0)
        return false;
    wire_put_presence(b, &m);
    cut(m.items);
    while (m.items.len) {
        must(wire_next_presence(&m.items, &item));
        must(within(item.connection, message) && within(item.session, message));
        must(item.cause < END_CAUSES && meta_valid(item.meta) && within(item.meta, message));
        unpack(item.meta);
        item.channels = names_of(item.raw_channels, items);
        wire_add_presence(b, &item);
    }
    return true;
}

static bool resync(struct slice message, struct buf *b)
{
    if (wire_type(message) != WIRE_RESYNC)
        return false;
    wire_put_resync(b);
    return true;
}

static bool taken(struct slice message, struct buf *b)
{
    struct wire_taken m;
    if (wire_get_taken(message, &m) != 0)
        return false;
    wire_put_taken(b, &m);
    return true;
}

static bool log_level_of_workers(struct slice message, struct buf *b)
{
    struct wire_log m;
    if (wire_get_log(message, &m) != 0)
        return false;
    must(m.level < LOG_LEVELS);
    wire_put_log(b, &m);
    return true;
}

static bool command(struct slice message, struct buf *b)
{
    static struct slice sessions[NAMES_MAX], channels[NAMES_MAX];
    struct wire_command m;
    if (wire_get_command(message, &m) != 0)
        return false;
    must(within(m.json, message) && within(m.grant.publisher, message));
    m.grant.sessions = names_of(m.raw_sessions, sessions);
    m.grant.channels = names_of(m.raw_channels, channels);
    wire_put_command(b, &m);
    return true;
}

static bool reply(struct slice message, struct buf *b)
{
    struct wire_reply m;
    if (wire_get_reply(message, &m) != 0)
        return false;
    must(within(m.json, message));
    wire_put_reply(b, &m);
    return true;
}

static bool (*const types[])(struct slice message, struct buf *b) = {
    [WIRE_BATCH] = batch,       [WIRE_HEAD] = head,           [WIRE_HELLO] = hello,
    [WIRE_WELCOME] = welcome,   [WIRE_REPLAY] = replay,       [WIRE_PAGE] = page,
    [WIRE_PRESENCE] = presence, [WIRE_RESYNC] = resync,       [WIRE_COMMAND] = command,
    [WIRE_REPLY] = reply,       [WIRE_TAKEN] = taken,         [WIRE_LOG] = log_level_of_workers,
    [WIRE_BANS] = bans,         [WIRE_SHUTDOWNS] = shutdowns, [WIRE_STATE] = state,
};
#define TYPES (sizeof types / sizeof types[0])

/* Encoded again it is accepted again, and from then on nothing changes any more. */
static void is_stable(size_t type, struct slice message, const struct buf *first)
{
    struct buf second = {0};
    must(types[type](bytes_of(first), &second));
    must(slice_equal(bytes_of(first), bytes_of(&second)));
    must(type == WIRE_PRESENCE || type == WIRE_RESYNC || first->len <= message.len);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = exact_copy((struct slice){(const char *)data, size});
    struct slice message = {copy, size};
    int type = wire_type(message);
    must(type < (int)TYPES);
    for (size_t i = 1; i < TYPES; i++) {
        struct buf b = {0};
        bool accepted = types[i](message, &b);
        must(!accepted || type == (int)i);
        if (accepted)
            is_stable(i, message, &b);
        buf_release(&b);
    }
    walk_entries(message); /* stored entries have no message around them */
    free(copy);
    return 0;
}
