/* Feed and sync are two sockets with no order between them. So there is one rule: an event is
 * passed to the hook when its seq follows the position. Newer events are held and missing ones
 * fetched over sync, until the first held event follows the last fetched one. */
#include "upstream/upstream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "model/deque.h"
#include "ops/log.h"
#include "upstream/socket.h"
#include "upstream/unacked.h"

#define BYTES_PER_TURN                                                                                                 \
    262144 /* received before streams are written to, so that a burst does not look like a slow reader */
#define HELD_MAX (64u << 20) /* bytes of events held during a repair; beyond, they are fetched again */
#define PAGE_BYTES (64u << 10)
#define REPAIR_BYTES (1u << 20)
#define IN_FLIGHT_MAX 64     /* requests in flight; further ones wait */
#define ENDED_MAX (4u << 20) /* bytes of reports of connections that ended without a broker */

enum request_purpose { FOR_REPLAY, FOR_REPAIR, FOR_SHUTDOWNS, FOR_COMMAND };

struct upstream_request {
    struct upstream_request *prev, *next;
    struct request_list *list; /* that contains it */
    enum request_purpose kind;
    void *asker; /* of a replay or a command */
    bool once;   /* it is never sent again */
    uint64_t number;
    int64_t first, asked; /* when it was sent first and last, clock_ms() */
    struct buf message;   /* the request */
};

struct request_list {
    struct upstream_request *first, *last;
    size_t count;
};

/* A full report in pieces: connections that ended unacknowledged, then all connections, together
 * with changes in the meantime. */
struct full {
    bool active;
    bool rest;         /* a piece was sent */
    uint64_t ended_to; /* offset in unacked: later items are changes in the meantime */
    bool walked;       /* all connections have been sent */
    size_t cursor;     /* of the walk */
};

/* The bans and the state received for the next welcome (WIRE_BANS, WIRE_STATE). */
struct welcome_pieces {
    uint64_t run, count;
    struct buf bans, entries;
};

struct upstream {
    struct upstream_config config;
    struct loop *loop;
    const struct upstream_hooks *hooks;
    void *context;
    struct broker_sockets *sockets;
    struct broker_socket *feed, *sync; /* NULL when they could not be opened */
    size_t broker;                     /* index of the connected one of config.brokers */
    int64_t broker_from;               /* since when */
    struct loop_timer tick;
    uint64_t run;
    uint64_t position;
    bool joined;       /* position is known */
    bool welcomed;     /* by this run of the broker */
    bool fed;          /* a message of this run came on the feed */
    int64_t hello_at;  /* when it was sent last */
    bool hello_unsent; /* there was no connection */
    int64_t heard_at;
    struct deque held; /* events beyond the position, in order */
    size_t held_bytes;
    struct upstream_request *repair; /* NULL: nothing is known to be missing */
    struct request_list waiting, under_way, asked_once;
    uint64_t last_number;
    int64_t retry_ms; /* timeout of a request */
    uint64_t presence_n;
    uint64_t acked_n;    /* of the last acknowledged report */
    bool presence_lost;  /* a full report is due */
    int64_t report_at;   /* when the last report was sent */
    int64_t lags_at;     /* when slow streams were reported last */
    uint64_t acked_run;  /* epoch of the broker that acknowledged a full report last; 0: none */
    struct buf presence; /* items to report */
    uint64_t covered;    /* offset in unacked: ended items up to it were sent to this broker */
    struct unacked unacked;
    struct full full;
    struct welcome_pieces pieces;
    int64_t hello_first_us; /* when the first unanswered hello was sent; 0: none */
};

#define UNDER_WAY 4 /* unacknowledged pieces of a full report */

static struct slice written(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}

/* --- requests --- */

static void list_add(struct request_list *list, struct upstream_request *q)
{
    q->list = list;
    q->next = NULL;
    q->prev = list->last;
    if (list->last)
        list->last->next = q;
    else
        list->first = q;
    list->last = q;
    list->count++;
}

static void list_remove(struct upstream_request *q)
{
    struct request_list *list = q->list;
    if (q->prev)
        q->prev->next = q->next;
    else
        list->first = q->next;
    if (q->next)
        q->next->prev = q->prev;
    else
        list->last = q->prev;
    list->count--;
}

