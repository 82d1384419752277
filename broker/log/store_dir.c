#include "log/store_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"

#define MAP_FIRST (64u << 20) /* initial bytes of address space; doubled when full */

static int explain(char why[STORE_WHY_MAX], int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int explain(char why[STORE_WHY_MAX], int result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, STORE_WHY_MAX, format, args);
    va_end(args);
    return result;
}

static int file_path(const struct store_dir *d, const char *name, char **path)
{
    return asprintf(path, "%s/%s", d->path, name) < 0 ? -ENOMEM : 0;
}

static int take_lock(struct store_dir *d, char why[STORE_WHY_MAX])
{
    char *path;
    if (file_path(d, "ssecast.lock", &path) != 0)
        return explain(why, -ENOMEM, "out of memory");
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    char problem[FOLDER_WHY_MAX];
    int err = d->lock < 0 || flock(d->lock, LOCK_EX | LOCK_NB) != 0 ? -errno : 0;
    if (err == -EWOULDBLOCK)
        err = explain(why, -EBUSY, "%s is in use by another process", d->path);
    else if (err)
        explain(why, err, "%s: %s", path, folder_problem(path, -err, problem));
    free(path);
    return err;
}

int64_t store_dir_size(const struct store_dir *d)
{
    char *path;
    struct stat st;
    if (file_path(d, "data.mdb", &path) != 0)
        return -1;
    int found = stat(path, &st);
    free(path);
    return found == 0 ? st.st_size : -1;
}

size_t store_dir_next_map(size_t bytes)
{
    return bytes <= SIZE_MAX / 2 ? bytes * 2 : 0;
}

/* At most half of the address space. LMDB takes more by itself where the file needs it. */
static size_t map_size(const struct store_dir *d)
{
    int64_t size = store_dir_size(d);
    if (size < MAP_FIRST / 2)
        return MAP_FIRST;

    size_t map = (uint64_t)size <= SIZE_MAX ? store_dir_next_map((size_t)size) : 0;
    return map ? map : SIZE_MAX / 2 + 1;
}

/* True when nothing was ever committed: the files are new, or creating them was interrupted. */
static bool is_fresh(const struct store_dir *d)
{
    MDB_envinfo info;
    return mdb_env_info(d->env, &info) == 0 && info.me_last_txnid == 0;
}

static int open_tables(struct store_dir *d)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(d->env, NULL, 0, &txn);
    if (rc)
        return rc;

    rc = store_tables_open(&d->tables, txn, is_fresh(d));
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

void store_dir_close_env(struct store_dir *d)
{
    if (d->env)
        mdb_env_close(d->env);
    d->env = NULL;
}

