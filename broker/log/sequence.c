#include "log/sequence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "model/past_ids.h"

#define PROGRESS_EVENTS 20000u
#define POSITION_MAX ((uint64_t)1 << 53) /* JavaScript reads numbers below it exactly */

/* Bans that the log is about to forget are written anew. See write_bans_anew(). */
#define BANS_RECORD_BYTES ((size_t)64 << 10)
#define TICK_BYTES ((size_t)1 << 20)
#define LOG_QUARTERS 4
#define BANS_SHARE 8 /* a log holds at most this part of its bytes and events in bans */

struct sequence {
    struct history *history;
    struct bans *bans;
    uint64_t bans_since; /* position; 0: the log has told us all of them */
    uint64_t max_bans;
    struct { /* of what the log holds, the quarter that is being filled */
        uint64_t events, bytes;
        int64_t since_ms;
    } quarter;
    struct store *store;
    struct history_limits limits;
    uint64_t run;
    uint64_t first;      /* position: before it there is nothing that was evicted */
    uint64_t began;      /* position where this run began; 0: with a journal */
    uint64_t unnoted;    /* where this run begins, as long as the store could not note it; 0: it has */
    int fault;           /* why it could not */
    struct event **turn; /* appended in this turn, in order; a reference each, since history may evict them at once */
    size_t count, cap;
    size_t committed; /* so many of them are final */
    size_t given;     /* so many of those are on the feed */
    /* with a journal: */
    bool shared;
    uint64_t floor;   /* our seqs are above it */
    uint64_t met;     /* a worker stands here */
    uint64_t doubted; /* not 0: to be noted in the journal */
    bool begun;       /* a turn of ours is in the journal */
    uint64_t seen;    /* what was lost ended here: workers may have seen as much */
    uint64_t turn_at; /* position before the last turn in the history */
    bool lost;        /* what came before is to be doubted, once it is known where the sequence goes on */
    uint64_t base;    /* the head before the turn */
    size_t bytes;     /* of the entries that it appended */
    struct turn offered;
};

static uint64_t ids_remembered(const struct history_limits *limits)
{
    return limits->events > PAST_IDS ? limits->events : PAST_IDS;
}

/* A history that remembers ids. */
static struct history *make_history(const struct history_limits *limits, uint64_t position)
{
    struct history *h = history_new(limits, position);
    if (h && history_remember_ids(h, ids_remembered(limits)) != 0)
        history_free(&h);
    return h;
}

struct sequence *sequence_new(const struct history_limits *limits, uint64_t position, uint64_t run)
{
    struct sequence *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct sequence){.limits = *limits,
                           .run = run,
                           .bans_since = position,
                           .max_bans = UINT64_MAX,
                           .first = position,
                           .began = position};
    s->history = make_history(limits, position);
    s->bans = bans_new();
    if (!s->history || !s->bans)
        sequence_free(&s);
    else
        bans_hold(s->bans);
    return s;
}

void sequence_limit_bans(struct sequence *s, uint64_t max)
{
    s->max_bans = max;
}

/* --- bans in the log --- */

/* Does the log outlive us? */
static bool is_kept(const struct sequence *s)
{
    return s->store || s->shared;
}

static void next_quarter(struct sequence *s, int64_t now_ms)
{
    bans_next_quarter(s->bans);
    s->quarter.events = s->quarter.bytes = 0;
    s->quarter.since_ms = now_ms;
}

/* Time passes, also while there was no broker: a quarter is over when a quarter of history-age is. */
static void note_time(struct sequence *s, int64_t now_ms)
{
    if (!s->quarter.since_ms)
        s->quarter.since_ms = now_ms;

    for (int i = 0; i < LOG_QUARTERS; i++) {
        int64_t since = s->quarter.since_ms, length = (int64_t)(s->limits.age_ms / LOG_QUARTERS);
        if (now_ms > since && now_ms - since > length)
            next_quarter(s, since + length);
    }
}