/* Send q. It is sent again later with the same number, and the first reply counts. False: q is
 * sent only once and there is no connection, so it keeps waiting. */
static bool request_send(struct upstream *u, struct upstream_request *q)
{
    bool sent = socket_send(u->sync, written(&q->message)) == 0;
    if (!sent && q->once)
        return false;
    q->asked = loop_now(u->loop);
    if (q->list == &u->waiting)
        q->first = q->asked;
    list_remove(q);
    list_add(q->once ? &u->asked_once : &u->under_way, q);
    return true;
}

static size_t in_flight(const struct upstream *u)
{
    return u->under_way.count + u->asked_once.count;
}

/* Send waiting requests up to the limit. The repair goes first: streams wait for it, too. */
static void send_waiting(struct upstream *u)
{
    if (u->welcomed && u->repair && u->repair->list == &u->waiting)
        request_send(u, u->repair);
    while (u->welcomed && u->waiting.first && in_flight(u) < IN_FLIGHT_MAX)
        if (!request_send(u, u->waiting.first))
            return;
}

/* Requests under way are in the order in which they were sent. */
static void send_again(struct upstream *u)
{
    struct upstream_request *q;
    while (u->welcomed && (q = u->under_way.first) && loop_now(u->loop) - q->asked >= u->retry_ms)
        request_send(u, q);
}

/* On a slow connection, sending requests again too soon would fill it with duplicate replies. */
static void adapt_timeout(struct upstream *u, const struct upstream_request *q)
{
    const struct upstream_pace *pace = &u->config.pace;
    int64_t timeout = 2 * (loop_now(u->loop) - q->first);

    if (timeout < pace->retry)
        timeout = pace->retry;
    if (timeout > pace->retry_max)
        timeout = pace->retry_max;
    u->retry_ms = timeout;
}

static struct upstream_request *request_new(struct upstream *u, enum request_purpose kind, void *asker)
{
    struct upstream_request *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->kind = kind;
    q->asker = asker;
    q->number = ++u->last_number;
    return q;
}

/* Queue q, whose message is complete. NULL when there was no memory for the message. */
static struct upstream_request *enqueue(struct upstream *u, struct upstream_request *q)
{
    if (q->message.failed) {
        buf_release(&q->message);
        free(q);
        return NULL;
    }
    list_add(&u->waiting, q);
    return q;
}

static struct upstream_request *ask(struct upstream *u, enum request_purpose kind, void *asker,
                                    const struct wire_replay *what, uint32_t max_bytes)
{
    struct upstream_request *q = request_new(u, kind, asker);
    struct wire_replay replay = *what;
    if (!q)
        return NULL;
    replay.request = q->number;
    replay.max_bytes = max_bytes;
    wire_put_replay(&q->message, &replay);
    return enqueue(u, q);
}

static void request_drop(struct upstream_request *q)
{
    list_remove(q);
    buf_release(&q->message);
    free(q);
}

static void requests_drop(struct request_list *list)
{
    struct upstream_request *next;
    for (struct upstream_request *q = list->first; q; q = next) {
        next = q->next;
        request_drop(q);
    }
}

struct upstream_request *upstream_replay(struct upstream *u, void *asker, const struct wire_replay *what)
{
    struct upstream_request *q = ask(u, FOR_REPLAY, asker, what, PAGE_BYTES);
    send_waiting(u);
    return q;
}

struct upstream_request *upstream_shutdowns(struct upstream *u, uint64_t after, uint64_t age_ms)
{
    struct upstream_request *q = request_new(u, FOR_SHUTDOWNS, NULL);
    if (!q)
        return NULL;
    wire_put_shutdowns(&q->message, &(struct wire_shutdowns){.request = q->number, .after = after, .age_ms = age_ms});
    q = enqueue(u, q);
    send_waiting(u);
    return q;
}

struct upstream_request *upstream_command(struct upstream *u, void *asker, const struct grant *grant, struct slice json,
                                          bool again)
{
    struct upstream_request *q = request_new(u, FOR_COMMAND, asker);
    if (!q)
        return NULL;
    q->once = !again;
    wire_put_command(&q->message, &(struct wire_command){.request = q->number, .grant = *grant, .json = json});
    q = enqueue(u, q);
    send_waiting(u);
    return q;
}

