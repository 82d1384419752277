/* commit.c - the batch of an iteration: requests are run, their events are committed, published,
 * and then the requests are answered.
 *
 * The order matters: no client sees an event that a crash could still take back. Memory and a store
 * decide at once. A journal that other brokers share decides later: one batch is pending at a time,
 * and its requests are kept, because they are run again when another broker was first. Meanwhile
 * later requests wait in their socket. When the journal takes long, or cannot be reached, they are
 * received: queries are answered, and requests that append are kept until store-timeout.
 */
#define LOG_SUBSYSTEM "broker"

#include <stdio.h>

#include "base/clock.h"
#include "base/must.h"
#include "broker_state.h"
#include "ops/log.h"

#define NEWS_MS 20 /* for reading what others appended, until the loop goes on */

#define LATE_MS 100  /* a pending batch is waited for, before other requests are looked at */
#define OFFER_MS 500 /* an offer is given this long at least */
#define TICK_MS 50
#define HELD_MAX 10000
#define HELD_BYTES (64u << 20)

/* --- counting: what a batch counted is taken back when it comes to nothing --- */

static void delta_begin(struct broker *b)
{
    memcpy(b->batch.delta, b->counters, sizeof b->batch.delta);
}

static void delta_end(struct broker *b)
{
    for (int i = 0; i < BROKER_COUNTERS; i++)
        b->batch.delta[i] = b->counters[i] - b->batch.delta[i];
}

static void take_back_all(struct broker *b)
{
    for (int i = 0; i < BROKER_COUNTERS; i++)
        b->counters[i] -= b->batch.delta[i];
}

static void take_back_publishes(struct broker *b)
{
    static const enum broker_counter which[] = {PUBLISHES, DUPLICATES, SHUTDOWNS, MEMBER_JOINS,
                                                MEMBER_LEAVES};
    for (size_t i = 0; i < sizeof which / sizeof *which; i++)
        b->counters[which[i]] -= b->batch.delta[which[i]];
}

/* --- how a batch ends --- */

/* Its requests are answered. failure: as commands_reply(). */
static void end_batch(struct broker *b, const struct store_failure *failure)
{
    commands_publish(b);
    commands_reply(b, failure);
    if (event_log_is_shared(&b->log))
        requests_drop(&b->batch.kept, b->batch.ran);
    if (b->batch.ran)
        b->batch.first_waits = false;
    b->batch.ran = 0;
}

static void on_committed(struct broker *b, uint64_t events)
{
    b->counters[EVENTS] += events;
    if (event_log_is_shared(&b->log))
        b->counters[BATCHES_STORED]++;
    if (b->batch.failing)
        log_each(LOG_INFO, "events can be stored again");

    b->batch.failing = false;
    end_batch(b, NULL);
}

/* The batch was not stored, or the broker cannot know whether it was. */
static void fail_batch(struct broker *b, enum store_outcome outcome)
{
    const char *why = event_log_why(&b->log);
    char message[EVENT_LOG_WHY_MAX + 64];
    snprintf(message, sizeof message, "%s: %s",
             outcome == NOT_STORED ? "nothing was stored" : "it is not known whether it was stored",
             why);
    take_back_publishes(b);
    if (!b->batch.failing)
        log_each_event(LOG_ERROR, "events cannot be stored: publishes fail with store_failed",
                       log_name("why", why));

    b->batch.failing = true;
    end_batch(b, &(struct store_failure){outcome, message});
}

/* Another broker was first: the requests are run again. */
static void on_overtaken(struct broker *b)
{
    take_back_all(b);
    outbox_cut(&b->outbox, 0);
    b->counters[BATCHES_OVERTAKEN]++;
    b->batch.ran = 0;
}

static void give_up(struct broker *b)
{
    bool certain = event_log_give_up(&b->log);
    if (!certain)
        b->counters[BATCHES_UNKNOWN]++;
    fail_batch(b, certain ? NOT_STORED : UNKNOWN_WHETHER_STORED);
}

