#include "log/sequence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/must.h"
#include "model/past_ids.h"

#define PROGRESS_EVENTS 20000u
#define EXPIRE_KEYS 10000u               /* forgotten at a time */
#define POSITION_MAX ((uint64_t)1 << 53) /* JavaScript reads numbers below it exactly */

/* Records of bans and keys are written again before the log forgets them. See sequence_rewrite_bans(). */
#define RECORD_BYTES ((size_t)64 << 10)
#define TICK_BYTES ((size_t)1 << 20)
#define LOG_QUARTERS 4
#define BANS_SHARE 8  /* a log holds at most this part of its bytes and events in bans */
#define STATE_SHARE 8 /* likewise in events of keys */
#define DUE_QUARTERS 2
#define LAST_QUARTER 3 /* the log forgets a record after the fourth */

struct sequence {
    struct history *history;
    struct bans *bans;
    struct state *state;
    struct state_limits state_limits;
    uint64_t bans_since; /* position; 0: all bans are known from the log */
    uint64_t max_bans;
    struct { /* the quarter of the log that is being filled */
        uint64_t events, bytes;
        int64_t since_ms;
    } quarter;
    struct store *store;
    struct history_limits limits;
    uint64_t epoch;
    uint64_t first;       /* position: no event before it was evicted */
    uint64_t began;       /* position where this epoch began; 0: with a journal */
    uint64_t unnoted;     /* where this epoch begins, until the store has noted it; 0: it has */
    int fault;            /* the error of the store */
    struct event **batch; /* appended, in order; a reference each, since history may evict them at once */
    size_t count, cap;
    size_t committed; /* the first ones are final */
    size_t given;     /* the first ones are on the feed */
    /* with a journal: */
    bool shared;
    uint64_t floor;      /* our seqs are above it */
    uint64_t met;        /* the highest position of a worker that is ahead */
    uint64_t incomplete; /* not 0: to be written to the journal */
    bool begun;          /* the journal has a batch of this epoch */
    uint64_t seen;       /* end of a lost history: workers may have events up to here */
    uint64_t batch_at;   /* position before the last batch in the history */
    bool lost;           /* older events may be missing, once it is known where the sequence continues */
    uint64_t base;       /* the head before the batch */
    size_t bytes;        /* of its entries */
    struct batch offered;
    struct {
        struct state_change *items; /* of the last batch in the history; a reference each */
        size_t count, cap;
    } undo;
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

struct sequence *sequence_new(const struct history_limits *limits, uint64_t position, uint64_t epoch)
{
    struct sequence *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct sequence){.limits = *limits,
                           .epoch = epoch,
                           .bans_since = position,
                           .max_bans = UINT64_MAX,
                           .state_limits = {UINT64_MAX, UINT64_MAX},
                           .first = position,
                           .began = position};
    s->history = make_history(limits, position);
    s->bans = bans_new();
    s->state = state_new();
    if (!s->history || !s->bans || !s->state) {
        sequence_free(&s);
        return NULL;
    }

    bans_hold(s->bans);
    state_hold(s->state);
    return s;
}

void sequence_limit_bans(struct sequence *s, uint64_t max)
{
    s->max_bans = max;
}

void sequence_limit_state(struct sequence *s, const struct state_limits *limits)
{
    s->state_limits = *limits;
}

/* --- bans in the log --- */

/* True when the log outlives the broker. */
static bool is_kept(const struct sequence *s)
{
    return s->store || s->shared;
}

static void next_quarter(struct sequence *s, int64_t now_ms)
{
    bans_next_quarter(s->bans);
    state_next_quarter(s->state);
    s->quarter.events = s->quarter.bytes = 0;
    s->quarter.since_ms = now_ms;
}

/* A quarter ends after a quarter of history-age at the latest, also while no broker ran. */
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

/* Count e against what the log holds. A journal holds entries. */
static void note_appended(struct sequence *s, const struct event *e)
{
    s->quarter.events++;
    s->quarter.bytes += s->shared ? e->entry.len + HISTORY_EVENT_COST : history_cost(e);
    note_time(s, e->time_ms);
    if (s->quarter.events > s->limits.events / LOG_QUARTERS || s->quarter.bytes > s->limits.bytes / LOG_QUARTERS)
        next_quarter(s, e->time_ms);
}