bool upstream_was_sent(const struct upstream_request *q)
{
    return q->asked != 0;
}

void upstream_forget(struct upstream_request **q)
{
    if (*q)
        request_drop(*q);
    *q = NULL;
}

/* --- the sequence --- */

static void repair(struct upstream *u)
{
    struct wire_replay what = {.everything = true, .after = u->position};
    if (!u->repair)
        u->repair = ask(u, FOR_REPAIR, NULL, &what,
                        REPAIR_BYTES); /* without memory: the next announcement of the head tries again */
    send_waiting(u);
}

static void hand_on(struct upstream *u, struct event *e)
{
    u->position = e->seq;
    u->hooks->event(u->context, e);
}

static void drop_held(struct upstream *u, bool all)
{
    struct event *e;
    while ((e = deque_at(&u->held, 0)) && (all || e->seq <= u->position)) {
        deque_pop_front(&u->held);
        u->held_bytes -= e->entry.len;
        event_unref(&e);
    }
}

/* Pass on the held events that follow the position now. If some remain, another repair is
 * needed. */
static void release_held(struct upstream *u)
{
    struct event *e;
    drop_held(u, false);
    while ((e = deque_at(&u->held, 0)) && e->seq == u->position + 1) {
        deque_pop_front(&u->held);
        u->held_bytes -= e->entry.len;
        hand_on(u, e);
        event_unref(&e);
    }
    if (u->held.count)
        repair(u);
}

/* Hold an event of the feed that does not follow the position. The feed is in order, so held
 * events are, too. */
static void hold(struct upstream *u, struct event *e)
{
    const struct event *back = deque_back(&u->held);
    if (u->held_bytes + e->entry.len > HELD_MAX || (back && back->seq >= e->seq))
        return; /* it is fetched later */
    if (deque_push(&u->held, e) == 0) {
        event_ref(e);
        u->held_bytes += e->entry.len;
    }
}

static void each_entry(struct upstream *u, struct slice entries, void (*take)(struct upstream *u, struct event *e))
{
    while (entries.len) {
        size_t used;
        struct event *e = event_parse(entries, &used);
        if (!e) {
            log_warn(
                "message from the broker ends in invalid bytes, which are ignored: run the same version of broker and "
                "workers");
            return;
        }
        take(u, e);
        event_unref(&e);
        entries = (struct slice){entries.data + used, entries.len - used};
    }
}

static void from_feed(struct upstream *u, struct event *e)
{
    if (e->seq <= u->position)
        return;
    if (e->seq == u->position + 1 && !u->held.count)
        hand_on(u, e);
    else
        hold(u, e);
}

static void from_repair(struct upstream *u, struct event *e)
{
    if (e->seq > u->position)
        hand_on(u, e);
}

static void advance(struct upstream *u, uint64_t position)
{
    if (position <= u->position)
        return;
    u->position = position;
    u->hooks->advanced(u->context, position);
}

static void say_hello(struct upstream *u);

/* The broker's history does not contain our position. The sequence continues at the oldest
 * retained event, or at our position if that is newer (an older copy of the store was restored). */
static void lose_track(struct upstream *u, const struct wire_page *page)
{
    bool other_timeline = page->head < u->position; /* a broker without a memory whose clock was set back */
    log_event(LOG_WARN, "broker cannot resume: sending ssecast.gap to open streams",
              log_count("position", u->position));
    if (page->from > u->position || other_timeline)
        u->position = page->from;
    u->hooks->broken(u->context, u->position, page->oldest);
    say_hello(u); /* bans may be among the missing events: the welcome has all of them */
}

static void repaired(struct upstream *u, const struct wire_page *page)
{
    ++*u->config.repairs;
    if (page->gap)
        lose_track(u, page);
    each_entry(u, page->entries, from_repair);
    advance(u, page->upto);
    if (page->upto < page->head)
        repair(u);
    else
        release_held(u);
}

/* --- hello --- */

