/* Bans are in a table by session, in a list in the order of their records (due.h), and in a heap by
 * their ends. */
#include "model/bans.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/expiry.h"
#include "base/must.h"
#include "base/table.h"
#include "codec/event_record.h"
#include "model/due.h"

struct ban {
    struct expiry_item expiry; /* first; `at` is when it ends */
    struct due_item due;
    int64_t until_ms; /* 0: lifted, and kept until that is final */
    bool said;        /* by bans_say(), since bans_replace() */
};

/* The state of a ban before a change. */
struct ban_change {
    struct ban *ban;
    struct due_place place;
    int64_t until_ms;
    uint64_t record; /* that changed it */
    bool fresh;      /* there was none; the others say nothing then */
};

struct bans {
    struct table *sessions; /* name -> struct ban */
    struct due due;         /* by their records */
    struct expiry ends;     /* of those that are not lifted */
    uint64_t bytes;
    bool held;
    struct ban_change *changes;
    size_t change_count, change_cap;
};

struct bans *bans_new(void)
{
    struct bans *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;

    due_init(&b->due);
    b->sessions = table_new(sizeof(struct ban));
    if (!b->sessions)
        bans_free(&b);
    return b;
}

void bans_free(struct bans **b)
{
    if (!*b)
        return;

    table_free(&(*b)->sessions);
    expiry_release(&(*b)->ends);
    free((*b)->changes);
    free(*b);
    *b = NULL;
}

/* --- one ban --- */

/* NULL for NULL. */
static struct ban *ban_of(struct due_item *item)
{
    return item ? DUE_OWNER(item, struct ban, due) : NULL;
}

/* In the order of the records; NULL: the first. */
static struct ban *next_ban(const struct bans *b, const struct ban *ban)
{
    return ban_of(due_next(&b->due, ban ? &ban->due : NULL));
}

/* Set when it ends. Without memory it is as before; none is needed for one that had an end since
 * the last bans_settle(). */
static int set_end(struct bans *b, struct ban *ban, int64_t until_ms)
{
    size_t size = event_ban_size(table_name(ban));
    if (until_ms && !ban->until_ms) {
        if (expiry_add(&b->ends, &ban->expiry, until_ms) != 0)
            return -ENOMEM;
        b->bytes += size;
    } else if (ban->until_ms) {
        expiry_remove(&b->ends, &ban->expiry);
        if (until_ms)
            MUST(expiry_add(&b->ends, &ban->expiry, until_ms) == 0); /* in the room it had */
        else
            b->bytes -= size;
    }

    ban->until_ms = until_ms;
    return 0;
}

static void bans_drop(struct bans *b, struct ban *ban)
{
    MUST(set_end(b, ban, 0) == 0);
    due_drop(&b->due, &ban->due);
    table_remove(b->sessions, ban);
}

static struct ban *find_or_add(struct bans *b, struct slice session, bool *fresh)
{
    struct ban *ban = table_find(b->sessions, session);
    *fresh = !ban;
    return ban ? ban : table_insert(b->sessions, session);
}

/* --- what may be taken back --- */

static int reserve_change(struct bans *b)
{
    struct ban_change *changes =
        array_reserve(b->changes, &b->change_cap, b->change_count + 1, sizeof *changes);
    if (!changes)
        return -ENOMEM;

    b->changes = changes;
    return 0;
}

void bans_hold(struct bans *b)
{
    b->held = true;
}

static void take_back(struct bans *b, const struct ban_change *c)
{
    if (c->fresh) {
        bans_drop(b, c->ban);
        return;
    }

    MUST(set_end(b, c->ban, c->until_ms) == 0);
    due_put_back(&b->due, &c->ban->due, &c->place);
}

void bans_rollback(struct bans *b, uint64_t position)
{
    while (b->change_count && b->changes[b->change_count - 1].record > position)
        take_back(b, &b->changes[--b->change_count]);
}

/* Bans lifted since are at the end of the list, with all other changes. */
void bans_settle(struct bans *b)
{
    struct due_item *item = due_last(&b->due), *before;

    for (size_t left = b->change_count; item && left; item = before, left--) {
        before = TAILQ_PREV(item, due_items, link);
        if (!ban_of(item)->until_ms)
            bans_drop(b, ban_of(item));
    }

    free(b->changes);
    b->changes = NULL;
    b->change_count = b->change_cap = 0;
}

/* --- changes --- */

static void note_change(struct bans *b, const struct ban_change *c)
{
    MUST(b->change_count < b->change_cap);
    MUST(!b->change_count || b->changes[b->change_count - 1].record <= c->record);
    b->changes[b->change_count++] = *c;
}

static struct ban_change change_of(struct ban *ban, bool fresh, uint64_t record)
{
    struct ban_change c = {.ban = ban, .until_ms = ban->until_ms, .record = record, .fresh = fresh};
    if (!fresh)
        c.place = due_place(&ban->due);
    return c;
}

