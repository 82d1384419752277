/* store_lmdb.c - the store in a directory, on LMDB. LMDB owns data.mdb and lock.mdb; a process
 * locks ssecast.lock.
 *
 * Format 4 has five tables. Keys are native 64-bit integers, values little-endian.
 *     events  seq -> entry (event.h), u64 XXH3 sum of it
 *     kept    the same, of an event that left `events` as the newest of its key
 *     runs    position where an epoch began -> nothing, or "?" when earlier events are missing
 *     ids     seq of a forgotten event -> u64 hash of the id it showed, u64 XXH3 sum of seq and hash
 *     meta    "format" -> u32; "trimmed" -> u64 position up to which events are forgotten
 *
 * The state of keys is what `kept` and then `events` say, in order. An event moves to `kept` in the
 * transaction that trims it. It leaves `kept` in the first transaction after the one that replaced
 * it. Only later ones can trim its successor, so a key that was removed does not come back. And a
 * transaction that failed, but is on the disk all the same, has dropped nothing that still counts.
 *
 * LMDB reuses the pages that trimming frees. So the file grows to the most that was ever retained
 * and stays there.
 */
#include "log/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/array.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/must.h"
#include "model/past_ids.h"

#define FORMAT 4u
#define SUM_LEN 8u
#define ID_LEN 16u /* of a value in `ids` */
#define TABLES 5
#define FREE_PAGES 0          /* LMDB's own table */
#define MAP_FIRST (64u << 20) /* initial bytes of address space; doubled when full */
#define TRIM_MAX 10000u       /* events forgotten in one transaction */

struct store {
    char *dir;
    int lock;     /* ssecast.lock */
    MDB_env *env; /* NULL after a fatal error of LMDB: opened again before the next use */
    MDB_dbi events, kept, runs, ids, meta;
    uint64_t ids_max;
    const struct state *state; /* NULL: events are not kept for their keys */
    struct {
        uint64_t *seqs; /* to be dropped from `kept` */
        size_t count, cap;
    } dropped;
    uint64_t trimmed;
    uint64_t last;  /* seq of the last event stored; 0: none */
    bool uncertain; /* a failed change may be on the disk: delete events after last */
    struct store_stats stats;
};

static int explain(char why[STORE_WHY_MAX], int result, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int explain(char why[STORE_WHY_MAX], int result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, STORE_WHY_MAX, format, args);
    va_end(args);
    return result;
}

/* LMDB's codes are errno values or negative codes of its own. */
static int as_errno(int rc)
{
    return rc > 0 ? -rc : rc == 0 ? 0 : -EIO;
}

const char *store_check(const char *where)
{
    bool path = strchr(where, '/') && !strstr(where, "://");
    return path || strcmp(where, "memory") == 0 ? NULL : "memory, or the path of a directory (with a / in it)";
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

static int step(struct table_walk *w, MDB_cursor_op op)
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

static int last_key(MDB_txn *txn, MDB_dbi table, uint64_t *key)
{
    struct table_walk w = {0};
    int rc = mdb_cursor_open(txn, table, &w.cursor);
    if (rc)
        return rc;
    rc = step(&w, MDB_LAST);
    *key = w.key;
    mdb_cursor_close(w.cursor);
    return rc;
}

/* --- opening --- */

static int file_path(const struct store *s, const char *name, char **path)
{
    return asprintf(path, "%s/%s", s->dir, name) < 0 ? -ENOMEM : 0;
}

static int take_lock(struct store *s, char why[STORE_WHY_MAX])
{
    char *path;
    if (file_path(s, "ssecast.lock", &path) != 0)
        return explain(why, -ENOMEM, "out of memory");
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int err = s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB) != 0 ? -errno : 0;
    if (err == -EWOULDBLOCK)
        explain(why, err = -EBUSY, "%s is in use by another process", s->dir);
    else if (err)
        explain(why, err, "%s: %s", path, strerror(-err));
    free(path);
    return err;
}

