/* Pure: bytes in, bytes out. Decoding checks a message once; the walks trust that check. */
#include "codec/wire.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/must.h"
#include "codec/meta.h"
#include "codec/subscription.h"

#define HEADER_LEN 8u

const char *end_cause_name(enum end_cause cause)
{
    static const char *const names[END_CAUSES] = {"client",  "shutdown",    "slow",    "drain",
                                                  "expired", "worker_lost", "replaced"};
    return cause < END_CAUSES ? names[cause] : "unknown";
}

/* --- writing --- */

static void add_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

static void add_u16(struct buf *b, uint16_t v)
{
    char *p = buf_extend(b, 2);
    if (p)
        put_u16(p, v);
}

static void add_u32(struct buf *b, uint32_t v)
{
    char *p = buf_extend(b, 4);
    if (p)
        put_u32(p, v);
}

static void add_u64(struct buf *b, uint64_t v)
{
    char *p = buf_extend(b, 8);
    if (p)
        put_u64(p, v);
}

static void add_name(struct buf *b, struct slice name)
{
    add_u16(b, (uint16_t)name.len);
    buf_put(b, name.data, name.len);
}

static void add_names(struct buf *b, const struct names *names)
{
    add_u16(b, (uint16_t)names->count);
    for (size_t i = 0; i < names->count; i++)
        add_name(b, names->items[i]);
}

static void begin(struct buf *b, enum wire_type type)
{
    b->len = 0;
    buf_put(b, WIRE_PREFIX, WIRE_PREFIX_LEN);
    add_u32(b, (uint32_t)type);
}

void wire_put_batch(struct buf *b, uint64_t run, uint64_t prev)
{
    begin(b, WIRE_BATCH);
    add_u64(b, run);
    add_u64(b, prev);
}

void wire_put_head(struct buf *b, const struct wire_head *m)
{
    begin(b, WIRE_HEAD);
    add_u64(b, m->run);
    add_u64(b, m->head);
    add_u64(b, m->complete);
    add_u64(b, (uint64_t)m->clock);
}

void wire_put_hello(struct buf *b, const struct wire_hello *m)
{
    begin(b, WIRE_HELLO);
    add_u64(b, m->position);
    add_name(b, m->worker);
    add_names(b, &m->labels);
}

void wire_put_welcome(struct buf *b, const struct wire_welcome *m)
{
    begin(b, WIRE_WELCOME);
    add_u64(b, m->run);
    add_u64(b, m->head);
    add_u64(b, m->complete);
    add_u64(b, m->oldest);
    add_u64(b, m->taken);
    add_u64(b, m->bans_since);
    add_u64(b, m->began);
    add_u64(b, (uint64_t)m->clock);
    add_u64(b, m->pieces);
}

void wire_put_bans(struct buf *b, const struct wire_bans *m)
{
    begin(b, WIRE_BANS);
    add_u64(b, m->run);
    add_u64(b, m->piece);
}

void wire_put_state(struct buf *b, const struct wire_state *m)
{
    begin(b, WIRE_STATE);
    add_u64(b, m->run);
    add_u64(b, m->piece);
}

void wire_put_replay(struct buf *b, const struct wire_replay *m)
{
    MUST(m->start.kind == START_AFTER || (!m->everything && !m->id.len));
    begin(b, WIRE_REPLAY);
    add_u64(b, m->request);
    add_u64(b, m->after);
    add_u32(b, m->max_bytes);
    add_u8(b, m->everything);
    add_u8(b, (uint8_t)m->start.kind);
    add_u64(b, m->start.value);
    add_name(b, m->id);
    add_name(b, m->who.session);
    add_name(b, m->who.connection);
    add_names(b, &m->who.channels);
    add_u8(b, m->who.every_channel);
}

void wire_put_shutdowns(struct buf *b, const struct wire_shutdowns *m)
{
    begin(b, WIRE_SHUTDOWNS);
    add_u64(b, m->request);
    add_u64(b, m->after);
    add_u64(b, m->age_ms);
}

