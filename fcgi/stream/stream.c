#include "stream/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/name.h"
#include "model/past_ids.h"
#include "ops/log.h"

#define LAGGING_MAX 1000 /* streams that the broker is told lag */

struct audience stream_audience(const struct stream *s, struct slice *channels, char id[REGISTRY_ID_MAX])
{
    return (struct audience){
        .session = registry_session(stream_entry(s)),
        .connection = slice_of(registry_id(s->set->registry, stream_entry(s), id)),
        .channels = registry_channels(stream_entry(s), channels, REQUEST_CHANNELS_MAX),
    };
}

uint32_t stream_jitter(uint32_t retry)
{
    uint32_t random = 0, least = retry / 10;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)clock_unix_us();
    return least + random % (retry - least + 1);
}

/* --- sending --- */

struct slice stream_digits(uint64_t position, char digits[24])
{
    return (struct slice){digits, (size_t)snprintf(digits, 24, "%" PRIu64, position)};
}

/* Make block a checkpoint of s. The first one says which connection it is, and how often it is heard of. */
void stream_mark_place(struct stream *s, struct block *block, char connection[REGISTRY_ID_MAX])
{
    block->checkpoint = s->shows_checkpoints;
    if (!s->placed) {
        block->connection = registry_id(s->set->registry, stream_entry(s), connection);
        block->heartbeat_ms = s->set->limits.heartbeat_ms;
        if (s->shows_beats)
            owner_of(registry_session(stream_entry(s)), block->owner);
    }
    s->placed = true;
}

void stream_send_checkpoint(struct stream *s, uint64_t position)
{
    char digits[24], connection[REGISTRY_ID_MAX];
    struct block block = {.id = stream_digits(position, digits)};
    if (!stream_is_open(s))
        return; /* it has ended meanwhile */

    stream_mark_place(s, &block, connection);
    exchange_send(&s->exchange, reply_block(&block));
    s->shown = position;
}

/* Beside events, which a page sees only where it listens for their names. */
static void beat_beside_events(struct stream *s)
{
    int64_t now = loop_now(s->set->loop);

    if (!s->shows_beats || s->exchange.conn.state != CONN_OPEN)
        return;

    MUST(stream_is_open(s) && now >= s->beaten_at);
    if (2 * (now - s->beaten_at) < (int64_t)s->set->limits.heartbeat_ms)
        return;

    s->beaten_at = now;
    conn_send_unbounded(&s->exchange.conn, s->set->visible_beat);
}

/* Bans end by the broker's clock, which set their ends. */
int64_t streams_ban_clock(const struct streams *set)
{
    return ordering_broker_ms(&set->ordering, clock_us(), clock_unix_ms());
}

/* Was s opened before this shutdown? In doubt it was: its client comes back. */
static bool opened_before(const struct stream *s, const struct event *e)
{
    if (e->seq <= s->opened_at)
        return false;
    if (s->confirmed && e->seq > s->opened_by)
        return true;
    return ordering_latest(&s->set->ordering, e->seq, e->time_ms) >= s->opened_us;
}

/* A page of a replay may bring a ban before the feed does. Then no table has it yet, and the feed will not deliver it to s again. */
static bool bans_itself(const struct stream *s, const struct event *e, int64_t now_ms)
{
    struct slice name, session = registry_session(stream_entry(s));

    if (e->seq <= history_head(s->set->window) || !e->block_s || e->time_ms + (int64_t)e->block_s * 1000 <= now_ms)
        return false;

    for (size_t cursor = 0; event_next_name(e, TO_SESSIONS, &cursor, &name);)
        if (slice_equal(name, session))
            return true;
    return false;
}

/* It was let in because its ban was not known here yet. */
static bool slipped_in(const struct stream *s, const struct event *e)
{
    int64_t now_ms = streams_ban_clock(s->set);

    if (e->seq <= s->opened_at)
        return false;
    return bans_until(s->set->bans, registry_session(stream_entry(s)), now_ms) || bans_itself(s, e, now_ms);
}

/* Is the event for the client of s, beyond being addressed to it? */
static bool concerns(const struct stream *s, const struct event *e)
{
    if (e->kind == EVENT_BANS)
        return false;
    return e->kind != EVENT_SHUTDOWN || opened_before(s, e) || slipped_in(s, e);
}

