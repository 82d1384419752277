#include "joint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "command/command.h"
#include "ops/log.h"

#define NEWS_MS 20 /* of taking in what others appended, then others have their turn */

#define LATE_MS 100  /* so long an answer of the journal is waited for without looking at what else has arrived */
#define OFFER_MS 500 /* an offer is given so long at least */
#define TICK_MS 50
#define HELD_MAX 10000
#define HELD_BYTES (64u << 20)

struct joint {
    struct joint_config config;
    struct requests requests; /* the first `ran` are of the turn under way, the others wait */
    size_t ran;
    bool under_way;
    int64_t since, until;            /* clock_ms(): when it was offered, and when it is given up */
    uint64_t delta[BROKER_COUNTERS]; /* what it counted */
    bool failing;
    bool joined;     /* others are served */
    bool wrote_bans; /* the last turn began with some */
};

struct joint *joint_new(const struct joint_config *config)
{
    struct joint *j = calloc(1, sizeof *j);
    if (j)
        j->config = *config;
    return j;
}

void joint_free(struct joint **j)
{
    if (!*j)
        return;
    requests_release(&(*j)->requests);
    free(*j);
    *j = NULL;
}

/* --- counting: what a turn that comes to nothing has counted is taken back --- */

static void remember(uint64_t *delta, const uint64_t *counters)
{
    for (int i = 0; i < BROKER_COUNTERS; i++)
        delta[i] = counters[i];
}

static void note_delta(uint64_t *delta, const uint64_t *counters)
{
    for (int i = 0; i < BROKER_COUNTERS; i++)
        delta[i] = counters[i] - delta[i];
}

static void take_back_all(struct joint *j)
{
    for (int i = 0; i < BROKER_COUNTERS; i++)
        j->config.counters[i] -= j->delta[i];
}

static void take_back_publishes(struct joint *j)
{
    static const enum broker_counter which[] = {PUBLISHES, DUPLICATES, SHUTDOWNS};
    for (size_t i = 0; i < sizeof which / sizeof *which; i++)
        j->config.counters[which[i]] -= j->delta[which[i]];
}

/* --- how a turn ends --- */

/* The requests of the turn are answered. */
static void end_turn(struct joint *j, const char *failed, bool unknown)
{
    j->under_way = false;
    j->config.hooks->publish(j->config.context);
    j->config.hooks->reply(j->config.context, failed, unknown);
    requests_drop(&j->requests, j->ran);
    j->ran = 0;
}

static void on_stored(struct joint *j)
{
    j->config.counters[EVENTS] += (uint64_t)sequence_accept(j->config.sequence);
    j->config.counters[TURNS_STORED]++;
    if (j->failing)
        log_info("events can be stored again");
    j->failing = false;
    end_turn(j, NULL, false);
}

static void fail(struct joint *j, const char *message, bool unknown)
{
    sequence_withdraw(j->config.sequence);
    take_back_publishes(j);
    if (!j->failing)
        log_error("events cannot be stored: %s; publishers are told so until they can be again",
                  journal_why(j->config.journal));
    j->failing = true;
    end_turn(j, message, unknown);
}

/* Another broker was first: the turn is run again. */
static void on_overtaken(struct joint *j)
{
    if (!j->under_way)
        return;
    sequence_withdraw(j->config.sequence);
    take_back_all(j);
    outbox_cut(j->config.outbox, 0);
    j->config.counters[TURNS_OVERTAKEN]++;
    j->ran = 0;
    j->under_way = false;
}

static void on_refused(struct joint *j)
{
    char message[300];
    snprintf(message, sizeof message, "nothing was stored: %s", journal_why(j->config.journal));
    fail(j, message, false);
}

/* --- what the journal brings --- */

static uint64_t clock_floor(void)
{
    return (uint64_t)clock_unix_us();
}

static void on_turn(struct joint *j, const struct journal_turn *t)
{
    bool lost = sequence_lost(j->config.sequence);
    if (!t->linked && !lost && sequence_head(j->config.sequence))
        log_error("the journal has other turns before position %llu than were read; who may miss something is told "
                  "(ssecast.gap)",
                  (unsigned long long)t->turn.position);
    int count = sequence_adopt(j->config.sequence, &t->turn, t->linked);
    if (lost && sequence_lost(j->config.sequence))
        sequence_skip_feed(j->config.sequence); /* workers have it, or will be told of a gap */
    if (count >= 0) {
        j->config.counters[TURNS_ADOPTED]++;
        j->config.counters[EVENTS_ADOPTED] += (uint64_t)count;
        return;
    }
    if (count == -EALREADY)
        return;
    log_error("a turn in the journal does not fit what was read before (position %llu, head %llu); who may miss "
              "something is told (ssecast.gap)",
              (unsigned long long)t->turn.position, (unsigned long long)sequence_head(j->config.sequence));
    sequence_lose(j->config.sequence, clock_floor());
}