void wire_put_page(struct buf *b, const struct wire_page *m)
{
    begin(b, WIRE_PAGE);
    add_u64(b, m->request);
    add_u64(b, m->run);
    add_u64(b, m->from);
    add_u64(b, m->upto);
    add_u64(b, m->head);
    add_u64(b, m->oldest);
    add_u8(b, m->gap);
}

static void add_numbers(struct buf *b, const uint64_t *numbers, uint16_t count)
{
    add_u16(b, count);
    for (uint16_t i = 0; i < count; i++)
        add_u64(b, numbers[i]);
}

enum presence_flag { FLAG_FULL = 1, FLAG_LAGS = 2, FLAG_REST = 4, FLAG_MORE = 8, FLAG_BYE = 16 };

static uint8_t presence_flags(const struct wire_presence *m)
{
    unsigned flags = 0;
    if (m->full)
        flags |= FLAG_FULL;
    if (m->lags)
        flags |= FLAG_LAGS;
    if (m->rest)
        flags |= FLAG_REST;
    if (m->more)
        flags |= FLAG_MORE;
    if (m->bye)
        flags |= FLAG_BYE;
    return (uint8_t)flags;
}

/* Only a full report has pieces. A bye holds no connections. */
static bool flags_fit(const struct wire_presence *m)
{
    if (!m->full)
        return !m->rest && !m->more;
    return !m->bye;
}

void wire_put_presence(struct buf *b, const struct wire_presence *m)
{
    MUST(flags_fit(m));
    begin(b, WIRE_PRESENCE);
    add_u64(b, m->n);
    add_u8(b, presence_flags(m));
    add_u64(b, m->told);
    add_numbers(b, m->gauges, WORKER_GAUGES);
    add_numbers(b, m->counters, WORKER_COUNTERS);
}

void wire_put_resync(struct buf *b)
{
    begin(b, WIRE_RESYNC);
}

void wire_put_log(struct buf *b, const struct wire_log *m)
{
    begin(b, WIRE_LOG);
    add_u8(b, (uint8_t)m->level);
}

void wire_put_taken(struct buf *b, const struct wire_taken *m)
{
    begin(b, WIRE_TAKEN);
    add_u64(b, m->run);
    add_u64(b, m->n);
    add_u64(b, m->head);
    add_u64(b, (uint64_t)m->clock);
}

void wire_put_command(struct buf *b, const struct wire_command *m)
{
    begin(b, WIRE_COMMAND);
    add_u64(b, m->request);
    add_u8(b, (uint8_t)m->grant.roles);
    add_u8(b, m->grant.limited);
    add_name(b, m->grant.publisher);
    add_names(b, &m->grant.sessions);
    add_names(b, &m->grant.channels);
    buf_put(b, m->json.data, m->json.len);
}

void wire_put_reply(struct buf *b, const struct wire_reply *m)
{
    begin(b, WIRE_REPLY);
    add_u64(b, m->request);
    buf_put(b, m->json.data, m->json.len);
}

void wire_add_entry(struct buf *b, const struct event *e)
{
    buf_put(b, e->entry.data, e->entry.len);
}

void wire_add_ban(struct buf *b, struct slice session, int64_t until_ms)
{
    add_name(b, session);
    add_u64(b, (uint64_t)until_ms);
}

void wire_add_presence(struct buf *b, const struct wire_presence_item *item)
{
    add_u8(b, (uint8_t)item->kind);
    add_name(b, item->connection);
    if (item->kind == ITEM_LAGS) {
        add_u64(b, item->sent);
        add_u64(b, item->queued);
        return;
    }
    add_name(b, item->session);
    add_u64(b, (uint64_t)item->since_ms);
    add_names(b, &item->channels);
    add_u8(b, item->told);
    if (item->kind == ITEM_ENDED) {
        add_u8(b, (uint8_t)item->cause);
        return;
    }
    add_u16(b, (uint16_t)item->meta.len);
    buf_put(b, item->meta.data, item->meta.len);
    add_u16(b, (uint16_t)item->subscriptions.len);
    buf_put_slice(b, item->subscriptions);
}

void wire_add_items(struct buf *b, const struct buf *items)
{
    buf_put(b, items->data, items->len);
}