/* e is in the log, and takes its share of what that holds. A journal holds entries. */
static void note_appended(struct sequence *s, const struct event *e)
{
    s->quarter.events++;
    s->quarter.bytes += s->shared ? e->entry.len + HISTORY_EVENT_COST : history_cost(e);
    note_time(s, e->time_ms);
    if (s->quarter.events > s->limits.events / LOG_QUARTERS || s->quarter.bytes > s->limits.bytes / LOG_QUARTERS)
        next_quarter(s, e->time_ms);
}

/* Bytes of bans that the log can hold: a small part of it, so that writing them anew never fills it. */
static uint64_t max_ban_bytes(const struct sequence *s)
{
    uint64_t records = s->limits.events / BANS_SHARE + 1, bytes = s->limits.bytes / BANS_SHARE;
    if (!is_kept(s))
        return UINT64_MAX;

    return records < bytes / BANS_RECORD_BYTES ? records * BANS_RECORD_BYTES : bytes;
}

/* --- what was stored --- */

struct restoring {
    struct sequence *s;
    struct history *history; /* NULL: nothing was stored so far */
    void (*progress)(uint64_t events);
    uint64_t count; /* of events */
    uint64_t first; /* position at which the history began */
};

static bool begin_at(struct restoring *r, uint64_t position)
{
    if (position >= POSITION_MAX)
        return false; /* no broker gave it out: the store is damaged */
    if (r->history)
        return history_advance(r->history, position) == 0;
    r->history = make_history(&r->s->limits, position);
    r->first = position;
    return r->history != NULL;
}

static bool restore_run(void *context, uint64_t position, bool doubted)
{
    struct restoring *r = context;
    if (!begin_at(r, position))
        return false;
    if (doubted)
        history_doubt(r->history, position - 1);
    return true;
}

static bool restore_event(void *context, struct event *e)
{
    struct restoring *r = context;
    if (e->seq >= POSITION_MAX)
        return false;
    if ((!r->history && !begin_at(r, e->seq - 1)) || history_append(r->history, e) != 0)
        return false;
    history_evict(r->history);
    if (++r->count % PROGRESS_EVENTS == 0 && r->progress)
        r->progress(r->count);

    int err = bans_apply(r->s->bans, e);
    bans_settle(r->s->bans);
    note_appended(r->s, e);
    return err == 0;
}

static bool restore_id(void *context, uint64_t hash, uint64_t seq)
{
    struct restoring *r = context;
    if (!r->history && !begin_at(r, seq))
        return false;
    history_remember_id(r->history, hash, seq);
    return true;
}

static int restore(struct sequence *s, struct store *store, void (*progress)(uint64_t events), char why[STORE_WHY_MAX])
{
    struct restoring r = {.s = s, .progress = progress};
    struct store_loader loader = {restore_event, restore_run, restore_id, &r};
    uint64_t trimmed = store_trimmed(store);
    if (trimmed && !begin_at(&r, trimmed))
        return -ENOMEM;
    int err = store_load(store, &loader, why);
    if (!err && r.history) {
        s->first = trimmed ? 0 : r.first;
        history_free(&s->history);
        s->history = r.history;
        s->bans_since = 0;
        return 0;
    }
    history_free(&r.history);
    return err;
}

/* The sequence goes on at position, once the store has noted it: a cursor must not name a place that a restart would forget. */
static int begin_run(struct sequence *s, uint64_t position)
{
    int err = store_begin_run(s->store, position);
    s->unnoted = err ? position : 0;
    s->fault = err;
    return err ? err : history_advance(s->history, position);
}

int sequence_restore(struct sequence *s, struct store *store, void (*progress)(uint64_t events),
                     char why[STORE_WHY_MAX])
{
    uint64_t floor = history_head(s->history);
    s->store = store;
    store_remember_ids(store, ids_remembered(&s->limits));
    snprintf(why, STORE_WHY_MAX, "out of memory");
    int err = restore(s, store, progress, why);
    if (err)
        return err;
    err = begin_run(s, floor > history_head(s->history) ? floor : history_head(s->history));
    s->began = history_head(s->history);
    why[0] = '\0';
    if (err)
        snprintf(why, STORE_WHY_MAX, "cannot write: %s", strerror(-err));
    return s->unnoted ? 0 : err;
}

