/* Feed and sync are two sockets with no order between them. What they bring goes to the module
 * that it is for: the reassembly of the sequence, the welcome, the outstanding requests, the
 * reporter. upstream_next() takes out of these what follows from a message before it receives
 * the next one. */
#include "upstream/upstream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"
#include "upstream/internal.h"

#define BYTES_PER_SOCKET 262144u /* received of each one in an iteration ... */
#define US_PER_SOCKET 10000      /* ... until the news of this time are taken */

/* --- news --- */

/* A request that is sent only once, to a broker that was lost. */
static bool next_given_up(struct upstream *u, struct upstream_news *out)
{
    struct upstream_request *q = outstanding_given_up(&u->requests);
    if (!q)
        return false;
    out->asker = q->asker;
    out->json = (struct slice){0};
    outstanding_drop(q);
    return true;
}

static bool next_acknowledged(struct upstream *u, struct upstream_news *out)
{
    if (!u->acknowledged)
        return false;
    u->acknowledged = false;
    out->mark = u->acknowledged_mark;
    out->position = u->acknowledged_head;
    return true;
}

static enum upstream_kind next_of_welcome(struct upstream *u, struct upstream_news *out)
{
    struct welcome_item item;
    switch (welcome_next(&u->welcome, &item)) {
    case WELCOME_NOTHING:
        break;
    case WELCOME_BAN:
        out->session = item.session;
        out->until_ms = item.until_ms;
        return UPSTREAM_BAN;
    case WELCOME_ALL_BANS:
        out->position = item.position;
        out->since = item.since;
        return UPSTREAM_ALL_BANS;
    case WELCOME_STATE_CLEAR:
        return UPSTREAM_STATE_CLEAR;
    case WELCOME_STATE:
        out->event = item.event;
        return UPSTREAM_STATE;
    case WELCOME_ALL_STATE:
        out->position = item.position;
        return UPSTREAM_ALL_STATE;
    }
    return UPSTREAM_NOTHING;
}

static bool next_joined(struct upstream *u, struct upstream_news *out)
{
    if (!u->joined)
        return false;
    u->joined = false;
    out->position = u->sequence.position;
    return true;
}

/* Bans may be among the missing events: the next welcome has all of them. */
static void break_off(struct upstream *u, struct upstream_news *out)
{
    out->position = u->sequence.position;
    out->oldest = u->sequence.oldest;
    upstream_say_hello(u);
}

static enum upstream_kind next_in_sequence(struct upstream *u, struct upstream_news *out)
{
    for (;;) {
        switch (reassembly_next(&u->sequence, &out->event)) {
        case REASSEMBLY_NOTHING:
            return UPSTREAM_NOTHING;
        case REASSEMBLY_EVENT:
            return UPSTREAM_EVENT;
        case REASSEMBLY_ADVANCED:
            out->position = u->sequence.position;
            return UPSTREAM_ADVANCED;
        case REASSEMBLY_BROKEN:
            break_off(u, out);
            return UPSTREAM_BROKEN;
        case REASSEMBLY_MISSING:
            upstream_repair(u);
            break;
        case REASSEMBLY_INVALID:
            log_warn("message from the broker ends in invalid bytes, which are ignored: "
                     "run the same version of broker and workers");
            break;
        }
    }
}

/* What follows from the messages so far. */
static enum upstream_kind next_known(struct upstream *u, struct upstream_news *out)
{
    enum upstream_kind kind;
    if (next_given_up(u, out))
        return UPSTREAM_REPLY;
    if (next_acknowledged(u, out))
        return UPSTREAM_ACKNOWLEDGED;
    if ((kind = next_of_welcome(u, out)) != UPSTREAM_NOTHING)
        return kind;
    if (next_joined(u, out))
        return UPSTREAM_JOINED;
    return next_in_sequence(u, out);
}

/* --- receiving --- */

static void begin_iteration(struct upstream *u)
{
    if (u->receiving.begun)
        return;
    u->receiving = (struct receiving){.begun = true};
}

/* Is there something to send that could not be sent, for want of a connection? Requests that wait
 * for one wait for HELLO too. */
