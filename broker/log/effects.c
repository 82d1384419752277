#include "log/effects.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/must.h"
#include "codec/grant.h"
#include "model/due.h"
#include "model/state_records.h"

#define BANS_SHARE 8    /* a log holds at most this part of its bytes and events in bans */
#define STATE_SHARE 8   /* likewise in events of keys */
#define MEMBERS_SHARE 8 /* of its bytes in members of channels */

struct effects {
    struct bans *bans;
    struct state *state;
    struct history_limits log;
    enum effects_rewritten rewritten;
    uint64_t max_bans;
    struct state_limits state_limits;
    struct { /* the quarter of the log that is being filled */
        uint64_t events, bytes;
        int64_t since_ms; /* 0: no time is known yet */
    } quarter;
    int64_t ticked_ms; /* the clock at the last effects_tick(); 0: there was none */
    struct {
        struct state_change *items; /* of the last final batch; a reference each */
        size_t count, cap;
    } undo;
};

/* --- life --- */

struct effects *effects_new(const struct history_limits *log)
{
    struct effects *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;

    *f = (struct effects){.log = *log,
                          .max_bans = UINT64_MAX,
                          .state_limits = {.events = UINT64_MAX,
                                           .bytes = UINT64_MAX,
                                           .member_bytes = log->bytes / MEMBERS_SHARE}};
    f->bans = bans_new();
    f->state = state_new();
    if (!f->bans || !f->state) {
        effects_free(&f);
        return NULL;
    }

    bans_hold(f->bans);
    state_hold(f->state);
    return f;
}

static void forget_undo(struct effects *f)
{
    while (f->undo.count) {
        struct state_change *c = &f->undo.items[--f->undo.count];
        event_unref(&c->before);
        event_unref(&c->after);
    }
}

void effects_free(struct effects **f)
{
    if (!*f)
        return;

    forget_undo(*f);
    free((*f)->undo.items);
    bans_free(&(*f)->bans);
    state_free(&(*f)->state);
    free(*f);
    *f = NULL;
}

/* --- limits --- */

/* Maximum bytes of the events of keys in a journal. A record has half of its bytes at least, unless
 * it is the last. */
static uint64_t max_state_bytes(const struct effects *f)
{
    uint64_t records = f->log.events / STATE_SHARE + 1, bytes = f->log.bytes / STATE_SHARE;
    return records < bytes / EFFECTS_RECORD_BYTES ? records * (EFFECTS_RECORD_BYTES / 2) : bytes;
}

/* Maximum bytes of bans. */
static uint64_t max_ban_bytes(const struct effects *f)
{
    uint64_t records = f->log.events / BANS_SHARE + 1, bytes = f->log.bytes / BANS_SHARE;
    if (f->rewritten == REWRITE_NOTHING)
        return UINT64_MAX;

    return records < bytes / EFFECTS_RECORD_BYTES ? records * EFFECTS_RECORD_BYTES : bytes;
}

static void limit_logged(struct effects *f)
{
    f->state_limits.logged = f->rewritten == REWRITE_ALL ? max_state_bytes(f) : 0;
    f->state_limits.member_bytes = f->log.bytes / MEMBERS_SHARE;
    if (f->state_limits.logged && f->state_limits.logged < f->state_limits.member_bytes)
        f->state_limits.member_bytes = f->state_limits.logged;
}

void effects_rewrite(struct effects *f, enum effects_rewritten what)
{
    MUST(!state_count(f->state) && !bans_count(f->bans));
    f->rewritten = what;
    limit_logged(f);
}

void effects_limit_bans(struct effects *f, uint64_t max)
{
    f->max_bans = max;
}

void effects_limit_state(struct effects *f, const struct state_limits *limits)
{
    f->state_limits = *limits;
    limit_logged(f);
}

const struct bans *effects_bans(const struct effects *f)
{
    return f->bans;
}

const struct state *effects_state(const struct effects *f)
{
    return f->state;
}

/* The event of a key must fit into a record by itself. */
size_t effects_batch_bytes(const struct effects *f, const struct event *e)
{
    size_t record = f->rewritten == REWRITE_ALL && e->key.len ? EVENT_ENTRY_MIN : 0;
    return e->entry.len + record;
}

/* --- provisional changes --- */

int effects_admit(const struct effects *f, const struct event *e, bool limited)
{
    struct state_limits limits = f->state_limits;
    if (limited)
        limits = state_limits_of_limited(&limits);
    return state_has_room(f->state, e, &limits) ? 0 : -EDQUOT;
}

static int apply_bans(struct effects *f, const struct event *e, bool limited)
{
    uint64_t count = bans_count(f->bans), bytes = bans_bytes(f->bans);
    uint64_t max = f->max_bans, max_bytes = max_ban_bytes(f);
    if (limited) {
        max = grant_limited_part(max);
        max_bytes = grant_limited_part(max_bytes);
    }

    int err = bans_apply(f->bans, e);
    if (err)
        return err;

    if (bans_count(f->bans) > count && bans_count(f->bans) > max)
        return -E2BIG;
    if (bans_bytes(f->bans) > bytes && bans_bytes(f->bans) > max_bytes)
        return -EFBIG;
    return 0;
}

/* An EVENT_STATE has what the state has. */
int effects_apply(struct effects *f, struct event *e, bool limited)
{
    int err = apply_bans(f, e, limited);
    if (!err && e->kind != EVENT_STATE)
        err = state_apply(f->state, e);
    return err;
}

void effects_rollback(struct effects *f, uint64_t position)
{
    bans_rollback(f->bans, position);
    state_rollback(f->state, position);
}