/* Maximum bytes of bans: a small part of the log, so that writing them again never fills it. */
static uint64_t max_ban_bytes(const struct sequence *s)
{
    uint64_t records = s->limits.events / BANS_SHARE + 1, bytes = s->limits.bytes / BANS_SHARE;
    if (!is_kept(s))
        return UINT64_MAX;

    return records < bytes / RECORD_BYTES ? records * RECORD_BYTES : bytes;
}

/* Maximum bytes of the events of keys in a journal: likewise. A record has half of its bytes at
 * least, unless it is the last. */
static uint64_t max_state_bytes(const struct sequence *s)
{
    uint64_t records = s->limits.events / STATE_SHARE + 1, bytes = s->limits.bytes / STATE_SHARE;
    return records < bytes / RECORD_BYTES ? records * (RECORD_BYTES / 2) : bytes;
}

/* --- what events change beside the history --- */

/* Take back what the events after position changed. */
static void revert_effects(struct sequence *s, uint64_t position)
{
    bans_rollback(s->bans, position);
    state_rollback(s->state, position);
}

/* Make room for settle_effects(). 0 or -ENOMEM. */
static int reserve_effects(struct sequence *s)
{
    size_t changes = 0;
    while (state_change(s->state, changes))
        changes++;
    return store_reserve(s->store, changes);
}

/* --- what the last batch of a journal changed: it may turn out to be void --- */

static void forget_undo(struct sequence *s)
{
    while (s->undo.count) {
        struct state_change *c = &s->undo.items[--s->undo.count];
        event_unref(&c->before);
        event_unref(&c->after);
    }
}

/* Without memory the change stays when its batch is void, until another broker writes the key. */
static void note_undo(struct sequence *s, const struct state_change *c)
{
    struct state_change *items = array_reserve(s->undo.items, &s->undo.cap, s->undo.count + 1, sizeof *items);
    if (!items)
        return;

    s->undo.items = items;
    items[s->undo.count++] = (struct state_change){c->before ? event_ref(c->before) : NULL, event_ref(c->after)};
}

static void undo_last_batch(struct sequence *s)
{
    for (size_t i = s->undo.count; i-- > 0;)
        state_undo(s->state, s->undo.items[i].before, s->undo.items[i].after);
    forget_undo(s);
}

/* --- */

static void settle_change(struct sequence *s, const struct state_change *c)
{
    if (c->before)
        store_drop_kept(s->store, c->before->seq);
    if (s->shared)
        note_undo(s, c);
}

/* What the events changed is final. The store no longer needs the events that they replaced. */
static void settle_effects(struct sequence *s)
{
    const struct state_change *c;
    for (size_t i = 0; (c = state_change(s->state, i)); i++)
        settle_change(s, c);

    bans_settle(s->bans);
    state_settle(s->state);
}

/* The log has e. 0 or -ENOMEM: something that it changes is missing. */
static int apply_final(struct sequence *s, struct event *e)
{
    int bans = bans_apply(s->bans, e), state = state_apply(s->state, e);
    if (reserve_effects(s) != 0)
        return -ENOMEM; /* only while a store is loaded, which ends then */

    settle_effects(s);
    return bans ? bans : state;
}

/* --- loading the store --- */

struct restoring {
    struct sequence *s;
    struct history *history; /* NULL: the store is empty so far */
    void (*progress)(uint64_t events);
    uint64_t count; /* of events */
    uint64_t first; /* position at which the history began */
};

static bool begin_at(struct restoring *r, uint64_t position)
{
    if (position >= POSITION_MAX)
        return false; /* no broker gives it out: the store is damaged */
    if (r->history)
        return history_advance(r->history, position) == 0;
    r->history = make_history(&r->s->limits, position);
    r->first = position;
    return r->history != NULL;
}