/* The journal is read anew, and what it has now is what counts. */
static void on_lost(struct joint *j)
{
    if (j->joined)
        j->config.hooks->publish(j->config.context);
    if (sequence_restart(j->config.sequence, clock_floor()) != 0)
        log_error("out of memory: the history is not read anew");
}

/* True when there may be more. */
static bool follow(struct joint *j, int64_t now)
{
    struct journal_turn t;
    enum journal_news news;
    int64_t until = now + NEWS_MS;
    journal_tick(j->config.journal, now);
    while ((news = journal_next(j->config.journal, now, &t))) {
        if (news == JOURNAL_STORED)
            on_stored(j);
        else if (news == JOURNAL_REFUSED)
            on_refused(j);
        else
            on_overtaken(j);
        if (news == JOURNAL_TURN)
            on_turn(j, &t);
        else if (news == JOURNAL_LOST)
            on_lost(j);
        now = clock_ms();
        if (now >= until)
            return true;
    }
    return false;
}

/* --- a turn --- */

static bool is_worn(const struct joint *j)
{
    int64_t age = clock_unix_ms() - journal_last_ms(j->config.journal);
    return journal_last_ms(j->config.journal) && age > (int64_t)(j->config.age_ms / 4);
}

static void offer(struct joint *j, int64_t now)
{
    struct turn t;
    struct buf message = {0};
    sequence_offer(j->config.sequence, &t, &message);
    j->since = now;
    j->until = (j->requests.count ? j->requests.items[0]->arrived : now) + (int64_t)j->config.timeout_ms;
    if (j->until < now + OFFER_MS)
        j->until = now + OFFER_MS;
    if (message.failed) {
        buf_release(&message);
        fail(j, "nothing was stored: out of memory", false);
        return;
    }
    journal_offer(j->config.journal, &message, &t, now);
    j->under_way = true;
}

static size_t room(const struct joint *j)
{
    size_t all = journal_room(j->config.journal);
    return all > TURN_HEAD_LEN ? all - TURN_HEAD_LEN : 0;
}

static void refuse_large(struct joint *j, const struct request *r, size_t bytes)
{
    char message[200];
    snprintf(message, sizeof message,
             "what is to be appended at once has %zu bytes; the journal takes at most %zu (max_payload of nats-server)",
             bytes, room(j));
    j->config.hooks->refuse(j->config.context, r, CODE_TOO_LARGE, message);
}

/* Run the next one that waits. False when the turn has no room for it. */
static bool run_next(struct joint *j)
{
    const struct request *r = j->requests.items[j->ran];
    struct sequence *s = j->config.sequence;
    uint64_t before = sequence_head(s), counters[BROKER_COUNTERS];
    size_t mark = j->config.outbox->len, bytes = sequence_turn_bytes(s);
    memcpy(counters, j->config.counters, sizeof counters);
    j->config.hooks->run(j->config.context, r, false);
    size_t all = sequence_turn_bytes(s);
    if (all > room(j)) {
        sequence_rollback(s, before);
        outbox_cut(j->config.outbox, mark);
        memcpy(j->config.counters, counters, sizeof counters);
        if (bytes)
            return false;
        refuse_large(j, r, all);
    }
    j->ran++;
    return true;
}

static enum source source_of(const struct request *r)
{
    return r->to_worker ? FROM_WORKERS : FROM_SERVICES;
}

/* The first request that waits, or one more that has arrived. NULL: there is none from this source; *skip: there was no memory for one. */
static const struct request *next_request(struct joint *j, enum source from, int64_t now, bool *skip)
{
    struct request r;
    *skip = false;
    if (j->ran < j->requests.count)
        return j->requests.items[j->ran];
    if (!j->config.hooks->take(j->config.context, from, &r, false))
        return NULL;
    r.arrived = now;
    *skip = requests_put(&j->requests, &r) != 0;
    if (*skip) {
        j->config.counters[REPLIES_DROPPED]++; /* as without memory for its reply */
        return NULL;
    }
    return j->requests.items[j->ran];
}

/* May the request that waits longest be run in this turn? Those that wait are run in their order, whose share it may be. */
static bool may_run(const struct joint *j, const struct shares *shares, enum source *from)
{
    bool left = shares_next(shares, from);
    if (left && j->ran < j->requests.count)
        *from = source_of(j->requests.items[j->ran]);
    return left && shares_has_left(shares, *from);
}

/* True when a bound was reached. */
static bool run_all(struct joint *j, int64_t now)
{
    struct shares shares;
    enum source from;
    int64_t us = clock_us();
    for (shares_begin(&shares); may_run(j, &shares, &from);) {
        bool skip;
        size_t replies = j->config.outbox->len;
        const struct request *r = next_request(j, from, now, &skip);
        if (!r && !skip)
            shares_empty(&shares, from);
        if (!r)
            continue;

        size_t bytes = r->frames[0].len + r->frames[1].len;
        if (!run_next(j))
            return true;
        int64_t before = us;
        us = clock_us();
        now = us / 1000;
        shares_use(&shares, from, bytes + j->config.outbox->len - replies, us - before);
    }
    return shares_more(&shares);
}