const struct state_change *effects_change(const struct effects *f, size_t number)
{
    return state_change(f->state, number);
}

/* --- final changes --- */

void effects_begin(struct effects *f)
{
    forget_undo(f);
}

/* Without memory the change stays when its batch is void, until another broker writes the key. */
static void note_undo(struct effects *f, const struct state_change *c)
{
    struct state_change *items =
        array_reserve(f->undo.items, &f->undo.cap, f->undo.count + 1, sizeof *items);
    if (!items)
        return;

    f->undo.items = items;
    items[f->undo.count++] =
        (struct state_change){c->before ? event_ref(c->before) : NULL, event_ref(c->after)};
}

void effects_settle(struct effects *f)
{
    const struct state_change *c;
    if (f->rewritten == REWRITE_ALL)
        for (size_t i = 0; (c = state_change(f->state, i)); i++)
            note_undo(f, c);

    bans_settle(f->bans);
    state_settle(f->state);
}

int effects_read(struct effects *f, struct event *e)
{
    int bans = bans_apply(f->bans, e), state = state_apply(f->state, e);
    return bans ? bans : state;
}

void effects_undo(struct effects *f)
{
    for (size_t i = f->undo.count; i-- > 0;)
        state_undo(f->state, f->undo.items[i].before, f->undo.items[i].after);
    forget_undo(f);
}

/* --- what a log has --- */

static void next_quarter(struct effects *f, int64_t now_ms)
{
    bans_next_quarter(f->bans);
    state_next_quarter(f->state);
    f->quarter.events = f->quarter.bytes = 0;
    f->quarter.since_ms = now_ms;
}

/* A quarter ends after a quarter of the age at the latest, also while no broker ran. */
static void note_time(struct effects *f, int64_t now_ms)
{
    if (!f->quarter.since_ms)
        f->quarter.since_ms = now_ms;

    for (int i = 0; i < DUE_LOG_QUARTERS; i++) {
        int64_t since = f->quarter.since_ms, length = (int64_t)(f->log.age_ms / DUE_LOG_QUARTERS);
        if (now_ms > since && now_ms - since > length)
            next_quarter(f, since + length);
    }
}

/* What e takes of the log. A journal holds entries; a store forgets when the history does. */
static uint64_t cost_in_log(const struct effects *f, const struct event *e)
{
    return f->rewritten == REWRITE_ALL ? e->entry.len + HISTORY_EVENT_COST : history_cost(e);
}

void effects_note(struct effects *f, const struct event *e)
{
    f->quarter.events++;
    f->quarter.bytes += cost_in_log(f, e);
    note_time(f, e->time_ms);
    if (f->quarter.events > f->log.events / DUE_LOG_QUARTERS ||
        f->quarter.bytes > f->log.bytes / DUE_LOG_QUARTERS)
        next_quarter(f, e->time_ms);
}

/* The clock may have been set back: then the quarter began earlier. */
static void note_clock(struct effects *f, int64_t now_ms)
{
    bool first = !f->ticked_ms;
    if (first && f->quarter.since_ms > now_ms)
        f->quarter.since_ms = now_ms; /* the log has times of a clock that was ahead */
    else if (!first && f->quarter.since_ms && now_ms < f->ticked_ms)
        f->quarter.since_ms -= f->ticked_ms - now_ms;
    f->ticked_ms = now_ms;
}

void effects_tick(struct effects *f, int64_t now_ms)
{
    note_clock(f, now_ms);
    bans_expire(f->bans, now_ms);
    note_time(f, now_ms);
}

uint64_t effects_expire_key(struct effects *f, int64_t now_ms)
{
    return state_expire_one(f->state, now_ms);
}

uint64_t effects_oldest_ban(const struct effects *f)
{
    return bans_oldest(f->bans);
}

void effects_doubt(struct effects *f, uint64_t position)
{
    bans_doubt(f->bans, position);
    state_doubt(f->state, position);
}

void effects_distrust(struct effects *f)
{
    bans_distrust(f->bans);
    state_distrust(f->state);
}

void effects_revoke(struct effects *f, uint64_t position)
{
    state_revoke(f->state, position);
}

/* --- records --- */

bool effects_bans_due(const struct effects *f)
{
    return f->rewritten != REWRITE_NOTHING && bans_due(f->bans);
}

bool effects_keys_due(const struct effects *f)
{
    return f->rewritten == REWRITE_ALL && state_record_age(f->state) >= DUE_QUARTERS;
}

bool effects_is_urgent(const struct effects *f)
{
    return f->rewritten == REWRITE_ALL && state_record_age(f->state) >= DUE_LOG_QUARTERS - 1;
}

/* Bytes of a record, of what may take this part of the log. */
static size_t record_bytes(const struct effects *f, uint64_t part)
{
    uint64_t share = f->log.bytes / part;
    return share < EFFECTS_RECORD_BYTES ? (size_t)share : EFFECTS_RECORD_BYTES;
}

size_t effects_collect_bans(const struct effects *f, size_t max, char **text)
{
    size_t most = record_bytes(f, BANS_SHARE);
    return bans_collect(f->bans, max < most ? max : most, text);
}

size_t effects_collect_keys(const struct effects *f, int64_t now_ms, size_t max,
                            const void **cursor, char **text)
{
    MUST(max > EVENT_ENTRY_MIN);
    size_t most = record_bytes(f, STATE_SHARE), longest = max - EVENT_ENTRY_MIN;
    return state_collect(f->state, now_ms, most < longest ? most : longest, longest, cursor, text);
}