static bool restore_epoch(void *context, uint64_t position, bool incomplete)
{
    struct restoring *r = context;
    if (!begin_at(r, position))
        return false;
    if (incomplete)
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

    int err = apply_final(r->s, e);
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

static bool restore_kept(void *context, struct event *e)
{
    struct restoring *r = context;
    return e->seq < POSITION_MAX && apply_final(r->s, e) == 0;
}

static int restore(struct sequence *s, struct store *store, void (*progress)(uint64_t events), char why[STORE_WHY_MAX])
{
    struct restoring r = {.s = s, .progress = progress};
    struct store_loader loader = {restore_event, restore_epoch, restore_id, restore_kept, &r};
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

/* The sequence continues at position once the store has noted it: a restart must not forget the
 * position of a cursor. */
static int begin_epoch(struct sequence *s, uint64_t position)
{
    int err = store_begin_epoch(s->store, position);
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
    store_keep_state(store, s->state);
    snprintf(why, STORE_WHY_MAX, "out of memory");
    int err = restore(s, store, progress, why);
    if (err)
        return err;
    err = begin_epoch(s, floor > history_head(s->history) ? floor : history_head(s->history));
    s->began = history_head(s->history);
    why[0] = '\0';
    if (err)
        snprintf(why, STORE_WHY_MAX, "cannot write: %s", strerror(-err));
    return s->unnoted ? 0 : err;
}

/* --- positions of workers --- */

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
        begin_epoch(s, position < s->unnoted ? s->unnoted : position + 1);
    if (position < history_complete(h) || history_knows(h, position))
        return SEQUENCE_KNOWN;
    history_doubt(h, position);
    if (s->shared)
        s->incomplete = history_complete(h);
    else if (position < history_complete(h)) /* a failure holds until the next start */
        store_mark_incomplete(s->store, history_complete(h));
    return SEQUENCE_UNKNOWN;
}

/* --- the batch --- */

/* What e takes of a batch. The event of a key must fit into a record by itself. */
static size_t size_in_batch(const struct sequence *s, const struct event *e)
{
    return e->entry.len + (s->shared && e->key.len ? EVENT_ENTRY_MIN : 0);
}

static void drop_batch(struct sequence *s, size_t keep)
{
    while (s->count > keep) {
        if (s->count > s->committed)
            s->bytes -= size_in_batch(s, s->batch[s->count - 1]);
        event_unref(&s->batch[--s->count]);
    }
}

void sequence_free(struct sequence **s)
{
    if (!*s)
        return;
    drop_batch(*s, 0);
    forget_undo(*s);
    free((*s)->undo.items);
    free((*s)->batch);
    history_free(&(*s)->history);
    bans_free(&(*s)->bans);
    state_free(&(*s)->state);
    free(*s);
    *s = NULL;
}

static int reserve(struct sequence *s)
{
    struct event **batch = array_reserve(s->batch, &s->cap, s->count + 1, sizeof(struct event *));
    if (!batch)
        return -ENOMEM;

    s->batch = batch;
    return 0;
}

/* Keep e in the history and for the feed. */
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
    s->batch[s->count++] = event_ref(e);
    s->bytes += size_in_batch(s, e);
    return 0;
}

/* Where the sequence continues: at its head, or above a floor. */
static uint64_t next_position(const struct sequence *s)
{
    uint64_t head = history_head(s->history), position = head;
    if (position < s->floor)
        position = s->floor;
    if (position <= s->met && head < s->met)
        position = s->met + 1;
    if (s->lost && position <= head && s->count == s->committed) /* a batch has no holes */
        position = head + 1;
    return position;
}

/* True when a known event has shown this id. */
static bool was_shown(const struct sequence *s, struct slice id)
{
    uint64_t seq;
    return id.len && history_find_cursor(s->history, id, &seq) != CURSOR_UNKNOWN;
}

/* 0; an error when there are too many. */
static int apply_bans(struct sequence *s, const struct event *e)
{
    uint64_t count = bans_count(s->bans), bytes = bans_bytes(s->bans);
    int err = bans_apply(s->bans, e);
    bool many = bans_count(s->bans) > count && bans_count(s->bans) > s->max_bans;
    bool large = bans_bytes(s->bans) > bytes && bans_bytes(s->bans) > max_ban_bytes(s);

    if (!err && (many || large))
        err = many ? -E2BIG : -EFBIG;
    return err;
}

/* Apply what e changes. On an error take e back: the head was `before`. An EVENT_STATE has what the
 * state has. */
static int apply_effects(struct sequence *s, struct event *e, uint64_t before)
{
    int err = apply_bans(s, e);
    if (!err && e->kind != EVENT_STATE)
        err = state_apply(s->state, e);
    if (err)
        sequence_rollback(s, before);
    return err;
}

