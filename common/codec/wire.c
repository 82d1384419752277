/* wire.c - the messages, but for presence reports (wire_presence.c). Pure: bytes in, bytes out.
 * Decoding checks a message once; the walks trust that check. */
#include "codec/wire.h"

#include "base/must.h"
#include "codec/wire_frame.h"

/* --- writing --- */

void wire_put_batch(struct buf *b, uint64_t run, uint64_t prev)
{
    wire_begin(b, WIRE_BATCH);
    wire_add_u64(b, run);
    wire_add_u64(b, prev);
}

void wire_put_head(struct buf *b, const struct wire_head *m)
{
    wire_begin(b, WIRE_HEAD);
    wire_add_u64(b, m->run);
    wire_add_u64(b, m->head);
    wire_add_u64(b, m->complete);
    wire_add_u64(b, (uint64_t)m->clock);
}

void wire_put_hello(struct buf *b, const struct wire_hello *m)
{
    wire_begin(b, WIRE_HELLO);
    wire_add_u64(b, m->position);
    wire_add_name(b, m->worker);
    wire_add_names(b, &m->labels);
    wire_add_u64(b, m->pieces);
}

void wire_put_welcome(struct buf *b, const struct wire_welcome *m)
{
    wire_begin(b, WIRE_WELCOME);
    wire_add_u64(b, m->run);
    wire_add_u64(b, m->head);
    wire_add_u64(b, m->complete);
    wire_add_u64(b, m->oldest);
    wire_add_u64(b, m->taken);
    wire_add_u64(b, m->bans_since);
    wire_add_u64(b, m->began);
    wire_add_u64(b, (uint64_t)m->clock);
    wire_add_u64(b, m->pieces);
}

void wire_put_bans(struct buf *b, const struct wire_bans *m)
{
    wire_begin(b, WIRE_BANS);
    wire_add_u64(b, m->run);
    wire_add_u64(b, m->piece);
}

void wire_put_state(struct buf *b, const struct wire_state *m)
{
    wire_begin(b, WIRE_STATE);
    wire_add_u64(b, m->run);
    wire_add_u64(b, m->piece);
}

void wire_put_replay(struct buf *b, const struct wire_replay *m)
{
    MUST(m->start.kind == START_AFTER || (!m->everything && !m->id.len));
    wire_begin(b, WIRE_REPLAY);
    wire_add_u64(b, m->request);
    wire_add_u64(b, m->after);
    wire_add_u32(b, m->max_bytes);
    wire_add_u8(b, m->everything);
    wire_add_u8(b, (uint8_t)m->start.kind);
    wire_add_u64(b, m->start.value);
    wire_add_name(b, m->id);
    wire_add_name(b, m->who.session);
    wire_add_name(b, m->who.connection);
    wire_add_names(b, &m->who.channels);
    wire_add_u8(b, m->who.every_channel);
    wire_add_u8(b, m->who.public_only);
}

void wire_put_shutdowns(struct buf *b, const struct wire_shutdowns *m)
{
    wire_begin(b, WIRE_SHUTDOWNS);
    wire_add_u64(b, m->request);
    wire_add_u64(b, m->after);
    wire_add_u64(b, m->age_ms);
}

void wire_put_page(struct buf *b, const struct wire_page *m)
{
    wire_begin(b, WIRE_PAGE);
    wire_add_u64(b, m->request);
    wire_add_u64(b, m->run);
    wire_add_u64(b, m->from);
    wire_add_u64(b, m->upto);
    wire_add_u64(b, m->head);
    wire_add_u64(b, m->oldest);
    wire_add_u8(b, m->gap);
}

void wire_put_resync(struct buf *b)
{
    wire_begin(b, WIRE_RESYNC);
}

void wire_put_log(struct buf *b, const struct wire_log *m)
{
    wire_begin(b, WIRE_LOG);
    wire_add_u8(b, (uint8_t)m->level);
}