void wire_add_bytes(struct buf *b, struct slice bytes)
{
    buf_put(b, bytes.data, bytes.len);
}

/* --- reading --- */

struct reader {
    const char *at, *end;
    bool failed;
};

/* The next len bytes, or NULL with failed set. */
static const char *take(struct reader *r, size_t len)
{
    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        return NULL;
    }
    r->at += len;
    return r->at - len;
}

static uint8_t take_u8(struct reader *r)
{
    const char *p = take(r, 1);
    return p ? (uint8_t)*p : 0;
}

static uint16_t take_u16(struct reader *r)
{
    const char *p = take(r, 2);
    return p ? get_u16(p) : 0;
}

static uint32_t take_u32(struct reader *r)
{
    const char *p = take(r, 4);
    return p ? get_u32(p) : 0;
}

static uint64_t take_u64(struct reader *r)
{
    const char *p = take(r, 8);
    return p ? get_u64(p) : 0;
}

static struct slice take_name(struct reader *r)
{
    size_t len = take_u16(r);
    const char *p = take(r, len);
    if (len > NAME_BYTES_MAX)
        r->failed = true;
    return p ? (struct slice){p, len} : (struct slice){0};
}

/* Skip a counted list of names. The result can be walked with wire_next_name(). */
static struct slice take_names(struct reader *r)
{
    uint16_t count = take_u16(r);
    const char *start = r->at;
    while (count-- && !r->failed)
        take_name(r);
    return (struct slice){start, (size_t)(r->at - start)};
}

static struct slice take_rest(struct reader *r)
{
    struct slice rest = {r->at, (size_t)(r->end - r->at)};
    r->at = r->end;
    return rest;
}

static struct reader reader_of(struct slice bytes)
{
    return (struct reader){bytes.data, bytes.data ? bytes.data + bytes.len : NULL, false};
}

int wire_type(struct slice message)
{
    if (message.len < HEADER_LEN || memcmp(message.data, WIRE_PREFIX, WIRE_PREFIX_LEN) != 0)
        return -EPROTO;
    uint32_t type = get_u32(message.data + WIRE_PREFIX_LEN);
    return type >= WIRE_BATCH && type < WIRE_TYPES_END ? (int)type : -EPROTO;
}

static struct reader open_message(struct slice message, enum wire_type type)
{
    if (wire_type(message) != (int)type)
        return (struct reader){.failed = true};
    return reader_of((struct slice){message.data + HEADER_LEN, message.len - HEADER_LEN});
}

/* True when the message was complete and had no further bytes. */
static int verdict(const struct reader *r)
{
    return r->failed || r->at != r->end ? -EPROTO : 0;
}

int wire_get_batch(struct slice message, struct wire_batch *m)
{
    struct reader r = open_message(message, WIRE_BATCH);
    m->run = take_u64(&r);
    m->prev = take_u64(&r);
    m->entries = take_rest(&r);
    return verdict(&r);
}

int wire_get_head(struct slice message, struct wire_head *m)
{
    struct reader r = open_message(message, WIRE_HEAD);
    m->run = take_u64(&r);
    m->head = take_u64(&r);
    m->complete = take_u64(&r);
    m->clock = (int64_t)take_u64(&r);
    return verdict(&r);
}

int wire_get_hello(struct slice message, struct wire_hello *m)
{
    struct reader r = open_message(message, WIRE_HELLO);
    *m = (struct wire_hello){.position = take_u64(&r)};
    m->worker = take_name(&r);
    m->raw_labels = take_names(&r);
    return verdict(&r);
}

/* Everything that is left, checked. */
static struct slice take_bans(struct reader *r)
{
    const char *start = r->at;
    while (!r->failed && r->at != r->end) {
        take_name(r);
        take_u64(r);
    }
    return (struct slice){start, r->failed ? 0 : (size_t)(r->at - start)};
}

