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
#include "service/service.h"

#define LAGGING_MAX 1000 /* streams that the broker is told lag */

static struct stream *stream_of(struct conn *c)
{
    return (struct stream *)c;
}

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

void stream_send_text(struct stream *s, struct event *text)
{
    if (text)
        conn_send_unbounded(&s->conn, text);
    else
        conn_cut(&s->conn, END_SLOW);
    event_unref(&text);
}

static struct slice digits_of(uint64_t position, char digits[24])
{
    return (struct slice){digits, (size_t)snprintf(digits, 24, "%" PRIu64, position)};
}

/* Make block a checkpoint of s. The first one says which connection it is, and how often it is heard of. */
static void mark_place(struct stream *s, struct block *block, char connection[REGISTRY_ID_MAX])
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
    struct block block = {.id = digits_of(position, digits)};
    if (s->kind != KIND_EVENTS)
        return; /* it has ended meanwhile */

    mark_place(s, &block, connection);
    stream_send_text(s, reply_block(&block));
    s->shown = position;
}

/* Beside events, which a page sees only where it listens for their names. */
static void beat_beside_events(struct stream *s)
{
    int64_t now = loop_now(s->set->loop);

    if (!s->shows_beats || s->conn.state != CONN_OPEN)
        return;

    MUST(s->kind == KIND_EVENTS && now >= s->beaten_at);
    if (2 * (now - s->beaten_at) < (int64_t)s->set->limits.heartbeat_ms)
        return;

    s->beaten_at = now;
    conn_send_unbounded(&s->conn, s->set->visible_beat);
}

/* Bans end by the broker's clock, which set their ends. */
static int64_t ban_clock(const struct streams *set)
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
    int64_t now_ms = ban_clock(s->set);

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
    if (s->kind != KIND_EVENTS || !concerns(s, e))
        return;

    uint64_t open = s->conn.state == CONN_OPEN;
    if (!bounded) {
        conn_send_unbounded(&s->conn, e);
    } else if (!conn_try_send(&s->conn, e)) {
        resume_fall_behind(s, e->seq - 1);
        return;
    }

    s->set->counters[DELIVERIES] += open;
    if (e->kind == EVENT_SHUTDOWN) {
        conn_end(&s->conn, END_SHUTDOWN);
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
        *shared = reply_block(&(struct block){.id = digits_of(position, digits), .checkpoint = visible});
        set->beat_positions[visible] = position;
    }
    return *shared ? *shared : set->plain_beat;
}

/* What waits for its reader will keep a stream alive; a service looks after its own. */
static bool is_quiet(const struct stream *s)
{
    return s->kind == KIND_EVENTS && !s->conn.queue.bytes;
}

static void beat(struct stream *s)
{
    conn_touch(&s->conn);
    if (!is_quiet(s))
        return;

    uint64_t head = s->state == STREAM_LIVE ? history_head(s->set->window) : 0;
    uint64_t position = head > s->cursor ? head : s->cursor;
    bool moved = s->state == STREAM_LIVE && position > s->shown;
    MUST(!moved || s->placed);
    s->set->counters[HEARTBEATS]++;
    s->beaten_at = loop_now(s->set->loop);
    conn_send_unbounded(&s->conn, heartbeat(s, moved ? position : 0));
    if (moved)
        s->shown = position;
}

static void set_beat_timer(struct streams *set)
{
    if (set->conns.idle.first && !set->beat_timer.due)
        loop_timer_set(set->loop, &set->beat_timer, set->conns.idle.first->touched + (int64_t)set->limits.heartbeat_ms);
}

/* The list is in the order of the last write, so only those that are due are looked at. */
static void beat_idle(void *context, int64_t now)
{
    struct streams *set = context;
    int64_t due = now - (int64_t)set->limits.heartbeat_ms;
    for (struct conn *c; (c = set->conns.idle.first) && c->touched <= due;)
        beat(stream_of(c));
    bans_expire(set->bans, ban_clock(set));
    set_beat_timer(set);
}

