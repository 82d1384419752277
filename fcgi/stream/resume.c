/* resume.c - what follows the cursor is read from the worker's window where that knows it, else
 * page by page from the broker. The broker alone says that something is lost. */
#include "stream/resume.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/name.h"
#include "stream/concern.h"
#include "stream/current.h"

#define LOW_WATER 32768u /* bytes waiting below which more is read */
#define CHUNK 64u        /* events read at once */
#define OVERFLOWS_PER_SECOND 32u
#define OVERFLOW_US 20000   /* for these in a second; walks begun before are finished */
#define OVERFLOW_CHUNKS 16u /* of a stream with patterns */

static void ask_broker(struct stream *s, uint64_t after, struct slice id)
{
    struct concern_reader reader;
    concern_read_as(s, &reader);
    struct wire_replay what = {
        .start = stream_start(s), .after = after, .id = id, .who = reader.who};
    s->pending = upstream_replay(s->set->upstream, s, &what);
    if (!s->pending)
        conn_cut(&s->exchange.conn, END_SLOW);
}

/* The seq that text is, or 0: no seq is 0. */
static uint64_t parse_seq(const char *text)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    unsigned long long seq = strtoull(text, &end, 10);
    return *end || errno ? 0 : seq;
}

/* What a client's cursor names: a seq (0: it is not known which), and an own id that the broker
 * can be asked about instead (empty: none).
 *
 * The window may know an id better than the broker does, which may have been restarted without
 * its history. Then the broker is asked with the seq. When several events showed the id, or the
 * cursor is no id that was ever sent, it is asked about position 0: that is a gap. */
static uint64_t read_cursor(const struct history *window, const char *last_id, struct slice *id)
{
    struct slice text = slice_of(last_id);
    uint64_t seq = parse_seq(last_id);

    *id = (struct slice){0};
    if (seq || !own_id_valid(text))
        return seq;

    if (history_find_cursor(window, text, &seq) == CURSOR_UNKNOWN)
        *id = text;
    return seq;
}

/* The seq that a cursor stands for, 0 where that is not known here. */
static uint64_t seq_of(const struct history *window, const char *cursor)
{
    struct slice id;
    return window ? read_cursor(window, cursor, &id) : parse_seq(cursor);
}

/* Before every event: no seq is 0. Some clients send it as long as they have received nothing. */
static bool is_zero(const char *cursor)
{
    return *cursor && !cursor[strspn(cursor, "0")];
}

bool resume_is_newer(const struct history *window, const char *last_id, const char *other_id)
{
    if (is_zero(last_id))
        return !is_zero(other_id); /* the broker may know an own id that is not known here */
    uint64_t last = seq_of(window, last_id), other = seq_of(window, other_id);
    return last && other > last;
}

bool resume_is_known(const struct history *window, const char *last_id)
{
    uint64_t seq = window ? seq_of(window, last_id) : 0;
    return seq && history_knows(window, seq);
}

static void forget_last_id(struct stream *s)
{
    if (s->start != START_AFTER)
        return;

    free(s->from.last_id);
    s->from.last_id = NULL;
}

/* It was found where s begins. */
static void forget_start(struct stream *s)
{
    if (s->start == START_AFTER)
        return;

    s->start = START_AFTER;
    s->from.last_id = NULL;
}

/* From here on s is sent what comes, and how long that takes is counted. What was replayed is as
 * old as its client was away. */
static void go_live(struct stream *s)
{
    s->state = STREAM_LIVE;
    if (s->exchange.conn.behind)
        conn_catch_up(&s->exchange.conn);
    else
        s->exchange.conn.timed_after = s->cursor;
    if (!s->placed)
        stream_send_checkpoint(s, s->cursor);
}

/* s begins after position. The current state comes first, then the checkpoint, then the events. */
static void begin_at(struct stream *s, uint64_t position)
{
    s->state = STREAM_RESUMING;
    s->cursor = s->shown = position;
    forget_start(s);
    if (current_concerns(s, position))
        current_begin(s);
    else if (!s->placed)
        stream_send_checkpoint(s, position);
    resume_continue(s);
}