int wire_get_welcome(struct slice message, struct wire_welcome *m)
{
    struct reader r = open_message(message, WIRE_WELCOME);
    m->run = take_u64(&r);
    m->head = take_u64(&r);
    m->complete = take_u64(&r);
    m->oldest = take_u64(&r);
    m->taken = take_u64(&r);
    m->bans_since = take_u64(&r);
    m->began = take_u64(&r);
    m->clock = (int64_t)take_u64(&r);
    m->pieces = take_u64(&r);
    m->bans = take_bans(&r);
    return verdict(&r);
}

int wire_get_bans(struct slice message, struct wire_bans *m)
{
    struct reader r = open_message(message, WIRE_BANS);
    m->run = take_u64(&r);
    m->piece = take_u64(&r);
    m->bans = take_bans(&r);
    return verdict(&r);
}

int wire_get_state(struct slice message, struct wire_state *m)
{
    struct reader r = open_message(message, WIRE_STATE);
    m->run = take_u64(&r);
    m->piece = take_u64(&r);
    m->entries = take_rest(&r);
    return verdict(&r);
}

static struct start take_start(struct reader *r)
{
    uint8_t kind = take_u8(r);
    if (kind > START_SINCE)
        r->failed = true;
    return (struct start){(enum start_kind)kind, take_u64(r)};
}

int wire_get_replay(struct slice message, struct wire_replay *m)
{
    struct reader r = open_message(message, WIRE_REPLAY);
    *m = (struct wire_replay){.request = take_u64(&r)};
    m->after = take_u64(&r);
    m->max_bytes = take_u32(&r);
    m->everything = take_u8(&r);
    m->start = take_start(&r);
    m->id = take_name(&r);
    m->who.session = take_name(&r);
    m->who.connection = take_name(&r);
    m->channels = take_names(&r);
    m->who.every_channel = take_u8(&r);

    bool has_cursor = m->everything || m->id.len;
    if (has_cursor && m->start.kind != START_AFTER)
        r.failed = true; /* two places to begin */
    return verdict(&r);
}

int wire_get_shutdowns(struct slice message, struct wire_shutdowns *m)
{
    struct reader r = open_message(message, WIRE_SHUTDOWNS);
    m->request = take_u64(&r);
    m->after = take_u64(&r);
    m->age_ms = take_u64(&r);
    return verdict(&r);
}

int wire_get_page(struct slice message, struct wire_page *m)
{
    struct reader r = open_message(message, WIRE_PAGE);
    m->request = take_u64(&r);
    m->run = take_u64(&r);
    m->from = take_u64(&r);
    m->upto = take_u64(&r);
    m->head = take_u64(&r);
    m->oldest = take_u64(&r);
    m->gap = take_u8(&r);
    m->entries = take_rest(&r);
    return verdict(&r);
}

static struct slice take_meta(struct reader *r)
{
    size_t len = take_u16(r);
    const char *p = take(r, len);
    struct slice packed = {p, p ? len : 0};
    if (!meta_valid(packed))
        r->failed = true;
    return packed;
}

static struct slice take_subscriptions(struct reader *r)
{
    size_t len = take_u16(r);
    const char *p = take(r, len);
    struct slice packed = {p, p ? len : 0};
    if (!subscriptions_valid(packed))
        r->failed = true;
    return packed;
}

static void take_lag(struct reader *r, struct wire_presence_item *item)
{
    item->sent = take_u64(r);
    item->queued = take_u64(r);
}

static void take_change(struct reader *r, struct wire_presence_item *item)
{
    item->session = take_name(r);
    item->since_ms = (int64_t)take_u64(r);
    item->raw_channels = take_names(r);
    item->told = take_u8(r);
    if (item->kind == ITEM_OPENED) {
        item->meta = take_meta(r);
        item->subscriptions = take_subscriptions(r);
    } else {
        item->cause = (enum end_cause)take_u8(r);
    }
    if (item->cause >= END_CAUSES)
        r->failed = true;
}

static void take_item(struct reader *r, struct wire_presence_item *item)
{
    *item = (struct wire_presence_item){.kind = (enum wire_item)take_u8(r)};
    item->connection = take_name(r);
    if (item->kind > ITEM_LAGS)
        r->failed = true;
    else if (item->kind == ITEM_LAGS)
        take_lag(r, item);
    else
        take_change(r, item);
}

