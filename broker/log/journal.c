#include "log/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "log/jetstream.h"
#include "log/journal_link.h"
#include "log/journal_offer.h"
#include "log/journal_position.h"
#include "log/journal_trouble.h"
#include "ops/log.h"

#define HEARTBEAT_MS 1000
#define SILENCE_MS 2500 /* without a heartbeat: the consumer is gone */
#define BEHIND_MS 3000  /* behind and without a message: the consumer's server lacks the rest */
#define QUIET_MS 5000   /* without a message: request the end of the stream from the leader */
#define ANSWER_MS 2000  /* an unanswered request is repeated */
#define PAUSE_MS 250    /* after an error */
#define REOPEN_MS 2000  /* between attempts to connect after a server refused the connection */
#define END_MS 1000     /* an unanswered request for the end is repeated */

#define STREAM_BATCHES 32u   /* a new stream holds at least this number, of any size, ... */
#define STREAM_AGE_MS 60000u /* ... for at least this time */

enum stage { AWAY, PAUSED, LOOKING, MAKING, OPENING, READING };

struct journal {
    struct journal_config config;
    struct journal_link link;
    uint64_t ends;      /* requests of journal_request_end() so far */
    uint64_t requested; /* other requests so far; the reply subject has the number */

    enum stage stage;
    int64_t requested_at, heard_at; /* clock_ms() */
    int64_t moved_at;               /* clock_ms() of the last message, or since one is expected */
    uint64_t count;                 /* messages that this consumer was sent */
    bool lost;
    struct journal_trouble trouble;

    struct journal_position position;
    uint64_t end, end_requested; /* the end of the stream; number of the request, 0: answered */
    int64_t end_requested_at;
    struct journal_offer offer;
    struct store_stats stats;
};

/* --- requests --- */

/* An answer with another number is stale. A request without an answer is repeated. */
static void request(struct journal *j, enum journal_request kind, struct slice body, int64_t now)
{
    journal_link_request(&j->link, kind, ++j->requested, body);
    j->requested_at = now;
}

void journal_request_end(struct journal *j, int64_t now)
{
    j->end_requested = ++j->ends;
    j->end_requested_at = now;
    journal_link_request(&j->link, REQUEST_END, j->end_requested, (struct slice){0});
}

bool journal_reached_end(const struct journal *j)
{
    return !j->end_requested && j->position.offset >= j->end;
}

/* Request the state of the stream, then continue reading it. */
static void inspect_stream(struct journal *j, int64_t now)
{
    journal_link_unsubscribe(&j->link);
    position_require_check(&j->position);
    j->stage = LOOKING;
    request(j, REQUEST_INSPECT, (struct slice){0}, now);
}

static void pause_asking(struct journal *j, int64_t now)
{
    journal_link_unsubscribe(&j->link);
    position_require_check(&j->position);
    j->stage = PAUSED;
    j->requested_at = now;
}

static uint64_t max_of(uint64_t limit, uint64_t least)
{
    return limit < least ? least : limit;
}

/* The stream holds what the history holds, and at least some batches: bans are written again before
 * the stream forgets them. */
static void make_stream(struct journal *j, int64_t now)
{
    struct buf body = {0};
    struct jetstream_stream stream = {
        .name = j->config.stream,
        .replicas = j->config.replicas,
        .max_messages = max_of(j->config.limits.events, STREAM_BATCHES),
        .max_bytes = max_of(j->config.limits.bytes, STREAM_BATCHES * journal_room(j)),
        .max_age_ms = max_of(j->config.limits.age_ms, STREAM_AGE_MS)};
    jetstream_put_stream(&body, &stream);
    j->stage = MAKING;
    request(j, REQUEST_MAKE, buf_slice(&body), now);
    buf_release(&body);
}

static void open_reader(struct journal *j, uint64_t start, int64_t now)
{
    struct buf body = {0};
    char deliver[JOURNAL_SUBJECT_MAX];
    j->stage = OPENING;
    j->count = 0;
    journal_link_subscribe(&j->link, j->requested + 1, deliver);
    jetstream_put_consumer(&body, j->config.stream, deliver, start, HEARTBEAT_MS);
    request(j, REQUEST_CONSUMER, buf_slice(&body), now);
    buf_release(&body);
}

/* The stream is not the one that was read. */
static void lose_stream(struct journal *j, const char *how)
{
    log_error("stream %s %s; sending ssecast.gap to open streams", j->config.stream, how);
    j->lost = true;
}

/* --- answers --- */

