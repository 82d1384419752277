#include "log/store_tables.h"

#include <errno.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/must.h"
#include "model/past_ids.h"

#define SUM_LEN 8u
#define ID_LEN 16u   /* of a value in `ids` */
#define FREE_PAGES 0 /* LMDB's own table */

int store_tables_errno(int rc)
{
    if (rc < 0)
        return -EIO;
    return -rc;
}

/* --- the entries' sum --- */

/* Detects entries that a failing disk has damaged, not forged ones. */
static uint64_t sum(struct slice entry)
{
    return XXH3_64bits(entry.data, entry.len);
}

/* --- walking --- */

/* A cursor on a table with integer keys. The key is 0 at the end. */
struct table_walk {
    MDB_cursor *cursor;
    uint64_t key;
    MDB_val value;
    uint64_t last;  /* the previous key */
    uint64_t count; /* of keys so far */
    bool own;       /* LMDB's own table: a key is a size_t */
};

/* False: it is no key of such a table. */
static bool read_key(const MDB_val *from, bool own, uint64_t *key)
{
    size_t number;
    if (from->mv_size != (own ? sizeof number : sizeof *key))
        return false;

    if (own) {
        memcpy(&number, from->mv_data, sizeof number);
        *key = number;
    } else {
        memcpy(key, from->mv_data, sizeof *key);
    }
    return true;
}

static int store_tables_step(struct table_walk *w, MDB_cursor_op op)
{
    MDB_val key;
    int rc = mdb_cursor_get(w->cursor, &key, &w->value, op);
    w->last = w->key;
    w->key = 0;
    if (rc)
        return rc == MDB_NOTFOUND ? 0 : rc;
    if (!read_key(&key, w->own, &w->key) || w->key == 0 || (op == MDB_NEXT && w->key <= w->last))
        return MDB_CORRUPTED;
    w->count++;
    return 0;
}

/* --- the tables --- */

uint32_t store_tables_format(const struct store_tables *t, MDB_txn *txn)
{
    MDB_val value = {0};
    int rc = mdb_get(txn, t->meta, &(MDB_val){6, "format"}, &value);

    return rc == 0 && value.mv_size == 4 ? get_u32(value.mv_data) : 0;
}

uint64_t store_tables_trimmed(const struct store_tables *t, MDB_txn *txn)
{
    MDB_val value = {0};
    int rc = mdb_get(txn, t->meta, &(MDB_val){7, "trimmed"}, &value);

    return rc == 0 && value.mv_size == 8 ? get_u64(value.mv_data) : 0;
}

static int write_format(const struct store_tables *t, MDB_txn *txn)
{
    char format[4];

    put_u32(format, STORE_FORMAT);
    return mdb_put(txn, t->meta, &(MDB_val){6, "format"}, &(MDB_val){sizeof format, format}, 0);
}

static int compare_keys(const MDB_val *a, const MDB_val *b)
{
    uint64_t left, right;
    memcpy(&left, a->mv_data, sizeof left);
    memcpy(&right, b->mv_data, sizeof right);
    return (left > right) - (left < right);
}

/* LMDB's own integer keys are as wide as size_t. */
static int open_table(MDB_txn *txn, const char *name, unsigned create, MDB_dbi *table)
{
    if (sizeof(size_t) == sizeof(uint64_t))
        return mdb_dbi_open(txn, name, MDB_INTEGERKEY | create, table);

    int rc = mdb_dbi_open(txn, name, create, table);
    return rc ? rc : mdb_set_compare(txn, *table, compare_keys);
}

static int open_data(struct store_tables *t, MDB_txn *txn, unsigned create)
{
    int rc = open_table(txn, "events", create, &t->events);

    if (!rc)
        rc = open_table(txn, "kept", create, &t->kept);
    if (!rc)
        rc = open_table(txn, "runs", create, &t->runs);
    return rc ? rc : open_table(txn, "ids", create, &t->ids);
}

