#include "log/event_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/must.h"
#include "log/restore.h"
#include "log/rewrite.h"
#include "ops/log.h"

#define TICK_BYTES ((size_t)1 << 20) /* of old bans, in a second without a batch */
#define TICK_KEYS 10000u             /* that are forgotten in a second */

bool event_log_ready(const struct event_log *l)
{
    return !l->journal || journal_ready(l->journal);
}

size_t event_log_room(const struct event_log *l)
{
    if (!l->journal)
        return SIZE_MAX;

    size_t all = journal_room(l->journal);
    return all > BATCH_HEADER_LEN ? all - BATCH_HEADER_LEN : 0;
}

static uint64_t clock_floor(void)
{
    return (uint64_t)clock_unix_us();
}

/* --- our batch --- */

static void write_again(struct sequence *s, size_t room)
{
    int64_t now_ms = clock_unix_ms();
    rewrite_bans(s, room / 2, now_ms);

    size_t used = sequence_batch_bytes(s);
    rewrite_keys(s, room > used ? room - used : 0, now_ms);
}

/* Old bans and keys come first: when there is much to do, nothing is left of the journal's room.
 * They come in every second batch only, so that a request may have all of it, unless the journal is
 * about to forget a key. A store has room for all: see commit(). */
void event_log_begin(struct event_log *l)
{
    MUST(!l->pending);
    if (!l->journal)
        return;

    size_t before = sequence_batch_bytes(l->sequence);
    if (!l->wrote_again || effects_is_urgent(sequence_effects(l->sequence)))
        write_again(l->sequence, event_log_room(l));
    l->wrote_again = sequence_batch_bytes(l->sequence) > before;
}

/* The last batch of the journal will be forgotten soon. */
static bool is_worn(const struct event_log *l)
{
    return journal_is_older(l->journal, (int64_t)(l->max_age_ms / 4));
}

static bool has_batch(const struct event_log *l)
{
    if (sequence_batch_bytes(l->sequence))
        return true;

    return l->journal && (sequence_has_header(l->sequence) || is_worn(l));
}

static enum event_log_result reject(struct event_log *l, const char *why)
{
    snprintf(l->why, sizeof l->why, "%s", why);
    return EVENT_LOG_REJECTED;
}

/* --- memory and a store decide at once --- */

/* As many bytes as the batch has, and at least one record: so the bans keep up with any rate of
 * publishing. */
static void add_old_bans(struct sequence *s)
{
    size_t count, bytes = sequence_batch_bytes(s);
    struct event *const *events = sequence_batch(s, &count);
    size_t max = bytes < EFFECTS_RECORD_BYTES ? EFFECTS_RECORD_BYTES : bytes;
    rewrite_bans(s, max, events[count - 1]->time_ms);
}

/* Make room for drop_replaced(). 0 or -ENOMEM. */
static int reserve_replaced(struct event_log *l)
{
    size_t count = 0;
    while (effects_change(sequence_effects(l->sequence), count))
        count++;
    return store_reserve(l->store, count);
}

/* The store no longer needs the events that the batch replaced. */
static void drop_replaced(struct event_log *l)
{
    const struct state_change *c;
    for (size_t i = 0; (c = effects_change(sequence_effects(l->sequence), i)); i++)
        if (c->before)
            store_drop_kept(l->store, c->before->seq);
}

static int store_batch(struct event_log *l)
{
    size_t count;
    struct event *const *events = sequence_batch(l->sequence, &count);
    if (sequence_has_header(l->sequence))
        return l->fault ? l->fault : -EAGAIN; /* retried each second */
    if (reserve_replaced(l) != 0)
        return -ENOMEM;

    return store_append(l->store, events, count, sequence_forgettable(l->sequence));
}

/* Commit what was appended. */
static enum event_log_result commit(struct event_log *l, uint64_t *events)
{
    int err = store_batch(l);
    if (err) {
        sequence_withdraw(l->sequence);
        return reject(l, strerror(-err));
    }

    drop_replaced(l);
    *events = (uint64_t)sequence_accept(l->sequence);
    return EVENT_LOG_COMMITTED;
}

static int store_header(struct event_log *l, const struct batch *t, bool begins)
{
    int err = begins ? store_begin_epoch(l->store, t->position) : 0;
    if (!err && t->incomplete)
        err = store_mark_incomplete(l->store, t->incomplete);
    return err;
}

/* Tell the log where the sequence continues and what is missing, when there is no batch. A restart
 * must not forget the position of a cursor. 0 or -errno: the sequence does not continue there. */
static int commit_header(struct event_log *l)
{
    struct batch t;
    if (!sequence_has_header(l->sequence))
        return 0;

    bool begins = sequence_begins(l->sequence);
    sequence_offer(l->sequence, &t);
    l->fault = store_header(l, &t, begins || t.begins);
    if (l->fault)
        sequence_withdraw(l->sequence);
    else
        sequence_accept(l->sequence);
    return l->fault;
}

int event_log_restore(struct event_log *l, void (*progress)(uint64_t events),
                      char why[STORE_WHY_MAX])
{
    MUST(!l->journal);
    int err = restore_sequence(l->sequence, l->store, progress, why);
    if (!err && commit_header(l) != 0)
        snprintf(why, STORE_WHY_MAX, "cannot write: %s", strerror(-l->fault));
    return err;
}

/* --- a journal decides later --- */

static enum event_log_result offer_to_journal(struct event_log *l, int64_t now)
{
    struct batch t;
    struct buf message = {0};
    char header[BATCH_HEADER_LEN] = {0};
    size_t count;
    sequence_offer(l->sequence, &t);
    struct event *const *events = sequence_batch(l->sequence, &count);
    wire_add_bytes(&message, (struct slice){header, sizeof header});
    for (size_t i = 0; i < count; i++)
        wire_add_entry(&message, events[i]);
    if (message.failed) {
        buf_release(&message);
        sequence_withdraw(l->sequence);
        return reject(l, "out of memory");
    }