int bans_set(struct bans *b, struct slice session, int64_t until_ms, uint64_t seq)
{
    bool fresh;
    if (!until_ms && !table_find(b->sessions, session))
        return 0;
    if (b->held && reserve_change(b) != 0)
        return -ENOMEM;

    struct ban *ban = find_or_add(b, session, &fresh);
    if (!ban)
        return -ENOMEM;

    struct ban_change c = change_of(ban, fresh, seq);
    if (set_end(b, ban, until_ms) != 0) {
        if (fresh)
            bans_drop(b, ban);
        return -ENOMEM;
    }

    due_note(&b->due, &ban->due, seq);
    if (b->held)
        note_change(b, &c);
    else if (!until_ms)
        bans_drop(b, ban);
    return 0;
}

static int apply_shutdown(struct bans *b, const struct event *e)
{
    int64_t until_ms = e->block_s ? e->time_ms + (int64_t)e->block_s * 1000 : 0;
    struct slice session;
    int err = 0;

    for (size_t cursor = 0; !err && event_next_name(e, TO_SESSIONS, &cursor, &session);)
        err = bans_set(b, session, until_ms, e->seq);
    return err;
}

int bans_apply(struct bans *b, const struct event *e)
{
    struct slice session;
    int64_t until_ms;
    int err = 0;
    if (e->kind == EVENT_SHUTDOWN)
        return apply_shutdown(b, e);

    for (size_t cursor = 0; !err && event_next_ban(e, &cursor, &session, &until_ms);)
        err = bans_set(b, session, until_ms, e->seq);
    return err;
}

void bans_expire(struct bans *b, int64_t now_ms)
{
    struct expiry_item *first;
    MUST(!b->change_count);

    while ((first = expiry_first(&b->ends)) && first->at <= now_ms)
        bans_drop(b, (struct ban *)first);
}

/* --- what replaces everything --- */

int bans_say(struct bans *b, struct slice session, int64_t until_ms)
{
    int err = bans_set(b, session, until_ms, 0);
    struct ban *ban = table_find(b->sessions, session);

    if (!err && ban)
        ban->said = true;
    return err;
}

void bans_replace(struct bans *b, uint64_t position, uint64_t since)
{
    struct ban *next;
    MUST(!b->held);

    for (struct ban *ban = next_ban(b, NULL); ban; ban = next) {
        next = next_ban(b, ban);
        if (!ban->said && ban->due.seq > since) {
            bans_drop(b, ban);
            continue;
        }
        if (ban->said)
            ban->due.seq = position;
        ban->said = false;
    }
}

/* --- before the log forgets --- */

/* Forget bans that no record has confirmed for a whole log. */
static void forget_stale(struct bans *b)
{
    struct due_item *next;
    for (struct due_item *item = due_next_stale(&b->due, NULL); item; item = next) {
        next = due_next_stale(&b->due, item);
        bans_drop(b, ban_of(item));
    }
}

void bans_next_quarter(struct bans *b)
{
    due_next_quarter(&b->due);
    if (!b->change_count)
        forget_stale(b);
}

/* A record that is ours to write again. */
static bool is_kept(const struct ban *ban)
{
    return ban->until_ms && !ban->due.distrusted;
}

static const struct ban *oldest(const struct bans *b)
{
    const struct ban *ban = next_ban(b, NULL);
    while (ban && !is_kept(ban))
        ban = next_ban(b, ban);
    return ban;
}

uint64_t bans_oldest(const struct bans *b)
{
    const struct ban *ban = oldest(b);
    return ban ? ban->due.seq : 0;
}

bool bans_due(const struct bans *b)
{
    const struct ban *ban = oldest(b);
    return ban && due_age(&b->due, &ban->due) >= DUE_QUARTERS;
}

/* As bans_collect(); out NULL: count only. */
static size_t bans_write(const struct bans *b, size_t max, char *out)
{
    size_t len = 0;
    for (const struct ban *ban = next_ban(b, NULL); ban && due_age(&b->due, &ban->due) > 0;
         ban = next_ban(b, ban)) {
        struct slice session = table_name(ban);
        size_t size = event_ban_size(session);
        if (!is_kept(ban))
            continue;
        if (len && len + size > max)
            break;
        if (out)
            event_put_ban(out + len, session, ban->until_ms);
        len += size;
    }
    return len;
}

size_t bans_collect(const struct bans *b, size_t max, char **out)
{
    size_t len = bans_write(b, max, NULL);
    *out = len ? malloc(len) : NULL;
    return *out ? bans_write(b, max, *out) : 0;
}

void bans_doubt(struct bans *b, uint64_t position)
{
    MUST(!b->change_count);
    due_doubt(&b->due, position);
}

void bans_distrust(struct bans *b)
{
    MUST(!b->change_count);
    due_distrust(&b->due);
}

/* --- questions --- */

int64_t bans_until(const struct bans *b, struct slice session, int64_t now_ms)
{
    const struct ban *ban = session.len ? table_find(b->sessions, session) : NULL;
    return ban && ban->until_ms > now_ms ? ban->until_ms : 0;
}

size_t bans_count(const struct bans *b)
{
    return b->ends.count;
}

uint64_t bans_bytes(const struct bans *b)
{
    return b->bytes;
}

const void *bans_next(const struct bans *b, const void *cursor, struct slice *session,
                      int64_t *until_ms)
{
    const struct ban *ban = cursor;
    do
        ban = next_ban(b, ban);
    while (ban && !ban->until_ms);

    if (ban) {
        *session = table_name(ban);
        *until_ms = ban->until_ms;
    }
    return ban;
}