void stream_deliver(struct stream *s, struct event *e, bool bounded)
{
    /* What came before e in a page may have ended the stream. */
    if (!stream_is_open(s) || !concerns(s, e))
        return;

    uint64_t open = s->exchange.conn.state == CONN_OPEN;
    if (!bounded) {
        conn_send_unbounded(&s->exchange.conn, e);
    } else if (!conn_try_send(&s->exchange.conn, e)) {
        resume_fall_behind(s, e->seq - 1);
        return;
    }

    s->set->counters[DELIVERIES] += open;
    if (e->kind == EVENT_SHUTDOWN) {
        conn_end(&s->exchange.conn, END_SHUTDOWN);
        return;
    }

    s->shown = e->seq;
    beat_beside_events(s);
}

/* --- heartbeats --- */

/* What keeps s alive, and tells position where it has moved (0: not). All that are equally far share it. */
static struct event *heartbeat(const struct stream *s, uint64_t position)
{
    struct streams *set = s->set;
    bool visible = s->shows_checkpoints;
    struct event **shared = &set->beats[visible];
    if (!position)
        return s->shows_beats ? set->visible_beat : set->plain_beat;
    if (!*shared || set->beat_positions[visible] != position) {
        char digits[24];
        event_unref(shared);
        *shared = reply_block(&(struct block){.id = stream_digits(position, digits), .checkpoint = visible});
        set->beat_positions[visible] = position;
    }
    return *shared ? *shared : set->plain_beat;
}

/* What waits for its reader will keep a stream alive; a service looks after its own. */
static void beat(struct conn *c)
{
    struct stream *s = stream_of(c);

    conn_touch(c);
    if (!s || c->queue.bytes)
        return;

    uint64_t head = s->state == STREAM_LIVE ? history_head(s->set->window) : 0;
    uint64_t position = head > s->cursor ? head : s->cursor;
    bool moved = s->state == STREAM_LIVE && position > s->shown;
    MUST(!moved || s->placed);
    s->set->counters[HEARTBEATS]++;
    s->beaten_at = loop_now(s->set->loop);
    conn_send_unbounded(&s->exchange.conn, heartbeat(s, moved ? position : 0));
    if (moved)
        s->shown = position;
}

void streams_set_beat_timer(struct streams *set)
{
    if (set->exchanges->conns.idle.first && !set->beat_timer.due)
        loop_timer_set(set->loop, &set->beat_timer,
                       set->exchanges->conns.idle.first->touched + (int64_t)set->limits.heartbeat_ms);
}

/* The list is in the order of the last write, so only those that are due are looked at. */
static void beat_idle(void *context, int64_t now)
{
    struct streams *set = context;
    int64_t due = now - (int64_t)set->limits.heartbeat_ms;
    for (struct conn *c; (c = set->exchanges->conns.idle.first) && c->touched <= due;)
        beat(c);
    bans_expire(set->bans, streams_ban_clock(set));
    streams_set_beat_timer(set);
}

/* Was a broker told of s? */
static bool is_told(const struct stream *s)
{
    return stream_entry(s)->generation <= s->set->told;
}

/* s as the broker is told of it; channels and id as for stream_audience(). */
static struct wire_presence_item presence_of(const struct stream *s, enum wire_item kind, struct slice *channels,
                                             char id[REGISTRY_ID_MAX])
{
    struct audience who = stream_audience(s, channels, id);
    return (struct wire_presence_item){.kind = kind,
                                       .connection = who.connection,
                                       .session = who.session,
                                       .since_ms = s->since_ms,
                                       .channels = who.channels,
                                       .told = is_told(s),
                                       .meta = registry_meta(stream_entry(s)),
                                       .cause = s->exchange.conn.cause};
}

void stream_report(struct stream *s, enum wire_item kind)
{
    struct slice channels[REQUEST_CHANNELS_MAX];
    char id[REGISTRY_ID_MAX];
    struct wire_presence_item item = presence_of(s, kind, channels, id);
    MUST(item.cause < END_CAUSES);
    upstream_presence(s->set->upstream, &item);
}