/* s begins elsewhere than here and now. Only `last` can be answered by the window, when it has that
 * many events: of everything else the broker may have more. The request names the position, since a
 * shutdown from here on ends s. */
static void begin_at_start(struct stream *s)
{
    struct concern_reader reader;
    bool exact = false;
    uint64_t position = 0;

    concern_read_as(s, &reader);
    reader.filter.compact = true;
    s->state = STREAM_RESUMING;
    if (s->start == START_LAST && upstream_current(s->set->upstream))
        position = history_before_last(s->set->window, &reader.filter, s->from.value, &exact);
    if (!exact || !history_knows(s->set->window, position)) {
        s->cursor = 0;
        s->shown = history_head(s->set->window);
        ask_broker(s, s->shown, (struct slice){0});
        return;
    }

    s->set->counters[REPLAYS_LOCAL]++;
    begin_at(s, position);
}

void resume_begin(struct stream *s)
{
    const struct history *window = s->set->window;
    if (s->start != START_AFTER) {
        begin_at_start(s);
        return;
    }
    const char *last_id = stream_last_id(s);
    if (!last_id) {
        begin_at(s, history_head(window));
        return;
    }
    s->state = STREAM_RESUMING;
    struct slice id;
    uint64_t seq = read_cursor(window, last_id, &id);
    if (seq && history_knows(window, seq)) {
        s->cursor = s->shown = seq;
        s->set->counters[REPLAYS_LOCAL]++;
        forget_last_id(s);
        resume_continue(s);
        return;
    }
    s->cursor = 0;
    ask_broker(s, seq, id);
}

/* Some of the next events for s after a position, without superseded and expired ones: the answer
 * is complete up to *upto. */
struct chunk {
    struct event *events[CHUNK];
    size_t count;
    uint64_t upto;
};

/* Read a chunk from the window. When that evicted nothing but events with keys since `after`, the
 * state has what is left of them. False: what follows is not here. superseded: as in the filter. */
static bool read_chunk(const struct stream *s, uint64_t after, uint64_t *superseded,
                       struct chunk *c)
{
    const struct history *window = s->set->window;
    struct concern_reader reader;
    uint64_t complete = history_complete(window);

    concern_read_as(s, &reader);
    reader.filter.compact = true;
    reader.filter.superseded = superseded;
    if (history_knows(window, after)) {
        c->count =
            history_read(window, &reader.filter, after, c->events, CHUNK, LOW_WATER, &c->upto);
        return true;
    }
    if (!s->exchange.conn.behind || s->set->current_lost || after < history_plain(window) ||
        after >= complete)
        return false;
    if (registry_patterns_of(stream_entry(s)))
        return false; /* the whole state would be looked at */

    c->count =
        state_read(s->set->current, &reader.filter, after, complete, c->events, CHUNK, LOW_WATER);
    c->upto = c->count ? c->events[c->count - 1]->seq : complete;
    return true;
}

enum chunk_outcome {
    CHUNK_GONE, /* what follows is not here */
    CHUNK_SENT,
    CHUNK_CUT, /* as many events were scanned as may be in one go */
};

/* Behind the last event of the chunk others were scanned, up to a bound, and none is for s. */
static bool is_cut(const struct stream *s, const struct chunk *c)
{
    bool scanned_on = !c->count || c->upto != c->events[c->count - 1]->seq;
    return scanned_on && c->upto < history_head(s->set->window);
}

static enum chunk_outcome send_chunk(struct stream *s)
{
    struct chunk c;
    if (!read_chunk(s, s->cursor, &s->set->counters[CONFLATED], &c))
        return CHUNK_GONE;

    bool cut = is_cut(s, &c);
    for (size_t i = 0; i < c.count; i++)
        stream_deliver(s, c.events[i]);
    s->cursor = c.upto;
    return cut ? CHUNK_CUT : CHUNK_SENT;
}

/* --- readers that are behind --- */

/* Take back what waits for s, to read it from the window without what is superseded or has expired
 * by now. */
