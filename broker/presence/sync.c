#include "presence/sync.h"

#include "base/must.h"
#include "codec/audience.h"
#include "ops/log.h"

/* --- hello --- */

/* The size of the next piece, after this number of them. Each piece shows the worker that the
 * answer is on its way, so on a slow line they have to be small. But all of them have to fit into
 * the socket's queue. */
static size_t piece_bytes(const struct sync_context *c, uint64_t pieces)
{
    size_t size = SYNC_PIECE_BYTES;

    if (c->piece_bytes)
        return c->piece_bytes;
    for (; pieces >= SYNC_PIECES && size < WIRE_PIECE_BYTES; pieces -= SYNC_PIECES)
        size *= 2;
    return size;
}

/* Add bans from *cursor on, until b has the size of the next piece. */
static void fill_with_bans(const struct sync_context *c, uint64_t pieces, const void **cursor,
                           struct buf *b)
{
    const struct bans *bans = sequence_bans(c->sequence);
    size_t size = piece_bytes(c, pieces);
    struct slice session;
    int64_t until_ms;

    while ((!c->send || b->len < size) && (*cursor = bans_next(bans, *cursor, &session, &until_ms)))
        wire_add_ban(b, session, until_ms);
}

/* The first bans go into the welcome, the others are sent before it: with the welcome a worker
 * knows all. False when sending failed. */
static bool send_bans(const struct sync_context *c, struct slice worker, struct buf *first,
                      uint64_t *pieces)
{
    struct buf b = {0};
    const void *cursor = NULL;
    bool sent = true;
    *pieces = 0;

    fill_with_bans(c, 0, &cursor, first);
    while (cursor && sent) {
        wire_put_bans(&b,
                      &(struct wire_bans){.run = sequence_epoch(c->sequence), .piece = ++*pieces});
        fill_with_bans(c, *pieces, &cursor, &b);
        sent = !b.failed && c->send(c->context, worker, (struct slice){b.data, b.len});
    }

    buf_release(&b);
    return sent;
}

/* Send the whole state, and count on in *pieces. False when sending failed. */
static bool send_state(const struct sync_context *c, struct slice worker, uint64_t *pieces)
{
    const struct state *state = sequence_state(c->sequence);
    struct history_filter filter = {.now_ms = c->clock_us / 1000};
    struct event *events[SYNC_PAGE_EVENTS];
    struct buf b = {0};
    uint64_t after = 0;
    bool sent = true;
    size_t count;

    while (sent && (count = state_read(state, &filter, after, UINT64_MAX, events, SYNC_PAGE_EVENTS,
                                       piece_bytes(c, *pieces)))) {
        wire_put_state(
            &b, &(struct wire_state){.run = sequence_epoch(c->sequence), .piece = ++*pieces});
        for (size_t i = 0; i < count; i++)
            wire_add_entry(&b, events[i]);
        after = events[count - 1]->seq;
        sent = !b.failed && c->send && c->send(c->context, worker, (struct slice){b.data, b.len});
    }

    buf_release(&b);
    return sent;
}

/* False when the bans or the state could not be sent. */
static bool write_welcome(const struct sync_context *c, struct slice worker, struct buf *answer)
{
    const struct history *h = sequence_history(c->sequence);
    struct buf bans = {0};
    uint64_t pieces;
    bool sent = send_bans(c, worker, &bans, &pieces) && send_state(c, worker, &pieces);

    wire_put_welcome(answer, &(struct wire_welcome){
                                 .run = sequence_epoch(c->sequence),
                                 .head = history_head(h),
                                 .complete = history_complete(h),
                                 .oldest = history_oldest(h),
                                 .taken = presence_acknowledged(c->presence, worker),
                                 .bans_since = sequence_bans_since(c->sequence),
                                 .began = sequence_began(c->sequence),
                                 .clock = c->clock_us,
                                 .pieces = pieces,
                             });
    wire_add_items(answer, &bans);
    answer->failed = answer->failed || bans.failed;
    buf_release(&bans);
    return sent;
}

#define YEAR_US (366LL * 24 * 60 * 60 * 1000000)

/* Sequences begin at the time in us. No broker with a sane clock gives out a position beyond this
 * one. */
static uint64_t furthest_position(const struct sync_context *c)
{
    return (uint64_t)(c->clock_us + YEAR_US);
}