/* --- admission --- */

enum admission {
    ADMIT,
    SHED_DRAINING,
    SHED_WORKER_FULL,
    SHED_ADDRESS_FULL,
    SHED_TOO_FAST, /* the address asks too often (connect-rate) */
};

/* The stream that makes way when one more of this session opens; NULL: there is room for both. */
static struct stream *displaced_by(const struct streams *set, struct slice session)
{
    uint64_t most = set->limits.per_session;
    if (!most || registry_session_count(set->registry, session) < most)
        return NULL;

    return registry_session_oldest(set->registry, session);
}

/* Whether a new stream may open. The caller counts and logs a refusal. */
static enum admission admit(const struct streams *set, const struct request *r, const struct address *address)
{
    const struct stream *displaced = displaced_by(set, slice_of(r->session));
    if (set->draining)
        return SHED_DRAINING;

    if (!displaced && registry_count(set->registry) >= set->limits.connections)
        return SHED_WORKER_FULL;

    bool same_address = displaced && terms_address(stream_terms(displaced)) == address;
    if (address && !same_address && address_full(set->addresses, address))
        return SHED_ADDRESS_FULL;

    return ADMIT;
}

static void count_shed(struct streams *set, enum admission why)
{
    set->counters[STREAMS_SHED]++;
    switch (why) {
    case SHED_WORKER_FULL:
        log_event(LOG_WARN,
                  "streams are turned away, there are as many as may be: raise max-connections, or add workers",
                  log_count("max-connections", set->limits.connections));
        break;
    case SHED_ADDRESS_FULL:
        set->counters[SHED_ADDRESS]++;
        break;
    case SHED_TOO_FAST:
        set->counters[SHED_RATE]++;
        break;
    case ADMIT:
    case SHED_DRAINING:
        break;
    }
}

static struct event *shed(struct streams *set, const struct request *r, enum admission why)
{
    MUST(why != ADMIT);
    count_shed(set, why);
    return reply_come_back(&set->reply_rules, r, stream_jitter(set->limits.retry));
}

/* End s for a newer stream of its session. It comes back late: two pages that know no better would replace each other in turn. */
static void replace(struct stream *s)
{
    uint64_t retry = (uint64_t)s->set->limits.retry * STREAM_REPLACED_FACTOR;
    stream_send_text(s, reply_replaced(stream_jitter(retry < UINT32_MAX ? (uint32_t)retry : UINT32_MAX)));
    conn_end(&s->conn, END_REPLACED);
}

/* --- opening --- */

/* Without a place where that is not known yet, or where the client's cursor cannot stand in an id: line. Then the first checkpoint
 * follows when the stream has a place. */
static struct event *first_block(struct stream *s, const struct request *r)
{
    char digits[24], connection[REGISTRY_ID_MAX];
    struct block block = {.padding = r->padding, .has_retry = true, .retry = s->set->limits.retry};
    if (r->last_id && cursor_valid(slice_of(r->last_id)))
        block.id = slice_of(r->last_id); /* not the head: a disconnect during the replay would skip events */
    else if (!r->last_id && s->set->window)
        block.id = digits_of(history_head(s->set->window), digits);

    if (block.id.len)
        mark_place(s, &block, connection);
    return reply_block(&block);
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
                                       .cause = s->conn.cause};
}

static void report(struct stream *s, enum wire_item kind)
{
    struct slice channels[REQUEST_CHANNELS_MAX];
    char id[REGISTRY_ID_MAX];
    struct wire_presence_item item = presence_of(s, kind, channels, id);
    MUST(item.cause < END_CAUSES);
    upstream_presence(s->set->upstream, &item);
}

