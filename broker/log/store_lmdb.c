/* store_lmdb.c - the store in a directory, on LMDB. LMDB owns data.mdb and lock.mdb; a process
 * locks ssecast.lock. What is in the tables, store_tables.h says.
 *
 * LMDB reuses the pages that trimming frees. So the file grows to the most that was ever retained
 * and stays there.
 */
#include "log/store_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/must.h"
#include "model/past_ids.h"

#define MAP_FIRST (64u << 20)  /* initial bytes of address space; doubled when full */
#define FULL_BYTES (64u << 10) /* a disk with less room counts as full */

struct store {
    char *dir;
    int lock;     /* ssecast.lock */
    MDB_env *env; /* NULL after a fatal error of LMDB: opened again before the next use */
    struct store_tables tables;
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
    if (rc < 0)
        return -EIO;
    return -rc;
}

const char *store_check(const char *where)
{
    bool path = strchr(where, '/') && !strstr(where, "://");
    return path || strcmp(where, "memory") == 0 ? NULL : "memory, or the path of a directory (with a / in it)";
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

static int open_tables(struct store *s)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc)
        return rc;

    rc = store_tables_open(&s->tables, txn, is_fresh(s));
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
        rc = mdb_env_set_maxdbs(s->env, STORE_TABLES);
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

    uint32_t format = store_tables_format(&s->tables, txn);
    if (format != STORE_FORMAT) {
        mdb_txn_abort(txn);
        return explain(why, -EBADMSG, "%s has format %" PRIu32 ", this program knows format %u; it was left as it is",
                       s->dir, format, STORE_FORMAT);
    }

    s->trimmed = store_tables_trimmed(&s->tables, txn);
    rc = store_tables_last(&s->tables, txn, &s->last);
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

int store_load(struct store *s, const struct store_loader *loader, char why[STORE_WHY_MAX])
{
    MDB_txn *txn;
    uint64_t last;
    if (!s)
        return 0;

    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return explain(why, as_errno(rc), "%s: %s", s->dir, mdb_strerror(rc));

    rc = store_tables_load(&s->tables, txn, loader, &last);
    mdb_txn_abort(txn);
    if (rc >= 0)
        return rc ? explain(why, -rc, "%s: %s", s->dir, mdb_strerror(rc)) : 0;
    return explain(why, -EBADMSG, "%s is damaged after event %" PRIu64 "; it was left as it is", s->dir, last);
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

/* The changes of one transaction. */
struct store_change {
    struct event *const *events;
    size_t count;
    uint64_t epoch;  /* position where one begins; 0: none */
    bool incomplete; /* earlier events are missing */
    uint64_t trim;   /* 0: nothing */
};

/* A failed change may be on the disk: take back the events that it appended. What it trimmed stays
 * so. */
static int take_back(const struct store *s, MDB_txn *txn, uint64_t *trimmed)
{
    uint64_t on_disk = store_tables_trimmed(&s->tables, txn);
    if (*trimmed < on_disk)
        *trimmed = on_disk;
    return store_tables_revoke(&s->tables, txn, s->last);
}

/* Make the change in a transaction. *trimmed: as store_tables_trim(). */
static int write_change(const struct store *s, MDB_txn *txn, const struct store_change *c, uint64_t *trimmed)
{
    const struct store_tables *t = &s->tables;
    int rc = s->uncertain ? take_back(s, txn, trimmed) : 0;
    if (!rc)
        rc = store_tables_drop_kept(t, txn, s->dropped.seqs, s->dropped.count);
    if (!rc)
        rc = store_tables_append(t, txn, c->events, c->count);
    if (!rc && c->epoch)
        rc = store_tables_put_epoch(t, txn, c->epoch, c->incomplete);
    if (!rc && c->trim > *trimmed)
        rc = store_tables_trim(t, txn, c->trim, s->ids_max, s->state, trimmed);
    return rc;
}

/* The change is on the disk. */
static void note_change(struct store *s, const struct store_change *c, uint64_t trimmed)
{
    MUST(trimmed >= s->trimmed);
    s->trimmed = trimmed;
    s->uncertain = false;
    s->dropped.count = 0;
    if (c->count)
        s->last = c->events[c->count - 1]->seq;
}

static int change(struct store *s, const struct store_change *c)
{
    MDB_txn *txn;
    uint64_t trimmed = s->trimmed;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc)
        return rc;

    rc = write_change(s, txn, c, &trimmed);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (!rc)
        note_change(s, c, trimmed);
    return rc;
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

static bool disk_is_full(const struct store *s)
{
    struct statvfs disk;
    return statvfs(s->dir, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < FULL_BYTES;
}

/* LMDB reports a write that ended early as EIO. On a full disk it ended for want of space. */
static int name_failure(const struct store *s, int err)
{
    return err == -EIO && disk_is_full(s) ? -ENOSPC : err;
}

static int make_change(struct store *s, const struct store_change *c)
{
    int64_t began = clock_us();
    int err = try_change(s, c);
    if (err) {
        s->stats.failures++;
        return name_failure(s, err);
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

static uint64_t used_bytes(const struct store *s)
{
    MDB_txn *txn;
    if (!s->env || mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;

    uint64_t bytes = store_tables_bytes(&s->tables, txn);
    mdb_txn_abort(txn);
    return bytes;
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
