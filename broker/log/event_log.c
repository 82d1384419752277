#include "log/event_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"

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
    sequence_rewrite_bans(s, room / 2, now_ms);

    size_t used = sequence_batch_bytes(s);
    sequence_rewrite_state(s, room > used ? room - used : 0, now_ms);
}

/* Old bans and keys come first: when there is much to do, nothing is left of the journal's room.
 * They come in every second batch only, so that a request may have all of it, unless the journal is
 * about to forget a key. A store writes bans in sequence_commit(). */
void event_log_begin(struct event_log *l)
{
    MUST(!l->pending);
    if (!l->journal)
        return;

    size_t before = sequence_batch_bytes(l->sequence);
    if (!l->wrote_again || sequence_must_rewrite(l->sequence))
        write_again(l->sequence, event_log_room(l));
    l->wrote_again = sequence_batch_bytes(l->sequence) > before;
}

/* The last batch of the journal will be forgotten soon. */
static bool is_worn(const struct event_log *l)
{
    int64_t last_ms = journal_last_ms(l->journal);
    return last_ms && clock_unix_ms() - last_ms > (int64_t)(l->max_age_ms / 4);
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

static enum event_log_result commit_to_store(struct event_log *l, uint64_t *events)
{
    int count = sequence_commit(l->sequence);
    if (count < 0)
        return reject(l, strerror(-count));

    *events = (uint64_t)count;
    return EVENT_LOG_COMMITTED;
}

static enum event_log_result offer_to_journal(struct event_log *l, int64_t now)
{
    struct batch t;
    struct buf message = {0};
    sequence_offer(l->sequence, &t, &message);
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

    return l->journal ? offer_to_journal(l, now) : commit_to_store(l, events);
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
static void report_break(const struct event_log *l, const struct journal_batch *t)
{
    if (!t->linked && !sequence_lost(l->sequence) && sequence_head(l->sequence))
        log_error("the journal has other batches before position %" PRIu64 " than were read; sending ssecast.gap to "
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

    log_error("a batch of the journal does not continue what was read (position %" PRIu64 ", head %" PRIu64
              "); sending ssecast.gap to open streams",
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

void event_log_reset(struct event_log *l)
{
    if (sequence_restart(l->sequence, clock_floor()) != 0)
        log_error("out of memory: the history is not read again");
}

const char *event_log_why(const struct event_log *l)
{
    if (l->journal && !event_log_ready(l))
        return journal_why(l->journal);
    return l->why[0] ? l->why : "the log did not answer in time";
}
