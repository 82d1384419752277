/* wire_presence.c - a worker's report of its connections: WIRE_PRESENCE and its items. */
#include "base/must.h"
#include "codec/meta.h"
#include "codec/subscription.h"
#include "codec/wire.h"
#include "codec/wire_frame.h"

const char *end_cause_name(enum end_cause cause)
{
    static const char *const names[END_CAUSES] = {"client",  "shutdown",    "slow",    "drain",
                                                  "expired", "worker_lost", "replaced"};
    return cause < END_CAUSES ? names[cause] : "unknown";
}

static void add_numbers(struct buf *b, const uint64_t *numbers, uint16_t count)
{
    wire_add_u16(b, count);
    for (uint16_t i = 0; i < count; i++)
        wire_add_u64(b, numbers[i]);
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
    wire_begin(b, WIRE_PRESENCE);
    wire_add_u64(b, m->n);
    wire_add_u8(b, presence_flags(m));
    wire_add_u64(b, m->acked_epoch);
    add_numbers(b, m->gauges, WORKER_GAUGES);
    add_numbers(b, m->counters, WORKER_COUNTERS);
}

void wire_add_presence(struct buf *b, const struct wire_presence_item *item)
{
    wire_add_u8(b, (uint8_t)item->kind);
    wire_add_name(b, item->connection);
    if (item->kind == ITEM_LAGS) {
        wire_add_u64(b, item->sent);
        wire_add_u64(b, item->queued);
        return;
    }
    wire_add_name(b, item->session);
    wire_add_u64(b, (uint64_t)item->since_ms);
    wire_add_names(b, &item->channels);
    wire_add_u8(b, item->acknowledged);
    if (item->kind == ITEM_ENDED) {
        wire_add_u8(b, (uint8_t)item->cause);
        return;
    }
    wire_add_u16(b, (uint16_t)item->meta.len);
    buf_put(b, item->meta.data, item->meta.len);
    wire_add_u16(b, (uint16_t)item->subscriptions.len);
    buf_put_slice(b, item->subscriptions);
}

void wire_add_items(struct buf *b, const struct buf *items)
{
    buf_put(b, items->data, items->len);
}

/* A length and a packed text, which has to be valid. */
static struct slice take_packed(struct wire_reader *r, bool (*valid)(struct slice packed))
{
    size_t len = wire_take_u16(r);
    const char *p = wire_take(r, len);
    struct slice packed = {p, p ? len : 0};
    if (!valid(packed))
        r->failed = true;
    return packed;
}

static void take_lag(struct wire_reader *r, struct wire_presence_item *item)
{
    item->sent = wire_take_u64(r);
    item->queued = wire_take_u64(r);
}

static void take_change(struct wire_reader *r, struct wire_presence_item *item)
{
    item->session = wire_take_name(r);
    item->since_ms = (int64_t)wire_take_u64(r);
    item->raw_channels = wire_take_names(r);
    item->acknowledged = wire_take_u8(r);
    if (item->kind == ITEM_OPENED) {
        item->meta = take_packed(r, meta_valid);
        item->subscriptions = take_packed(r, subscriptions_valid);
    } else {
        item->cause = (enum end_cause)wire_take_u8(r);
    }
    if (item->cause >= END_CAUSES)
        r->failed = true;
}

static void take_presence_item(struct wire_reader *r, struct wire_presence_item *item)
{
    *item = (struct wire_presence_item){.kind = (enum wire_item)wire_take_u8(r)};
    item->connection = wire_take_name(r);
    if (item->kind > ITEM_LAGS)
        r->failed = true;
    else if (item->kind == ITEM_LAGS)
        take_lag(r, item);
    else
        take_change(r, item);
}

/* Read the numbers that we know; skip those that a newer peer adds. */
static void take_numbers(struct wire_reader *r, uint64_t *numbers, uint16_t known)
{
    uint16_t count = wire_take_u16(r);
    for (uint16_t i = 0; i < count && !r->failed; i++) {
        uint64_t value = wire_take_u64(r);
        if (i < known)
            numbers[i] = value;
    }
}

int wire_get_presence(struct slice message, struct wire_presence *m)
{
    struct wire_reader r = wire_open(message, WIRE_PRESENCE);
    *m = (struct wire_presence){.n = wire_take_u64(&r)};
    uint8_t flags = wire_take_u8(&r);
    m->full = flags & FLAG_FULL;
    m->lags = flags & FLAG_LAGS;
    m->rest = flags & FLAG_REST;
    m->more = flags & FLAG_MORE;
    m->bye = flags & FLAG_BYE;
    r.failed = r.failed || flags != presence_flags(m) || !flags_fit(m);
    m->acked_epoch = wire_take_u64(&r);
    take_numbers(&r, m->gauges, WORKER_GAUGES);
    take_numbers(&r, m->counters, WORKER_COUNTERS);
    m->items = (struct slice){r.at, r.failed ? 0 : (size_t)(r.end - r.at)};
    while (!r.failed && r.at != r.end) {
        struct wire_presence_item item;
        take_presence_item(&r, &item);
    }
    return wire_verdict(&r);
}

bool wire_next_presence(struct slice *rest, struct wire_presence_item *item)
{
    struct wire_reader r = wire_reader_of(*rest);
    take_presence_item(&r, item);
    return wire_step(&r, rest);
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