    journal_offer(l->journal, &message, &t, now);
    l->pending = true;
    return EVENT_LOG_PENDING;
}

enum event_log_result event_log_offer(struct event_log *l, int64_t now, uint64_t *events)
{
    MUST(!l->pending);
    *events = 0;
    if (!has_batch(l))
        return EVENT_LOG_NOTHING;

    if (l->journal)
        return offer_to_journal(l, now);

    add_old_bans(l->sequence);
    return commit(l, events);
}

/* The journal has not stored the batch. */
static void withdraw(struct event_log *l)
{
    if (l->pending)
        sequence_withdraw(l->sequence);
    l->pending = false;
}

bool event_log_give_up(struct event_log *l)
{
    MUST(l->pending);
    bool certain = journal_give_up(l->journal);
    reject(l, journal_why(l->journal));
    withdraw(l);
    return certain;
}

/* --- what a journal brings --- */

/* A batch of the journal does not continue what was read. */
static void report_break(struct event_log *l, const struct journal_batch *t)
{
    if (t->linked || sequence_lost(l->sequence) || !sequence_head(l->sequence))
        return;

    l->broken = true;
    log_error("the journal has other batches before position %" PRIu64
              " than were read; sending ssecast.gap to "
              "open streams",
              t->batch.position);
}

/* The number of events of another broker that are now in the history. */
static uint64_t adopt(struct event_log *l, const struct journal_batch *t, bool *adopted)
{
    bool lost = sequence_lost(l->sequence);
    report_break(l, t);
    int count = sequence_adopt(l->sequence, &t->batch, t->linked);
    if (lost && sequence_lost(l->sequence))
        sequence_skip_feed(l->sequence); /* workers have it, or will be told of a gap */

    *adopted = count >= 0;
    if (count >= 0)
        return (uint64_t)count;
    if (count == -EALREADY)
        return 0;

    log_error("a batch of the journal does not continue what was read (position %" PRIu64
              ", head %" PRIu64 "); sending ssecast.gap to open streams",
              t->batch.position, sequence_head(l->sequence));
    sequence_lose(l->sequence, clock_floor());
    return 0;
}

void event_log_tick(struct event_log *l, int64_t now)
{
    if (l->journal)
        journal_tick(l->journal, now);
}

static enum event_log_result accept_own(struct event_log *l, uint64_t *events)
{
    MUST(l->pending);
    l->pending = false;
    *events = (uint64_t)sequence_accept(l->sequence);
    return EVENT_LOG_COMMITTED;
}

enum event_log_result event_log_next(struct event_log *l, int64_t now, uint64_t *events)
{
    struct journal_batch t;
    bool adopted = false;
    enum journal_news news = l->journal ? journal_next(l->journal, now, &t) : JOURNAL_NOTHING;
    *events = 0;
    if (news == JOURNAL_NOTHING)
        return EVENT_LOG_NOTHING;
    if (news == JOURNAL_STORED)
        return accept_own(l, events);

    withdraw(l);
    if (news == JOURNAL_REFUSED)
        return reject(l, journal_why(l->journal));
    if (news == JOURNAL_LOST)
        return EVENT_LOG_RESET;
    if (news == JOURNAL_BATCH)
        *events = adopt(l, &t, &adopted);
    return adopted ? EVENT_LOG_ENTRY : EVENT_LOG_OVERTAKEN;
}

enum sequence_met event_log_meet(struct event_log *l, uint64_t position, uint64_t furthest)
{
    enum sequence_met met = sequence_meet(l->sequence, position, furthest);
    if (l->journal)
        return met; /* the next batch has the header */

    commit_header(l); /* a failure is retried each second */
    return met == SEQUENCE_AHEAD ? SEQUENCE_UNKNOWN : met;
}

/* --- as time passes --- */

/* Write old bans again, also while nothing is published. A failure is repaired by a later batch. */
static uint64_t write_bans_in_time(struct event_log *l, int64_t now_ms)
{
    uint64_t events = 0;
    if (sequence_has_header(l->sequence))
        return 0;

    rewrite_bans(l->sequence, TICK_BYTES, now_ms);
    if (sequence_batch_bytes(l->sequence))
        commit(l, &events);
    return events;
}

/* Forget some of the keys that have expired. */
static void expire_keys(struct event_log *l, int64_t now_ms)
{
    uint64_t seq;
    if (store_reserve(l->store, TICK_KEYS) != 0)
        return;

    for (size_t left = TICK_KEYS;
         left && (seq = effects_expire_key(sequence_effects(l->sequence), now_ms)); left--)
        store_drop_kept(l->store, seq);
}

uint64_t event_log_expire(struct event_log *l, int64_t now_ms)
{
    if (!l->pending)
        expire_keys(l, now_ms);
    sequence_expire(l->sequence, now_ms);
    if (l->journal)
        return 0;

    uint64_t events = write_bans_in_time(l, now_ms);
    commit_header(l);
    store_append(l->store, NULL, 0, sequence_forgettable(l->sequence)); /* a failure is retried */
    return events;
}

void event_log_reset(struct event_log *l)
{
    l->broken = true;
    if (sequence_restart(l->sequence, clock_floor()) != 0)
        log_error("out of memory: the history is not read again");
}

const char *event_log_why(const struct event_log *l)
{
    if (l->journal && !event_log_ready(l))
        return journal_why(l->journal);
    return l->why[0] ? l->why : "the log did not answer in time";
}