/* Bytes of data.mdb; -1 when there is none. */
static int64_t data_size(const struct store *s)
{
    char *path;
    struct stat st;
    if (file_path(s, "data.mdb", &path) != 0)
        return -1;
    int found = stat(path, &st);
    free(path);
    return found == 0 ? st.st_size : -1;
}

size_t store_next_map(size_t bytes)
{
    return bytes <= SIZE_MAX / 2 ? bytes * 2 : 0;
}

/* At most half of the address space. LMDB takes more by itself where the file needs it. */
static size_t map_size(const struct store *s)
{
    int64_t size = data_size(s);
    if (size < MAP_FIRST / 2)
        return MAP_FIRST;

    size_t map = (uint64_t)size <= SIZE_MAX ? store_next_map((size_t)size) : 0;
    return map ? map : SIZE_MAX / 2 + 1;
}

/* True when nothing was ever committed: the files are new, or creating them was interrupted. */
static bool is_fresh(const struct store *s)
{
    MDB_envinfo info;
    return mdb_env_info(s->env, &info) == 0 && info.me_last_txnid == 0;
}

/* 0: there is none. */
static uint32_t read_format(const struct store *s, MDB_txn *txn)
{
    MDB_val value = {0};
    int rc = mdb_get(txn, s->meta, &(MDB_val){6, "format"}, &value);

    return rc == 0 && value.mv_size == 4 ? get_u32(value.mv_data) : 0;
}

/* 0: nothing was trimmed. */
static uint64_t read_trimmed(const struct store *s, MDB_txn *txn)
{
    MDB_val value = {0};
    int rc = mdb_get(txn, s->meta, &(MDB_val){7, "trimmed"}, &value);

    return rc == 0 && value.mv_size == 8 ? get_u64(value.mv_data) : 0;
}