/* s becomes a stream of events. 0 or -ENOMEM (it stays what it is). */
static int become_events(struct stream *s, const struct request *r, struct address *address)
{
    struct terms *terms;
    MUST(s->kind == KIND_ANSWER);
    if (terms_new(s, r->expires_ms, address, &terms) != 0)
        return -ENOMEM;

    struct registry_entry *entry =
        registry_add(s->set->registry, s, slice_of(r->session), (struct names){r->channels, r->channel_count},
                     (struct slice){r->meta, r->meta_len});
    if (!entry) {
        terms_free(&terms);
        return -ENOMEM;
    }

    s->kind = KIND_EVENTS;
    s->entry = entry;
    s->of.terms = terms;
    TAILQ_INSERT_TAIL(&s->set->unconfirmed, s, unconfirmed);
    return 0;
}

/* The end of a stream of events: all that is left is what still waits to be written. */
static void end_events(struct stream *s)
{
    MUST(s->kind == KIND_EVENTS);
    if (!s->confirmed)
        TAILQ_REMOVE(&s->set->unconfirmed, s, unconfirmed);
    registry_remove(s->set->registry, &s->entry);
    terms_free(&s->of.terms);
    s->kind = KIND_ANSWER;
}

/* When s was opened, as far as is known yet. */
static void note_opening(struct stream *s)
{
    struct streams *set = s->set;
    s->since_ms = clock_unix_ms();
    s->opened_us = clock_us();
    if (set->window) {
        s->opened_at = history_head(set->window);
        return;
    }
    s->waited = true;
    if (!set->waiting_since)
        set->waiting_since = s->opened_us;
}

static void open_stream(struct stream *s, struct request *r, struct address *address)
{
    struct streams *set = s->set;
    struct stream *displaced = displaced_by(set, slice_of(r->session));
    char id[REGISTRY_ID_MAX];
    if (become_events(s, r, address) != 0) {
        conn_cut(&s->conn, END_ANSWERED);
        return;
    }
    if (displaced)
        replace(displaced);

    set->counters[STREAMS_OPENED]++;
    note_opening(s);
    s->shows_checkpoints = r->checkpoints != CHECKPOINTS_OFF;
    s->shows_beats = r->checkpoints == CHECKPOINTS_ALWAYS;
    s->beaten_at = loop_now(set->loop);
    if (r->last_id && r->other_id && resume_is_newer(set->window, r->last_id, r->other_id))
        request_swap_cursors(r);
    stream_send_text(s, reply_stream(&set->reply_rules, r, registry_id(set->registry, stream_entry(s), id)));
    stream_send_text(s, first_block(s, r));
    s->last_id = r->last_id;
    r->last_id = NULL;
    if (s->conn.state != CONN_OPEN)
        return;
    report(s, ITEM_OPENED);
    set_beat_timer(set);
    if (set->window)
        resume_begin(s);
}

static enum worker_counter refusal_counter(int status)
{
    return status == 401 ? STREAMS_UNAUTHORIZED : status == 403 ? STREAMS_FORBIDDEN : STREAMS_REFUSED;
}

/* The log has the time of the ban, by which it is found among the broker's; see tell_slow(). */
static bool is_banned(const struct streams *set, const struct request *r)
{
    int64_t until_ms = bans_until(set->bans, slice_of(r->session), ban_clock(set));

    if (until_ms)
        log_event(LOG_DEBUG, "a request was answered 204: its session is banned",
                  log_count("until", (uint64_t)until_ms));
    return until_ms != 0;
}

/* The answer to a request that opens no stream; NULL when it opens one, or when out of memory (*counted then says which). */
static struct event *short_answer(struct streams *set, const struct request *r, const struct address *address,
                                  bool *answered)
{
    *answered = true;
    switch (r->kind) {
    case REQUEST_REFUSED:
        set->counters[refusal_counter(r->status)]++;
        return reply_refused(&set->reply_rules, r);
    case REQUEST_PREFLIGHT:
        return reply_preflight(&set->reply_rules, r->origin, REQUEST_METHODS, REQUEST_HEADERS);
    case REQUEST_HEAD:
        return reply_stream(&set->reply_rules, r, NULL);
    case REQUEST_STREAM:
        break;
    }
    if (is_banned(set, r)) {
        set->counters[STREAMS_BLOCKED]++;
        return reply_no_content(&set->reply_rules, r);
    }
    enum admission admission = admit(set, r, address);
    if (admission != ADMIT)
        return shed(set, r, admission);
    *answered = false;
    return NULL;
}

