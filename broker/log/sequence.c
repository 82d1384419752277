#include "log/sequence.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/must.h"
#include "model/past_ids.h"

#define POSITION_MAX ((uint64_t)1 << 53) /* JavaScript reads numbers below it exactly */

struct sequence {
    struct history *history;
    struct effects *effects;
    uint64_t bans_since; /* position; 0: all bans are known from the log */
    struct history_limits limits;
    uint64_t epoch;
    uint64_t first;       /* position: no event before it was evicted */
    uint64_t began;       /* position where this epoch began; 0: with a journal */
    bool loaded;          /* the history is that of a log */
    struct event **batch; /* appended, in order; a reference each: history may evict them at once */
    size_t count, cap;
    size_t committed; /* the first ones are final */
    size_t given;     /* the first ones are on the feed */
    size_t bytes;     /* of the batch, in the log */
    uint64_t base;    /* the head before the batch */

    /* The header of the next batch: */
    bool begun;          /* the log has a batch of this epoch, or needs none */
    uint64_t floor;      /* our seqs are above it */
    uint64_t met;        /* the highest position of a worker that is ahead */
    uint64_t incomplete; /* not 0: to be written to the log */
    bool lost;           /* older events may be missing, once the continuation is known */
    uint64_t seen;       /* end of a lost history: workers may have events up to here */
    uint64_t batch_at;   /* position before the last batch in the history */

    bool hidden; /* the batch is offered, and not in the history */
    struct batch offered;
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

struct sequence *sequence_new(const struct history_limits *limits, uint64_t position,
                              uint64_t epoch)
{
    struct sequence *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct sequence){.limits = *limits,
                           .epoch = epoch,
                           .bans_since = position,
                           .first = position,
                           .began = position,
                           .begun = true};
    s->history = make_history(limits, position);
    s->effects = effects_new(limits);
    if (!s->history || !s->effects)
        sequence_free(&s);
    return s;
}

uint64_t sequence_ids_remembered(const struct sequence *s)
{
    return ids_remembered(&s->limits);
}

/* --- where it continues --- */

/* At its head, or above a floor. */
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

void sequence_share(struct sequence *s, uint64_t floor)
{
    s->floor = floor;
    s->begun = false;
    effects_rewrite(s->effects, REWRITE_ALL);
    s->first = s->began = 0;
}

/* --- loading what a log has --- */

/* The history begins where the log does. 0, -EBADMSG or -ENOMEM. */
static int load_at(struct sequence *s, uint64_t position)
{
    if (position >= POSITION_MAX)
        return -EBADMSG; /* no broker gives it out */
    if (s->loaded)
        return history_advance(s->history, position);

    struct history *h = make_history(&s->limits, position);
    if (!h)
        return -ENOMEM;

    s->floor = history_head(s->history);
    history_free(&s->history);
    s->history = h;
    s->first = position;
    s->loaded = true;
    return 0;
}

int sequence_load_position(struct sequence *s, uint64_t position, bool incomplete)
{
    int err = load_at(s, position);
    if (!err && incomplete)
        history_doubt(s->history, position - 1);
    return err;
}

int sequence_load_effects(struct sequence *s, struct event *e)
{
    effects_settle(s->effects);
    return e->seq < POSITION_MAX ? effects_read(s->effects, e) : -EBADMSG;
}

int sequence_load_event(struct sequence *s, struct event *e)
{
    if (e->seq >= POSITION_MAX)
        return -EBADMSG;

    int err = s->loaded ? 0 : load_at(s, e->seq - 1);
    err = err ? err : history_append(s->history, e);
    if (err)
        return err;

    history_evict(s->history);
    err = sequence_load_effects(s, e);
    effects_note(s->effects, e);
    return err;
}

int sequence_load_id(struct sequence *s, uint64_t hash, uint64_t seq)
{
    int err = s->loaded ? 0 : load_at(s, seq);
    if (!err)
        history_remember_id(s->history, hash, seq);
    return err;
}

void sequence_load_end(struct sequence *s, bool trimmed)
{
    effects_settle(s->effects);
    s->begun = false;
    s->began = next_position(s);
    if (!s->loaded)
        return;

    s->bans_since = 0;
    if (trimmed)
        s->first = 0;
}

/* --- positions of workers --- */