/* Reading a truncated file beyond its end would crash. */
static bool is_cut(const struct store_dir *d)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(d->env, &info) != 0 || mdb_env_stat(d->env, &stat) != 0)
        return true;
    return store_dir_size(d) < ((int64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

int store_dir_open_env(struct store_dir *d, char why[STORE_WHY_MAX])
{
    int rc = mdb_env_create(&d->env);
    if (!rc)
        rc = mdb_env_set_maxdbs(d->env, STORE_TABLES);
    if (!rc)
        rc = mdb_env_set_mapsize(d->env, map_size(d));
    if (!rc)
        rc = mdb_env_open(d->env, d->path, MDB_NOTLS, 0600);
    if (!rc && is_cut(d))
        rc = MDB_CORRUPTED;
    if (!rc)
        rc = open_tables(d);
    if (!rc)
        return 0;
    store_dir_close_env(d);
    if (rc > 0)
        return explain(why, -rc, "%s: %s", d->path, mdb_strerror(rc));
    return explain(why, -EBADMSG, "%s is damaged or no store of ours (%s); it was left as it is",
                   d->path, mdb_strerror(rc));
}

static int check_tables(const struct store_dir *d, MDB_txn *txn, struct store_bounds *out,
                        char why[STORE_WHY_MAX])
{
    uint32_t format = store_tables_format(&d->tables, txn);
    if (format != STORE_FORMAT)
        return explain(why, -EBADMSG,
                       "%s has format %" PRIu32
                       ", this program knows format %u; it was left as it is",
                       d->path, format, STORE_FORMAT);

    out->trimmed = store_tables_trimmed(&d->tables, txn);
    int rc = store_tables_last(&d->tables, txn, &out->last);
    return rc ? explain(why, -EBADMSG, "%s is damaged (%s); it was left as it is", d->path,
                        mdb_strerror(rc))
              : 0;
}

static int check_format(const struct store_dir *d, struct store_bounds *out,
                        char why[STORE_WHY_MAX])
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(d->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return explain(why, store_tables_errno(rc), "%s: %s", d->path, mdb_strerror(rc));

    int err = check_tables(d, txn, out, why);
    mdb_txn_abort(txn);
    return err;
}

static int make_dir(struct store_dir *d, char why[STORE_WHY_MAX])
{
    struct stat st;
    char problem[FOLDER_WHY_MAX];
    int err = mkdir(d->path, 0700) != 0 && errno != EEXIST ? errno : 0;
    if (err)
        return explain(why, -err, "cannot make %s: %s", d->path,
                       folder_problem(d->path, err, problem));
    if (stat(d->path, &st) != 0 || !S_ISDIR(st.st_mode))
        return explain(why, -ENOTDIR, "%s is not a directory", d->path);
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
static void rehearse(struct store_dir *d)
{
    char why[STORE_WHY_MAX];
    struct store_bounds bounds;
    struct store_loader ignore = {ignore_event, ignore_run, ignore_id, ignore_event, NULL};
    struct rlimit no_core = {0, 0};
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(quiet, STDERR_FILENO); /* hide the message of an LMDB assertion */
    if (store_dir_open_env(d, why) == 0 && check_format(d, &bounds, why) == 0)
        store_dir_load(d, &ignore, why);
    _exit(0);
}

/* Probe the store in a child process, so that damage cannot crash the broker: LMDB follows
 * invalid pointers in a damaged page, or aborts. Where no child can be made, the store is opened
 * unprobed. */
static bool is_readable(struct store_dir *d)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        rehearse(d);
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

static int sync_folders(const struct store_dir *d, char why[STORE_WHY_MAX])
{
    char *above;
    if (asprintf(&above, "%s/..", d->path) < 0)
        return explain(why, -ENOMEM, "out of memory");

    int err = sync_folder(d->path);
    err = err ? err : sync_folder(above);
    free(above);
    return err ? explain(why, err, "%s: cannot sync the directory: %s", d->path, strerror(-err))
               : 0;
}

static int open_dir(struct store_dir *d, struct store_bounds *out, char why[STORE_WHY_MAX])
{
    int err = make_dir(d, why);
    if (!err)
        err = take_lock(d, why);
    if (err)
        return err;
    int64_t size = store_dir_size(d);
    if (size == 0)
        return explain(why, -EBADMSG, "%s/data.mdb is empty: damaged; it was left as it is",
                       d->path);
    if (size > 0 && !is_readable(d))
        return explain(why, -EBADMSG, "%s is damaged; it was left as it is", d->path);
    err = store_dir_open_env(d, why);
    err = err ? err : sync_folders(d, why);
    return err ? err : check_format(d, out, why);
}

int store_dir_open(struct store_dir *d, const char *path, struct store_bounds *out,
                   char why[STORE_WHY_MAX])
{
    *d = (struct store_dir){.lock = -1, .path = strdup(path)};
    int err = d->path ? open_dir(d, out, why) : explain(why, -ENOMEM, "out of memory");
    if (err)
        store_dir_close(d);
    return err;
}

void store_dir_close(struct store_dir *d)
{
    store_dir_close_env(d);
    if (d->lock >= 0)
        close(d->lock);
    d->lock = -1;
    free(d->path);
    d->path = NULL;
}

/* --- its use --- */

int store_dir_load(const struct store_dir *d, const struct store_loader *loader,
                   char why[STORE_WHY_MAX])
{
    MDB_txn *txn;
    uint64_t last;
    int rc = mdb_txn_begin(d->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return explain(why, store_tables_errno(rc), "%s: %s", d->path, mdb_strerror(rc));

    rc = store_tables_load(&d->tables, txn, loader, &last);
    mdb_txn_abort(txn);
    if (rc >= 0)
        return rc ? explain(why, -rc, "%s: %s", d->path, mdb_strerror(rc)) : 0;
    return explain(why, -EBADMSG, "%s is damaged after event %" PRIu64 "; it was left as it is",
                   d->path, last);
}

int store_dir_grow(struct store_dir *d)
{
    MDB_envinfo info;
    int rc = mdb_env_info(d->env, &info);
    if (rc)
        return rc;

    size_t size = store_dir_next_map(info.me_mapsize);
    return size ? mdb_env_set_mapsize(d->env, size) : ENOMEM;
}