static int append(struct sequence *s, struct event *e)
{
    uint64_t before = history_head(s->history);
    struct state_limits limits = s->state_limits;
    if (s->shared)
        limits.logged = max_state_bytes(s);
    if (!state_has_room(s->state, e, &limits))
        return -EDQUOT;

    int err = keep(s, e);
    return err ? err : apply_effects(s, e, before);
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
    struct event *e = event_new(spec);
    int err = e ? append(s, e) : -ENOMEM;
    event_unref(&e);
    return err;
}

void sequence_rollback(struct sequence *s, uint64_t position)
{
    size_t count = s->count;
    while (count > s->committed && s->batch[count - 1]->seq > position)
        count--;
    revert_effects(s, position);
    drop_batch(s, count);
    history_rollback(s->history, position);
}

static void take_back(struct sequence *s)
{
    if (s->count > s->committed)
        sequence_rollback(s, s->batch[s->committed]->seq - 1);
}

/* The position up to which the store may forget: it has neither retained events nor the only record
 * of a ban. */
static uint64_t forgettable(const struct sequence *s)
{
    uint64_t complete = history_complete(s->history), before = history_oldest(s->history) - 1;
    uint64_t position = complete < before ? complete : before, ban = bans_oldest(s->bans);
    return ban && ban <= position ? ban - 1 : position;
}

static int store_batch(struct sequence *s, size_t fresh)
{
    if (!fresh)
        return 0;
    if (s->unnoted)
        return s->fault; /* retried each second */
    if (reserve_effects(s) != 0)
        return -ENOMEM;
    return store_append(s->store, s->batch + s->committed, fresh, forgettable(s));
}

/* Append a record of old bans with at most max bytes. Its bytes; 0: no ban is due, or out of
 * memory. */
static size_t write_record(struct sequence *s, size_t max, int64_t now_ms)
{
    uint64_t share = s->limits.bytes / BANS_SHARE;
    size_t most = share < RECORD_BYTES ? (size_t)share : RECORD_BYTES;
    struct event_spec spec = {.kind = EVENT_BANS, .time_ms = now_ms};
    struct sequenced done;
    char *bans;
    size_t len = bans_collect(s->bans, max < most ? max : most, &bans);

    spec.data = (struct slice){bans, len};
    int err = len ? sequence_append(s, &spec, &done) : -ENOENT;
    free(bans);
    return err ? 0 : len;
}

void sequence_rewrite_bans(struct sequence *s, size_t max, int64_t now_ms)
{
    size_t all = 0, len;
    if (!is_kept(s) || !bans_due(s->bans))
        return;

    while (all < max && (len = write_record(s, max - all, now_ms)))
        all += len;
}

/* Append a record with events of keys from *cursor on, of at most max bytes. Its bytes; 0: no more
 * are due, there is no room, or out of memory. */
static size_t write_state_record(struct sequence *s, size_t max, int64_t now_ms, const void **cursor)
{
    size_t share = s->limits.bytes / STATE_SHARE, longest = max - EVENT_ENTRY_MIN;
    size_t most = share < RECORD_BYTES ? share : RECORD_BYTES;
    struct event_spec spec = {.kind = EVENT_STATE, .time_ms = now_ms};
    struct sequenced done;
    char *entries;
    size_t len = state_collect(s->state, now_ms, most < longest ? most : longest, longest, cursor, &entries);

    spec.data = (struct slice){entries, len};
    int err = len ? sequence_append(s, &spec, &done) : -ENOENT;
    free(entries);
    return err ? 0 : EVENT_ENTRY_MIN + len;
}

void sequence_rewrite_state(struct sequence *s, size_t max, int64_t now_ms)
{
    const void *cursor = NULL;
    size_t len;
    if (!s->shared || state_record_age(s->state) < DUE_QUARTERS)
        return;

    for (; max > EVENT_ENTRY_MIN && (len = write_state_record(s, max, now_ms, &cursor)); max -= len)
        MUST(len <= max);
}

bool sequence_must_rewrite(const struct sequence *s)
{
    return s->shared && state_record_age(s->state) >= LAST_QUARTER;
}

/* As many bytes as the batch has, and at least one record: so the bans keep up with any rate of
 * publishing. */