static bool on_hello(const struct sync_context *c, struct slice worker, const struct wire_hello *m,
                     int64_t now, struct buf *answer)
{
    if (presence_hello(c->presence, worker, m, now) != 0)
        return false; /* the worker retries in a second */
    if (m->pieces)
        return false; /* its answer is on its way, and another one would hold up what follows */
    log_event(LOG_INFO, "worker connected", log_text("worker", m->worker),
              log_count("position", m->position));
    if (sequence_lost(c->sequence))
        return false; /* likewise */
    enum sequence_met met = event_log_meet(c->log, m->position, furthest_position(c));
    if (met == SEQUENCE_AHEAD)
        return false; /* the worker retries, and then it is known */
    if (met == SEQUENCE_UNKNOWN)
        log_event(LOG_WARN,
                  "events of a worker are missing here: an older copy of the store, "
                  "or the clock was set back; sending ssecast.gap to open streams",
                  log_text("worker", m->worker), log_count("position", m->position));
    if (!write_welcome(c, worker, answer))
        return false; /* likewise */
    c->counters[WELCOMES]++;
    return true;
}

/* --- replay --- */

/* Where a page begins, and whether that answers the cursor exactly. */
struct page_start {
    uint64_t from;  /* as the page says */
    uint64_t after; /* events are read from here on */
    bool gap;
};

/* An unknown cursor is answered with all events retained since the last loss. */
static struct page_start find_cursor(const struct history *h, const struct wire_replay *m)
{
    uint64_t cursor = m->after;
    bool exact = !m->id.len || history_find_cursor(h, m->id, &cursor) == CURSOR_EXACT;
    if (exact && history_knows(h, cursor))
        return (struct page_start){cursor, cursor, false};
    uint64_t complete = history_complete(h), oldest = history_oldest(h) - 1;
    return (struct page_start){complete, complete > oldest ? complete : oldest, true};
}

/* Read the names of channels into items. False when there are more than a reader may have. */
static bool read_channels(struct slice raw, struct slice *items, struct names *out)
{
    struct slice name;
    size_t count = 0;
    while (wire_next_name(&raw, &name)) {
        if (count == HISTORY_CHANNELS_MAX)
            return false;
        items[count++] = name;
    }
    *out = (struct names){items, count};
    return true;
}

static size_t page_bytes(const struct wire_replay *m)
{
    return m->max_bytes < SYNC_PAGE_BYTES ? m->max_bytes : SYNC_PAGE_BYTES;
}

static void put_page(const struct sync_context *c, const struct wire_page *page,
                     struct event **events, size_t count, struct buf *answer)
{
    wire_put_page(answer, page);
    for (size_t i = 0; i < count; i++)
        wire_add_entry(answer, events[i]);
    c->counters[PAGES]++;
    c->counters[PAGE_EVENTS] += count;
    c->counters[PAGE_GAPS] += page->gap;
}

/* The position that the start stands for. */
static uint64_t find_position(const struct history *h, const struct wire_replay *m,
                              const struct history_filter *filter)
{
    bool exact;

    switch (m->start.kind) {
    case START_LAST:
        return history_before_last(
            h, filter, m->start.value < SYNC_PAGE_EVENTS ? m->start.value : SYNC_PAGE_EVENTS,
            &exact);
    case START_SINCE:
        return history_before_time(h, m->start.value < INT64_MAX ? (int64_t)m->start.value
                                                                 : INT64_MAX);
    case START_EARLIEST:
    case START_AFTER:
        break;
    }
    return history_begin(h);
}

/* A start is no cursor: nothing that is gone is missed. But a shutdown after the stream was opened
 * ends it, so the page begins before that at the latest. */
static struct page_start find_start(const struct history *h, const struct wire_replay *m,
                                    const struct history_filter *filter)
{
    if (m->start.kind == START_AFTER)
        return find_cursor(h, m);

    uint64_t begin = history_begin(h), position = find_position(h, m, filter);
    uint64_t opened = m->after > begin ? m->after : begin;
    if (m->after && position > opened)
        position = history_before_shutdown(h, filter, opened, position);

    MUST(position >= begin && position <= history_head(h));
    return (struct page_start){position, position, false};
}

/* Could the cursor be one that we have not heard of yet? Another start asks for what all brokers
 * have by now. */
static bool is_news(const struct history *h, const struct wire_replay *m,
                    const struct page_start *start)
{
    if (m->start.kind != START_AFTER)
        return true;
    return start->gap && (m->id.len || m->after > history_head(h));
}

static bool on_replay(const struct sync_context *c, struct slice worker,
                      const struct wire_replay *m, struct slice message, struct buf *answer)
{
    const struct history *h = sequence_history(c->sequence);
    struct slice channels[HISTORY_CHANNELS_MAX];
    struct audience who = m->who;
    bool readable = read_channels(m->channels, channels, &who.channels);
    struct history_filter filter = {.who = &who, .now_ms = c->clock_us / 1000, .compact = true};
    struct page_start start =
        readable ? find_start(h, m, &filter) : (struct page_start){.gap = true};
    bool unsure = is_news(h, m, &start) || sequence_lost(c->sequence);
    if (c->defer && unsure && c->defer(c->context, worker, message))
        return false;
    struct wire_page page = {
        .request = m->request,
        .run = sequence_epoch(c->sequence),
        .from = start.from,
        .head = history_head(h),
        .oldest = history_oldest(h),
        .gap = start.gap,
    };
    struct event *events[SYNC_PAGE_EVENTS];
    size_t count = 0;
    if (!readable) { /* cannot be read at a bounded cost: say that all is missing */
        page.gap = true;
        page.from = page.upto = page.head;
    } else {
        count = history_read(h, m->everything ? NULL : &filter, start.after, events,
                             SYNC_PAGE_EVENTS, page_bytes(m), &page.upto);
    }
    put_page(c, &page, events, count, answer);
    return true;
}

