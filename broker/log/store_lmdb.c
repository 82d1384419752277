/* store_lmdb.c - the store in a directory, on LMDB: each change is a transaction.
 *
 * LMDB reuses the pages that trimming frees. So the file grows to the most that was ever retained
 * and stays there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/must.h"
#include "log/store_dir.h"
#include "model/past_ids.h"
#include "ops/log.h"

#define SLOW_US 1000000        /* a change that takes longer is logged */
#define FULL_BYTES (64u << 10) /* a disk with less room counts as full */

struct store {
    struct store_dir dir;
    uint64_t ids_max;
    const struct state *state; /* NULL: events are not kept for their keys */
    struct {
        uint64_t *seqs; /* to be dropped from `kept` */
        size_t count, cap;
    } dropped;
    struct store_bounds bounds; /* of what is on the disk */
    bool uncertain;             /* a failed change may be on the disk: delete events after last */
    struct store_stats stats;
};

const char *store_check(const char *where)
{
    bool path = strchr(where, '/') && !strstr(where, "://");
    return path || strcmp(where, "memory") == 0
               ? NULL
               : "memory, or the path of a directory (with a / in it)";
}

/* --- life --- */

int store_open(const char *where, struct store **out, char why[STORE_WHY_MAX])
{
    *out = NULL;
    why[0] = '\0';
    if (strcmp(where, "memory") == 0)
        return 0;

    struct store *s = calloc(1, sizeof *s);
    if (!s) {
        snprintf(why, STORE_WHY_MAX, "out of memory");
        return -ENOMEM;
    }

    s->ids_max = PAST_IDS;
    int err = store_dir_open(&s->dir, where, &s->bounds, why);
    if (err)
        free(s);
    else
        *out = s;
    return err;
}

void store_free(struct store **s)
{
    if (!*s)
        return;
    store_dir_close(&(*s)->dir);
    free((*s)->dropped.seqs);
    free(*s);
    *s = NULL;
}

int store_load(struct store *s, const struct store_loader *loader, char why[STORE_WHY_MAX])
{
    return s ? store_dir_load(&s->dir, loader, why) : 0;
}

/* --- what is kept --- */

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

    uint64_t *seqs =
        array_reserve(s->dropped.seqs, &s->dropped.cap, s->dropped.count + count, sizeof *seqs);
    if (!seqs)
        return -ENOMEM;

    s->dropped.seqs = seqs;
    return 0;
}

void store_drop_kept(struct store *s, uint64_t seq)
{
    if (!s || seq > s->bounds.trimmed)
        return;

    MUST(s->dropped.count < s->dropped.cap);
    s->dropped.seqs[s->dropped.count++] = seq;
}

uint64_t store_trimmed(const struct store *s)
{
    return s ? s->bounds.trimmed : 0;
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
    uint64_t on_disk = store_tables_trimmed(&s->dir.tables, txn);
    if (*trimmed < on_disk)
        *trimmed = on_disk;
    return store_tables_revoke(&s->dir.tables, txn, s->bounds.last);
}

/* Make the change in a transaction. *trimmed: as store_tables_trim(). */
static int write_change(const struct store *s, MDB_txn *txn, const struct store_change *c,
                        uint64_t *trimmed)
{
    const struct store_tables *t = &s->dir.tables;
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
    MUST(trimmed >= s->bounds.trimmed);
    s->bounds.trimmed = trimmed;
    s->uncertain = false;
    s->dropped.count = 0;
    if (c->count)
        s->bounds.last = c->events[c->count - 1]->seq;
}

static int change(struct store *s, const struct store_change *c)
{
    MDB_txn *txn;
    uint64_t trimmed = s->bounds.trimmed;
    int rc = mdb_txn_begin(s->dir.env, NULL, 0, &txn);
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

/* Commit the change, with more address space when LMDB needs it. */
static int attempt(struct store *s, const struct store_change *c)
{
    char why[STORE_WHY_MAX];
    int rc;
    if (!s->dir.env && store_dir_open_env(&s->dir, why) != 0)
        return EIO;
    while ((rc = change(s, c)) == MDB_MAP_FULL)
        if ((rc = store_dir_grow(&s->dir)))
            break;
    s->uncertain = s->uncertain || rc;
    if (rc < 0)
        store_dir_close_env(&s->dir);
    return rc;
}

/* LMDB answers MDB_PANIC after a fatal error: the files must be opened again. */
static int try_change(struct store *s, const struct store_change *c)
{
    int rc = attempt(s, c);
    return store_tables_errno(rc == MDB_PANIC ? attempt(s, c) : rc);
}

/* Everything in the broker waits for a change. */
static void report_slow_disk(const struct store_change *c, int64_t took_us)
{
    if (took_us >= SLOW_US)
        log_event(LOG_WARN, "the disk is slow: publishers and workers waited for it",
                  log_count("events", c->count), log_count("ms", (uint64_t)took_us / 1000));
}

static bool disk_is_full(const struct store *s)
{
    struct statvfs disk;
    return statvfs(s->dir.path, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < FULL_BYTES;
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
    int64_t took_us = clock_us() - began;
    report_slow_disk(c, took_us);
    if (err) {
        s->stats.failures++;
        return name_failure(s, err);
    }

    for (size_t i = 0; i < c->count; i++)
        s->stats.written_bytes += c->events[i]->entry.len;
    s->stats.written_events += c->count;
    s->stats.commits++;
    s->stats.commit_us += (uint64_t)took_us;
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
    if (!s || (!count && trim_position <= s->bounds.trimmed && !s->dropped.count))
        return 0;
    return make_change(
        s, &(struct store_change){.events = events, .count = count, .trim = trim_position});
}

/* --- numbers --- */

static uint64_t used_bytes(const struct store *s)
{
    MDB_txn *txn;
    if (!s->dir.env || mdb_txn_begin(s->dir.env, NULL, MDB_RDONLY, &txn) != 0)
        return 0;

    uint64_t bytes = store_tables_bytes(&s->dir.tables, txn);
    mdb_txn_abort(txn);
    return bytes;
}

struct store_stats store_stats(const struct store *s)
{
    if (!s)
        return (struct store_stats){0};
    struct store_stats stats = s->stats;
    int64_t file = store_dir_size(&s->dir);
    stats.file_bytes = file > 0 ? (uint64_t)file : 0;
    stats.used_bytes = used_bytes(s);
    return stats;
}