/* --- what upstream tells --- */

static void join(void *owner, void *context)
{
    struct stream *s = owner;
    (void)context;
    resume_begin(s);
}

static struct event *retry_block(const struct streams *set)
{
    return reply_block(&(struct block){.has_retry = true, .retry = stream_jitter(set->limits.retry)});
}

static void send_back(void *owner, void *context)
{
    struct stream *s = owner;
    (void)context;
    if (!s->waited)
        return;
    exchange_send(&s->exchange, retry_block(s->set));
    conn_end(&s->exchange.conn, END_DRAIN);
}

/* Shutdowns may have been made that nobody can name any more. Those who come back are judged anew. */
static void send_waited_back(struct streams *set)
{
    log_event(
        LOG_WARN,
        "shutdowns from before the broker was there may be missing: streams that waited for it are asked to come back",
        log_count("waited_ms", (uint64_t)(clock_us() - set->waiting_since) / 1000));
    registry_each(set->registry, send_back, NULL);
}

#define PAST_MARGIN_MS 1000 /* beside the clocks' drift while streams waited */

/* What was shut down while streams waited for the sequence. */
static void ask_past(struct streams *set, uint64_t after)
{
    uint64_t waited_ms = (uint64_t)(clock_us() - set->waiting_since) / 1000;
    if (!upstream_shutdowns(set->upstream, after, waited_ms + PAST_MARGIN_MS))
        send_waited_back(set);
}

/* One that still resumes comes by the shutdown in its order; one that is behind was live after it. */
static void end_past(void *owner, void *context)
{
    struct stream *s = owner;
    struct event *e = context;
    bool was_live = s->state == STREAM_LIVE || s->exchange.conn.behind;
    if (s->waited && was_live && s->exchange.conn.state == CONN_OPEN)
        stream_deliver(s, e, false);
}

static void on_past(void *context, const struct wire_page *page)
{
    struct streams *set = context;
    struct slice rest = page->entries;
    struct event *e;

    streams_settle(set);
    for (size_t used; (e = event_parse(rest, &used)); event_unref(&e)) {
        if (e->kind == EVENT_SHUTDOWN)
            registry_route(set->registry, e, end_past, e);
        rest = (struct slice){rest.data + used, rest.len - used};
    }

    if (page->gap)
        send_waited_back(set);
    else if (page->upto < page->head)
        ask_past(set, page->upto);
}

static void on_joined(void *context, uint64_t position)
{
    struct streams *set = context;
    struct history_limits limits = {UINT64_MAX, set->limits.window_bytes, UINT64_MAX};
    set->window = history_new(&limits, position);
    if (!set->window || history_remember_ids(set->window, PAST_IDS) != 0) {
        log_error("out of memory at the start");
        loop_stop(set->loop);
        return;
    }
    registry_each(set->registry, join, NULL);
    if (set->waiting_since)
        ask_past(set, 0);
}

static void end_blocked(void *owner, void *context)
{
    struct stream *s = owner;
    struct event *e = context;
    if (s->state != STREAM_WAITING)
        return; /* the shutdown itself reaches it, in order */
    conn_send_unbounded(&s->exchange.conn, e);
    conn_end(&s->exchange.conn, END_SHUTDOWN);
}

/* What a session is told when its own shutdown cannot be. NULL when out of memory. */
static struct event *shutdown_of(struct slice session)
{
    struct event_spec spec = {.kind = EVENT_SHUTDOWN,
                              .seq = 1,
                              .event = slice_of("ssecast.shutdown"),
                              .data = slice_of("{\"reason\":null}"),
                              .has_to = true};
    spec.lists[TO_SESSIONS] = (struct names){&session, 1};
    return event_new(&spec);
}

static void on_blocked(void *context, struct slice session, int64_t until_ms)
{
    struct streams *set = context;
    bans_say(set->bans, session, until_ms);
    struct event *e = set->window ? NULL : shutdown_of(session);
    if (e)
        registry_route(set->registry, e, end_blocked, e);
    event_unref(&e);
}