void wire_put_taken(struct buf *b, const struct wire_taken *m)
{
    wire_begin(b, WIRE_TAKEN);
    wire_add_u64(b, m->run);
    wire_add_u64(b, m->n);
    wire_add_u64(b, m->head);
    wire_add_u64(b, (uint64_t)m->clock);
}

void wire_put_command(struct buf *b, const struct wire_command *m)
{
    wire_begin(b, WIRE_COMMAND);
    wire_add_u64(b, m->request);
    wire_add_u8(b, (uint8_t)m->grant.roles);
    wire_add_u8(b, m->grant.limited);
    wire_add_name(b, m->grant.publisher);
    wire_add_names(b, &m->grant.sessions);
    wire_add_names(b, &m->grant.channels);
    buf_put(b, m->json.data, m->json.len);
}

void wire_put_reply(struct buf *b, const struct wire_reply *m)
{
    wire_begin(b, WIRE_REPLY);
    wire_add_u64(b, m->request);
    buf_put(b, m->json.data, m->json.len);
}

void wire_add_entry(struct buf *b, const struct event *e)
{
    buf_put(b, e->entry.data, e->entry.len);
}

void wire_add_ban(struct buf *b, struct slice session, int64_t until_ms)
{
    wire_add_name(b, session);
    wire_add_u64(b, (uint64_t)until_ms);
}

void wire_add_bytes(struct buf *b, struct slice bytes)
{
    buf_put(b, bytes.data, bytes.len);
}

/* --- reading --- */

int wire_get_batch(struct slice message, struct wire_batch *m)
{
    struct wire_reader r = wire_open(message, WIRE_BATCH);
    m->run = wire_take_u64(&r);
    m->prev = wire_take_u64(&r);
    m->entries = wire_take_rest(&r);
    return wire_verdict(&r);
}

int wire_get_head(struct slice message, struct wire_head *m)
{
    struct wire_reader r = wire_open(message, WIRE_HEAD);
    m->run = wire_take_u64(&r);
    m->head = wire_take_u64(&r);
    m->complete = wire_take_u64(&r);
    m->clock = (int64_t)wire_take_u64(&r);
    return wire_verdict(&r);
}

int wire_get_hello(struct slice message, struct wire_hello *m)
{
    struct wire_reader r = wire_open(message, WIRE_HELLO);
    *m = (struct wire_hello){.position = wire_take_u64(&r)};
    m->worker = wire_take_name(&r);
    m->raw_labels = wire_take_names(&r);
    m->pieces = wire_take_u64(&r);
    return wire_verdict(&r);
}

/* Everything that is left, checked. */
static struct slice take_bans(struct wire_reader *r)
{
    const char *start = r->at;
    while (!r->failed && r->at != r->end) {
        wire_take_name(r);
        wire_take_u64(r);
    }
    return (struct slice){start, r->failed ? 0 : (size_t)(r->at - start)};
}

int wire_get_welcome(struct slice message, struct wire_welcome *m)
{
    struct wire_reader r = wire_open(message, WIRE_WELCOME);
    m->run = wire_take_u64(&r);
    m->head = wire_take_u64(&r);
    m->complete = wire_take_u64(&r);
    m->oldest = wire_take_u64(&r);
    m->taken = wire_take_u64(&r);
    m->bans_since = wire_take_u64(&r);
    m->began = wire_take_u64(&r);
    m->clock = (int64_t)wire_take_u64(&r);
    m->pieces = wire_take_u64(&r);
    m->bans = take_bans(&r);
    return wire_verdict(&r);
}

int wire_get_bans(struct slice message, struct wire_bans *m)
{
    struct wire_reader r = wire_open(message, WIRE_BANS);
    m->run = wire_take_u64(&r);
    m->piece = wire_take_u64(&r);
    m->bans = take_bans(&r);
    return wire_verdict(&r);
}