/* --- what workers know --- */

enum sequence_met sequence_meet(struct sequence *s, uint64_t position, uint64_t furthest)
{
    struct history *h = s->history;
    if (position > history_head(h) && (position > furthest || position >= POSITION_MAX))
        return SEQUENCE_UNKNOWN;
    if (s->shared && position > history_head(h)) {
        s->met = s->met < position ? position : s->met;
        return SEQUENCE_AHEAD;
    }
    if (position > history_head(h))
        begin_run(s, position < s->unnoted ? s->unnoted : position + 1);
    if (position < history_complete(h) || history_knows(h, position))
        return SEQUENCE_KNOWN;
    history_doubt(h, position);
    if (s->shared)
        s->doubted = history_complete(h);
    else if (position < history_complete(h)) /* when it fails: it is doubted until the next start */
        store_doubt_run(s->store, history_complete(h));
    return SEQUENCE_UNKNOWN;
}

/* --- the turn --- */

static void drop_turn(struct sequence *s, size_t keep)
{
    while (s->count > keep) {
        if (s->count > s->committed)
            s->bytes -= s->turn[s->count - 1]->entry.len;
        event_unref(&s->turn[--s->count]);
    }
}

void sequence_free(struct sequence **s)
{
    if (!*s)
        return;
    drop_turn(*s, 0);
    free((*s)->turn);
    history_free(&(*s)->history);
    bans_free(&(*s)->bans);
    free(*s);
    *s = NULL;
}

static int reserve(struct sequence *s)
{
    if (s->count < s->cap)
        return 0;
    size_t cap = s->cap ? s->cap * 2 : 64;
    struct event **turn = realloc(s->turn, cap * sizeof(struct event *));
    if (!turn)
        return -ENOMEM;
    s->turn = turn;
    s->cap = cap;
    return 0;
}

/* Keep e in the history and for the feed. The reference is the turn's on success. */
static int keep(struct sequence *s, struct event *e)
{
    if (history_cost(e) > s->limits.bytes)
        return -ENOSPC;
    uint64_t head = history_head(s->history);
    int err = reserve(s);
    if (!err)
        err = history_append(s->history, e);
    if (err)
        return err;
    if (s->count == s->committed)
        s->base = head;
    s->turn[s->count++] = e;
    s->bytes += e->entry.len;
    return 0;
}

/* Where the sequence goes on: at its head, or after a jump. */
static uint64_t next_position(const struct sequence *s)
{
    uint64_t head = history_head(s->history), position = head;
    if (position < s->floor)
        position = s->floor;
    if (position <= s->met && head < s->met)
        position = s->met + 1;
    if (s->lost && position <= head)
        position = head + 1;
    return position;
}

/* Did another event show this id? */
static bool was_shown(const struct sequence *s, struct slice id)
{
    uint64_t seq;
    return id.len && history_find_cursor(s->history, id, &seq) != CURSOR_UNKNOWN;
}

/* What e says of bans. When that fails, or there would be too many, e is taken back: the head was at `before`. */
static int heed_bans(struct sequence *s, const struct event *e, uint64_t before)
{
    uint64_t count = bans_count(s->bans), bytes = bans_bytes(s->bans);
    int err = bans_apply(s->bans, e);
    bool many = bans_count(s->bans) > count && bans_count(s->bans) > s->max_bans;
    bool large = bans_bytes(s->bans) > bytes && bans_bytes(s->bans) > max_ban_bytes(s);

    if (!err && (many || large))
        err = many ? -E2BIG : -EFBIG;
    if (err)
        sequence_rollback(s, before);
    return err;
}