int store_tables_open(struct store_tables *t, MDB_txn *txn, bool fresh)
{
    unsigned create = fresh ? MDB_CREATE : 0;
    int rc = mdb_dbi_open(txn, "meta", create, &t->meta);
    if (!rc && fresh)
        rc = write_format(t, txn);
    if (!rc && store_tables_format(t, txn) == STORE_FORMAT)
        rc = open_data(t, txn, create);
    return rc;
}

int store_tables_last(const struct store_tables *t, MDB_txn *txn, uint64_t *seq)
{
    struct table_walk w = {0};
    int rc = mdb_cursor_open(txn, t->events, &w.cursor);
    if (rc)
        return rc;

    rc = store_tables_step(&w, MDB_LAST);
    *seq = w.key;
    mdb_cursor_close(w.cursor);
    return rc;
}

/* --- loading --- */

/* The event at w. NULL when it is damaged or out of memory. */
static struct event *event_at(const struct table_walk *w)
{
    size_t used, len = w->value.mv_size < SUM_LEN ? 0 : w->value.mv_size - SUM_LEN;
    struct slice entry = {w->value.mv_data, len};
    if (!len || get_u64(entry.data + len) != sum(entry))
        return NULL;

    struct event *e = event_parse(entry, &used);
    if (e && (used != len || e->seq != w->key))
        event_unref(&e);
    return e;
}

/* What is up to trimmed was deleted. */
static int load_event(const struct table_walk *w, uint64_t trimmed,
                      const struct store_loader *loader)
{
    struct event *e = w->key > trimmed ? event_at(w) : NULL;
    if (!e)
        return MDB_CORRUPTED;
    bool go_on = loader->event(loader->context, e);
    event_unref(&e);
    return go_on ? 0 : ECANCELED;
}

static void pack_id(char out[ID_LEN], uint64_t seq, uint64_t hash)
{
    char both[16];
    put_u64(both, seq);
    put_u64(both + 8, hash);
    put_u64(out, hash);
    put_u64(out + 8, sum((struct slice){both, sizeof both}));
}

static int load_ids(struct table_walk *ids, const struct store_loader *loader)
{
    char packed[ID_LEN];
    int rc = store_tables_step(ids, MDB_FIRST);
    while (!rc && ids->key) {
        if (ids->value.mv_size != ID_LEN)
            return MDB_CORRUPTED;
        uint64_t hash = get_u64(ids->value.mv_data);
        pack_id(packed, ids->key, hash);
        if (memcmp(packed, ids->value.mv_data, ID_LEN) != 0)
            return MDB_CORRUPTED;
        rc = loader->id(loader->context, hash, ids->key) ? store_tables_step(ids, MDB_NEXT)
                                                         : ECANCELED;
    }
    return rc;
}

/* Events that were trimmed and have a key. */
static int load_kept(struct table_walk *kept, uint64_t trimmed, const struct store_loader *loader)
{
    int rc = store_tables_step(kept, MDB_FIRST);
    while (!rc && kept->key) {
        struct event *e = kept->key <= trimmed ? event_at(kept) : NULL;
        if (!e || !e->key.len || e->remove)
            rc = MDB_CORRUPTED;
        else
            rc = loader->kept(loader->context, e) ? store_tables_step(kept, MDB_NEXT) : ECANCELED;
        event_unref(&e);
    }
    return rc;
}

/* Walk two tables together, in the order of their keys. */
static int load_all(struct table_walk *events, struct table_walk *runs, uint64_t trimmed,
                    const struct store_loader *loader)
{
    int rc = store_tables_step(events, MDB_FIRST);
    if (!rc)
        rc = store_tables_step(runs, MDB_FIRST);
    while (!rc && (events->key || runs->key)) {
        bool run_first = runs->key && (!events->key || runs->key < events->key);
        if (run_first) {
            bool incomplete = runs->value.mv_size != 0;
            rc = loader->epoch(loader->context, runs->key, incomplete)
                     ? store_tables_step(runs, MDB_NEXT)
                     : ECANCELED;
        } else {
            rc = load_event(events, trimmed, loader);
            if (!rc)
                rc = store_tables_step(events, MDB_NEXT);
        }
    }
    return rc;
}