static void say_hello(struct upstream *u)
{
    struct buf b = {0};
    wire_put_hello(&b, &(struct wire_hello){.worker = slice_of(u->config.name),
                                            .position = u->joined ? u->position : 0,
                                            .labels = u->config.labels});
    u->hello_unsent = b.failed || socket_send(u->sync, written(&b)) != 0;
    buf_release(&b);
    u->hello_at = loop_now(u->loop);
    if (!u->hello_first_us)
        u->hello_first_us = clock_us();
}

/* --- the broker's clock and positions --- */

static void note_clock(const struct upstream *u, int64_t broker_us)
{
    if (u->config.ordering)
        ordering_heard(u->config.ordering, broker_us, clock_us());
}

/* The broker was at head after it received a message that was sent at sent_us. */
static void note_proof(const struct upstream *u, uint64_t head, int64_t sent_us)
{
    if (u->config.ordering && sent_us)
        ordering_proved(u->config.ordering, head, sent_us);
}

static void note_run(const struct upstream *u, const struct wire_welcome *m)
{
    if (u->config.ordering && u->run != m->run)
        ordering_begin(u->config.ordering, m->began);
    note_clock(u, m->clock);
    note_proof(u, m->head, u->hello_first_us);
}

/* The broker is lost: requests that are sent only once get an empty reply. */
static void give_up_asked_once(struct upstream *u)
{
    struct upstream_request *q;
    while ((q = u->asked_once.first)) {
        void *asker = q->asker; // NOLINT(clang-analyzer-unix.Malloc): request_drop() unlinks what it frees
        request_drop(q);
        u->hooks->reply(u->context, asker, (struct slice){0});
    }
}

/* The connected broker is lost, or has restarted. */
static void lose_broker(struct upstream *u)
{
    u->welcomed = u->fed = false;
    u->retry_ms = u->config.pace.retry;
    drop_held(u, true);
    give_up_asked_once(u);
    while (u->under_way.first) {
        struct upstream_request *q = u->under_way.first;
        list_remove(q);
        list_add(&u->waiting, q);
    }
}

static void drop_pieces(struct upstream *u)
{
    buf_release(&u->pieces.bans);
    buf_release(&u->pieces.entries);
    u->pieces = (struct welcome_pieces){0};
}

/* The broker acknowledged reports up to n; it was at head then. */
static void note_acknowledged(struct upstream *u, uint64_t n, uint64_t head)
{
    struct unacked_report report;
    if (u->acked_n < n)
        u->acked_n = n;
    if (!unacked_acknowledge(&u->unacked, n, &report))
        return;

    note_proof(u, head, report.sent_at);
    if (!report.whole)
        return;
    u->acked_run = u->run;
    u->hooks->acknowledged(u->context, report.mark, head);
}

/* --- bans and state --- */

/* A piece of the next welcome. Its content applies with the welcome, which shows that nothing is
 * missing and which events are newer. */
static void add_piece(struct upstream *u, uint64_t run, uint64_t piece, struct buf *to, struct slice content)
{
    struct welcome_pieces *p = &u->pieces;
    if (piece == 1) {
        drop_pieces(u);
        p->run = run;
    }
    if (run != p->run || piece != p->count + 1)
        return; /* the welcome will show that one is missing */

    wire_add_bytes(to, content);
    p->count++;
}

static void on_bans(struct upstream *u, struct slice message)
{
    struct wire_bans m;
    if (wire_get_bans(message, &m) == 0)
        add_piece(u, m.run, m.piece, &u->pieces.bans, m.bans);
}

static void on_state(struct upstream *u, struct slice message)
{
    struct wire_state m;
    if (wire_get_state(message, &m) == 0)
        add_piece(u, m.run, m.piece, &u->pieces.entries, m.entries);
}

static bool has_all_pieces(const struct upstream *u, const struct wire_welcome *m)
{
    const struct welcome_pieces *p = &u->pieces;
    bool whole = !p->bans.failed && !p->entries.failed;
    return !m->pieces || (p->run == m->run && p->count == m->pieces && whole);
}

static void tell_bans(struct upstream *u, struct slice bans)
{
    struct slice session;
    int64_t until_ms;
    while (bans.len && wire_next_ban(&bans, &session, &until_ms))
        u->hooks->blocked(u->context, session, until_ms);
}