static int write_format(const struct store *s, MDB_txn *txn)
{
    char format[4];

    put_u32(format, FORMAT);
    return mdb_put(txn, s->meta, &(MDB_val){6, "format"}, &(MDB_val){sizeof format, format}, 0);
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

static int open_data(struct store *s, MDB_txn *txn, unsigned create)
{
    int rc = open_table(txn, "events", create, &s->events);

    if (!rc)
        rc = open_table(txn, "kept", create, &s->kept);
    if (!rc)
        rc = open_table(txn, "runs", create, &s->runs);
    return rc ? rc : open_table(txn, "ids", create, &s->ids);
}

/* Another format may have other tables. So the tables are opened only when check_format() will
 * accept the store. */
static int open_tables(struct store *s)
{
    MDB_txn *txn;
    bool fresh = is_fresh(s);
    unsigned create = fresh ? MDB_CREATE : 0;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc)
        return rc;

    rc = mdb_dbi_open(txn, "meta", create, &s->meta);
    if (!rc && fresh)
        rc = write_format(s, txn);
    if (!rc && read_format(s, txn) == FORMAT)
        rc = open_data(s, txn, create);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static void close_env(struct store *s)
{
    if (s->env)
        mdb_env_close(s->env);
    s->env = NULL;
}

/* Reading a truncated file beyond its end would crash. */
static bool is_cut(const struct store *s)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(s->env, &info) != 0 || mdb_env_stat(s->env, &stat) != 0)
        return true;
    return data_size(s) < ((int64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static int open_env(struct store *s, char why[STORE_WHY_MAX])
{
    int rc = mdb_env_create(&s->env);
    if (!rc)
        rc = mdb_env_set_maxdbs(s->env, TABLES);
    if (!rc)
        rc = mdb_env_set_mapsize(s->env, map_size(s));
    if (!rc)
        rc = mdb_env_open(s->env, s->dir, MDB_NOTLS, 0600);
    if (!rc && is_cut(s))
        rc = MDB_CORRUPTED;
    if (!rc)
        rc = open_tables(s);
    if (!rc)
        return 0;
    close_env(s);
    if (rc > 0)
        return explain(why, -rc, "%s: %s", s->dir, mdb_strerror(rc));
    return explain(why, -EBADMSG, "%s is damaged or no store of ours (%s); it was left as it is", s->dir,
                   mdb_strerror(rc));
}

static int check_format(struct store *s, char why[STORE_WHY_MAX])
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return explain(why, as_errno(rc), "%s: %s", s->dir, mdb_strerror(rc));

    uint32_t format = read_format(s, txn);
    if (format != FORMAT) {
        mdb_txn_abort(txn);
        return explain(why, -EBADMSG, "%s has format %" PRIu32 ", this program knows format %u; it was left as it is",
                       s->dir, format, FORMAT);
    }

    s->trimmed = read_trimmed(s, txn);
    rc = last_key(txn, s->events, &s->last);
    mdb_txn_abort(txn);
    return rc ? explain(why, -EBADMSG, "%s is damaged (%s); it was left as it is", s->dir, mdb_strerror(rc)) : 0;
}

static int make_dir(struct store *s, char why[STORE_WHY_MAX])
{
    struct stat st;
    if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
        return explain(why, -errno, "cannot make %s: %s", s->dir, strerror(errno));
    if (stat(s->dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return explain(why, -ENOTDIR, "%s is not a directory", s->dir);
    return 0;
}

static bool ignore_event(void *context, struct event *e)
{
    (void)context;
    (void)e;
    return true;
}

static bool ignore_run(void *context, uint64_t position, bool incomplete)
{
    (void)context;
    (void)position;
    (void)incomplete;
    return true;
}

static bool ignore_id(void *context, uint64_t hash, uint64_t seq)
{
    (void)context;
    (void)hash;
    (void)seq;
    return true;
}

/* In a child process: read everything that the parent is going to read. Errors without a crash are
 * reported by the parent. */
static void rehearse(struct store *s)
{
    char why[STORE_WHY_MAX];
    struct store_loader ignore = {ignore_event, ignore_run, ignore_id, ignore_event, NULL};
    struct rlimit no_core = {0, 0};
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(quiet, STDERR_FILENO); /* hide the message of an LMDB assertion */
    if (open_env(s, why) == 0 && check_format(s, why) == 0)
        store_load(s, &ignore, why);
    _exit(0);
}

/* Probe the store in a child process, so that damage cannot crash the broker: LMDB follows invalid
 * pointers in a damaged page, or aborts. */
static bool is_readable(struct store *s)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        rehearse(s);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A new file survives a power failure only when its directory is on the disk, too. Some file
 * systems cannot sync a directory, and the parent may not be readable: errors are ignored. */
static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd >= 0 && fsync(fd) != 0 && errno == EIO ? -EIO : 0;

    if (fd >= 0)
        close(fd);
    return err;
}

static int sync_folders(const struct store *s, char why[STORE_WHY_MAX])
{
    char *above;
    if (asprintf(&above, "%s/..", s->dir) < 0)
        return explain(why, -ENOMEM, "out of memory");

    int err = sync_folder(s->dir);
    err = err ? err : sync_folder(above);
    free(above);
    return err ? explain(why, err, "%s: cannot sync the directory: %s", s->dir, strerror(-err)) : 0;
}

static int open_dir(struct store *s, char why[STORE_WHY_MAX])
{
    int err = make_dir(s, why);
    if (!err)
        err = take_lock(s, why);
    if (err)
        return err;
    int64_t size = data_size(s);
    if (size == 0)
        return explain(why, -EBADMSG, "%s/data.mdb is empty: damaged; it was left as it is", s->dir);
    if (size > 0 && !is_readable(s))
        return explain(why, -EBADMSG, "%s is damaged; it was left as it is", s->dir);
    err = open_env(s, why);
    err = err ? err : sync_folders(s, why);
    return err ? err : check_format(s, why);
}

int store_open(const char *where, struct store **out, char why[STORE_WHY_MAX])
{
    *out = NULL;
    why[0] = '\0';
    if (strcmp(where, "memory") == 0)
        return 0;
    struct store *s = calloc(1, sizeof *s);
    if (s)
        *s = (struct store){.lock = -1, .dir = strdup(where), .ids_max = PAST_IDS};
    int err = s && s->dir ? open_dir(s, why) : explain(why, -ENOMEM, "out of memory");
    if (err)
        store_free(&s);
    *out = s;
    return err;
}

void store_free(struct store **s)
{
    if (!*s)
        return;
    close_env(*s);
    if ((*s)->lock >= 0)
        close((*s)->lock);
    free((*s)->dropped.seqs);
    free((*s)->dir);
    free(*s);
    *s = NULL;
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

static int load_event(const struct table_walk *w, const struct store_loader *loader)
{
    struct event *e = event_at(w);
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
    int rc = step(ids, MDB_FIRST);
    while (!rc && ids->key) {
        if (ids->value.mv_size != ID_LEN)
            return MDB_CORRUPTED;
        uint64_t hash = get_u64(ids->value.mv_data);
        pack_id(packed, ids->key, hash);
        if (memcmp(packed, ids->value.mv_data, ID_LEN) != 0)
            return MDB_CORRUPTED;
        rc = loader->id(loader->context, hash, ids->key) ? step(ids, MDB_NEXT) : ECANCELED;
    }
    return rc;
}

/* Events that were trimmed and have a key. */
static int load_kept(struct table_walk *kept, uint64_t trimmed, const struct store_loader *loader)
{
    int rc = step(kept, MDB_FIRST);
    while (!rc && kept->key) {
        struct event *e = kept->key <= trimmed ? event_at(kept) : NULL;
        if (!e || !e->key.len || e->remove)
            rc = MDB_CORRUPTED;
        else
            rc = loader->kept(loader->context, e) ? step(kept, MDB_NEXT) : ECANCELED;
        event_unref(&e);
    }
    return rc;
}

/* Walk two tables together, in the order of their keys. */
static int load_all(struct table_walk *events, struct table_walk *runs, const struct store_loader *loader)
{
    int rc = step(events, MDB_FIRST);
    if (!rc)
        rc = step(runs, MDB_FIRST);
    while (!rc && (events->key || runs->key)) {
        bool run_first = runs->key && (!events->key || runs->key < events->key);
        if (run_first) {
            bool incomplete = runs->value.mv_size != 0;
            rc = loader->epoch(loader->context, runs->key, incomplete) ? step(runs, MDB_NEXT) : ECANCELED;
        } else {
            rc = load_event(events, loader);
            if (!rc)
                rc = step(events, MDB_NEXT);
        }
    }
    return rc;
}

struct loading {
    struct store *s;
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

static int check_free_pages(const struct store *s, MDB_txn *txn, struct table_walk *w)
{
    MDB_envinfo info;
    int rc = mdb_env_info(s->env, &info);
    if (!rc)
        rc = mdb_cursor_open(txn, FREE_PAGES, &w->cursor);
    if (!rc)
        rc = step(w, MDB_FIRST);
    while (!rc && w->key)
        rc = are_pages(&w->value, info.me_last_pgno) ? step(w, MDB_NEXT) : MDB_CORRUPTED;
    return rc ? rc : check_count(txn, FREE_PAGES, w);
}

static int load_tables(struct loading *l)
{
    int rc = check_free_pages(l->s, l->txn, &l->pages);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->s->events, &l->events.cursor);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->s->kept, &l->kept.cursor);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->s->runs, &l->runs.cursor);
    if (!rc)
        rc = mdb_cursor_open(l->txn, l->s->ids, &l->ids.cursor);
    if (!rc)
        rc = load_ids(&l->ids, l->loader);
    if (!rc)
        rc = check_count(l->txn, l->s->ids, &l->ids);
    if (!rc)
        rc = load_kept(&l->kept, l->s->trimmed, l->loader);
    if (!rc)
        rc = check_count(l->txn, l->s->kept, &l->kept);
    if (!rc)
        rc = load_all(&l->events, &l->runs, l->loader);
    if (!rc)
        rc = check_count(l->txn, l->s->events, &l->events);
    return rc ? rc : check_count(l->txn, l->s->runs, &l->runs);
}

int store_load(struct store *s, const struct store_loader *loader, char why[STORE_WHY_MAX])
{
    struct loading l = {.s = s, .loader = loader, .pages = {.own = true}};
    if (!s)
        return 0;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &l.txn);
    if (rc)
        return explain(why, as_errno(rc), "%s: %s", s->dir, mdb_strerror(rc));
    rc = load_tables(&l);
    mdb_cursor_close(l.pages.cursor);
    mdb_cursor_close(l.events.cursor);
    mdb_cursor_close(l.kept.cursor);
    mdb_cursor_close(l.runs.cursor);
    mdb_cursor_close(l.ids.cursor);
    mdb_txn_abort(l.txn);
    if (rc >= 0)
        return rc ? explain(why, -rc, "%s: %s", s->dir, mdb_strerror(rc)) : 0;
    return explain(why, -EBADMSG, "%s is damaged after event %" PRIu64 "; it was left as it is", s->dir, l.events.last);
}