int wire_get_state(struct slice message, struct wire_state *m)
{
    struct wire_reader r = wire_open(message, WIRE_STATE);
    m->run = wire_take_u64(&r);
    m->piece = wire_take_u64(&r);
    m->entries = wire_take_rest(&r);
    return wire_verdict(&r);
}

static struct start take_start(struct wire_reader *r)
{
    uint8_t kind = wire_take_u8(r);
    if (kind > START_SINCE)
        r->failed = true;
    return (struct start){(enum start_kind)kind, wire_take_u64(r)};
}

int wire_get_replay(struct slice message, struct wire_replay *m)
{
    struct wire_reader r = wire_open(message, WIRE_REPLAY);
    *m = (struct wire_replay){.request = wire_take_u64(&r)};
    m->after = wire_take_u64(&r);
    m->max_bytes = wire_take_u32(&r);
    m->everything = wire_take_u8(&r);
    m->start = take_start(&r);
    m->id = wire_take_name(&r);
    m->who.session = wire_take_name(&r);
    m->who.connection = wire_take_name(&r);
    m->channels = wire_take_names(&r);
    m->who.every_channel = wire_take_u8(&r);
    m->who.public_only = wire_take_u8(&r);

    bool has_cursor = m->everything || m->id.len;
    if (has_cursor && m->start.kind != START_AFTER)
        r.failed = true; /* two places to begin */
    return wire_verdict(&r);
}

int wire_get_shutdowns(struct slice message, struct wire_shutdowns *m)
{
    struct wire_reader r = wire_open(message, WIRE_SHUTDOWNS);
    m->request = wire_take_u64(&r);
    m->after = wire_take_u64(&r);
    m->age_ms = wire_take_u64(&r);
    return wire_verdict(&r);
}

int wire_get_page(struct slice message, struct wire_page *m)
{
    struct wire_reader r = wire_open(message, WIRE_PAGE);
    m->request = wire_take_u64(&r);
    m->run = wire_take_u64(&r);
    m->from = wire_take_u64(&r);
    m->upto = wire_take_u64(&r);
    m->head = wire_take_u64(&r);
    m->oldest = wire_take_u64(&r);
    m->gap = wire_take_u8(&r);
    m->entries = wire_take_rest(&r);
    return wire_verdict(&r);
}

int wire_get_log(struct slice message, struct wire_log *m)
{
    struct wire_reader r = wire_open(message, WIRE_LOG);
    uint8_t level = wire_take_u8(&r);
    r.failed = r.failed || level >= LOG_LEVELS;
    m->level = (enum log_level)level;
    return wire_verdict(&r);
}

int wire_get_taken(struct slice message, struct wire_taken *m)
{
    struct wire_reader r = wire_open(message, WIRE_TAKEN);
    m->run = wire_take_u64(&r);
    m->n = wire_take_u64(&r);
    m->head = wire_take_u64(&r);
    m->clock = (int64_t)wire_take_u64(&r);
    return wire_verdict(&r);
}

int wire_get_command(struct slice message, struct wire_command *m)
{
    struct wire_reader r = wire_open(message, WIRE_COMMAND);
    *m = (struct wire_command){.request = wire_take_u64(&r)};
    m->grant.roles = wire_take_u8(&r);
    m->grant.limited = wire_take_u8(&r);
    m->grant.publisher = wire_take_name(&r);
    m->raw_sessions = wire_take_names(&r);
    m->raw_channels = wire_take_names(&r);
    m->json = wire_take_rest(&r);
    return wire_verdict(&r);
}

int wire_get_reply(struct slice message, struct wire_reply *m)
{
    struct wire_reader r = wire_open(message, WIRE_REPLY);
    m->request = wire_take_u64(&r);
    m->json = wire_take_rest(&r);
    return wire_verdict(&r);
}

bool wire_next_ban(struct slice *rest, struct slice *session, int64_t *until_ms)
{
    struct wire_reader r = wire_reader_of(*rest);
    *session = wire_take_name(&r);
    *until_ms = (int64_t)wire_take_u64(&r);
    return wire_step(&r, rest);
}