struct loading {
    const struct store_tables *tables;
    const struct store_loader *loader;
    MDB_txn *txn;
    struct table_walk pages, events, kept, runs, ids;
};

/* Whether the walk met every entry of the table. Damage may truncate a tree. */
static int check_count(MDB_txn *txn, MDB_dbi table, const struct table_walk *w)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, table, &stat);
    return rc || stat.ms_entries == w->count ? rc : MDB_CORRUPTED;
}

/* LMDB's list of free pages: transaction -> count and page numbers, descending. A wrong number
 * would overwrite events. */
static bool are_pages(const MDB_val *value, size_t last)
{
    size_t count = value->mv_size / sizeof(size_t), number, above = last + 1;
    const char *at = value->mv_data;
    for (size_t i = 0; i < count; i++, at += sizeof number) {
        memcpy(&number, at, sizeof number);
        bool fits = i == 0 ? number < count : number >= 2 && number < above;
        if (!fits)
            return false;
        count = i == 0 ? number + 1 : count;
        above = i == 0 ? above : number;
    }
    return count > 0;
}

static int check_free_pages(MDB_txn *txn, struct table_walk *w)
{
    MDB_envinfo info;
    int rc = mdb_env_info(mdb_txn_env(txn), &info);
    if (!rc)
        rc = mdb_cursor_open(txn, FREE_PAGES, &w->cursor);
    if (!rc)
        rc = store_tables_step(w, MDB_FIRST);
    while (!rc && w->key)
        rc = are_pages(&w->value, info.me_last_pgno) ? store_tables_step(w, MDB_NEXT)
                                                     : MDB_CORRUPTED;
    return rc ? rc : check_count(txn, FREE_PAGES, w);
}

static int load_tables(struct loading *l)
{
    uint64_t trimmed = store_tables_trimmed(l->tables, l->txn);
    int rc = check_free_pages(l->txn, &l->pages);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->tables->events, &l->events.cursor);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->tables->kept, &l->kept.cursor);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->tables->runs, &l->runs.cursor);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->tables->ids, &l->ids.cursor);
    if (!rc)
        rc = load_ids(&l->ids, l->loader);
    if (!rc)
        rc = check_count(l->txn, l->tables->ids, &l->ids);
    if (!rc)
        rc = load_kept(&l->kept, trimmed, l->loader);
    if (!rc)
        rc = check_count(l->txn, l->tables->kept, &l->kept);
    if (!rc)
        rc = load_all(&l->events, &l->runs, trimmed, l->loader);
    if (!rc)
        rc = check_count(l->txn, l->tables->events, &l->events);
    return rc ? rc : check_count(l->txn, l->tables->runs, &l->runs);
}

int store_tables_load(const struct store_tables *t, MDB_txn *txn, const struct store_loader *loader,
                      uint64_t *last)
{
    struct loading l = {.tables = t, .loader = loader, .txn = txn, .pages = {.own = true}};
    int rc = load_tables(&l);
    mdb_cursor_close(l.pages.cursor);
    mdb_cursor_close(l.events.cursor);
    mdb_cursor_close(l.kept.cursor);
    mdb_cursor_close(l.runs.cursor);
    mdb_cursor_close(l.ids.cursor);
    *last = l.events.last;
    return rc;
}

/* --- writing --- */

static size_t value_len(const struct event *e)
{
    return e->entry.len + SUM_LEN;
}

