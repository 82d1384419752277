#include "stream/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"
#include "stream/concern.h"
#include "stream/heartbeat.h"
#include "stream/limits.h"
#include "stream/report.h"
#include "stream/resume.h"

uint32_t stream_jitter(uint32_t retry)
{
    uint32_t random = 0, least = retry / 10;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = (uint32_t)clock_unix_us();
    return least + random % (retry - least + 1);
}

struct event *stream_retry_block(const struct streams *set)
{
    return reply_block(
        &(struct block){.has_retry = true, .retry = stream_jitter(set->limits.retry)});
}

/* --- sending --- */

struct slice stream_digits(const struct stream *s, uint64_t position, char digits[24])
{
    return (struct slice){digits,
                          (size_t)snprintf(digits, 24, "%s%" PRIu64, s->hub ? "#" : "", position)};
}

void stream_mark_place(struct stream *s, struct block *block, char connection[REGISTRY_ID_MAX])
{
    block->checkpoint = s->shows_checkpoints;
    if (!s->placed) {
        block->connection = registry_id(s->set->registry, stream_entry(s), connection);
        block->heartbeat_ms = s->set->limits.heartbeat_ms;
        if (s->shows_beats && registry_session(stream_entry(s)).len)
            owner_of(registry_session(stream_entry(s)), block->owner);
    }
    s->placed = true;
}

void stream_send_checkpoint(struct stream *s, uint64_t position)
{
    char digits[24], connection[REGISTRY_ID_MAX];
    struct block block = {.id = stream_digits(s, position, digits)};
    if (!stream_is_open(s))
        return; /* a send before this one may have ended it */

    stream_mark_place(s, &block, connection);
    exchange_send(&s->exchange, reply_block(&block));
    s->shown = position;
}

int64_t streams_broker_ms(const struct streams *set)
{
    return ordering_broker_ms(&set->ordering, clock_us(), clock_unix_ms());
}

/* --- events --- */

/* Would the hub's clients take an own id for one of the hub's, or for a word of the protocol? */
static bool is_hub_word(struct slice id)
{
    return id.data[0] == '#' || slice_equal(id, slice_of("earliest"));
}

/* The text of e for the hub's streams, where a seq is shown behind a #. Streams share it. NULL when
 * out of memory. */
static struct event *hub_text(const struct stream *s, struct event *e)
{
    struct streams *set = s->set;
    char digits[24];
    if (e->kind != EVENT_MESSAGE || (event_shows_id(e) && !is_hub_word(e->id)))
        return e;

    if (!set->hub_text || set->hub_text->seq != e->seq) {
        event_unref(&set->hub_text);
        set->hub_text = event_with_id(e, stream_digits(s, e->seq, digits));
    }
    return set->hub_text;
}

/* Count events that were handed to s, unless they had been taken back. A counter never decreases,
 * so what is taken back is left out later. */
static void count_deliveries(struct stream *s, bool open, size_t count)
{
    struct streams *set = s->set;
    size_t known = count < set->taken_back ? count : set->taken_back;
    if (!open)
        return;

    set->taken_back -= known;
    set->counters[DELIVERIES] += count - known;
}

void stream_uncount(struct streams *set, size_t count)
{
    set->taken_back += count;
}

/* What the queue of a stream takes of an event: a live stream has a budget, and falls behind
 * without room. */
enum budget { WITHIN_BUDGET, BEYOND_BUDGET };

/* Send e, which was routed to s; a shutdown ends s. */
static void deliver(struct stream *s, struct event *e, enum budget budget)
{
    /* An event before e in the same page may have ended the stream. */
    if (!stream_is_open(s) || !concern_includes(s, e))
        return;

    bool open = s->exchange.conn.state == CONN_OPEN;
    struct event *text = s->hub ? hub_text(s, e) : e;
    if (!text) {
        conn_cut(&s->exchange.conn, END_SLOW);
        return;
    }
    if (budget == BEYOND_BUDGET) {
        conn_send_unbounded(&s->exchange.conn, text);
    } else if (!conn_try_send(&s->exchange.conn, text)) {
        resume_fall_behind(s, e->seq - 1);
        return;
    }

    count_deliveries(s, open, 1);
    if (e->kind == EVENT_SHUTDOWN) {
        conn_end(&s->exchange.conn, END_SHUTDOWN);
        return;
    }

    s->shown = e->seq;
    if (s->shows_beats)
        heartbeat_beside_events(s);
}

void stream_deliver(struct stream *s, struct event *e)
{
    deliver(s, e, BEYOND_BUDGET);
}

/* --- live events --- */

/* Send the events of the bundle one by one: s has some of them already, or there is no common
 * text. */