/* --- what a shared log brings --- */

static void on_entry(struct broker *b, uint64_t events)
{
    b->counters[BATCHES_ADOPTED]++;
    b->counters[EVENTS_ADOPTED] += events;
}

static void on_reset(struct broker *b)
{
    if (b->batch.serving)
        commands_publish(b);
    event_log_reset(&b->log);
}

static void on_news(struct broker *b, enum event_log_result news, uint64_t events, bool was_pending)
{
    bool overtaken =
        news == EVENT_LOG_OVERTAKEN || news == EVENT_LOG_ENTRY || news == EVENT_LOG_RESET;
    if (overtaken && was_pending)
        on_overtaken(b);

    if (news == EVENT_LOG_COMMITTED)
        on_committed(b, events);
    else if (news == EVENT_LOG_REJECTED)
        fail_batch(b, NOT_STORED);
    else if (news == EVENT_LOG_ENTRY)
        on_entry(b, events);
    else if (news == EVENT_LOG_RESET)
        on_reset(b);
}

/* Read the log to its end, within a bound. True when there may be more. */
static bool follow(struct broker *b, int64_t now)
{
    int64_t until = now + NEWS_MS;
    event_log_tick(&b->log, now);
    for (;;) {
        uint64_t events;
        bool was_pending = b->log.pending;
        enum event_log_result news = event_log_next(&b->log, now, &events);
        if (news == EVENT_LOG_NOTHING)
            return false;

        on_news(b, news, events, was_pending);
        now = clock_ms();
        if (now >= until)
            return true;
    }
}

/* --- the requests of a batch --- */

static bool is_one_waiting(const struct broker *b)
{
    return b->batch.ran < b->batch.kept.count;
}

static void refuse_large(struct broker *b, const struct pending_request *r, size_t bytes)
{
    char message[200];
    snprintf(message, sizeof message,
             "what is to be appended at once has %zu bytes; "
             "the journal takes at most %zu (max_payload of nats-server)",
             bytes, event_log_room(&b->log));
    commands_refuse(b, r, CODE_TOO_LARGE, message);
}

/* Run it within the room of a batch. False when the batch has no room for it. */
static bool run_within_room(struct broker *b, const struct pending_request *r)
{
    uint64_t before = sequence_head(b->sequence), counters[BROKER_COUNTERS];
    size_t mark = b->outbox.len, bytes = sequence_batch_bytes(b->sequence);
    memcpy(counters, b->counters, sizeof counters);
    commands_run(b, r, APPENDS_RUN);
    size_t all = sequence_batch_bytes(b->sequence);
    if (all <= event_log_room(&b->log))
        return true;

    sequence_rollback(b->sequence, before);
    outbox_cut(&b->outbox, mark);
    memcpy(b->counters, counters, sizeof counters);
    if (bytes)
        return false;

    refuse_large(b, r, all);
    return true;
}

/* False when the batch has no room for it. */
static bool run_request(struct broker *b, const struct pending_request *r)
{
    if (event_log_is_shared(&b->log)) {
        MUST(is_one_waiting(b));
        if (!run_within_room(b, r)) {
            b->batch.first_waits = b->batch.first_waits || !b->batch.ran;
            return false;
        }
    } else {
        commands_run(b, r, APPENDS_RUN);
    }
    b->batch.ran++;
    return true;
}

static enum source source_of(const struct pending_request *r)
{
    return r->to_worker ? FROM_WORKERS : FROM_SERVICES;
}

/* A shared log may be ahead of us, and the request is run again then: keep it. NULL when out of
 * memory. */
static const struct pending_request *keep_request(struct broker *b, const struct pending_request *r)
{
    if (requests_put(&b->batch.kept, r) == 0)
        return b->batch.kept.items[b->batch.ran];

    b->counters[REPLIES_DROPPED]++; /* as without memory for its reply */
    return NULL;
}