int sequence_append(struct sequence *s, struct event_spec *spec, struct sequenced *out)
{
    const struct event *first = history_published(s->history, spec->publisher, spec->id);
    *out = (struct sequenced){first ? first->seq : next_position(s) + 1, first != NULL};
    if (first)
        return 0;

    MUST(out->seq > history_head(s->history));
    spec->seq = out->seq;
    spec->seq_as_id = was_shown(s, spec->id);
    uint64_t before = history_head(s->history);
    struct event *e = event_new(spec);
    int err = e ? keep(s, e) : -ENOMEM;
    if (err)
        event_unref(&e);
    return err ? err : heed_bans(s, e, before);
}

void sequence_rollback(struct sequence *s, uint64_t position)
{
    size_t count = s->count;
    while (count > s->committed && s->turn[count - 1]->seq > position)
        count--;
    bans_rollback(s->bans, position);
    drop_turn(s, count);
    history_rollback(s->history, position);
}

static void take_back(struct sequence *s)
{
    if (s->count > s->committed)
        sequence_rollback(s, s->turn[s->committed]->seq - 1);
}

/* The position up to which the store may forget: no event is retained there, and no ban has its record there. */
static uint64_t forgettable(const struct sequence *s)
{
    uint64_t complete = history_complete(s->history), before = history_oldest(s->history) - 1;
    uint64_t position = complete < before ? complete : before, ban = bans_oldest(s->bans);
    return ban && ban <= position ? ban - 1 : position;
}

static int store_turn(struct sequence *s, size_t fresh)
{
    if (!fresh)
        return 0;
    if (s->unnoted)
        return s->fault; /* tried again each second */
    return store_append(s->store, s->turn + s->committed, fresh, forgettable(s));
}

/* One more record of old bans, with at most max bytes. The bytes of it; 0: there is none to write, or no memory. */
static size_t write_record(struct sequence *s, size_t max, int64_t now_ms)
{
    size_t share = s->limits.bytes / BANS_SHARE, most = share < BANS_RECORD_BYTES ? share : BANS_RECORD_BYTES;
    struct event_spec spec = {.kind = EVENT_BANS, .time_ms = now_ms};
    struct sequenced done;
    char *bans;
    size_t len = bans_collect(s->bans, max < most ? max : most, &bans);

    spec.data = (struct slice){bans, len};
    int err = len ? sequence_append(s, &spec, &done) : -ENOENT;
    free(bans);
    return err ? 0 : len;
}

void sequence_write_bans_anew(struct sequence *s, size_t max, int64_t now_ms)
{
    size_t all = 0, len;
    if (!is_kept(s) || !bans_due(s->bans))
        return;

    while (all < max && (len = write_record(s, max - all, now_ms)))
        all += len;
}

/* As much as the turn appended, and a record at least: so the store catches up however much is published. */
static void write_bans_with_turn(struct sequence *s)
{
    if (s->count == s->committed || s->shared)
        return;

    size_t max = s->bytes < BANS_RECORD_BYTES ? BANS_RECORD_BYTES : s->bytes;
    sequence_write_bans_anew(s, max, s->turn[s->count - 1]->time_ms);
}

static int finish_turn(struct sequence *s)
{
    size_t fresh = s->count - s->committed;
    int err = store_turn(s, fresh);
    if (err) {
        take_back(s);
        return err;
    }

    history_evict(s->history);
    bans_settle(s->bans);
    s->bytes = 0;
    while (s->committed < s->count)
        note_appended(s, s->turn[s->committed++]);
    return (int)fresh;
}

int sequence_commit(struct sequence *s)
{
    write_bans_with_turn(s);
    return finish_turn(s);
}

/* --- with a journal --- */

void sequence_share(struct sequence *s, uint64_t floor)
{
    s->shared = true;
    s->floor = floor;
    s->first = s->began = 0;
}

static bool is_new(const struct sequence *s)
{
    return history_head(s->history) == 0;
}