/* The shutdown that banned its session was among what is missing. */
static void end_banned(void *owner, void *context)
{
    struct stream *s = owner;
    const struct streams *set = context;
    struct event *e;

    if (!bans_until(set->bans, registry_session(s->entry), streams_ban_clock(set)))
        return;
    if (!(e = shutdown_of(registry_session(s->entry))))
        return;

    conn_send_unbounded(&s->exchange.conn, e);
    conn_end(&s->exchange.conn, END_SHUTDOWN);
    event_unref(&e);
}

/* What the window has after position came before this welcome, and is newer. */
static void on_all_blocked(void *context, uint64_t position, uint64_t since)
{
    struct streams *set = context;
    struct event *events[64];
    uint64_t at = position;

    bans_replace(set->bans, position, since);
    set->bans_at = position;

    while (set->window && at < history_head(set->window)) {
        size_t count = history_read(set->window, NULL, at, events, sizeof events / sizeof *events, SIZE_MAX, &at);
        for (size_t i = 0; i < count; i++)
            bans_apply(set->bans, events[i]);
    }

    if (set->missed)
        registry_each(set->registry, end_banned, set);
    set->missed = false;
}

/* The bundle one by one, to a stream that knows some of it already, or none of it went into one text. */
static void deliver_each(struct stream *s, const struct bundle *b)
{
    struct event *e;
    for (size_t i = 0; s->state == STREAM_LIVE && (e = deque_at(&b->events, i)); i++)
        if (e->seq > s->cursor)
            stream_deliver(s, e, true);
}

struct delivery {
    const struct bundle *bundle;
    struct event *text; /* of all of them; NULL: one by one */
    uint64_t first, last;
};

static void deliver_live(void *owner, void *context)
{
    struct stream *s = owner;
    const struct delivery *d = context;
    if (s->state != STREAM_LIVE)
        return;
    if (!d->text || !s->exchange.spools || s->cursor >= d->first) {
        deliver_each(s, d->bundle);
        return;
    }

    uint64_t open = s->exchange.conn.state == CONN_OPEN;
    if (!conn_try_send(&s->exchange.conn, d->text)) {
        resume_fall_behind(s, d->first - 1);
        return;
    }

    s->set->counters[DELIVERIES] += open * d->bundle->events.count;
    s->shown = d->last;
    beat_beside_events(s);
}

void streams_settle(struct streams *set)
{
    struct bundle *b = &set->live;
    struct event *first = deque_at(&b->events, 0);
    if (!first)
        return;
    struct delivery d = {.bundle = b, .first = first->seq, .last = deque_back(&b->events)->seq};
    d.text = b->events.count > 1 ? bundle_text(b) : NULL;
    registry_route(set->registry, first, deliver_live, &d);
    event_unref(&d.text);
    bundle_clear(b);
}

static void deliver_now(void *owner, void *context)
{
    struct stream *s = owner;
    struct event *e = context;
    if (s->state == STREAM_LIVE && e->seq > s->cursor)
        stream_deliver(s, e, true);
}

/* To live streams at the end of the turn, with what else came for the same ones; at once when there is no memory to wait in. */
static void collect(struct streams *set, struct event *e)
{
    if (!bundle_takes(&set->live, e))
        streams_settle(set);
    if (bundle_add(&set->live, e) == 0)
        return;
    streams_settle(set);
    registry_route(set->registry, e, deliver_now, e);
}

static void on_event(void *context, struct event *e)
{
    struct streams *set = context;
    if (history_append(set->window, e) != 0)
        history_miss(set->window, e); /* whoever resumes across it asks the broker */
    history_evict(set->window);
    if (e->seq > set->bans_at)
        bans_apply(set->bans, e);
    if (e->kind != EVENT_BANS)
        collect(set, e);
}

static void on_advanced(void *context, uint64_t position)
{
    struct streams *set = context;
    history_advance(set->window, position);
}

struct breakage {
    uint64_t position, oldest;
};

static void tell_broken(void *owner, void *context)
{
    const struct breakage *b = context;
    resume_broken(owner, b->position, b->oldest);
}

static void on_broken(void *context, uint64_t position, uint64_t oldest)
{
    struct streams *set = context;
    struct breakage b = {position, oldest};
    streams_settle(set);
    history_break(set->window, position);
    set->missed = true;
    registry_each(set->registry, tell_broken, &b);
}