static void take_back(struct stream *s, struct unwritten waits)
{
    bool changes = s->set->compacts || s->set->expires;
    if (!changes || !waits.first || !history_knows(s->set->window, waits.first - 1))
        return;

    MUST(waits.first - 1 <= s->cursor);
    stream_uncount(s->set, conn_unqueue(&s->exchange.conn, waits));
    s->cursor = waits.first - 1;
    if (s->shown > s->cursor)
        s->shown = s->cursor;
}

/* s is live and has everything up to position in its queue. From here on it reads from the window.
 * It is not live again before its reader has taken what waits. So the queue of a reader that takes
 * nothing is read again once. */
static void read_window_from(struct stream *s, uint64_t position, struct unwritten waits)
{
    s->state = STREAM_RESUMING;
    s->cursor = position;
    take_back(s, waits);
    conn_fall_behind(&s->exchange.conn);
    resume_continue(s);
}

void resume_fall_behind(struct stream *s, uint64_t position)
{
    MUST(s->state == STREAM_LIVE && !s->pending && !stream_last_id(s));
    MUST(position >= s->cursor);

    s->set->counters[STREAMS_BEHIND]++;
    read_window_from(s, position, conn_unwritten(&s->exchange.conn));
}

void resume_refresh(struct stream *s)
{
    if (!s->set->expires || s->pending)
        return;
    struct unwritten waits = conn_unwritten(&s->exchange.conn);
    if (!waits.first)
        return;

    if (s->state == STREAM_LIVE) {
        uint64_t head = history_head(s->set->window);
        /* A page may have been ahead of the feed. */
        read_window_from(s, head > s->cursor ? head : s->cursor, waits);
    } else if (s->state == STREAM_RESUMING) {
        take_back(s, waits);
        resume_continue(s);
    }
}

/* An answer takes a walk over the window. When many readers stall at once, some are not looked at;
 * they have until write-timeout. With patterns the walk is not always finished. */
static bool may_measure(struct streams *set)
{
    int64_t second = loop_now(set->loop) / 1000;
    if (set->measured_second != second)
        set->measured_in_second = set->measured_us = 0;

    set->measured_second = second;
    return set->measured_in_second++ < OVERFLOWS_PER_SECOND && set->measured_us < OVERFLOW_US;
}

static bool exceeds_budget(const struct stream *s)
{
    size_t bytes = queue_bytes(&s->exchange.conn.queue), budget = s->exchange.conn.set->budget;
    struct chunk c = {.upto = s->cursor};
    unsigned most = registry_patterns_of(stream_entry(s)) ? OVERFLOW_CHUNKS : UINT_MAX;
    while (bytes <= budget && c.upto < history_head(s->set->window) && most--) {
        if (!read_chunk(s, c.upto, NULL, &c))
            return true;
        for (size_t i = 0; i < c.count; i++)
            bytes += c.events[i]->text.len;
    }
    return bytes > budget;
}

bool resume_overflows(const struct stream *s)
{
    if (!s->set->compacts)
        return true;
    if (!may_measure(s->set))
        return false;

    int64_t began = clock_us();
    bool exceeds = exceeds_budget(s);
    s->set->measured_us += (uint32_t)(clock_us() - began);
    return exceeds;
}

/* The window no longer has what follows. A reader so much slower than the sequence is cut; its
 * client comes back for the rest. */
static void leave_window(struct stream *s)
{
    if (s->exchange.conn.behind)
        conn_cut(&s->exchange.conn, END_SLOW);
    else
        ask_broker(s, s->cursor, (struct slice){0});
}

/* Is s catching up, and can be sent more? */
static bool has_room(const struct stream *s)
{
    bool catches_up = s->state == STREAM_CURRENT || (s->state == STREAM_RESUMING && !s->pending);
    return catches_up && s->exchange.conn.state == CONN_OPEN &&
           queue_bytes(&s->exchange.conn.queue) < LOW_WATER;
}

/* --- scans --- */

/* A scan reads events of the window, and sends those that are for the stream. It takes long when
 * few events are for it (others are superseded, expired or not granted), or when patterns are tried
 * on each event. So a stream scans a piece in a turn, and queues for its next one. A queued stream
 * that has ended is skipped. */