static bool has_unsent(const struct upstream *u)
{
    return u->hello_unsent || u->reporter.stalled;
}

/* The connection may be new. It is looked for behind the last use of the socket in the iteration:
 * any use takes back the report that would wake the loop. */
static void end_iteration(struct upstream *u)
{
    u->receiving.begun = false;
    if (!has_unsent(u) || !socket_can_send(u->sync))
        return;

    if (u->hello_unsent)
        upstream_say_hello(u); /* requests follow its answer */
    reporter_resume(&u->reporter);
}

/* What follows from a message may take long: a page lets a stream read on. */
static bool has_had_its_share(const struct receiving *r)
{
    return r->bytes >= BYTES_PER_SOCKET || (r->bytes && clock_us() - r->began_us >= US_PER_SOCKET);
}

static void note_fed(struct upstream *u)
{
    u->fed_at = loop_now(u->loop);
    if (u->feed_silent)
        log_each(LOG_INFO, "--feed %s: messages arrive again", u->config.feeds[u->broker]);
    u->feed_silent = false;
}

/* The next message of the sync socket, then of the feed. False when there is none, or each socket
 * has had its share of the iteration. */
static bool upstream_receive(struct upstream *u, struct slice *message)
{
    struct receiving *r = &u->receiving;
    for (; r->from != FROM_NONE; r->from++, r->bytes = 0) {
        struct broker_socket *socket = r->from == FROM_SYNC ? u->sync : u->feed;
        if (has_had_its_share(r)) {
            r->more = true;
        } else if (socket_receive(socket, message)) {
            if (!r->bytes)
                r->began_us = clock_us();
            r->bytes += message->len;
            if (socket == u->feed)
                note_fed(u);
            return true;
        }
    }
    return false;
}

enum upstream_kind upstream_next(struct upstream *u, struct upstream_news *out)
{
    enum upstream_kind kind;
    struct slice message;
    begin_iteration(u);

    while ((kind = next_known(u, out)) == UPSTREAM_NOTHING && upstream_receive(u, &message))
        if ((kind = upstream_on_message(u, message, out)) != UPSTREAM_NOTHING)
            return kind;
    if (kind != UPSTREAM_NOTHING)
        return kind;

    end_iteration(u);
    return u->receiving.more ? UPSTREAM_PAUSE : UPSTREAM_NOTHING;
}

bool upstream_is_unsure(const struct upstream *u)
{
    return socket_is_unsure(u->sync) || socket_is_unsure(u->feed);
}

bool upstream_may_have_news(const struct upstream *u)
{
    return u->receiving.begun || u->receiving.more || sockets_may_receive(u->sync, u->feed);
}

/* --- reports --- */

void upstream_presence(struct upstream *u, const struct wire_presence_item *item)
{
    if (!reporter_note(&u->reporter, item, u->welcomed))
        log_warn("presence lost: too many streams ended without a broker; "
                 "their sessions vanish without a report");
}

/* Reports begin after the answer to HELLO, to be in order. */
bool upstream_next_report(struct upstream *u, struct report_draft *draft)
{
    if (!u->reporter.leaving && (!u->welcomed || u->hello_first_us))
        return false;
    return reporter_next(&u->reporter, loop_now(u->loop), draft);
}

void upstream_report(struct upstream *u, struct report_draft *draft)
{
    struct buf b = {0};
    draft->gauges[GAUGE_POSITION] = u->sequence.position;
    reporter_encode(&u->reporter, draft, u->config.counters, &b);

    int64_t now_us = clock_us();
    bool sent = !b.failed && socket_send(u->sync, buf_slice(&b)) == 0;
    if (!sent && !b.failed)
        upstream_lose_connection(u);
    buf_release(&b);
    reporter_sent(&u->reporter, draft, sent, loop_now(u->loop), now_us);
}

void upstream_leave(struct upstream *u)
{
    if (u->welcomed)
        reporter_leave(&u->reporter, u->hello_first_us != 0);
}

/* --- time --- */