static void on_page(void *context, void *asker, const struct wire_page *page)
{
    (void)context;
    resume_page(asker, page);
}

struct snapshot {
    struct buf *b;
    size_t max;
};

static bool add_to_snapshot(void *owner, void *context)
{
    const struct stream *s = owner;
    const struct snapshot *to = context;
    struct slice channels[REQUEST_CHANNELS_MAX];
    char id[REGISTRY_ID_MAX];
    struct wire_presence_item item = presence_of(s, ITEM_OPENED, channels, id);
    wire_add_presence(to->b, &item);
    return to->b->len < to->max && !to->b->failed;
}

static bool on_snapshot(void *context, struct buf *b, size_t *cursor, size_t max)
{
    struct streams *set = context;
    struct snapshot to = {b, max};
    return registry_each_from(set->registry, cursor, add_to_snapshot, &to);
}

static void on_measure(void *context, uint64_t gauges[WORKER_GAUGES])
{
    streams_measure(context, gauges);
}

/* Up to where the reader was sent everything: before the first event that waits for it. */
static uint64_t sent_position(const struct stream *s)
{
    const struct event *e;
    for (size_t i = 0; (e = deque_at(&s->exchange.conn.queue.events, i)); i++)
        if (e->seq)
            return e->seq - 1;
    return s->state == STREAM_LIVE ? history_head(s->set->window) : s->cursor;
}

static void add_lagging(const struct streams *set, const struct conn_list *list, struct buf *b, int *count)
{
    char id[REGISTRY_ID_MAX];
    for (struct conn *c = list->first; c && *count < LAGGING_MAX; c = c->next) {
        const struct stream *s = stream_of(c);
        if (!s || !set->window)
            continue;
        wire_add_presence(
            b, &(struct wire_presence_item){.kind = ITEM_LAGS,
                                            .connection = slice_of(registry_id(set->registry, stream_entry(s), id)),
                                            .sent = sent_position(s),
                                            .queued = c->queue.bytes});
        (*count)++;
    }
}

/* Those whose readers take nothing: first those that are behind; the longest of each first. */
static void on_lagging(void *context, struct buf *b)
{
    const struct streams *set = context;
    int count = 0;

    add_lagging(set, &set->exchanges->conns.behind, b, &count);
    add_lagging(set, &set->exchanges->conns.blocked, b, &count);
}

static uint64_t on_mark(void *context)
{
    const struct streams *set = context;
    return registry_generation(set->registry);
}

static void on_told(void *context, uint64_t mark, uint64_t head)
{
    struct streams *set = context;
    struct stream *s;
    MUST(mark >= set->told && mark <= registry_generation(set->registry));
    set->told = mark;

    while ((s = TAILQ_FIRST(&set->unconfirmed)) && stream_entry(s)->generation <= mark) {
        TAILQ_REMOVE(&set->unconfirmed, s, unconfirmed);
        s->confirmed = true;
        s->opened_by = head;
    }
}

const struct upstream_hooks stream_upstream_hooks = {
    .joined = on_joined,
    .blocked = on_blocked,
    .all_blocked = on_all_blocked,
    .event = on_event,
    .advanced = on_advanced,
    .broken = on_broken,
    .page = on_page,
    .measure = on_measure,
    .snapshot = on_snapshot,
    .lagging = on_lagging,
    .mark = on_mark,
    .told = on_told,
    .past = on_past,
};

/* --- what connections tell --- */

/* By the connection's id: the name of a session may be the value of a cookie, which is nobody's to read in a log. */
static void tell_slow(const struct stream *s)
{
    char id[REGISTRY_ID_MAX];
    log_event(LOG_INFO,
              "a stream was cut, because its reader takes too little of what is sent (write-timeout, window-bytes)",
              log_name("connection", registry_id(s->set->registry, stream_entry(s), id)));
}