static void on_info(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    if (r->error == JETSTREAM_STREAM_NOT_FOUND) {
        make_stream(j, now);
        return;
    }
    if (r->code) {
        trouble_refused(&j->trouble, "cannot inspect the stream", r);
        pause_asking(j, now);
        return;
    }
    trouble_compare(
        &j->trouble, r,
        &(struct journal_wants){j->config.stream, j->config.replicas, &j->config.limits});
    if (position_may_catch_up(&j->position, r, now)) {
        pause_asking(j, now);
        return;
    }

    const char *difference = position_compare(&j->position, r);
    if (difference)
        lose_stream(j, difference);
    open_reader(j, position_begin(&j->position, r), now);
}

static void on_made(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    if (r->code && r->error != JETSTREAM_NAME_IN_USE) {
        trouble_refused(&j->trouble, "cannot create the stream", r);
        pause_asking(j, now);
        return;
    }
    if (!r->code)
        log_info("stream %s created with %" PRIu64 " replica(s)", j->config.stream,
                 j->config.replicas);
    inspect_stream(j, now);
}

static void on_opened(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    if (r->code) {
        trouble_refused(&j->trouble, "cannot read the stream", r);
        pause_asking(j, now);
        return;
    }
    j->stage = READING;
    j->heard_at = j->moved_at = now;
}

/* --- comparing with the leader --- */

static bool has_read_all(const struct journal *j)
{
    return j->stage == READING && !j->lost && position_at_target(&j->position);
}

static void check_leader(struct journal *j, int64_t now)
{
    struct buf body = {0};
    if (j->position.agreed || !has_read_all(j))
        return;

    uint64_t offset = position_begin_check(&j->position, now);
    if (j->position.agreed)
        trouble_end(&j->trouble);
    if (!offset)
        return;
    jetstream_put_get(&body, offset);
    request(j, REQUEST_MESSAGE, buf_slice(&body), now);
    buf_release(&body);
}

static void on_checked(struct journal *j, const struct jetstream_reply *r, int64_t now)
{
    switch (position_judge(&j->position, r)) {
    case POSITION_AGREED:
        trouble_end(&j->trouble);
        break;
    case POSITION_UNKNOWN:
        inspect_stream(j, now);
        break;
    case POSITION_DIFFERS:
        lose_stream(j, "differs between its leader and the server it was read from");
        pause_asking(j, now);
        break;
    case POSITION_UNDECIDED: /* it is repeated */
        break;
    }
}

/* --- the pending batch --- */

static void send_offer(struct journal *j, int64_t now)
{
    uint64_t number = offer_next_send(&j->offer);
    int err = journal_link_append(&j->link, number, j->offer.offset, buf_slice(&j->offer.message));
    offer_note_send(&j->offer, err == 0, now);
}

void journal_offer(struct journal *j, struct buf *message, struct batch *t, int64_t now)
{
    t->predecessor = j->position.last;
    t->offset = j->position.offset;
    offer_begin(&j->offer, message, t, j->config.broker, clock_us());
    send_offer(j, now);
}

bool journal_give_up(struct journal *j)
{
    j->stats.failures++;
    offer_end(&j->offer);
    if (j->offer.sent)
        position_require_check(&j->position); /* a leader without a majority may have it alone */
    return !j->offer.sent;
}

/* The time of a message by clock_ms(), which is never set. */
static int64_t time_of(int64_t unix_ms, int64_t now)
{
    int64_t age = clock_unix_ms() - unix_ms;
    return age > 0 ? now - age : now;
}

/* Our batch is stored, as message `sequence`. */
static void accept_offer(struct journal *j, uint64_t sequence, int64_t at)
{
    position_advance(&j->position, &j->offer.name, sequence, at);
    j->stats.commits++;
    j->stats.commit_us += (uint64_t)(clock_us() - j->offer.began_us);
    offer_end(&j->offer);
}

static enum journal_news on_acknowledged(struct journal *j, uint64_t number,
                                         const struct nats_link_message *m, int64_t now)
{
    struct jetstream_reply r = {0};
    bool answered = !m->status && jetstream_get_reply(m->data, &r) == 0;

    switch (offer_judge(&j->offer, number, answered ? &r : NULL, now)) {
    case OFFER_STORED:
        accept_offer(j, r.sequence, now);
        return JOURNAL_STORED;
    case OFFER_REFUSED:
        trouble_note(&j->trouble, r.why);
        j->stats.failures++;
        offer_end(&j->offer);
        return JOURNAL_REFUSED;
    case OFFER_DOUBTED:
        trouble_note(&j->trouble, r.why);
        break;
    case OFFER_UNDECIDED:
        break;
    }
    return JOURNAL_NOTHING;
}

static void on_end(struct journal *j, uint64_t number, const struct nats_link_message *m,
                   int64_t now)
{
    struct jetstream_reply r;
    if (number != j->end_requested || m->status || jetstream_get_reply(m->data, &r) != 0 || r.code)
        return; /* it is repeated */
    j->end = r.last;
    j->end_requested = 0;
    if (position_extend(&j->position, r.last))
        j->moved_at = now;
}