static void tell_state(struct upstream *u, struct slice entries, uint64_t position)
{
    struct event *e;

    u->hooks->state(u->context, NULL);
    for (size_t used; entries.len && (e = event_parse(entries, &used)); event_unref(&e)) {
        u->hooks->state(u->context, e);
        entries = (struct slice){entries.data + used, entries.len - used};
    }
    u->hooks->state_told(u->context, position);
}

static void take_pieces(struct upstream *u, const struct wire_welcome *m)
{
    if (!m->pieces)
        drop_pieces(u); /* of a welcome that was lost */

    tell_bans(u, written(&u->pieces.bans));
    tell_bans(u, m->bans);
    u->hooks->all_blocked(u->context, m->head, m->bans_since);
    tell_state(u, written(&u->pieces.entries), m->head);
    drop_pieces(u);
}

/* --- welcome --- */

/* Incomplete bans would admit banned sessions. HELLO is sent again with the next tick. */
static void refuse_welcome(struct upstream *u)
{
    log_warn("bans or state incomplete: requesting them again");
    drop_pieces(u);
    lose_broker(u);
}

static void on_welcome(struct upstream *u, struct slice message)
{
    struct wire_welcome m;
    if (wire_get_welcome(message, &m) != 0)
        return;
    if (!has_all_pieces(u, &m)) {
        refuse_welcome(u);
        return;
    }
    if (u->run != m.run)
        lose_broker(u);
    note_run(u, &m);
    u->hello_first_us = 0;
    if (!u->welcomed)
        log_event(LOG_INFO, "broker connected", log_count("head", m.head));
    u->run = m.run;
    u->welcomed = true;
    u->presence_lost = true;
    if (m.taken)
        note_acknowledged(u, m.taken, m.head);
    take_pieces(u, &m);
    if (!u->joined) {
        u->joined = true;
        u->position = m.head;
        u->hooks->joined(u->context, m.head);
    } else if (u->position != m.head) {
        repair(u);
    }
    send_waiting(u);
}

/* --- presence --- */

void upstream_presence(struct upstream *u, const struct wire_presence_item *item)
{
    if (u->welcomed && !u->presence_lost)
        wire_add_presence(&u->presence, item);
    if (item->kind != ITEM_ENDED)
        return;
    if (!unacked_ended(&u->unacked, item, ENDED_MAX))
        log_warn("presence lost: too many streams ended without a broker; their sessions vanish without a report");
}

static size_t piece_bytes(const struct upstream *u)
{
    return u->config.piece_bytes ? u->config.piece_bytes : WIRE_PIECE_BYTES;
}

/* Send a report of these items. m: its flags. False: it was not sent, and a full report is due. */
static bool send_report(struct upstream *u, struct wire_presence *m, const struct buf *items, bool whole)
{
    struct buf b = {0};
    m->n = ++u->presence_n;
    m->told = u->acked_run;
    m->gauges[GAUGE_POSITION] = u->position;
    if (u->hooks->measure)
        u->hooks->measure(u->context, m->gauges);
    memcpy(m->counters, u->config.counters, sizeof m->counters);
    wire_put_presence(&b, m);
    wire_add_items(&b, items);
    if (m->lags && u->hooks->lagging)
        u->hooks->lagging(u->context, &b);

    int64_t now_us = clock_us();
    bool sent = !b.failed && !items->failed && socket_send(u->sync, written(&b)) == 0;
    buf_release(&b);
    u->report_at = loop_now(u->loop);
    if (m->lags)
        u->lags_at = u->report_at;
    u->presence_lost = !sent;
    if (!sent)
        return false;

    uint64_t end = unacked_end(&u->unacked);
    struct unacked_report report = {
        .n = m->n, .whole = whole, .ended = u->covered < end ? u->covered : end, .sent_at = now_us};
    if (whole)
        report.mark = u->hooks->mark(u->context);
    unacked_sent(&u->unacked, &report);
    return true;
}