void store_remember_ids(struct store *s, uint64_t max)
{
    if (s)
        s->ids_max = max;
}

void store_keep_state(struct store *s, const struct state *state)
{
    if (s)
        s->state = state;
}

int store_reserve(struct store *s, size_t count)
{
    if (!s || !count)
        return 0;

    uint64_t *seqs = array_reserve(s->dropped.seqs, &s->dropped.cap, s->dropped.count + count, sizeof *seqs);
    if (!seqs)
        return -ENOMEM;

    s->dropped.seqs = seqs;
    return 0;
}

void store_drop_kept(struct store *s, uint64_t seq)
{
    if (!s || seq > s->trimmed)
        return;

    MUST(s->dropped.count < s->dropped.cap);
    s->dropped.seqs[s->dropped.count++] = seq;
}

uint64_t store_trimmed(const struct store *s)
{
    return s ? s->trimmed : 0;
}

/* --- writing --- */

static int put_event(MDB_txn *txn, MDB_dbi table, const struct event *e, unsigned flags)
{
    uint64_t key = e->seq;
    MDB_val value = {.mv_size = e->entry.len + SUM_LEN};
    int rc = mdb_put(txn, table, &(MDB_val){sizeof key, &key}, &value, flags | MDB_RESERVE);
    if (rc)
        return rc;
    memcpy(value.mv_data, e->entry.data, e->entry.len);
    put_u64((char *)value.mv_data + e->entry.len, sum(e->entry));
    return 0;
}