/* Fill the room that LMDB has reserved. */
static void write_value(const MDB_val *room, const struct event *e)
{
    MUST(room->mv_size == value_len(e));
    memcpy(room->mv_data, e->entry.data, e->entry.len);
    put_u64((char *)room->mv_data + e->entry.len, sum(e->entry));
}

static int put_event(MDB_txn *txn, MDB_dbi table, const struct event *e)
{
    uint64_t key = e->seq;
    MDB_val value = {.mv_size = value_len(e)};
    int rc = mdb_put(txn, table, &(MDB_val){sizeof key, &key}, &value, MDB_RESERVE);
    if (!rc)
        write_value(&value, e);
    return rc;
}

/* Through a cursor: for each mdb_put() LMDB sets up its own one. */
static int append_event(MDB_cursor *end, const struct event *e)
{
    uint64_t key = e->seq;
    MDB_val value = {.mv_size = value_len(e)};
    int rc = mdb_cursor_put(end, &(MDB_val){sizeof key, &key}, &value, MDB_APPEND | MDB_RESERVE);
    if (!rc)
        write_value(&value, e);
    return rc;
}

/* Delete up to *left of the first keys of a table that are at or before position, and subtract
 * their number from *left. *last is set to the last deleted key. */
static int delete_until(MDB_txn *txn, MDB_dbi table, uint64_t position, size_t *left,
                        uint64_t *last)
{
    struct table_walk w = {0};
    int rc = mdb_cursor_open(txn, table, &w.cursor);
    if (rc)
        return rc;
    rc = store_tables_step(&w, MDB_FIRST);
    while (!rc && w.key && w.key <= position && *left) {
        --*left;
        *last = w.key;
        rc = mdb_cursor_del(w.cursor, 0);
        if (!rc)
            rc = store_tables_step(&w, MDB_NEXT);
    }
    mdb_cursor_close(w.cursor);
    return rc;
}

/* Delete the keys of a table after position. */
static int delete_after(MDB_txn *txn, MDB_dbi table, uint64_t position)
{
    struct table_walk w = {0};
    int rc = mdb_cursor_open(txn, table, &w.cursor);
    if (rc)
        return rc;
    rc = store_tables_step(&w, MDB_LAST);
    while (!rc && w.key > position) {
        rc = mdb_cursor_del(w.cursor, 0);
        if (!rc)
            rc = store_tables_step(&w, MDB_LAST);
    }
    mdb_cursor_close(w.cursor);
    return rc;
}

static int keep_id(const struct store_tables *t, MDB_txn *txn, const struct event *e)
{
    char value[ID_LEN];
    uint64_t seq = e->seq;
    if (!event_shows_id(e))
        return 0;

    pack_id(value, seq, past_id_hash(e->id));
    int rc = mdb_put(txn, t->ids, &(MDB_val){sizeof seq, &seq}, &(MDB_val){sizeof value, value},
                     MDB_APPEND);
    if (rc == MDB_KEYEXIST) /* a later id exists, which only damage explains */
        rc = mdb_put(txn, t->ids, &(MDB_val){sizeof seq, &seq}, &(MDB_val){sizeof value, value}, 0);
    return rc;
}

/* The event at w will be deleted: keep the id that it showed,
 * and the event when it is the newest of its key. */
static int keep_rest(const struct store_tables *t, MDB_txn *txn, const struct state *state,
                     const struct table_walk *w)
{
    struct event *e = event_at(w);
    int rc = e ? keep_id(t, txn, e) : 0;

    if (e && !rc && state && state_settled(state, e))
        rc = put_event(txn, t->kept, e);
    event_unref(&e);
    return rc;
}

/* Keep what is to be kept of the events that trimming forgets. */
static int keep_rests(const struct store_tables *t, MDB_txn *txn, const struct state *state,
                      uint64_t position)
{
    struct table_walk w = {0};
    size_t max = STORE_TRIM_MAX;
    int rc = mdb_cursor_open(txn, t->events, &w.cursor);
    if (rc)
        return rc;

    rc = store_tables_step(&w, MDB_FIRST);
    while (!rc && w.key && w.key <= position && max--) {
        rc = keep_rest(t, txn, state, &w);
        if (!rc)
            rc = store_tables_step(&w, MDB_NEXT);
    }
    mdb_cursor_close(w.cursor);
    return rc;
}