static void end_with(struct stream *s, struct event *text)
{
    stream_send_text(s, text);
    conn_end(&s->conn, END_ANSWERED);
}

static void answer(struct stream *s, struct request *r, struct address *address)
{
    bool answered;
    struct event *text = short_answer(s->set, r, address, &answered);
    if (answered)
        end_with(s, text);
    else
        open_stream(s, r, address);
}

/* lighttpd does (Apache and nginx read what they can pass on, and are faster when the socket holds more). */
static bool spools(const struct params *params)
{
    return route_lighttpd(params);
}

/* The request's token is judged first, where one is wanted. 0 or -ENOMEM. */
static int read_request(struct streams *set, const struct params *params, bool judge, struct request *r)
{
    struct token token = {0};
    if (judge && set->tokens && request_wants_token(&set->request_rules))
        tokens_verify_request(set->tokens, params, clock_unix_ms(), &token);
    int err = request_read(params, &set->request_rules, &token, r);
    token_release(&token);
    return err;
}

/* Count against the address's rate before a token is judged: that is expensive. */
static int answer_request(struct stream *s, const struct params *params)
{
    struct streams *set = s->set;
    struct address *address = NULL;
    struct request r = {0};
    bool stream = request_is_stream(params), in_time = !stream || terms_knock(set, params, &address);
    int err = read_request(set, params, stream && in_time, &r);
    if (!err && in_time)
        answer(s, &r, address);
    else if (!err)
        end_with(s, shed(set, &r, SHED_TOO_FAST));
    request_release(&r);
    return err;
}

/* Refuse a request before anybody looks at what it is for: it has no path here, or can be read in two ways. False: it was not refused. */
static bool refuse_early(struct stream *s, const struct params *params, bool found)
{
    struct streams *set = s->set;
    struct request r = {0};
    if (!request_refuse_repeated(params, &set->request_rules, &r) && found)
        return false;
    if (!r.status)
        request_refuse_path(&r);
    r.origin = request_origin(params, set->reply_rules.cors_origins);
    set->counters[refusal_counter(r.status)]++;
    end_with(s, reply_refused(&set->reply_rules, &r));
    request_release(&r);
    return true;
}