/* Move changes since the last report to items, up to max bytes. */
static void take_changes(struct upstream *u, struct buf *items, size_t max)
{
    size_t ended, left;
    struct slice piece = wire_cut_presence(written(&u->presence), max - items->len, &ended);
    wire_add_bytes(items, piece);
    u->covered += ended;
    left = u->presence.len - piece.len;

    if (left)
        memmove(u->presence.data, u->presence.data + piece.len, left);
    u->presence.len = left;
    if (!left)
        buf_release(&u->presence);
}

/* --- in full --- */

static void begin_full(struct upstream *u)
{
    buf_release(&u->presence);
    unacked_restart(&u->unacked);
    u->covered = unacked_end(&u->unacked) - unacked_from(&u->unacked, 0).len;
    u->acked_n = u->presence_n;
    u->presence_lost = false;
    u->full = (struct full){.active = true, .ended_to = unacked_end(&u->unacked)};
}

/* Add connections that ended before the report began. True when there are more. */
static bool add_ended(struct upstream *u, struct buf *items)
{
    size_t ended;
    struct slice left = unacked_from(&u->unacked, u->covered);
    size_t later = (size_t)(unacked_end(&u->unacked) - u->full.ended_to);
    if (u->covered >= u->full.ended_to || left.len <= later)
        return false; /* or it was dropped */

    left.len -= later;
    struct slice piece = wire_cut_presence(left, piece_bytes(u), &ended);
    wire_add_bytes(items, piece);
    u->covered += piece.len;
    return piece.len < left.len;
}

static bool send_piece(struct upstream *u)
{
    struct full *full = &u->full;
    struct buf items = {0};
    bool more = add_ended(u, &items);
    size_t max = piece_bytes(u);

    if (!more && items.len < max)
        take_changes(u, &items, max);
    if (!more && !u->presence.len && !full->walked && items.len < max)
        full->walked = !u->hooks->snapshot(u->context, &items, &full->cursor, max);
    more = more || u->presence.len || !full->walked;

    struct wire_presence m = {.full = true, .rest = full->rest, .more = more, .lags = !more};
    full->rest = true;
    full->active = send_report(u, &m, &items, !more) && more;
    buf_release(&items);
    return full->active;
}

/* Send a few pieces at a time, and more as they are acknowledged. A piece that is due renews the
 * lease and does not wait. */
static void send_full(struct upstream *u)
{
    bool due = loop_now(u->loop) - u->report_at >= u->config.pace.renew;
    while (u->full.active && (due || u->presence_n - u->acked_n < UNDER_WAY)) {
        due = false;
        if (!send_piece(u))
            return;
    }
}

static void send_changes(struct upstream *u)
{
    bool lags = loop_now(u->loop) - u->lags_at >= u->config.pace.renew;
    while (lags || u->presence.len) {
        struct buf items = {0};
        struct wire_presence m = {.lags = lags};
        take_changes(u, &items, piece_bytes(u));
        bool sent = send_report(u, &m, &items, !u->presence.len);
        buf_release(&items);
        if (!sent)
            return;
        lags = false;
    }
}

static void send_presence(struct upstream *u)
{
    if (!u->welcomed || u->hello_first_us)
        return; /* reports begin after the answer to HELLO, to be in order */
    if (u->presence_lost || u->presence.failed)
        begin_full(u);
    if (u->full.active)
        send_full(u);
    else
        send_changes(u);
}

void upstream_leave(struct upstream *u)
{
    struct buf nothing = {0};
    struct wire_presence bye = {.bye = true};
    if (!u->welcomed)
        return;

    if (u->presence_lost || u->presence.failed || u->full.active || u->hello_first_us)
        begin_full(u);
    else
        send_changes(u);
    while (u->full.active && send_piece(u))
        continue;
    if (!u->presence_lost)
        send_report(u, &bye, &nothing, true);
}

/* --- receiving --- */

/* True when the message is from the known epoch. Otherwise the broker was restarted. */
static bool same_run(struct upstream *u, uint64_t run)
{
    if (u->welcomed && run == u->run)
        return true;
    if (u->welcomed)
        lose_broker(u);
    if (loop_now(u->loop) - u->hello_at >= u->config.pace.tick)
        say_hello(u);
    return false;
}