struct queued_scan {
    TAILQ_ENTRY(queued_scan) link;
    uint64_t generation; /* registry.h */
    uint32_t slot;
};

#define SCAN_US 5000 /* of a turn; a piece that begins within this time is finished */

/* False when out of memory: then s goes on at once. */
static bool queue_scan(struct stream *s)
{
    const struct registry_entry *entry = stream_entry(s);
    struct queued_scan *l = s->scan_queued ? NULL : malloc(sizeof *l);
    if (!l)
        return s->scan_queued;

    *l = (struct queued_scan){.generation = entry->generation, .slot = entry->slot};
    s->scan_queued = true;
    TAILQ_INSERT_TAIL(&s->set->scans, l, link);
    loop_timer_set(s->set->loop, &s->set->scan_timer, loop_now(s->set->loop));
    return true;
}

/* The stream that has waited longest; NULL: there is none. */
static struct stream *next_queued(struct streams *set)
{
    struct stream *s = NULL;
    struct queued_scan *l;

    while (!s && (l = TAILQ_FIRST(&set->scans))) {
        TAILQ_REMOVE(&set->scans, l, link);
        s = registry_find(set->registry, l->slot, l->generation);
        free(l);
    }
    return s;
}

static void run_scans(void *context, int64_t now_ms)
{
    struct streams *set = context;
    struct stream *s;
    int64_t until = clock_us() + SCAN_US;

    while ((s = next_queued(set))) {
        s->scan_queued = false;
        resume_continue(s);
        if (clock_us() >= until)
            break;
    }
    if (!TAILQ_EMPTY(&set->scans))
        loop_timer_set(set->loop, &set->scan_timer, now_ms);
}

void resume_init(struct streams *set)
{
    TAILQ_INIT(&set->scans);
    set->scan_timer = (struct loop_timer){.fire = run_scans, .context = set};
}

void resume_release(struct streams *set)
{
    struct queued_scan *l;
    while ((l = TAILQ_FIRST(&set->scans))) {
        TAILQ_REMOVE(&set->scans, l, link);
        free(l);
    }
}

void resume_forget(struct stream *s)
{
    forget_last_id(s);
}

/* --- going on --- */

/* Did s read a piece in vain, or try patterns, with more to come? */
static bool scans_far(const struct stream *s, bool cut)
{
    bool tries = cut || registry_patterns_of(stream_entry(s));
    return tries && s->state == STREAM_RESUMING && s->cursor < history_head(s->set->window);
}

/* Read and send a part of what follows in the window. False when s has queued for the rest. */
static bool read_on(struct stream *s)
{
    enum chunk_outcome outcome = send_chunk(s);
    if (outcome == CHUNK_GONE)
        leave_window(s);
    else if (stream_is_open(s) && scans_far(s, outcome == CHUNK_CUT))
        return !queue_scan(s);
    return true;
}

/* The same with the state. */
static bool read_state_on(struct stream *s)
{
    size_t before = queue_bytes(&s->exchange.conn.queue);
    if (!current_continue(s))
        return false;

    bool in_vain = s->state == STREAM_CURRENT && queue_bytes(&s->exchange.conn.queue) == before;
    return !in_vain || !queue_scan(s);
}

void resume_continue(struct stream *s)
{
    bool goes_on = true;

    while (goes_on && has_room(s)) {
        if (s->state == STREAM_CURRENT) {
            goes_on = read_state_on(s);
        } else if (s->cursor < history_head(s->set->window)) {
            goes_on = read_on(s);
        } else {
            if (s->exchange.conn.behind && s->exchange.conn.blocked)
                return;
            go_live(s);
        }
    }
}

void resume_later(struct stream *s)
{
    if (!queue_scan(s))
        resume_continue(s);
}

/* --- answers of the broker --- */

/* After a gap the client is sent the current state again: it may have missed events with keys. Then
 * s is CURRENT. */