bool sequence_has_word(const struct sequence *s)
{
    return !s->begun || s->lost || s->doubted || s->met > history_head(s->history) || is_new(s);
}

size_t sequence_turn_bytes(const struct sequence *s)
{
    return s->bytes;
}

/* What the next turn's head says, if it begins at position. */
static void put_word(struct sequence *s, struct turn *t, uint64_t position)
{
    uint64_t head = history_head(s->history);
    bool unsure = s->lost || s->met > head || is_new(s);
    *t = (struct turn){.position = position, .begins = position > head, .doubted = unsure ? position : s->doubted};
    s->offered = *t;
}

void sequence_offer(struct sequence *s, struct turn *t, struct buf *b)
{
    char room[TURN_HEAD_LEN] = {0};
    bool fresh = s->count > s->committed, word = sequence_has_word(s);
    if (fresh) {
        bans_rollback(s->bans, s->base);
        history_rollback(s->history, s->base);
    }
    uint64_t place = word ? next_position(s) : history_head(s->history);
    put_word(s, t, fresh ? s->turn[s->committed]->seq - 1 : place);
    wire_add_bytes(b, (struct slice){room, sizeof room});
    for (size_t i = s->committed; i < s->count; i++)
        wire_add_entry(b, s->turn[i]);
}

void sequence_withdraw(struct sequence *s)
{
    drop_turn(s, s->committed);
}

/* What the head of a turn in the journal does to the history. */
static int heed_word(struct sequence *s, const struct turn *t, bool linked)
{
    int err = linked ? history_advance(s->history, t->position) : history_break(s->history, t->position);
    if (!t->doubted)
        return err;
    history_doubt(s->history, t->doubted - 1);
    if (t->doubted > s->seen) /* an older doubt, which is read anew, says nothing about what was lost now */
        s->lost = false;
    if (s->doubted <= t->doubted)
        s->doubted = 0;
    return err;
}

/* e is in the journal, so it is in force. Without memory for it the history has a hole there, and says so. */
static void settle(struct sequence *s, struct event *e)
{
    if (history_append(s->history, e) != 0)
        history_miss(s->history, e);

    bans_apply(s->bans, e); /* without memory: the workers know it all the same */
    bans_settle(s->bans);
    note_appended(s, e);
}

int sequence_accept(struct sequence *s)
{
    size_t fresh = s->count - s->committed;
    s->begun = true;
    s->turn_at = s->offered.position;
    heed_word(s, &s->offered, true);
    for (; s->committed < s->count; s->committed++)
        settle(s, s->turn[s->committed]);
    s->bytes = 0;
    history_evict(s->history);
    return (int)fresh;
}

/* The events of a turn that begins after position. */
static int adopt_entries(struct sequence *s, uint64_t position, struct slice entries)
{
    int count = 0;
    for (size_t used; entries.len; entries = (struct slice){entries.data + used, entries.len - used}) {
        struct event *e = event_parse(entries, &used);
        if (!e || e->seq != ++position || reserve(s) != 0) {
            event_unref(&e);
            return -EPROTO;
        }
        settle(s, e);
        s->turn[s->count++] = e;
        s->committed = s->count;
        count++;
    }
    return count;
}

/* The turn taken in last is not the one that others have in its place: it is none of the journal's. */
static void drop_last_turn(struct sequence *s, uint64_t position)
{
    uint64_t head = history_head(s->history);
    if (position <= head) /* nobody would notice by the numbers */
        sequence_lose(s, head);
    if (s->turn_at < head)
        history_revoke(s->history, s->turn_at);
    bans_doubt(s->bans, s->turn_at); /* we promised them: they are written anew */
}