static void close_sockets(struct upstream *u)
{
    MUST(!reassembly_is_reading(&u->sequence)); /* a message of the socket */
    socket_close(&u->feed);
    socket_close(&u->sync);
}

/* 0 or -1 with a line in the log: then both are closed. */
static int open_sockets(struct upstream *u)
{
    u->feed = socket_open(u->sockets, SOCKET_FEED, u->config.feeds[u->broker], u->broker);
    u->sync = u->feed ? socket_open(u->sockets, SOCKET_SYNC, u->config.syncs[u->broker], u->broker)
                      : NULL;
    u->broker_from = loop_now(u->loop);
    u->fed = u->feed_silent = false;
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

/* The broker answers, and its events do not arrive. Another broker of a cluster may have them. */
static void look_for_feed(struct upstream *u, int64_t now)
{
    int64_t timeout = u->config.pace.silence;
    if (!u->welcomed || u->feed_silent || now - u->fed_at < timeout)
        return;

    log_each(LOG_WARN,
             "--feed %s: nothing arrives for %d s, although the broker answers at %s: "
             "is this its feed, does a firewall let it through, and has the broker its shared log? "
             "No event reaches the streams",
             u->config.feeds[u->broker], (int)(timeout / 1000), u->config.syncs[u->broker]);
    u->feed_silent = true;
    if (u->config.brokers > 1) {
        upstream_lose_broker(u);
        move_on(u);
    }
}

static void upstream_tick(void *context, int64_t now)
{
    struct upstream *u = context;
    const struct upstream_pace *pace = &u->config.pace;
    int64_t timeout = u->config.brokers > 1 ? pace->move : pace->silence;

    if (u->welcomed && now - u->heard_at >= timeout) {
        log_each(LOG_WARN, "broker silent for %d s: streams stay open and wait",
                 (int)(timeout / 1000));
        upstream_lose_broker(u);
    }
    socket_tick(u->feed, now);
    socket_tick(u->sync, now);
    look_for_feed(u, now);
    if (u->config.brokers > 1 && !u->welcomed && now - u->broker_from >= pace->move &&
        !upstream_pieces(u))
        move_on(u);
    if ((!u->welcomed || u->hello_first_us) && now - u->hello_at >= pace->tick)
        upstream_repeat_hello(u);
    upstream_send_again(u);
    upstream_send_waiting(u);
    loop_timer_set(u->loop, &u->tick, now + pace->tick);
}

bool upstream_turned_away(const struct upstream *u)
{
    return socket_turned_away(u->feed) || socket_turned_away(u->sync);
}

bool upstream_connected(const struct upstream *u)
{
    return u->welcomed;
}

bool upstream_feed_is_silent(const struct upstream *u)
{
    return u->welcomed && u->feed_silent;
}

bool upstream_current(const struct upstream *u)
{
    return u->welcomed && u->fed && !u->requests.repair && !u->sequence.held.count;
}

int64_t upstream_silence(const struct upstream *u)
{
    return u->welcomed ? loop_now(u->loop) - u->heard_at : INT64_MAX;
}

/* --- life --- */

struct upstream *upstream_new(const struct upstream_config *config, struct loop *loop)
{
    const struct upstream_pace *pace = &config->pace;
    MUST(pace->tick > 0 && pace->renew > 0 && pace->retry >= pace->tick &&
         pace->retry <= pace->retry_max);
    MUST(pace->silence > pace->tick && pace->move > pace->tick);

    struct upstream *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    *u = (struct upstream){.config = *config, .loop = loop};
    u->tick = (struct loop_timer){.fire = upstream_tick, .context = u};
    u->hello_at = -pace->tick;
    outstanding_init(&u->requests, pace->retry, pace->retry_max);
    reporter_init(&u->reporter, config->piece_bytes, pace->renew);
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
    outstanding_release(&(*u)->requests);
    reassembly_release(&(*u)->sequence);
    welcome_release(&(*u)->welcome);
    reporter_release(&(*u)->reporter);
    close_sockets(*u);
    sockets_free(&(*u)->sockets);
    free(*u);
    *u = NULL;
}