static void tell_gap(struct stream *s, struct slice last, uint64_t position, uint64_t oldest)
{
    s->set->counters[GAPS_TOLD]++;
    exchange_send(&s->exchange, reply_gap(last, oldest));
    s->cursor = position;
    forget_last_id(s);
    if (stream_is_open(s) && current_concerns(s, position))
        current_begin(s);
    else
        stream_send_checkpoint(s, position);
}

/* The broker does not know patterns: a stream that has some was given events of every channel. */
static bool concerns(const struct stream *s, const struct event *e)
{
    struct concern_reader reader;
    if (!registry_patterns_of(stream_entry(s)))
        return true;

    concern_read_as(s, &reader);
    return history_concerns(&reader.filter, e);
}

/* The broker has left out what was superseded when it answered. */
static void deliver_page(struct stream *s, const struct wire_page *page)
{
    struct slice rest = page->entries;
    struct event *e;

    for (size_t used; (e = event_parse(rest, &used)); event_unref(&e)) {
        bool concerned = stream_is_open(s) && concerns(s, e),
             superseded = concerned && state_supersedes(s->set->current, e);
        s->set->counters[CONFLATED] += superseded;
        if (concerned && !superseded && streams_broker_ms(s->set) < event_expires_ms(e))
            stream_deliver(s, e);
        rest = (struct slice){rest.data + used, rest.len - used};
    }
}

void resume_page(struct stream *s, const struct wire_page *page)
{
    char digits[DIGITS_MAX];
    s->pending = NULL;
    s->set->counters[REPLAYS_BROKER]++;
    bool started = s->start != START_AFTER;
    forget_start(s);
    if (started)
        s->cursor = s->shown; /* where it was opened: a gap is after that */
    s->cursor = page->gap ? s->cursor : page->from;
    const char *last_id = stream_last_id(s);
    if (page->gap)
        tell_gap(s, last_id ? slice_of(last_id) : digits_plain(s->cursor, digits), page->from,
                 page->oldest);
    else if (started && current_concerns(s, s->cursor))
        current_begin(s);
    else if (started)
        stream_send_checkpoint(s, s->cursor);
    else if (last_id)
        s->shown = s->cursor;
    forget_last_id(s);
    if (s->state != STREAM_CURRENT) { /* else the page is asked for again, behind the state */
        deliver_page(s, page);
        s->cursor = page->upto;
    }
    resume_continue(s);
}

/* The broker was asked about an own id, and events were lost meanwhile. The id may be of one of
 * them and may have been used again since: then the broker takes it for the later one. So it is
 * asked about a seq from now on. */
static void ask_anew(struct stream *s)
{
    struct slice id;
    uint64_t seq = read_cursor(s->set->window, stream_last_id(s), &id);

    upstream_forget(s->set->upstream, &s->pending);
    ask_broker(s, seq, (struct slice){0});
}

void resume_broken(struct stream *s, uint64_t position, uint64_t oldest, bool rewound)
{
    char digits[DIGITS_MAX];
    if (s->state == STREAM_CURRENT) { /* its client has no cursor yet, and begins again */
        exchange_send(&s->exchange, stream_retry_block(s->set));
        conn_end(&s->exchange.conn, END_DRAIN);
        return;
    }
    const char *last_id = stream_last_id(s);
    if (s->pending && last_id && !parse_seq(last_id)) {
        ask_anew(s);
        return;
    }
    if (last_id || (s->state == STREAM_RESUMING && s->cursor < position)) {
        if (s->exchange.conn.behind)
            /* The window does not know its place, which is no fault of its reader. */
            conn_catch_up(&s->exchange.conn);
        return; /* the broker has been asked, or will be, and tells */
    }
    if (s->cursor > position && !rewound)
        return; /* a page brought what the feed has lost */
    upstream_forget(s->set->upstream, &s->pending);
    if (s->state == STREAM_LIVE && s->cursor < position)
        s->cursor = s->shown; /* the last place that its client heard of */
    tell_gap(s, digits_plain(s->cursor, digits), position, oldest);
    if (s->state == STREAM_CURRENT)
        resume_continue(s);
    else
        go_live(s);
}