static void on_batch(struct upstream *u, struct slice message)
{
    struct wire_batch m;
    if (wire_get_batch(message, &m) != 0 || !same_run(u, m.run))
        return;
    u->fed = true;
    if (m.prev > u->position && !u->held.count)
        repair(u);
    each_entry(u, m.entries, from_feed);
}

static void on_head(struct upstream *u, struct slice message)
{
    struct wire_head m;
    if (wire_get_head(message, &m) != 0 || !same_run(u, m.run))
        return;
    u->fed = true;
    note_clock(u, m.clock);
    if (m.head > u->position)
        repair(u);
}

/* The request with this number; NULL when it was answered or forgotten. */
static struct upstream_request *request_find(const struct request_list *list, uint64_t number)
{
    struct upstream_request *q = list->first;
    while (q && q->number != number)
        q = q->next;
    return q;
}

static void on_reply(struct upstream *u, struct slice message)
{
    struct wire_reply m;
    if (wire_get_reply(message, &m) != 0)
        return;
    struct upstream_request *q = request_find(&u->asked_once, m.request);
    if (!q)
        q = request_find(&u->under_way, m.request);
    if (!q || q->kind != FOR_COMMAND)
        return;
    void *asker = q->asker;
    request_drop(q);
    u->hooks->reply(u->context, asker, m.json);
    send_waiting(u);
}

/* The request was answered by this page, and freed. */
static void hand_on_page(struct upstream *u, enum request_purpose kind, void *asker, const struct wire_page *m)
{
    switch (kind) {
    case FOR_REPLAY:
        u->hooks->page(u->context, asker, m);
        break;
    case FOR_REPAIR:
        u->repair = NULL;
        repaired(u, m);
        break;
    case FOR_SHUTDOWNS:
        if (u->hooks->past)
            u->hooks->past(u->context, m);
        break;
    case FOR_COMMAND:
        MUST(!"a command has a reply and no page");
    }
}

static void on_page(struct upstream *u, struct slice message)
{
    struct wire_page m;
    if (wire_get_page(message, &m) != 0 || !same_run(u, m.run))
        return;
    struct upstream_request *q = request_find(&u->under_way, m.request);
    if (!q || q->kind == FOR_COMMAND)
        return;
    enum request_purpose kind = q->kind;
    void *asker = q->asker;
    adapt_timeout(u, q);
    request_drop(q);
    hand_on_page(u, kind, asker, &m);
    send_waiting(u);
}

static void on_taken(struct upstream *u, struct slice message)
{
    struct wire_taken m;
    if (wire_get_taken(message, &m) != 0 || !same_run(u, m.run))
        return;
    note_clock(u, m.clock);
    note_acknowledged(u, m.n, m.head);
}

static void on_log(struct slice message)
{
    struct wire_log m;
    if (wire_get_log(message, &m) == 0)
        log_change_level(m.level, "broker");
}

static void on_message(struct upstream *u, struct slice message)
{
    u->heard_at = loop_now(u->loop);
    switch (wire_type(message)) {
    case WIRE_BATCH:
        on_batch(u, message);
        break;
    case WIRE_HEAD:
        on_head(u, message);
        break;
    case WIRE_WELCOME:
        on_welcome(u, message);
        break;
    case WIRE_STATE:
        on_state(u, message);
        break;
    case WIRE_BANS:
        on_bans(u, message);
        break;
    case WIRE_PAGE:
        on_page(u, message);
        break;
    case WIRE_REPLY:
        on_reply(u, message);
        break;
    case WIRE_RESYNC:
        say_hello(u);
        break;
    case WIRE_TAKEN:
        on_taken(u, message);
        break;
    case WIRE_LOG:
        on_log(message);
        break;
    default:
        log_event(LOG_DEBUG, "message ignored: unknown type", log_count("bytes", message.len));
    }
}

/* Handle the messages of one socket, up to a bound. True when the bound was reached. */
static bool receive(struct upstream *u, struct broker_socket *socket)
{
    struct slice message;
    for (size_t bytes = 0; bytes < BYTES_PER_TURN; bytes += message.len) {
        if (!socket_receive(socket, &message))
            return false;
        on_message(u, message);
    }
    return true;
}