void streams_request(struct streams *set, int fd, struct params *params, bool raw)
{
    struct stream *s = calloc(1, sizeof *s);
    const struct service *service;
    bool found = service_find(set, params, &service);
    if (s)
        s->set = set;
    if (!s || conn_open(&s->conn, &set->conns, fd, params->request, raw) != 0) {
        log_error(
            "a request could not be answered, for want of memory or descriptors: raise the limit of open files, or "
            "give it more memory");
        free(s);
        close(fd);
    } else {
        if (params->keep && set->keep)
            conn_keep(&s->conn);
        s->bundled = spools(params);
        if (s->bundled)
            conn_hold_back(&s->conn);
        if (refuse_early(s, params, found))
            ; /* it was answered */
        else if (service)
            service_begin(s, service, params);
        else if (answer_request(s, params) != 0)
            conn_cut(&s->conn, END_ANSWERED);
    }
    params_release(params);
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
    stream_send_text(s, retry_block(s->set));
    conn_end(&s->conn, END_DRAIN);
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
    bool was_live = s->state == STREAM_LIVE || s->conn.behind;
    if (s->waited && was_live && s->conn.state == CONN_OPEN)
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
    conn_send_unbounded(&s->conn, e);
    conn_end(&s->conn, END_SHUTDOWN);
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

    if (!bans_until(set->bans, registry_session(s->entry), ban_clock(set)))
        return;
    if (!(e = shutdown_of(registry_session(s->entry))))
        return;

    conn_send_unbounded(&s->conn, e);
    conn_end(&s->conn, END_SHUTDOWN);
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
    if (!d->text || !s->bundled || s->cursor >= d->first) {
        deliver_each(s, d->bundle);
        return;
    }

    uint64_t open = s->conn.state == CONN_OPEN;
    if (!conn_try_send(&s->conn, d->text)) {
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
    for (size_t i = 0; (e = deque_at(&s->conn.queue.events, i)); i++)
        if (e->seq)
            return e->seq - 1;
    return s->state == STREAM_LIVE ? history_head(s->set->window) : s->cursor;
}

static void add_lagging(const struct streams *set, const struct conn_list *list, struct buf *b, int *count)
{
    char id[REGISTRY_ID_MAX];
    for (const struct conn *c = list->first; c && *count < LAGGING_MAX; c = c->next) {
        const struct stream *s = (const struct stream *)c;
        if (s->kind != KIND_EVENTS || !set->window)
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

    add_lagging(set, &set->conns.behind, b, &count);
    add_lagging(set, &set->conns.blocked, b, &count);
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
    .reply = service_replied,
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

static void on_gone(struct conn *c)
{
    struct stream *s = stream_of(c);
    upstream_forget(&s->question);
    switch (s->kind) {
    case KIND_ANSWER:
        break;
    case KIND_CALL:
        service_end(s);
        break;
    case KIND_EVENTS:
        if (c->cause == END_SLOW)
            tell_slow(s);
        count_end(s->set->counters, c->cause);
        report(s, ITEM_ENDED);
        end_events(s);
        break;
    }
}

static void on_hungry(struct conn *c)
{
    struct stream *s = stream_of(c);
    set_beat_timer(s->set); /* the only one may have been blocked */
    if (s->kind == KIND_EVENTS)
        resume_continue(s);
}

static void on_free(struct conn *c)
{
    struct stream *s = stream_of(c);
    free(s->last_id);
    free(s);
}

/* --- how it is --- */

void streams_measure(struct streams *set, uint64_t gauges[WORKER_GAUGES])
{
    int64_t now = loop_now(set->loop);
    if (!set->measured_at || now - set->measured_at >= STREAMS_MEASURE_MS) {
        set->load = conns_load(&set->conns);
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

static void on_reuse(struct conn *c, int fd)
{
    struct streams *set = stream_of(c)->set;

    set->keep(set->keep_context, fd);
}

static const struct conn_hooks conn_hooks = {on_gone, on_hungry, on_free, on_reuse};

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
    stream_send_text(s, retry_block(d->set));
    conn_end(&s->conn, END_DRAIN);
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
    conns_init(&set->conns, set->loop, &conn_hooks, queue_bytes, (int64_t)set->limits.write_ms, set->counters);
    set->registry = registry_new(prefix);
    set->bans = bans_new();
    set->live.max = queue_bytes / 4 < BUNDLE_BYTES ? queue_bytes / 4 : BUNDLE_BYTES;
    set->plain_beat = reply_keep_alive();
    set->visible_beat = reply_beat();
    set->beat_timer = (struct loop_timer){.fire = beat_idle, .context = set};
    services_init(set);
    int err = terms_init(set);
    return !err && set->registry && set->bans && set->plain_beat && set->visible_beat ? 0 : -ENOMEM;
}

void streams_release(struct streams *set)
{
    conns_close(&set->conns);
    if (set->upstream)
        upstream_leave(set->upstream);
    terms_release(set);
    status_release(set);
    bundle_release(&set->live);
    registry_free(&set->registry);
    bans_free(&set->bans);
    history_free(&set->window);
    event_unref(&set->beats[false]);
    event_unref(&set->beats[true]);
    event_unref(&set->plain_beat);
    event_unref(&set->visible_beat);
}