/* Old bans first, since nothing is left of the journal's room when there is much to do; but in every second turn only, so that a request may have
 * all of it. */
static void write_bans(struct joint *j)
{
    size_t before = sequence_turn_bytes(j->config.sequence);
    if (!j->wrote_bans)
        sequence_write_bans_anew(j->config.sequence, room(j) / 2, clock_unix_ms());
    j->wrote_bans = sequence_turn_bytes(j->config.sequence) > before;
}

static bool run_turn(struct joint *j, int64_t now)
{
    remember(j->delta, j->config.counters);
    write_bans(j);
    bool more = run_all(j, now);
    note_delta(j->delta, j->config.counters);
    if (sequence_turn_bytes(j->config.sequence) || sequence_has_word(j->config.sequence) || is_worn(j))
        offer(j, now);
    else if (j->ran)
        end_turn(j, NULL, false);
    return more && !j->under_way;
}

/* --- when the journal takes long --- */

static bool is_late(const struct joint *j, int64_t now)
{
    return j->under_way ? now - j->since >= LATE_MS : !journal_ready(j->config.journal);
}

/* Answer one that does not wait for the journal. The outbox holds the replies of the turn under way; this one must not wait behind them. */
static void answer_now(struct joint *j, const struct request *r, int64_t now)
{
    struct outbox turn = *j->config.outbox;
    *j->config.outbox = (struct outbox){0};
    bool held = !j->config.hooks->run(j->config.context, r, true);
    if (!held)
        j->config.hooks->reply(j->config.context, NULL, false);
    outbox_release(j->config.outbox);
    *j->config.outbox = turn;
    struct request copy = *r;
    copy.arrived = now;
    if (held && requests_put(&j->requests, &copy) != 0)
        j->config.counters[REPLIES_DROPPED]++;
}

static bool hold(struct joint *j, int64_t now)
{
    struct request r;
    struct shares shares;
    enum source from;
    for (shares_begin(&shares); !joint_full(j) && shares_next(&shares, &from);) {
        if (!j->config.hooks->take(j->config.context, from, &r, true)) {
            shares_empty(&shares, from);
            continue;
        }
        int64_t before = clock_us();
        size_t bytes = r.frames[0].len + r.frames[1].len;
        answer_now(j, &r, now);
        shares_use(&shares, from, bytes, clock_us() - before);
    }
    return !joint_full(j) && shares_more(&shares);
}

/* Their time is over. */
static void refuse_old(struct joint *j, int64_t now)
{
    char message[400];
    size_t old = 0;
    snprintf(message, sizeof message, "nothing was stored: %s", journal_why(j->config.journal));
    while (old < j->requests.count && now - j->requests.items[old]->arrived >= (int64_t)j->config.timeout_ms)
        j->config.hooks->refuse(j->config.context, j->requests.items[old++], CODE_STORE_FAILED, message);
    if (!old)
        return;
    j->ran = old;
    j->delta[PUBLISHES] = j->delta[DUPLICATES] = j->delta[SHUTDOWNS] = 0;
    fail(j, message, false);
}

static void give_up(struct joint *j)
{
    bool certain = journal_give_up(j->config.journal);
    char message[400];
    snprintf(message, sizeof message, "%s: %s",
             certain ? "nothing was stored" : "it is not known whether it was stored", journal_why(j->config.journal));
    if (!certain)
        j->config.counters[TURNS_UNKNOWN]++;
    fail(j, message, !certain);
}

bool joint_turn(struct joint *j, int64_t now)
{
    j->joined = true;
    bool more = follow(j, now);
    j->config.hooks->publish(j->config.context);
    if (j->under_way && now >= j->until)
        give_up(j);
    if (!j->under_way && !journal_ready(j->config.journal))
        refuse_old(j, now);
    if (!j->under_way && journal_ready(j->config.journal))
        return run_turn(j, now) || more;
    return (is_late(j, now) && hold(j, now)) || more;
}

bool joint_join(struct joint *j, int64_t now)
{
    while (follow(j, now))
        sequence_skip_feed(j->config.sequence);
    sequence_skip_feed(j->config.sequence);
    if (j->under_way || !journal_ready(j->config.journal))
        return false;
    if (!sequence_has_word(j->config.sequence))
        return true;
    remember(j->delta, j->config.counters);
    note_delta(j->delta, j->config.counters);
    offer(j, now);
    return false;
}

bool joint_under_way(const struct joint *j)
{
    return j->under_way;
}

bool joint_failing(const struct joint *j)
{
    return j->failing;
}

bool joint_full(const struct joint *j)
{
    if (j->under_way && clock_ms() - j->since < LATE_MS)
        return true;
    return j->requests.count >= HELD_MAX || j->requests.bytes >= HELD_BYTES;
}

int64_t joint_patience(const struct joint *j, int64_t max)
{
    bool calm = !j->under_way && journal_ready(j->config.journal);
    return calm || max < TICK_MS ? max : TICK_MS;
}