static void write_bans_with_batch(struct sequence *s)
{
    if (s->count == s->committed || s->shared)
        return;

    size_t max = s->bytes < RECORD_BYTES ? RECORD_BYTES : s->bytes;
    sequence_rewrite_bans(s, max, s->batch[s->count - 1]->time_ms);
}

static int finish_batch(struct sequence *s)
{
    size_t fresh = s->count - s->committed;
    int err = store_batch(s, fresh);
    if (err) {
        take_back(s);
        return err;
    }

    history_evict(s->history);
    settle_effects(s);
    s->bytes = 0;
    while (s->committed < s->count)
        note_appended(s, s->batch[s->committed++]);
    return (int)fresh;
}

int sequence_commit(struct sequence *s)
{
    write_bans_with_batch(s);
    return finish_batch(s);
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

bool sequence_has_header(const struct sequence *s)
{
    return !s->begun || s->lost || s->incomplete || s->met > history_head(s->history) || is_new(s);
}

size_t sequence_batch_bytes(const struct sequence *s)
{
    return s->bytes;
}

/* The header of the next batch, if it begins at position. */
static void put_header(struct sequence *s, struct batch *t, uint64_t position)
{
    uint64_t head = history_head(s->history);
    bool unsure = s->lost || s->met > head || is_new(s);
    *t = (struct batch){
        .position = position, .begins = position > head, .incomplete = unsure ? position : s->incomplete};
    s->offered = *t;
}

void sequence_offer(struct sequence *s, struct batch *t, struct buf *b)
{
    char room[BATCH_HEADER_LEN] = {0};
    bool fresh = s->count > s->committed, word = sequence_has_header(s);
    if (fresh) {
        revert_effects(s, s->base);
        history_rollback(s->history, s->base);
    }
    uint64_t position = word ? next_position(s) : history_head(s->history);
    put_header(s, t, fresh ? s->batch[s->committed]->seq - 1 : position);
    wire_add_bytes(b, (struct slice){room, sizeof room});
    for (size_t i = s->committed; i < s->count; i++)
        wire_add_entry(b, s->batch[i]);
}

void sequence_withdraw(struct sequence *s)
{
    drop_batch(s, s->committed);
}

/* Apply the header of a batch in the journal to the history. */
static int apply_header(struct sequence *s, const struct batch *t, bool linked)
{
    int err = linked ? history_advance(s->history, t->position) : history_break(s->history, t->position);
    if (!t->incomplete)
        return err;
    history_doubt(s->history, t->incomplete - 1);
    if (t->incomplete > s->seen) /* an older header, which is read again, does not cover this loss */
        s->lost = false;
    if (s->incomplete <= t->incomplete)
        s->incomplete = 0;
    return err;
}

/* The journal has e, so it is final. Without memory for it the history has a known hole. */
static void settle(struct sequence *s, struct event *e)
{
    if (history_append(s->history, e) != 0)
        history_miss(s->history, e);

    apply_final(s, e); /* without memory: the workers know it all the same */
    note_appended(s, e);
}

int sequence_accept(struct sequence *s)
{
    size_t fresh = s->count - s->committed;
    s->begun = true;
    forget_undo(s);
    s->batch_at = s->offered.position;
    apply_header(s, &s->offered, true);
    for (; s->committed < s->count; s->committed++)
        settle(s, s->batch[s->committed]);
    s->bytes = 0;
    history_evict(s->history);
    return (int)fresh;
}

/* Adopt the events of a batch that begins after position. Their number or -EPROTO. */
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
        s->batch[s->count++] = e;
        s->committed = s->count;
        count++;
    }
    return count;
}

/* The batch adopted last is not the predecessor that the others have: it is not in the journal. */
static void drop_last_batch(struct sequence *s, uint64_t position)
{
    uint64_t head = history_head(s->history);
    if (position <= head) /* the seqs would not show it */
        sequence_lose(s, head);
    if (s->batch_at < head)
        history_revoke(s->history, s->batch_at);

    bans_doubt(s->bans, s->batch_at); /* they were promised: write them again */
    if (position <= head)
        undo_last_batch(s);
    state_doubt(s->state, s->batch_at);
    if (position <= head)
        return;

    bans_distrust(s->bans); /* batches between may be missing */
    state_distrust(s->state);
}