/* The next request to run: the first that waits, else one received into *room. NULL when this
 * source has no request, or, with *skip, when there was no memory to keep one. */
static const struct pending_request *next_request(struct broker *b, enum source from, int64_t now,
                                                  struct pending_request *room, bool *skip)
{
    *skip = false;
    if (is_one_waiting(b))
        return b->batch.kept.items[b->batch.ran];
    if (!commands_take(b, from, room, APPENDS_RUN))
        return NULL;
    if (!event_log_is_shared(&b->log))
        return room;

    room->arrived = now;
    const struct pending_request *kept = keep_request(b, room);
    *skip = !kept;
    return kept;
}

/* May one more request be run in this batch? Requests that wait are run in their order, in the
 * share of their source. */
static bool may_run(const struct broker *b, const struct shares *shares, enum source *from)
{
    bool left = shares_next(shares, from);
    if (left && is_one_waiting(b))
        *from = source_of(b->batch.kept.items[b->batch.ran]);
    return left && shares_has_left(shares, *from);
}

/* Run requests until a bound is reached. True when one was. */
static bool run_requests(struct broker *b, int64_t now)
{
    struct shares shares;
    enum source from;
    int64_t us = clock_us();
    for (shares_begin(&shares); may_run(b, &shares, &from);) {
        bool skip;
        struct pending_request room;
        size_t replies = b->outbox.len;
        const struct pending_request *r = next_request(b, from, now, &room, &skip);
        if (!r && !skip)
            shares_empty(&shares, from);
        if (!r)
            continue;

        size_t bytes = r->frames[0].len + r->frames[1].len;
        if (!run_request(b, r))
            return true;

        int64_t before = us;
        us = clock_us();
        now = us / 1000;
        shares_use(&shares, from, bytes + b->outbox.len - replies, us - before);
    }
    return shares_more(&shares);
}

/* --- a batch --- */

/* A request waits for the log as long as it may, counted from its arrival. */
static void note_offered(struct broker *b, int64_t now)
{
    struct batch_state *batch = &b->batch;
    int64_t arrived = batch->kept.count ? batch->kept.items[0]->arrived : now;
    batch->since = now;
    batch->until = arrived + (int64_t)b->store_timeout_ms;
    if (batch->until < now + OFFER_MS)
        batch->until = now + OFFER_MS;
}

static void commit_offer(struct broker *b, int64_t now)
{
    uint64_t events;
    enum event_log_result result = event_log_offer(&b->log, now, &events);
    if (result == EVENT_LOG_COMMITTED)
        on_committed(b, events);
    else if (result == EVENT_LOG_PENDING)
        note_offered(b, now);
    else if (result == EVENT_LOG_REJECTED)
        fail_batch(b, NOT_STORED);
    else if (b->batch.ran)
        end_batch(b, NULL); /* nothing was appended */
}

/* Arrivals and departures come before requests. They leave most of a journal's room. A request that
 * needs more has the next batch to itself: there may be arrivals in every batch. */
static void append_members(struct broker *b, int64_t now)
{
    if (b->batch.first_waits && is_one_waiting(b))
        return;

    size_t room = event_log_room(&b->log), before = sequence_batch_bytes(b->sequence);
    size_t max = before < room ? before + (room - before) / 4 : room;

    members_append(b->members, max, now, clock_unix_ms());
}

static bool run_batch(struct broker *b, int64_t now)
{
    delta_begin(b);
    event_log_begin(&b->log);
    append_members(b, now);
    bool more = run_requests(b, now);
    delta_end(b);
    commit_offer(b, now);
    return more && !b->log.pending;
}

/* --- when a shared log takes long --- */

static bool is_late(const struct broker *b, int64_t now)
{
    return b->log.pending ? now - b->batch.since >= LATE_MS : !event_log_ready(&b->log);
}

/* Answer a request that does not wait for the log. The outbox holds the replies of the pending
 * batch; this reply must not wait behind them. */