/* An answer that says how reading goes on. */
static void on_reply(struct journal *j, enum journal_request kind, const struct jetstream_reply *r,
                     int64_t now)
{
    if (kind == REQUEST_INSPECT && j->stage == LOOKING)
        on_info(j, r, now);
    else if (kind == REQUEST_MAKE && j->stage == MAKING)
        on_made(j, r, now);
    else if (kind == REQUEST_CONSUMER && j->stage == OPENING)
        on_opened(j, r, now);
    else if (kind == REQUEST_MESSAGE)
        on_checked(j, r, now);
}

static enum journal_news on_answer(struct journal *j, const struct journal_link_message *m,
                                   int64_t now)
{
    struct jetstream_reply r;
    if (m->kind == REQUEST_APPEND)
        return on_acknowledged(j, m->number, &m->nats, now);
    if (m->kind == REQUEST_END) {
        on_end(j, m->number, &m->nats, now);
        return JOURNAL_NOTHING;
    }

    if (m->number != j->requested)
        return JOURNAL_NOTHING; /* it was repeated meanwhile */
    if (m->nats.status || jetstream_get_reply(m->nats.data, &r) != 0) {
        trouble_report(&j->trouble, "the server has no JetStream, or not yet");
        pause_asking(j, now);
        return JOURNAL_NOTHING;
    }
    on_reply(j, m->kind, &r, now);
    return JOURNAL_NOTHING;
}

/* --- deliveries --- */

static void on_status(struct journal *j, const struct nats_link_message *m, int64_t now)
{
    uint64_t count;
    if (journal_link_answer_status(&j->link, m, &count) && count != j->count)
        inspect_stream(j, now); /* a message was lost */
}

/* Read the message at the next offset. */
static enum journal_news read_next(struct journal *j, const struct jetstream_delivery *d,
                                   struct slice message, int64_t now, struct journal_batch *out)
{
    int64_t at = time_of(d->unix_ms, now);
    bool is_batch = batch_get(message, &out->batch) == 0 && out->batch.offset + 1 == d->sequence;
    bool rival = offer_meets(&j->offer, d->sequence);
    if (rival && is_batch && batch_same_name(&out->batch.name, &j->offer.name)) {
        accept_offer(j, d->sequence, at);
        return JOURNAL_STORED;
    }
    if (rival)
        offer_end(&j->offer);
    if (!is_batch) {
        position_skip(&j->position, d->sequence, at);
        log_debug("message %" PRIu64 " of the stream is not a batch for this offset; ignored",
                  d->sequence);
        return rival ? JOURNAL_OVERTAKEN : JOURNAL_NOTHING;
    }
    out->linked = batch_same_name(&out->batch.predecessor, &j->position.last);
    position_advance(&j->position, &out->batch.name, d->sequence, at);
    if (out->batch.name.broker == j->config.broker)
        /* A batch that was given up is stored: compare with the leader. */
        position_require_check(&j->position);
    return JOURNAL_BATCH;
}

static enum journal_news on_delivered(struct journal *j, const struct nats_link_message *m,
                                      int64_t now, struct journal_batch *out)
{
    struct jetstream_delivery d;
    j->heard_at = now;
    if (m->status) {
        on_status(j, m, now);
        return JOURNAL_NOTHING;
    }
    if (!jetstream_get_delivery(m->reply, &d))
        return JOURNAL_NOTHING;
    j->moved_at = now;
    if (d.count != ++j->count) {
        inspect_stream(j, now);
        return JOURNAL_NOTHING;
    }
    if (!position_overlaps(&j->position, d.sequence, m->data)) {
        lose_stream(j, "differs from what was read");
        inspect_stream(j, now);
        return JOURNAL_NOTHING;
    }
    return d.sequence > j->position.offset ? read_next(j, &d, m->data, now, out) : JOURNAL_NOTHING;
}

/* --- the connection --- */

static int connect_link(struct journal *j, char why[NATS_LINK_WHY_MAX])
{
    int err = journal_link_open(&j->link, &j->config.link, j->config.stream, why);
    if (!err)
        inspect_stream(j, clock_ms());
    return err;
}

static void disconnect_link(struct journal *j)
{
    journal_link_close(&j->link);
    j->stage = AWAY;
}

static void on_disconnected(struct journal *j)
{
    journal_link_unsubscribe(&j->link);
    j->stage = AWAY;
    trouble_report(&j->trouble, "connection to the server lost");
}

/* The server refused the connection. journal_tick() opens another one. */
static void on_refused(struct journal *j, int64_t now)
{
    on_disconnected(j);
    disconnect_link(j);
    j->requested_at = now;
}

static void on_connected(struct journal *j, int64_t now)
{
    position_other_server(&j->position);
    inspect_stream(j, now);
    offer_hurry(&j->offer, now);
}

/* --- news --- */