enum sequence_met sequence_meet(struct sequence *s, uint64_t position, uint64_t furthest)
{
    struct history *h = s->history;
    bool ahead = position > history_head(h);
    if (ahead && (position > furthest || position >= POSITION_MAX))
        return SEQUENCE_UNKNOWN;

    if (ahead) {
        s->met = s->met < position ? position : s->met;
        return SEQUENCE_AHEAD;
    }
    if (position < history_complete(h) || history_knows(h, position))
        return SEQUENCE_KNOWN;

    history_doubt(h, position);
    s->incomplete = history_complete(h);
    return SEQUENCE_UNKNOWN;
}

/* --- the batch --- */

static void drop_batch(struct sequence *s, size_t keep)
{
    while (s->count > keep) {
        if (s->count > s->committed)
            s->bytes -= effects_batch_bytes(s->effects, s->batch[s->count - 1]);
        event_unref(&s->batch[--s->count]);
    }
}

void sequence_free(struct sequence **s)
{
    if (!*s)
        return;
    drop_batch(*s, 0);
    free((*s)->batch);
    history_free(&(*s)->history);
    effects_free(&(*s)->effects);
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
    s->bytes += effects_batch_bytes(s->effects, e);
    return 0;
}

/* True when a known event has shown this id. */
static bool was_shown(const struct sequence *s, struct slice id)
{
    uint64_t seq;
    return id.len && history_find_cursor(s->history, id, &seq) != CURSOR_UNKNOWN;
}

static int append(struct sequence *s, struct event *e, bool limited)
{
    uint64_t before = history_head(s->history);
    int err = effects_admit(s->effects, e, limited);
    err = err ? err : keep(s, e);
    if (err)
        return err;

    err = effects_apply(s->effects, e, limited);
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
    struct event *e = event_new(spec);
    int err = e ? append(s, e, spec->limited) : -ENOMEM;
    event_unref(&e);
    return err;
}

void sequence_rollback(struct sequence *s, uint64_t position)
{
    size_t count = s->count;
    while (count > s->committed && s->batch[count - 1]->seq > position)
        count--;
    effects_rollback(s->effects, position);
    drop_batch(s, count);
    history_rollback(s->history, position);
}

size_t sequence_batch_bytes(const struct sequence *s)
{
    return s->bytes;
}

struct event *const *sequence_batch(const struct sequence *s, size_t *count)
{
    *count = s->count - s->committed;
    return *count ? s->batch + s->committed : NULL;
}

/* --- the log decides --- */

static bool is_new(const struct sequence *s)
{
    return history_head(s->history) == 0;
}

bool sequence_has_header(const struct sequence *s)
{
    return !s->begun || s->lost || s->incomplete || s->met > history_head(s->history);
}

bool sequence_begins(const struct sequence *s)
{
    return !s->begun;
}

/* The header of the next batch, if it begins at position. */
static void put_header(struct sequence *s, struct batch *t, uint64_t position)
{
    uint64_t head = history_head(s->history);
    bool unsure = s->lost || s->met > head || is_new(s);
    *t = (struct batch){.position = position,
                        .begins = position > head,
                        .incomplete = unsure ? position : s->incomplete};
    s->offered = *t;
}

/* The batch leaves the history. */
static void hide(struct sequence *s)
{
    MUST(!s->hidden);
    s->hidden = true;
    if (s->count == s->committed)
        return;

    effects_rollback(s->effects, s->base);
    history_rollback(s->history, s->base);
}

void sequence_offer(struct sequence *s, struct batch *t)
{
    bool fresh = s->count > s->committed, word = sequence_has_header(s);
    hide(s);
    uint64_t position = word ? next_position(s) : history_head(s->history);
    put_header(s, t, fresh ? s->batch[s->committed]->seq - 1 : position);
}

void sequence_withdraw(struct sequence *s)
{
    if (s->count > s->committed && !s->hidden)
        sequence_rollback(s, s->base);
    s->hidden = false;
    drop_batch(s, s->committed);
}

/* Apply the header of a batch in the log to the history. */
static int apply_header(struct sequence *s, const struct batch *t, bool linked)
{
    int err =
        linked ? history_advance(s->history, t->position) : history_break(s->history, t->position);
    if (!t->incomplete)
        return err;
    history_doubt(s->history, t->incomplete - 1);
    if (t->incomplete > s->seen) /* an older header, which is read again, lacks this loss */
        s->lost = false;
    if (s->incomplete <= t->incomplete)
        s->incomplete = 0;
    return err;
}

