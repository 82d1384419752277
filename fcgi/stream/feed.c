/* The window keeps each event, and live streams are sent it by streams_settle(). */
#define LOG_SUBSYSTEM "stream"

#include "stream/feed.h"

#include "base/clock.h"
#include "codec/event_record.h"
#include "model/past_ids.h"
#include "ops/log.h"
#include "stream/current.h"
#include "stream/resume.h"

/* --- streams that waited for the sequence --- */

static void begin_waiting(void *owner, void *context)
{
    struct stream *s = owner;
    (void)context;
    resume_begin(s);
}

static void send_back(void *owner, void *context)
{
    struct stream *s = owner;
    (void)context;
    if (!s->waited)
        return;
    exchange_send(&s->exchange, stream_retry_block(s->set));
    conn_end(&s->exchange.conn, END_DRAIN);
}

/* The broker no longer has all shutdowns of the time in which streams waited. Clients that
 * reconnect are checked against the bans again. */
static void send_waited_back(struct streams *set)
{
    log_event(LOG_WARN,
              "waiting streams ended with a retry: "
              "shutdowns from before the broker connected may be missing",
              log_count("waited_ms", (uint64_t)(clock_us() - set->waiting_since) / 1000));
    registry_each(set->registry, send_back, NULL);
}

#define PAST_MARGIN_MS 1000 /* beside the clocks' drift while streams waited */

/* Request the shutdowns after this position, from the time in which streams waited for the
 * sequence. */
static void ask_past(struct streams *set, uint64_t after)
{
    uint64_t waited_ms = (uint64_t)(clock_us() - set->waiting_since) / 1000;
    if (!upstream_shutdowns(set->upstream, after, waited_ms + PAST_MARGIN_MS))
        send_waited_back(set);
}

/* A stream that still resumes gets the shutdown in its order. A stream that is behind was live
 * after it, and one that chose its start may have begun after it. */
static void end_past(void *owner, void *context)
{
    struct stream *s = owner;
    struct event *e = context;
    bool was_live =
        s->state == STREAM_LIVE || s->state == STREAM_CURRENT || s->exchange.conn.behind;
    if (s->waited && (was_live || s->chose_start) && s->exchange.conn.state == CONN_OPEN)
        stream_deliver(s, e);
}

void feed_shutdowns(struct streams *set, const struct wire_page *page)
{
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

/* --- the sequence --- */

void feed_joined(struct streams *set, uint64_t position)
{
    struct history_limits limits = {UINT64_MAX, set->limits.window_bytes, UINT64_MAX};
    set->window = history_new(&limits, position);
    if (!set->window || history_remember_ids(set->window, PAST_IDS) != 0) {
        log_error("window not created: out of memory");
        loop_stop(set->loop);
        return;
    }
    registry_each(set->registry, begin_waiting, NULL);

    if (set->waiting_since)
        ask_past(set, 0);
}

static void end_blocked(void *owner, void *context)
{
    struct stream *s = owner;
    struct event *e = context;
    if (s->state != STREAM_WAITING)
        return; /* the shutdown itself follows, in order */
    conn_send_unbounded(&s->exchange.conn, e);
    conn_end(&s->exchange.conn, END_SHUTDOWN);
}

/* A shutdown event for a session whose own one is not available. NULL when out of memory. */
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

void feed_banned(struct streams *set, struct slice session, int64_t until_ms)
{
    bans_say(set->bans, session, until_ms);
    struct event *e = set->window ? NULL : shutdown_of(session);
    if (e)
        registry_route(set->registry, e, end_blocked, e);
    event_unref(&e);
}

/* End the stream if its session is banned: the shutdown itself is among the events that are
 * missing. */
static void end_banned(void *owner, void *context)
{
    struct stream *s = owner;
    const struct streams *set = context;
    struct event *e;

    if (!bans_until(set->bans, registry_session(s->entry), streams_broker_ms(set)))
        return;
    if (!(e = shutdown_of(registry_session(s->entry))))
        return;

    conn_send_unbounded(&s->exchange.conn, e);
    conn_end(&s->exchange.conn, END_SHUTDOWN);
    event_unref(&e);
}

/* Events of the window after position arrived before this welcome and are newer than its bans. */
void feed_all_banned(struct streams *set, uint64_t position, uint64_t since)
{
    struct event *events[64];
    uint64_t at = position;

    bans_replace(set->bans, position, since);
    set->bans_at = position;

    while (set->window && at < history_head(set->window)) {
        size_t count = history_read(set->window, NULL, at, events, sizeof events / sizeof *events,
                                    SIZE_MAX, &at);
        for (size_t i = 0; i < count; i++)
            bans_apply(set->bans, events[i]);
    }

    if (set->missed)
        registry_each(set->registry, end_banned, set);
    set->missed = false;
}

void feed_event(struct streams *set, struct event *e)
{
    if (history_append(set->window, e) != 0)
        history_miss(set->window, e); /* a stream that resumes across it asks the broker */
    history_evict(set->window);
    if (e->seq > set->bans_at)
        bans_apply(set->bans, e);
    if (current_follow(set, e) && !event_is_record(e))
        streams_collect(set, e);
}

void feed_advanced(struct streams *set, uint64_t position)
{
    history_advance(set->window, position);
}

struct breakage {
    uint64_t position, oldest;
    bool rewound; /* the sequence was further */
};

static void tell_broken(void *owner, void *context)
{
    const struct breakage *b = context;
    resume_broken(owner, b->position, b->oldest, b->rewound);
}

void feed_broken(struct streams *set, uint64_t position, uint64_t oldest)
{
    struct breakage b = {position, oldest, position < history_head(set->window)};
    streams_settle(set);
    history_break(set->window, position);
    current_lose(set);
    set->missed = true;
    registry_each(set->registry, tell_broken, &b);
}