static void deliver_each(struct stream *s, const struct bundle *b)
{
    struct event *e;
    for (size_t i = 0; s->state == STREAM_LIVE && (e = deque_at(&b->events, i)); i++)
        if (e->seq > s->cursor)
            deliver(s, e, WITHIN_BUDGET);
}

struct broadcast {
    const struct bundle *bundle;
    bool is_private;
    struct event *text; /* of all events; NULL: send them one by one */
    uint64_t first, last;
};

static void deliver_live(void *owner, void *context)
{
    struct stream *s = owner;
    const struct broadcast *d = context;
    if (s->state != STREAM_LIVE)
        return;

    bool alike = d->text && !s->hub && !d->is_private;
    if (!alike || !s->exchange.spools || s->cursor >= d->first) {
        deliver_each(s, d->bundle);
        return;
    }

    bool open = s->exchange.conn.state == CONN_OPEN;
    if (!conn_try_send(&s->exchange.conn, d->text)) {
        resume_fall_behind(s, d->first - 1);
        return;
    }

    count_deliveries(s, open, d->bundle->events.count);
    s->shown = d->last;
    if (s->shows_beats)
        heartbeat_beside_events(s);
}

void streams_settle(struct streams *set)
{
    struct bundle *b = &set->live;
    struct event *first = deque_at(&b->events, 0);
    if (!first)
        return;

    struct broadcast d = {.bundle = b,
                          .is_private = first->is_private,
                          .first = first->seq,
                          .last = deque_back(&b->events)->seq};
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
        deliver(s, e, WITHIN_BUDGET);
}

/* Without memory for the bundle, e is sent at once. */
void streams_collect(struct streams *set, struct event *e)
{
    if (!bundle_takes(&set->live, e))
        streams_settle(set);

    if (bundle_add(&set->live, e) == 0)
        return;
    streams_settle(set);
    registry_route(set->registry, e, deliver_now, e);
}

/* --- ends --- */

/* The log line names the connection, not the session: a session's name may be the value of a
 * cookie. */
static void log_slow(const struct stream *s)
{
    char id[REGISTRY_ID_MAX];
    log_event(LOG_INFO, "stream dropped: reader is too slow (write-timeout, window-bytes)",
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
    case END_WORKER_LOST: /* reported by the broker */
    case END_CAUSES:
    case END_ANSWERED:
        break;
    }
}

static void free_of_hub(struct stream *s)
{
    if (!s->of_hub)
        return;

    selectors_free(&s->of_hub->grants);
    free((char *)s->of_hub->subscriptions.data);
    free(s->of_hub);
    s->of_hub = NULL;
}

/* s becomes a short answer: the queued bytes are still written. */
static void stream_closed(struct conn *c)
{
    struct stream *s = stream_of(c);
    MUST(s && s->entry);

    upstream_forget(s->set->upstream, &s->pending);
    resume_forget(s);
    if (c->cause == END_SLOW)
        log_slow(s);
    count_end(s->set->counters, c->cause);
    report_stream(s, ITEM_ENDED);

    if (!s->confirmed)
        TAILQ_REMOVE(&s->set->unconfirmed, s, unconfirmed);
    registry_remove(s->set->registry, &s->entry);
    limits_free(&s->own_limits);
    free_of_hub(s);
    exchange_leave(&s->exchange);
}

static void stream_drained(struct conn *c)
{
    struct stream *s = stream_of(c);
    MUST(s);

    heartbeat_arm(s->set); /* the timer stops while every connection is blocked */
    resume_continue(s);
}

static bool stream_overflows(struct conn *c)
{
    const struct stream *s = stream_of(c);
    MUST(s);
    return resume_overflows(s);
}

static void stream_thawed(struct conn *c)
{
    struct stream *s = stream_of(c);
    MUST(s);
    resume_refresh(s);
}

const struct conn_hooks stream_conn_hooks = {stream_closed, stream_drained, stream_overflows,
                                             stream_thawed};

/* --- measurements --- */

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
    exchange_send(&s->exchange, stream_retry_block(d->set));
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
    resume_init(set);
    set->registry = registry_new(prefix);
    set->bans = bans_new();
    set->current = state_new();
    set->live.max = queue_bytes / 4 < BUNDLE_BYTES ? queue_bytes / 4 : BUNDLE_BYTES;

    int err = heartbeat_init(set);
    err = err ? err : limits_init(set);
    return !err && set->registry && set->bans && set->current ? 0 : -ENOMEM;
}

void streams_release(struct streams *set)
{
    if (set->upstream)
        report_leave(set);
    limits_release(set);
    resume_release(set);
    bundle_release(&set->live);
    joined_release(&set->joined);
    registry_free(&set->registry);
    bans_free(&set->bans);
    state_free(&set->current);
    history_free(&set->window);
    heartbeat_release(set);
    event_unref(&set->hub_text);
}