/* Delete up to *left of the first keys of a table that are at or before position, and subtract
 * their number from *left. *last is set to the last deleted key. */
static int delete_until(MDB_txn *txn, MDB_dbi table, uint64_t position, size_t *left, uint64_t *last)
{
    struct table_walk w = {0};
    int rc = mdb_cursor_open(txn, table, &w.cursor);
    if (rc)
        return rc;
    rc = step(&w, MDB_FIRST);
    while (!rc && w.key && w.key <= position && *left) {
        --*left;
        *last = w.key;
        rc = mdb_cursor_del(w.cursor, 0);
        if (!rc)
            rc = step(&w, MDB_NEXT);
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
    rc = step(&w, MDB_LAST);
    while (!rc && w.key > position) {
        rc = mdb_cursor_del(w.cursor, 0);
        if (!rc)
            rc = step(&w, MDB_LAST);
    }
    mdb_cursor_close(w.cursor);
    return rc;
}

static int keep_id(const struct store *s, MDB_txn *txn, const struct event *e)
{
    char value[ID_LEN];
    uint64_t seq = e->seq;
    if (!event_shows_id(e))
        return 0;

    pack_id(value, seq, past_id_hash(e->id));
    int rc = mdb_put(txn, s->ids, &(MDB_val){sizeof seq, &seq}, &(MDB_val){sizeof value, value}, MDB_APPEND);
    if (rc == MDB_KEYEXIST) /* a later id exists, which only damage explains */
        rc = mdb_put(txn, s->ids, &(MDB_val){sizeof seq, &seq}, &(MDB_val){sizeof value, value}, 0);
    return rc;
}

static int keep_newest(const struct store *s, MDB_txn *txn, const struct event *e)
{
    return s->state && state_settled(s->state, e) ? put_event(txn, s->kept, e, 0) : 0;
}

/* The event at w will be deleted: keep the id that it showed, and the event when it is the newest of
 * its key. */
static int keep_rest(const struct store *s, MDB_txn *txn, const struct table_walk *w)
{
    struct event *e = event_at(w);
    int rc = e ? keep_id(s, txn, e) : 0;

    if (e && !rc)
        rc = keep_newest(s, txn, e);
    event_unref(&e);
    return rc;
}

/* Keep what is to be kept of up to max events at or before position. */
static int keep_rests(const struct store *s, MDB_txn *txn, uint64_t position, size_t max)
{
    struct table_walk w = {0};
    int rc = mdb_cursor_open(txn, s->events, &w.cursor);
    if (rc)
        return rc;
    rc = step(&w, MDB_FIRST);
    while (!rc && w.key && w.key <= position && max--) {
        rc = keep_rest(s, txn, &w);
        if (!rc)
            rc = step(&w, MDB_NEXT);
    }
    mdb_cursor_close(w.cursor);
    return rc;
}

/* Forget some of the oldest ids beyond the limit. */
static int trim_ids(const struct store *s, MDB_txn *txn)
{
    MDB_stat stat;
    uint64_t last = 0;
    int rc = mdb_stat(txn, s->ids, &stat);
    if (rc || stat.ms_entries <= s->ids_max)
        return rc;
    size_t left = stat.ms_entries - (size_t)s->ids_max;
    if (left > 2 * TRIM_MAX)
        left = 2 * TRIM_MAX;
    return delete_until(txn, s->ids, UINT64_MAX, &left, &last);
}

static int trim(struct store *s, MDB_txn *txn, uint64_t position, uint64_t *trimmed)
{
    char value[8];
    uint64_t epoch = 0;
    size_t left = TRIM_MAX;
    int rc = keep_rests(s, txn, position, left);
    if (!rc)
        rc = trim_ids(s, txn);
    if (!rc)
        rc = delete_until(txn, s->events, position, &left, trimmed);
    if (left)
        *trimmed = position;
    left = TRIM_MAX;
    if (!rc)
        rc = delete_until(txn, s->runs, *trimmed, &left, &epoch);
    put_u64(value, *trimmed);
    return rc ? rc : mdb_put(txn, s->meta, &(MDB_val){7, "trimmed"}, &(MDB_val){sizeof value, value}, 0);
}

/* The changes of one transaction. */
struct store_change {
    struct event *const *events;
    size_t count;
    uint64_t epoch;  /* position where one begins; 0: none */
    bool incomplete; /* earlier events are missing */
    uint64_t trim;   /* 0: nothing */
};

static int put_events(struct store *s, MDB_txn *txn, const struct store_change *c)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < c->count; i++)
        rc = put_event(txn, s->events, c->events[i], MDB_APPEND);
    return rc;
}