static void count_end(uint64_t *counters, enum end_cause cause)
{
    switch (cause) {
    case END_CLIENT:
        counters[ENDS_CLIENT]++;
        break;
    case END_SHUTDOWN:
        counters[ENDS_SHUTDOWN]++;
        break;
    case END_SLOW:
        counters[ENDS_SLOW]++;
        break;
    case END_DRAIN:
        counters[ENDS_DRAIN]++;
        break;
    case END_EXPIRED:
        counters[ENDS_EXPIRED]++;
        break;
    case END_REPLACED:
        counters[ENDS_REPLACED]++;
        break;
    case END_WORKER_LOST: /* for the broker to say */
    case END_CAUSES:
    case END_ANSWERED:
        break;
    }
}

/* All that is left of s is what still waits to be written. */
static void stream_closed(struct conn *c)
{
    struct stream *s = stream_of(c);
    MUST(s && s->entry);

    upstream_forget(&s->question);
    if (c->cause == END_SLOW)
        tell_slow(s);
    count_end(s->set->counters, c->cause);
    stream_report(s, ITEM_ENDED);

    if (!s->confirmed)
        TAILQ_REMOVE(&s->set->unconfirmed, s, unconfirmed);
    registry_remove(s->set->registry, &s->entry);
    terms_free(&s->terms);
    free(s->last_id);
    s->last_id = NULL;
    exchange_leave(&s->exchange);
}

static void stream_drained(struct conn *c)
{
    struct stream *s = stream_of(c);
    MUST(s);

    streams_set_beat_timer(s->set); /* the only one may have been blocked */
    resume_continue(s);
}

const struct conn_hooks stream_conn_hooks = {stream_closed, stream_drained};

/* --- how it is --- */

void streams_measure(struct streams *set, uint64_t gauges[WORKER_GAUGES])
{
    int64_t now = loop_now(set->loop);
    if (!set->measured_at || now - set->measured_at >= STREAMS_MEASURE_MS) {
        set->load = conns_load(&set->exchanges->conns);
        set->measured_at = now;
    }
    gauges[GAUGE_STREAMS] = registry_count(set->registry);
    gauges[GAUGE_POSITION] = set->window ? history_head(set->window) : 0;
    gauges[GAUGE_QUEUED_BYTES] = set->load.bytes;
    gauges[GAUGE_QUEUED_READERS] = set->load.readers;
    gauges[GAUGE_STREAMS_MAX] = set->limits.connections;
    gauges[GAUGE_WINDOW_EVENTS] = set->window ? history_count(set->window) : 0;
    gauges[GAUGE_WINDOW_BYTES] = set->window ? history_bytes(set->window) : 0;
    gauges[GAUGE_STARTED_MS] = (uint64_t)set->started_ms;
}

/* --- life --- */

struct drain {
    struct streams *set;
    size_t left;
};

static void drain_one(void *owner, void *context)
{
    struct stream *s = owner;
    struct drain *d = context;
    if (!d->left)
        return;
    d->left--;
    exchange_send(&s->exchange, retry_block(d->set));
    conn_end(&s->exchange.conn, END_DRAIN);
}

size_t streams_drain(struct streams *set, size_t count)
{
    struct drain d = {set, count};
    registry_each(set->registry, drain_one, &d);
    return registry_count(set->registry);
}

int streams_init(struct streams *set, const char *prefix, size_t queue_bytes)
{
    TAILQ_INIT(&set->unconfirmed);
    set->registry = registry_new(prefix);
    set->bans = bans_new();
    set->live.max = queue_bytes / 4 < BUNDLE_BYTES ? queue_bytes / 4 : BUNDLE_BYTES;
    set->plain_beat = reply_keep_alive();
    set->visible_beat = reply_beat();
    set->beat_timer = (struct loop_timer){.fire = beat_idle, .context = set};
    int err = terms_init(set);
    return !err && set->registry && set->bans && set->plain_beat && set->visible_beat ? 0 : -ENOMEM;
}

void streams_release(struct streams *set)
{
    if (set->upstream)
        upstream_leave(set->upstream);
    terms_release(set);
    bundle_release(&set->live);
    registry_free(&set->registry);
    bans_free(&set->bans);
    history_free(&set->window);
    event_unref(&set->beats[false]);
    event_unref(&set->beats[true]);
    event_unref(&set->plain_beat);
    event_unref(&set->visible_beat);
}