static void answer_now(struct broker *b, const struct pending_request *r, int64_t now)
{
    struct outbox batch = b->outbox;
    b->outbox = (struct outbox){0};
    bool held = !commands_run(b, r, APPENDS_HELD);
    if (!held)
        commands_reply(b, NULL);
    outbox_release(&b->outbox);
    b->outbox = batch;

    struct pending_request copy = *r;
    copy.arrived = now;
    if (held && requests_put(&b->batch.kept, &copy) != 0)
        b->counters[REPLIES_DROPPED]++;
}

static bool answer_while_late(struct broker *b, int64_t now)
{
    struct pending_request r;
    struct shares shares;
    enum source from;
    for (shares_begin(&shares); !commit_is_full(b) && shares_next(&shares, &from);) {
        if (!commands_take(b, from, &r, APPENDS_HELD)) {
            shares_empty(&shares, from);
            continue;
        }
        int64_t before = clock_us();
        size_t bytes = r.frames[0].len + r.frames[1].len;
        answer_now(b, &r, now);
        shares_use(&shares, from, bytes, clock_us() - before);
    }
    return !commit_is_full(b) && shares_more(&shares);
}

static bool is_old(const struct broker *b, const struct pending_request *r, int64_t now)
{
    return now - r->arrived >= (int64_t)b->store_timeout_ms;
}

/* Refuse the requests whose time is over, also when the log is ready: an offer takes OFFER_MS at
 * least, so requests for many batches would wait for the outcome of one after the other. */
static void refuse_old(struct broker *b, int64_t now)
{
    const struct requests *kept = &b->batch.kept;
    char message[EVENT_LOG_WHY_MAX + 64];
    size_t old = 0;
    MUST(!b->log.pending);
    if (!kept->count || !is_old(b, kept->items[0], now))
        return;

    snprintf(message, sizeof message, "nothing was stored: %s", event_log_why(&b->log));
    while (old < kept->count && is_old(b, kept->items[old], now))
        commands_refuse(b, kept->items[old++], CODE_STORE_FAILED, message);

    b->batch.ran = old;
    memset(b->batch.delta, 0, sizeof b->batch.delta);
    fail_batch(b, NOT_STORED);
}

/* --- an iteration --- */

bool commit_iterate(struct broker *b, int64_t now)
{
    b->batch.serving = true;
    bool more = follow(b, now);
    commands_publish(b);

    if (b->log.pending && now >= b->batch.until)
        give_up(b);
    if (b->log.pending)
        return (is_late(b, now) && answer_while_late(b, now)) || more;

    refuse_old(b, now);
    if (event_log_ready(&b->log))
        return run_batch(b, now) || more;
    return answer_while_late(b, now) || more;
}

bool commit_join(struct broker *b, enum join how, int64_t now)
{
    while (follow(b, now))
        sequence_skip_feed(b->sequence);
    sequence_skip_feed(b->sequence);
    if (how == JOIN_UNBROKEN && b->log.broken)
        return true;
    if (b->log.pending || !event_log_ready(&b->log))
        return false;
    if (!event_log_is_shared(&b->log) || !sequence_has_header(b->sequence))
        return true;

    delta_begin(b);
    delta_end(b);
    commit_offer(b, now);
    return false;
}

bool commit_is_pending(const struct broker *b)
{
    return b->log.pending;
}

bool commit_is_full(const struct broker *b)
{
    const struct requests *kept = &b->batch.kept;
    if (b->log.pending && clock_ms() - b->batch.since < LATE_MS)
        return true;
    return kept->count >= HELD_MAX || kept->bytes >= HELD_BYTES;
}

bool commit_is_calm(const struct broker *b)
{
    return !b->log.pending && event_log_ready(&b->log);
}

int64_t commit_timeout(const struct broker *b, int64_t max)
{
    return commit_is_calm(b) || max < TICK_MS ? max : TICK_MS;
}