/* Drop what is no longer the newest of its key. */
static int drop_kept(const struct store *s, MDB_txn *txn)
{
    int rc = 0;
    for (size_t i = 0; (!rc || rc == MDB_NOTFOUND) && i < s->dropped.count; i++)
        rc = mdb_del(txn, s->kept, &(MDB_val){sizeof s->dropped.seqs[i], &s->dropped.seqs[i]}, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A failed change may be on the disk: take back the events that it appended. What it trimmed stays
 * so. */
static int take_back(struct store *s, MDB_txn *txn, uint64_t *trimmed)
{
    uint64_t on_disk = read_trimmed(s, txn);
    if (*trimmed < on_disk)
        *trimmed = on_disk;
    return delete_after(txn, s->events, s->last);
}

static int change(struct store *s, const struct store_change *c)
{
    MDB_txn *txn;
    uint64_t trimmed = s->trimmed, epoch = c->epoch;
    MDB_val mark = {.mv_size = c->incomplete ? 1 : 0, .mv_data = "?"};
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc)
        return rc;
    if (s->uncertain)
        rc = take_back(s, txn, &trimmed);
    if (!rc)
        rc = drop_kept(s, txn);
    if (!rc)
        rc = put_events(s, txn, c);
    if (!rc && c->epoch)
        rc = mdb_put(txn, s->runs, &(MDB_val){sizeof epoch, &epoch}, &mark, 0);
    if (!rc && c->trim > trimmed)
        rc = trim(s, txn, c->trim, &trimmed);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc)
        return rc;
    s->trimmed = trimmed;
    s->uncertain = false;
    s->dropped.count = 0;
    if (c->count)
        s->last = c->events[c->count - 1]->seq;
    return 0;
}