/* Read the numbers that we know; skip those that a newer peer adds. */
static void take_numbers(struct reader *r, uint64_t *numbers, uint16_t known)
{
    uint16_t count = take_u16(r);
    for (uint16_t i = 0; i < count && !r->failed; i++) {
        uint64_t value = take_u64(r);
        if (i < known)
            numbers[i] = value;
    }
}

int wire_get_presence(struct slice message, struct wire_presence *m)
{
    struct reader r = open_message(message, WIRE_PRESENCE);
    *m = (struct wire_presence){.n = take_u64(&r)};
    uint8_t flags = take_u8(&r);
    m->full = flags & FLAG_FULL;
    m->lags = flags & FLAG_LAGS;
    m->rest = flags & FLAG_REST;
    m->more = flags & FLAG_MORE;
    m->bye = flags & FLAG_BYE;
    r.failed = r.failed || flags != presence_flags(m) || !flags_fit(m);
    m->told = take_u64(&r);
    take_numbers(&r, m->gauges, WORKER_GAUGES);
    take_numbers(&r, m->counters, WORKER_COUNTERS);
    m->items = (struct slice){r.at, r.failed ? 0 : (size_t)(r.end - r.at)};
    while (!r.failed && r.at != r.end) {
        struct wire_presence_item item;
        take_item(&r, &item);
    }
    return verdict(&r);
}

int wire_get_log(struct slice message, struct wire_log *m)
{
    struct reader r = open_message(message, WIRE_LOG);
    uint8_t level = take_u8(&r);
    r.failed = r.failed || level >= LOG_LEVELS;
    m->level = (enum log_level)level;
    return verdict(&r);
}

int wire_get_taken(struct slice message, struct wire_taken *m)
{
    struct reader r = open_message(message, WIRE_TAKEN);
    m->run = take_u64(&r);
    m->n = take_u64(&r);
    m->head = take_u64(&r);
    m->clock = (int64_t)take_u64(&r);
    return verdict(&r);
}

int wire_get_command(struct slice message, struct wire_command *m)
{
    struct reader r = open_message(message, WIRE_COMMAND);
    *m = (struct wire_command){.request = take_u64(&r)};
    m->grant.roles = take_u8(&r);
    m->grant.limited = take_u8(&r);
    m->grant.publisher = take_name(&r);
    m->raw_sessions = take_names(&r);
    m->raw_channels = take_names(&r);
    m->json = take_rest(&r);
    return verdict(&r);
}

int wire_get_reply(struct slice message, struct wire_reply *m)
{
    struct reader r = open_message(message, WIRE_REPLY);
    m->request = take_u64(&r);
    m->json = take_rest(&r);
    return verdict(&r);
}

/* Leave in rest what r has not read; false when it ran out or failed. */
static bool step(struct reader *r, struct slice *rest)
{
    rest->data = r->failed ? NULL : r->at;
    rest->len = r->failed ? 0 : (size_t)(r->end - r->at);
    return !r->failed;
}

bool wire_next_name(struct slice *rest, struct slice *name)
{
    struct reader r = reader_of(*rest);
    *name = take_name(&r);
    return step(&r, rest);
}

bool wire_next_ban(struct slice *rest, struct slice *session, int64_t *until_ms)
{
    struct reader r = reader_of(*rest);
    *session = take_name(&r);
    *until_ms = (int64_t)take_u64(&r);
    return step(&r, rest);
}

bool wire_next_presence(struct slice *rest, struct wire_presence_item *item)
{
    struct reader r = reader_of(*rest);
    take_item(&r, item);
    return step(&r, rest);
}

struct slice wire_cut_presence(struct slice items, size_t max, size_t *ended)
{
    struct wire_presence_item item;
    struct slice rest = items;
    *ended = 0;

    while (items.len - rest.len < max && rest.len) {
        size_t before = rest.len;
        if (!wire_next_presence(&rest, &item))
            break;
        if (item.kind == ITEM_ENDED)
            *ended += before - rest.len;
    }

    return (struct slice){items.data, items.len - rest.len};
}