/* A batch of another history: only what it changes beside the history counts, and what was in its
 * place is void. 0 or -EPROTO. */
static int adopt_effects(struct sequence *s, uint64_t position, struct slice entries)
{
    state_revoke(s->state, position);
    for (size_t used; entries.len; entries = (struct slice){entries.data + used, entries.len - used}) {
        struct event *e = event_parse(entries, &used);
        if (!e || e->seq != ++position) {
            event_unref(&e);
            return -EPROTO;
        }
        apply_final(s, e);
        event_unref(&e);
    }
    return 0;
}

static int refuse_batch(struct sequence *s, const struct batch *t)
{
    int err = adopt_effects(s, t->position, t->entries);
    forget_undo(s);
    if (s->lost)
        return -EALREADY;
    return err ? err : -ESTALE;
}

int sequence_adopt(struct sequence *s, const struct batch *t, bool linked)
{
    if (t->position >= POSITION_MAX || t->incomplete >= POSITION_MAX)
        return s->lost ? -EALREADY : -EPROTO; /* any client of the stream may write anything there */
    if (!linked && !is_new(s) && !s->lost)
        drop_last_batch(s, t->position);
    if (t->position < history_head(s->history))
        return refuse_batch(s, t);
    forget_undo(s);
    bool jump = t->position > history_head(s->history) && t->position > s->seen;
    if (s->lost && jump) { /* here the new history of the journal begins; the other brokers have to know that, too */
        s->lost = linked = false;
        s->incomplete = t->position;
    }
    s->batch_at = t->position;
    int count = apply_header(s, t, linked);
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
    drop_batch(s, 0);
    s->committed = s->given = 0;
    history_free(&s->history);
    s->history = empty;
    s->batch_at = 0;
    forget_undo(s);
    bans_doubt(s->bans, 0); /* the same, unless the journal still has them */
    state_doubt(s->state, 0);
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
        drop_batch(s, 0);
        s->committed = s->given = 0;
    }
    if (s->given == s->committed)
        return false;
    uint64_t last = s->batch[s->given]->seq - 1;
    wire_put_batch(b, s->epoch, last);
    while (s->given < s->committed && s->batch[s->given]->seq == last + 1 && b->len < SEQUENCE_BATCH_BYTES) {
        last++;
        wire_add_entry(b, s->batch[s->given++]);
    }
    return true;
}

/* Write old bans again, also while nothing is published. */
static int write_bans_in_time(struct sequence *s, int64_t now_ms)
{
    if (s->shared || s->unnoted || s->count > s->committed)
        return 0;

    sequence_rewrite_bans(s, TICK_BYTES, now_ms);
    int count = finish_batch(s); /* a failure is repaired by a later batch */
    return count > 0 ? count : 0;
}

/* Forget some of the keys that have expired. */
static void expire_keys(struct sequence *s, int64_t now_ms)
{
    if (s->count > s->committed || store_reserve(s->store, EXPIRE_KEYS) != 0)
        return;

    uint64_t seq;
    for (size_t left = EXPIRE_KEYS; left && (seq = state_expire_one(s->state, now_ms)); left--)
        store_drop_kept(s->store, seq);
}

int sequence_expire(struct sequence *s, int64_t now_ms)
{
    bans_expire(s->bans, now_ms);
    expire_keys(s, now_ms);
    note_time(s, now_ms);
    int count = write_bans_in_time(s, now_ms);

    history_expire(s->history, now_ms);
    if (s->unnoted)
        begin_epoch(s, s->unnoted);
    store_append(s->store, NULL, 0, forgettable(s)); /* the same */
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
        return age_ms < s->limits.age_ms; /* only the age limit evicts the last event */
    return now_ms - oldest->time_ms > (int64_t)age_ms;
}

uint64_t sequence_epoch(const struct sequence *s)
{
    return s->epoch;
}

const struct history *sequence_history(const struct sequence *s)
{
    return s->history;
}

const struct bans *sequence_bans(const struct sequence *s)
{
    return s->bans;
}

const struct state *sequence_state(const struct sequence *s)
{
    return s->state;
}

uint64_t sequence_bans_since(const struct sequence *s)
{
    return s->bans_since;
}