/* --- shutdowns --- */

/* The shutdowns after *upto, until they fill a page; *upto moves on. */
static void collect_shutdowns(const struct history *h, uint64_t *upto, struct buf *entries)
{
    struct event *events[SYNC_PAGE_EVENTS];

    for (unsigned i = 0;
         i < SYNC_LOOK_PAGES && *upto < history_head(h) && entries->len < SYNC_PAGE_BYTES; i++) {
        size_t count =
            history_read(h, NULL, *upto, events, SYNC_PAGE_EVENTS, SYNC_PAGE_BYTES, upto);
        for (size_t e = 0; e < count; e++)
            if (events[e]->kind == EVENT_SHUTDOWN)
                wire_add_entry(entries, events[e]);
    }
}

static bool on_shutdowns(const struct sync_context *c, const struct wire_shutdowns *m,
                         struct buf *answer)
{
    const struct history *h = sequence_history(c->sequence);
    struct buf entries = {0};
    struct wire_page page = {
        .request = m->request,
        .run = sequence_epoch(c->sequence),
        .from = m->after,
        .upto = m->after,
        .head = history_head(h),
        .oldest = history_oldest(h),
        .gap = m->after < history_complete(h) &&
               !sequence_retains(c->sequence, c->clock_us / 1000, m->age_ms),
    };

    collect_shutdowns(h, &page.upto, &entries);
    wire_put_page(answer, &page);
    wire_add_items(answer, &entries);
    answer->failed = answer->failed || entries.failed;
    buf_release(&entries);
    c->counters[PAGES]++;
    return true;
}

/* --- presence --- */

static void pass_on(const struct sync_context *c, struct slice worker, struct slice message,
                    int64_t now)
{
    if (c->cluster)
        cluster_forward(c->cluster, worker, message, now);
}

static void on_presence(const struct sync_context *c, struct slice worker,
                        const struct wire_presence *m, int64_t now, struct buf *answer)
{
    presence_report(c->presence, worker, m, now);
    wire_put_taken(answer, &(struct wire_taken){.run = sequence_epoch(c->sequence),
                                                .n = m->n,
                                                .head = history_head(sequence_history(c->sequence)),
                                                .clock = c->clock_us});
}

void sync_reported(const struct sync_context *c, struct slice worker, struct slice message,
                   int64_t now, struct buf *answer)
{
    if (presence_result(c->presence) == 0) {
        pass_on(c, worker, message, now);
        return;
    }
    c->counters[RESYNCS]++;
    wire_put_resync(answer);
}

static void log_ignored(struct slice message)
{
    bool ours = message.len > 3 && memcmp(message.data, WIRE_PREFIX, 3) == 0;
    if (ours && message.data[3] != WIRE_VERSION)
        log_event(LOG_WARN,
                  "worker refused: its protocol version differs; "
                  "use the same version of broker and workers",
                  log_count("protocol", (unsigned char)message.data[3]),
                  log_count("ours", WIRE_VERSION));
    else
        log_debug("invalid message of %zu bytes on sync; ignored", message.len);
}

static enum sync_outcome answered(bool answer)
{
    return answer ? SYNC_ANSWER : SYNC_SILENCE;
}

enum sync_outcome sync_handle(const struct sync_context *c, struct slice worker,
                              struct slice message, int64_t now, struct buf *answer)
{
    struct wire_hello hello;
    struct wire_replay replay;
    struct wire_presence presence;
    struct wire_shutdowns shutdowns;
    if (wire_get_presence(message, &presence) == 0) {
        on_presence(c, worker, &presence, now, answer);
        return SYNC_REPORT;
    }
    if (wire_get_replay(message, &replay) == 0) {
        presence_renew(c->presence, worker, now);
        return answered(on_replay(c, worker, &replay, message, answer));
    }
    if (wire_get_shutdowns(message, &shutdowns) == 0) {
        presence_renew(c->presence, worker, now);
        return answered(on_shutdowns(c, &shutdowns, answer));
    }
    if (wire_get_hello(message, &hello) == 0) {
        pass_on(c, worker, message, now);
        return answered(on_hello(c, worker, &hello, now, answer));
    }
    c->counters[SYNC_INVALID]++;
    log_ignored(message);
    return SYNC_SILENCE;
}
