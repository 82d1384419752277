/* What the broker says. Each message goes to the module that it is for. */
#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"
#include "upstream/internal.h"

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

/* The broker acknowledged reports up to n; it was at head then. */
static void note_acknowledged(struct upstream *u, uint64_t n, uint64_t head)
{
    struct unacked_report report;
    if (!reporter_acknowledge(&u->reporter, n, u->run, &report))
        return;

    note_proof(u, head, report.sent_at);
    if (!report.whole)
        return;
    MUST(!u->acknowledged);
    u->acknowledged = true;
    u->acknowledged_mark = report.mark;
    u->acknowledged_head = head;
}

/* --- messages --- */

/* Incomplete bans would admit banned sessions. HELLO is sent again with the next tick. */
static void refuse_welcome(struct upstream *u)
{
    log_warn("bans or state incomplete: requesting them again");
    welcome_release(&u->welcome);
    upstream_lose_broker(u);
}

static void on_welcome(struct upstream *u, struct slice message)
{
    struct wire_welcome m;
    if (wire_get_welcome(message, &m) != 0)
        return;
    if (!welcome_is_complete(&u->welcome, &m)) {
        refuse_welcome(u);
        return;
    }
    if (u->run != m.run)
        upstream_lose_broker(u);
    note_run(u, &m);
    u->hello_first_us = 0;
    if (!u->welcomed) {
        u->fed_at = loop_now(u->loop);
        u->feed_silent = false;
        log_each_event(LOG_INFO, "broker connected", log_count("head", m.head));
    }
    u->run = m.run;
    u->welcomed = true;

    reporter_lose(&u->reporter);
    if (m.taken)
        note_acknowledged(u, m.taken, m.head);
    welcome_begin(&u->welcome, &m);
    u->joined = reassembly_join(&u->sequence, m.head);
    if (reassembly_is_behind(&u->sequence))
        /* Requested before any cursor, so that a gap is reported before what follows it. */
        upstream_repair(u);
    upstream_send_waiting(u);
}

static void on_bans(struct upstream *u, struct slice message)
{
    struct wire_bans m;
    if (wire_get_bans(message, &m) != 0)
        return;
    u->piece_at = loop_now(u->loop);
    welcome_add_bans(&u->welcome, &m);
}

static void on_state(struct upstream *u, struct slice message)
{
    struct wire_state m;
    if (wire_get_state(message, &m) != 0)
        return;
    u->piece_at = loop_now(u->loop);
    welcome_add_state(&u->welcome, &m);
}

/* True when the message is from the known epoch. Otherwise the broker was restarted. */
static bool same_run(struct upstream *u, uint64_t run)
{
    if (u->welcomed && run == u->run)
        return true;
    if (u->welcomed)
        upstream_lose_broker(u);
    if (loop_now(u->loop) - u->hello_at < u->config.pace.tick)
        return false;
    if (run == u->welcome.run)
        upstream_repeat_hello(u);
    else
        upstream_say_hello(u);
    return false;
}

static void on_batch(struct upstream *u, struct slice message)
{
    struct wire_batch m;
    if (wire_get_batch(message, &m) != 0 || !same_run(u, m.run))
        return;
    u->fed = true;
    reassembly_batch(&u->sequence, m.prev, m.entries);
}

static void on_head(struct upstream *u, struct slice message)
{
    struct wire_head m;
    if (wire_get_head(message, &m) != 0 || !same_run(u, m.run))
        return;
    u->fed = true;
    if (u->config.ordering)
        ordering_heard_head(u->config.ordering, m.clock, clock_us());
    reassembly_announced(&u->sequence, m.head);
}

/* The request q was answered: free it, and send others. */
static void answered(struct upstream *u, struct upstream_request *q)
{
    outstanding_drop(q);
    upstream_send_waiting(u);
}

static enum upstream_kind on_reply(struct upstream *u, struct slice message,
                                   struct upstream_news *out)
{
    struct wire_reply m;
    if (wire_get_reply(message, &m) != 0)
        return UPSTREAM_NOTHING;
    struct upstream_request *q = outstanding_find(&u->requests, m.request);
    if (!q || q->purpose != FOR_COMMAND)
        return UPSTREAM_NOTHING;

    out->asker = q->asker;
    out->json = m.json;
    answered(u, q);
    return UPSTREAM_REPLY;
}

static void take_repair(struct upstream *u)
{
    ++*u->config.repairs;
    if (u->page.gap)
        log_event(LOG_WARN, "broker cannot resume: sending ssecast.gap to open streams",
                  log_count("position", u->sequence.position));
    reassembly_page(&u->sequence, &u->page);
}

static enum upstream_kind on_page(struct upstream *u, struct slice message,
                                  struct upstream_news *out)
{
    if (wire_get_page(message, &u->page) != 0 || !same_run(u, u->page.run))
        return UPSTREAM_NOTHING;
    struct upstream_request *q = outstanding_find(&u->requests, u->page.request);
    if (!q || q->purpose == FOR_COMMAND)
        return UPSTREAM_NOTHING;

    enum request_purpose purpose = q->purpose;
    out->asker = q->asker;
    out->page = &u->page;
    outstanding_adapt(&u->requests, q, loop_now(u->loop));
    answered(u, q);
    if (purpose == FOR_REPLAY)
        return UPSTREAM_PAGE;
    if (purpose == FOR_SHUTDOWNS)
        return UPSTREAM_SHUTDOWNS;
    take_repair(u);
    return UPSTREAM_NOTHING;
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

enum upstream_kind upstream_on_message(struct upstream *u, struct slice message,
                                       struct upstream_news *out)
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
        return on_page(u, message, out);
    case WIRE_REPLY:
        return on_reply(u, message, out);
    case WIRE_RESYNC:
        upstream_say_hello(u);
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
    return UPSTREAM_NOTHING;
}