static enum journal_news on_link_news(struct journal *j, enum journal_link_news news,
                                      const struct journal_link_message *m, int64_t now,
                                      struct journal_batch *out)
{
    switch (news) {
    case LINK_ANSWER:
        return on_answer(j, m, now);
    case LINK_DELIVERY:
        return on_delivered(j, &m->nats, now, out);
    case LINK_UP:
        on_connected(j, now);
        break;
    case LINK_DOWN:
        on_disconnected(j);
        break;
    case LINK_CLOSED:
        on_refused(j, now);
        break;
    case LINK_NOTHING:
        break;
    }
    return JOURNAL_NOTHING;
}

enum journal_news journal_next(struct journal *j, int64_t now, struct journal_batch *out)
{
    struct journal_link_message m;
    enum journal_link_news link_news;
    enum journal_news news = JOURNAL_NOTHING;
    while (!news && !j->lost && (link_news = journal_link_receive(&j->link, &m)) != LINK_NOTHING)
        news = on_link_news(j, link_news, &m, now, out);
    if (!news)
        check_leader(j, now);
    if (news || !j->lost)
        return news;

    offer_end(&j->offer);
    j->lost = false;
    return JOURNAL_LOST;
}

/* --- time passes --- */

static bool is_stuck(const struct journal *j, int64_t now)
{
    if (j->stage == READING)
        return now - j->heard_at >= SILENCE_MS ||
               (!has_read_all(j) && now - j->moved_at >= BEHIND_MS) ||
               offer_is_stuck(&j->offer, now);
    return now - j->requested_at >= (j->stage == PAUSED ? PAUSE_MS : ANSWER_MS);
}

static void try_again(struct journal *j, int64_t now)
{
    if (j->stage != READING && j->stage != PAUSED)
        trouble_silence(&j->trouble);
    offer_wait_again(&j->offer, now);
    inspect_stream(j, now);
}

/* Repeat an unanswered request. Without messages request the end now and then: the server of the
 * consumer may lack the rest. */
static bool is_end_due(const struct journal *j, int64_t now)
{
    if (j->end_requested)
        return now - j->end_requested_at >= END_MS;
    return has_read_all(j) && now - j->moved_at >= QUIET_MS &&
           now - j->end_requested_at >= QUIET_MS;
}

static void reconnect(struct journal *j, int64_t now)
{
    char why[NATS_LINK_WHY_MAX];
    if (now - j->requested_at < REOPEN_MS)
        return;
    if (connect_link(j, why) != 0) {
        trouble_report(&j->trouble, why);
        disconnect_link(j);
    }
    j->requested_at = now;
}

void journal_tick(struct journal *j, int64_t now)
{
    if (!j->link.nats) {
        reconnect(j, now);
        return;
    }
    if (j->stage == AWAY || !nats_link_connected(j->link.nats))
        return;

    if (is_stuck(j, now))
        try_again(j, now);
    if (position_end_late_check(&j->position, now)) {
        trouble_silence(&j->trouble);
        check_leader(j, now);
    }
    if (offer_due(&j->offer, now))
        send_offer(j, now);
    if (is_end_due(j, now))
        journal_request_end(j, now);
}

/* --- life --- */

int journal_open(const struct journal_config *config, struct journal **out,
                 char why[NATS_LINK_WHY_MAX])
{
    struct journal *j = calloc(1, sizeof *j);
    int err = -ENOMEM;
    snprintf(why, NATS_LINK_WHY_MAX, "out of memory");
    if (j) {
        j->config = *config;
        err = connect_link(j, why);
    }
    if (err)
        journal_free(&j);
    *out = j;
    return err;
}

void journal_free(struct journal **j)
{
    if (!*j)
        return;
    disconnect_link(*j);
    offer_end(&(*j)->offer);
    free(*j);
    *j = NULL;
}

/* --- what is known --- */

int journal_fd(const struct journal *j)
{
    return j->link.nats ? nats_link_fd(j->link.nats) : -1;
}

bool journal_ready(const struct journal *j)
{
    return has_read_all(j) && j->position.agreed;
}

#define HEADER_ROOM 256u /* for the header of an offer */

size_t journal_room(const struct journal *j)
{
    size_t max = j->link.nats ? nats_link_max_message(j->link.nats) : 0;
    return max > HEADER_ROOM ? max - HEADER_ROOM : 0;
}

bool journal_is_older(const struct journal *j, int64_t age_ms)
{
    return j->position.any && clock_ms() - j->position.last_at > age_ms;
}

const char *journal_why(const struct journal *j)
{
    return j->trouble.why[0] ? j->trouble.why : "the server did not answer in time";
}

bool journal_hopeless(const struct journal *j)
{
    return j->trouble.hopeless;
}

struct store_stats journal_stats(const struct journal *j)
{
    return j->stats;
}