/* --- time --- */

static void close_sockets(struct upstream *u)
{
    socket_close(&u->feed);
    socket_close(&u->sync);
}

/* 0 or -1 with a line in the log: then both are closed. */
static int open_sockets(struct upstream *u)
{
    u->feed = socket_open(u->sockets, SOCKET_FEED, u->config.feeds[u->broker], u->broker);
    u->sync = u->feed ? socket_open(u->sockets, SOCKET_SYNC, u->config.syncs[u->broker], u->broker) : NULL;
    u->broker_from = loop_now(u->loop);
    u->fed = false;
    if (!u->sync)
        close_sockets(u);
    return u->sync ? 0 : -1;
}

/* Connect to the next broker. Without descriptors the next tick tries again. */
static void move_on(struct upstream *u)
{
    close_sockets(u);
    u->broker = (u->broker + 1) % u->config.brokers;
    if (open_sockets(u) == 0)
        log_info("broker changed: connecting to %s", u->config.syncs[u->broker]);
}

static void tick(void *context, int64_t now)
{
    struct upstream *u = context;
    const struct upstream_pace *pace = &u->config.pace;
    int64_t timeout = u->config.brokers > 1 ? pace->move : pace->silence;

    if (u->welcomed && now - u->heard_at >= timeout) {
        log_warn("broker silent for %d s: streams stay open and wait", (int)(timeout / 1000));
        lose_broker(u);
    }
    socket_tick(u->feed, now);
    socket_tick(u->sync, now);
    if (u->config.brokers > 1 && !u->welcomed && now - u->broker_from >= pace->move)
        move_on(u);
    if ((!u->welcomed || u->hello_first_us) && now - u->hello_at >= pace->tick)
        say_hello(u);
    send_again(u);
    send_waiting(u);
    loop_timer_set(u->loop, &u->tick, now + pace->tick);
}

bool upstream_turn(struct upstream *u)
{
    if (u->hello_unsent) /* the connection may be new since the last iteration */
        say_hello(u);
    bool more = receive(u, u->sync);
    more = receive(u, u->feed) || more;
    send_presence(u);
    return more;
}

bool upstream_turned_away(const struct upstream *u)
{
    return socket_turned_away(u->feed) || socket_turned_away(u->sync);
}

bool upstream_connected(const struct upstream *u)
{
    return u->welcomed;
}

bool upstream_current(const struct upstream *u)
{
    return u->welcomed && u->fed && !u->repair && !u->held.count;
}

int64_t upstream_silence(const struct upstream *u)
{
    return u->welcomed ? loop_now(u->loop) - u->heard_at : INT64_MAX;
}

/* --- life --- */

struct upstream *upstream_new(const struct upstream_config *config, struct loop *loop,
                              const struct upstream_hooks *hooks, void *context)
{
    const struct upstream_pace *pace = &config->pace;
    MUST(pace->tick > 0 && pace->renew > 0 && pace->retry >= pace->tick && pace->retry <= pace->retry_max);
    MUST(pace->silence > pace->tick && pace->move > pace->tick);

    struct upstream *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    *u = (struct upstream){.config = *config, .loop = loop, .hooks = hooks, .context = context};
    u->tick = (struct loop_timer){.fire = tick, .context = u};
    u->hello_at = -config->pace.tick;
    u->retry_ms = config->pace.retry;
    u->sockets = sockets_new(&(struct sockets_config){loop, config->name, config->curve});
    if (!u->sockets || open_sockets(u) != 0) {
        upstream_free(&u);
        return NULL;
    }
    loop_timer_set(loop, &u->tick, clock_ms());
    return u;
}

void upstream_free(struct upstream **u)
{
    if (!*u)
        return;
    requests_drop(&(*u)->waiting);
    requests_drop(&(*u)->under_way);
    requests_drop(&(*u)->asked_once);
    drop_held(*u, true);
    deque_release(&(*u)->held);
    buf_release(&(*u)->presence);
    drop_pieces(*u);
    unacked_release(&(*u)->unacked);
    close_sockets(*u);
    sockets_free(&(*u)->sockets);
    free(*u);
    *u = NULL;
}