/* Forget some of the oldest ids beyond the limit. */
static int trim_ids(const struct store_tables *t, MDB_txn *txn, uint64_t ids_max)
{
    MDB_stat stat;
    uint64_t last = 0;
    int rc = mdb_stat(txn, t->ids, &stat);
    if (rc || stat.ms_entries <= ids_max)
        return rc;

    size_t left = stat.ms_entries - (size_t)ids_max;
    if (left > 2 * STORE_TRIM_MAX)
        left = 2 * STORE_TRIM_MAX;
    return delete_until(txn, t->ids, UINT64_MAX, &left, &last);
}

static int put_trimmed(const struct store_tables *t, MDB_txn *txn, uint64_t position)
{
    char value[8];
    put_u64(value, position);
    return mdb_put(txn, t->meta, &(MDB_val){7, "trimmed"}, &(MDB_val){sizeof value, value}, 0);
}

int store_tables_trim(const struct store_tables *t, MDB_txn *txn, uint64_t position,
                      uint64_t ids_max, const struct state *state, uint64_t *trimmed)
{
    uint64_t epoch = 0;
    size_t left = STORE_TRIM_MAX, epochs = STORE_TRIM_MAX;
    MUST(position > *trimmed);

    int rc = keep_rests(t, txn, state, position);
    if (!rc)
        rc = trim_ids(t, txn, ids_max);
    if (!rc)
        rc = delete_until(txn, t->events, position, &left, trimmed);
    if (left)
        *trimmed = position;
    if (!rc)
        rc = delete_until(txn, t->runs, *trimmed, &epochs, &epoch);
    return rc ? rc : put_trimmed(t, txn, *trimmed);
}

int store_tables_append(const struct store_tables *t, MDB_txn *txn, struct event *const *events,
                        size_t count)
{
    MDB_cursor *end;
    int rc = mdb_cursor_open(txn, t->events, &end);
    if (rc)
        return rc;

    for (size_t i = 0; !rc && i < count; i++)
        rc = append_event(end, events[i]);
    mdb_cursor_close(end);
    return rc;
}

int store_tables_put_epoch(const struct store_tables *t, MDB_txn *txn, uint64_t position,
                           bool incomplete)
{
    MDB_val mark = {.mv_size = incomplete ? 1 : 0, .mv_data = "?"};
    return mdb_put(txn, t->runs, &(MDB_val){sizeof position, &position}, &mark, 0);
}

int store_tables_revoke(const struct store_tables *t, MDB_txn *txn, uint64_t position)
{
    return delete_after(txn, t->events, position);
}

int store_tables_drop_kept(const struct store_tables *t, MDB_txn *txn, const uint64_t *seqs,
                           size_t count)
{
    int rc = 0;
    for (size_t i = 0; (!rc || rc == MDB_NOTFOUND) && i < count; i++) {
        uint64_t seq = seqs[i];
        rc = mdb_del(txn, t->kept, &(MDB_val){sizeof seq, &seq}, NULL);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* --- numbers --- */

static int add_pages(MDB_txn *txn, MDB_dbi table, uint64_t *bytes)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, table, &stat);
    if (!rc)
        *bytes +=
            (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    return rc;
}

uint64_t store_tables_bytes(const struct store_tables *t, MDB_txn *txn)
{
    const MDB_dbi all[STORE_TABLES] = {t->events, t->kept, t->runs, t->ids, t->meta};
    uint64_t bytes = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < STORE_TABLES; i++)
        rc = add_pages(txn, all[i], &bytes);
    return rc ? 0 : bytes;
}