static int grow(struct store *s)
{
    MDB_envinfo info;
    int rc = mdb_env_info(s->env, &info);
    if (rc)
        return rc;

    size_t size = store_next_map(info.me_mapsize);
    return size ? mdb_env_set_mapsize(s->env, size) : ENOMEM;
}

/* Commit the change, with more address space when LMDB needs it. */
static int attempt(struct store *s, const struct store_change *c)
{
    char why[STORE_WHY_MAX];
    int rc;
    if (!s->env && open_env(s, why) != 0)
        return EIO;
    while ((rc = change(s, c)) == MDB_MAP_FULL)
        if ((rc = grow(s)))
            break;
    s->uncertain = s->uncertain || rc;
    if (rc < 0)
        close_env(s);
    return rc;
}

/* LMDB answers MDB_PANIC after a fatal error: the files must be opened again. */
static int try_change(struct store *s, const struct store_change *c)
{
    int rc = attempt(s, c);
    return as_errno(rc == MDB_PANIC ? attempt(s, c) : rc);
}

static int make_change(struct store *s, const struct store_change *c)
{
    int64_t began = clock_us();
    int err = try_change(s, c);
    if (err) {
        s->stats.failures++;
        return err;
    }
    for (size_t i = 0; i < c->count; i++)
        s->stats.written_bytes += c->events[i]->entry.len;
    s->stats.written_events += c->count;
    s->stats.commits++;
    s->stats.commit_us += (uint64_t)(clock_us() - began);
    return 0;
}

int store_begin_epoch(struct store *s, uint64_t position)
{
    return s ? make_change(s, &(struct store_change){.epoch = position}) : 0;
}

int store_mark_incomplete(struct store *s, uint64_t position)
{
    return s ? make_change(s, &(struct store_change){.epoch = position, .incomplete = true}) : 0;
}

int store_append(struct store *s, struct event *const *events, size_t count, uint64_t trim_position)
{
    if (!s || (!count && trim_position <= s->trimmed && !s->dropped.count))
        return 0;
    return make_change(s, &(struct store_change){.events = events, .count = count, .trim = trim_position});
}

/* --- numbers --- */

static int add_pages(MDB_txn *txn, MDB_dbi table, uint64_t *bytes)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, table, &stat);
    if (!rc)
        *bytes += (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    return rc;
}

static uint64_t used_bytes(const struct store *s)
{
    MDB_txn *txn;
    uint64_t bytes = 0;
    if (!s->env || mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;
    int rc = add_pages(txn, s->events, &bytes);
    if (!rc)
        rc = add_pages(txn, s->kept, &bytes);
    if (!rc)
        rc = add_pages(txn, s->runs, &bytes);
    if (!rc)
        rc = add_pages(txn, s->ids, &bytes);
    if (!rc)
        rc = add_pages(txn, s->meta, &bytes);
    mdb_txn_abort(txn);
    return rc ? 0 : bytes;
}

struct store_stats store_stats(const struct store *s)
{
    if (!s)
        return (struct store_stats){0};
    struct store_stats stats = s->stats;
    int64_t file = data_size(s);
    stats.file_bytes = file > 0 ? (uint64_t)file : 0;
    stats.used_bytes = used_bytes(s);
    return stats;
}