/* The log has e, so it is final. Without memory for it the history has a known hole. */
static void sequence_settle(struct sequence *s, struct event *e)
{
    if (history_append(s->history, e) != 0)
        history_miss(s->history, e);

    effects_read(s->effects, e); /* without memory: the workers know it all the same */
    effects_settle(s->effects);
}

/* The batch that was hidden enters the history. */
static void sequence_show(struct sequence *s)
{
    s->hidden = false;
    s->begun = true;
    s->batch_at = s->offered.position;
    apply_header(s, &s->offered, true);
    for (size_t i = s->committed; i < s->count; i++)
        sequence_settle(s, s->batch[i]);
}

int sequence_accept(struct sequence *s)
{
    size_t fresh = s->count - s->committed;
    effects_begin(s->effects);
    if (s->hidden)
        sequence_show(s);
    effects_settle(s->effects);

    history_evict(s->history);
    s->bytes = 0;
    while (s->committed < s->count)
        effects_note(s->effects, s->batch[s->committed++]);
    return (int)fresh;
}

/* Adopt the events of a batch that begins after position. Their number or -EPROTO. */
static int adopt_entries(struct sequence *s, uint64_t position, struct slice entries)
{
    int count = 0;
    for (size_t used; entries.len;
         entries = (struct slice){entries.data + used, entries.len - used}) {
        struct event *e = event_parse(entries, &used);
        if (!e || e->seq != ++position || reserve(s) != 0) {
            event_unref(&e);
            return -EPROTO;
        }
        sequence_settle(s, e);
        effects_note(s->effects, e);
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

    if (position <= head)
        effects_undo(s->effects);
    effects_doubt(s->effects, s->batch_at); /* it was promised: write it again */
    if (position > head)
        effects_distrust(s->effects); /* batches between may be missing */
}

/* A batch of another history: only what it changes beside the history counts, and what was in its
 * place is void. 0 or -EPROTO. */
static int adopt_effects(struct sequence *s, uint64_t position, struct slice entries)
{
    effects_revoke(s->effects, position);
    for (size_t used; entries.len;
         entries = (struct slice){entries.data + used, entries.len - used}) {
        struct event *e = event_parse(entries, &used);
        if (!e || e->seq != ++position) {
            event_unref(&e);
            return -EPROTO;
        }
        effects_read(s->effects, e);
        effects_settle(s->effects);
        event_unref(&e);
    }
    return 0;
}

static int refuse_batch(struct sequence *s, const struct batch *t)
{
    int err = adopt_effects(s, t->position, t->entries);
    effects_begin(s->effects);
    if (s->lost)
        return -EALREADY;
    return err ? err : -ESTALE;
}

int sequence_adopt(struct sequence *s, const struct batch *t, bool linked)
{
    if (t->position >= POSITION_MAX || t->incomplete >= POSITION_MAX)
        return s->lost ? -EALREADY : -EPROTO; /* any client of the stream may write there */
    if (!linked && !is_new(s) && !s->lost)
        drop_last_batch(s, t->position);
    if (t->position < history_head(s->history))
        return refuse_batch(s, t);
    effects_begin(s->effects);
    bool jump = t->position > history_head(s->history) && t->position > s->seen;
    /* Here the new history of the journal begins; the other brokers have to know that, too. */
    if (s->lost && jump) {
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
    effects_begin(s->effects);
    effects_doubt(s->effects, 0); /* unless the log still has it */
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
    while (s->given < s->committed && s->batch[s->given]->seq == last + 1 &&
           b->len < SEQUENCE_BATCH_BYTES) {
        last++;
        wire_add_entry(b, s->batch[s->given++]);
    }
    return true;
}

void sequence_expire(struct sequence *s, int64_t now_ms)
{
    effects_tick(s->effects, now_ms);
    history_expire(s->history, now_ms);
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
    return effects_bans(s->effects);
}

const struct state *sequence_state(const struct sequence *s)
{
    return effects_state(s->effects);
}

uint64_t sequence_bans_since(const struct sequence *s)
{
    return s->bans_since;
}

struct effects *sequence_effects(const struct sequence *s)
{
    return s->effects;
}

uint64_t sequence_forgettable(const struct sequence *s)
{
    uint64_t complete = history_complete(s->history), before = history_oldest(s->history) - 1;
    uint64_t position = complete < before ? complete : before, ban = effects_oldest_ban(s->effects);
    return ban && ban <= position ? ban - 1 : position;
}
