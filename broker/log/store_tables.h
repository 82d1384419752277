/* store_tables.h - the format of the store on LMDB: its tables, their keys and values, and how they
 * are checked.
 *
 * Format 4 has five tables. Keys are native 64-bit integers, values little-endian.
 *     events  seq -> entry (event.h), u64 XXH3 sum of it
 *     kept    the same, of an event that left `events` as the newest of its key
 *     runs    position where an epoch began -> nothing, or "?" when earlier events are missing
 *     ids     seq of a forgotten event -> u64 hash of the id it showed, u64 XXH3 of seq and hash
 *     meta    "format" -> u32; "trimmed" -> u64 position up to which events are forgotten
 *
 * The state of keys is what `kept` and then `events` say, in order. An event moves to `kept` in the
 * transaction that trims it. It leaves `kept` in the first transaction after the one that replaced
 * it. Only later ones can trim its successor, so a key that was removed does not come back. And a
 * transaction that failed, but is on the disk all the same, has dropped nothing that still counts.
 *
 * It does not know files, environments, or when transactions begin and end. Functions return 0 or a
 * code of LMDB: MDB_CORRUPTED for what is not of this format. After an error the caller aborts the
 * transaction.
 *
 * Ownership: everything is the caller's. Handles of tables are valid as long as their environment.
 */
#ifndef SSECAST_STORE_TABLES_H
#define SSECAST_STORE_TABLES_H

#include <lmdb.h>

#include "log/store.h"

#define STORE_FORMAT 4u
#define STORE_TABLES 5        /* tables of an environment */
#define STORE_TRIM_MAX 10000u /* events that are forgotten in one transaction */

struct store_tables {
    MDB_dbi events, kept, runs, ids, meta;
};

/* A code of LMDB as -errno: its codes are errno values, or negative ones of its own (-EIO). */
int store_tables_errno(int rc);

/* Open the tables in a transaction that can write; fresh: create them. A store of another format
 * may have other tables: then only its format can be read. */
int store_tables_open(struct store_tables *t, MDB_txn *txn, bool fresh);

/* The format of the store; 0: it has none yet. */
uint32_t store_tables_format(const struct store_tables *t, MDB_txn *txn);

/* The position up to which events are forgotten; 0: none are. */
uint64_t store_tables_trimmed(const struct store_tables *t, MDB_txn *txn);

/* The seq of the last event; 0: the store has no event. */
int store_tables_last(const struct store_tables *t, MDB_txn *txn, uint64_t *seq);

/* In a transaction that only reads: check everything, LMDB's own list of free pages too, and pass
 * it to loader. ECANCELED when that ended it. *last: the seq of the last event that was passed. */
int store_tables_load(const struct store_tables *t, MDB_txn *txn, const struct store_loader *loader,
                      uint64_t *last);

/* Append events in order, behind all others. */
int store_tables_append(const struct store_tables *t, MDB_txn *txn, struct event *const *events,
                        size_t count);

/* An epoch began at position; incomplete: earlier events are missing. */
int store_tables_put_epoch(const struct store_tables *t, MDB_txn *txn, uint64_t position,
                           bool incomplete);

/* Delete the events after position. */
int store_tables_revoke(const struct store_tables *t, MDB_txn *txn, uint64_t position);

/* Delete these events from `kept`; they need not be there. */
int store_tables_drop_kept(const struct store_tables *t, MDB_txn *txn, const uint64_t *seqs,
                           size_t count);

/* Forget the events up to position, at most STORE_TRIM_MAX of them. The ids that they showed are
 * remembered, ids_max of all, and events that are the newest of their key (state_settled()) are
 * kept; state NULL: none are. *trimmed: the position up to which events are forgotten afterwards;
 * it is the old one before. */
int store_tables_trim(const struct store_tables *t, MDB_txn *txn, uint64_t position,
                      uint64_t ids_max, const struct state *state, uint64_t *trimmed);

/* Bytes of the pages that the tables use; 0 when they cannot be read. */
uint64_t store_tables_bytes(const struct store_tables *t, MDB_txn *txn);

#endif