int sequence_adopt(struct sequence *s, const struct turn *t, bool linked)
{
    if (t->position >= POSITION_MAX || t->doubted >= POSITION_MAX)
        return s->lost ? -EALREADY : -EPROTO; /* whoever may publish on the stream may write anything there */
    if (!linked && !is_new(s) && !s->lost)
        drop_last_turn(s, t->position);
    if (t->position < history_head(s->history))
        return s->lost ? -EALREADY : -ESTALE;
    bool jump = t->position > history_head(s->history) && t->position > s->seen;
    if (s->lost && jump) { /* here the other past begins that the journal has now; others have to know that, too */
        s->lost = linked = false;
        s->doubted = t->position;
    }
    s->turn_at = t->position;
    int count = heed_word(s, t, linked);
    if (count == 0)
        count = adopt_entries(s, t->position, t->entries);
    history_evict(s->history);
    return count;
}

void sequence_lose(struct sequence *s, uint64_t floor)
{
    uint64_t head = history_head(s->history);
    s->lost = true;
    if (s->seen < head)
        s->seen = head;
    if (s->floor < floor)
        s->floor = floor;
    if (s->floor <= s->seen)
        s->floor = s->seen + 1;
}

int sequence_restart(struct sequence *s, uint64_t floor)
{
    struct history *empty = make_history(&s->limits, 0);
    sequence_lose(s, floor);
    if (!empty)
        return -ENOMEM;
    history_inherit_ids(empty, s->history);
    drop_turn(s, 0);
    s->committed = s->given = 0;
    history_free(&s->history);
    s->history = empty;
    s->turn_at = 0;
    bans_doubt(s->bans, 0); /* likewise, unless the journal still has them */
    return 0;
}

bool sequence_lost(const struct sequence *s)
{
    return s->lost;
}

void sequence_skip_feed(struct sequence *s)
{
    s->given = s->committed;
}

bool sequence_next_batch(struct sequence *s, struct buf *b)
{
    if (s->given == s->count) {
        drop_turn(s, 0);
        s->committed = s->given = 0;
    }
    if (s->given == s->committed)
        return false;
    uint64_t last = s->turn[s->given]->seq - 1;
    wire_put_batch(b, s->run, last);
    while (s->given < s->committed && s->turn[s->given]->seq == last + 1 && b->len < SEQUENCE_BATCH_BYTES) {
        last++;
        wire_add_entry(b, s->turn[s->given++]);
    }
    return true;
}

/* Old bans, also when nobody publishes. */
static int write_bans_in_time(struct sequence *s, int64_t now_ms)
{
    if (s->shared || s->unnoted || s->count > s->committed)
        return 0;

    sequence_write_bans_anew(s, TICK_BYTES, now_ms);
    int count = finish_turn(s); /* when it fails: a later one does it */
    return count > 0 ? count : 0;
}

int sequence_expire(struct sequence *s, int64_t now_ms)
{
    bans_expire(s->bans, now_ms);
    note_time(s, now_ms);
    int count = write_bans_in_time(s, now_ms);

    history_expire(s->history, now_ms);
    if (s->unnoted)
        begin_run(s, s->unnoted);
    store_append(s->store, NULL, 0, forgettable(s)); /* likewise */
    return count;
}

uint64_t sequence_head(const struct sequence *s)
{
    return history_head(s->history);
}

uint64_t sequence_began(const struct sequence *s)
{
    return s->began;
}

bool sequence_retains(const struct sequence *s, int64_t now_ms, uint64_t age_ms)
{
    struct event *oldest;
    uint64_t upto;

    if (history_complete(s->history) <= s->first)
        return true;
    if (history_read(s->history, NULL, history_oldest(s->history) - 1, &oldest, 1, 0, &upto) == 0)
        return age_ms < s->limits.age_ms; /* only age takes the last one */
    return now_ms - oldest->time_ms > (int64_t)age_ms;
}

uint64_t sequence_run(const struct sequence *s)
{
    return s->run;
}

const struct history *sequence_history(const struct sequence *s)
{
    return s->history;
}

const struct bans *sequence_bans(const struct sequence *s)
{
    return s->bans;
}

uint64_t sequence_bans_since(const struct sequence *s)
{
    return s->bans_since;
}
