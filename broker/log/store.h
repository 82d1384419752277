/* store.h - the log of events on disk: append, trim at the old end, load at the start.
 *
 * A store answers no questions; the history in memory does. It keeps the events in order and the
 * positions where epochs of the broker began. What it reports as stored survives `kill -9` and
 * power loss. store_lmdb.c implements it in a directory. It is called from one thread and waits for
 * the disk.
 *
 * Ownership: store_open() returns a store, store_free() frees it. Events are borrowed.
 */
#ifndef SSECAST_STORE_H
#define SSECAST_STORE_H

#include "codec/event.h"
#include "model/state.h"

struct store;

#define STORE_WHY_MAX 512 /* bytes of an error message, NUL included */

/* Receives the content of a store in order: ids, then kept events, then the others. False from a
 * function ends the loading (-ECANCELED). event: e is borrowed. epoch: an epoch of the broker began
 * at position; incomplete: earlier events are missing. id: a forgotten event showed this id
 * (past_ids.h). kept: e would be forgotten, but was the newest event of its key. A later one may
 * follow. */
struct store_loader {
    bool (*event)(void *context, struct event *e);
    bool (*epoch)(void *context, uint64_t position, bool incomplete);
    bool (*id)(void *context, uint64_t hash, uint64_t seq);
    bool (*kept)(void *context, struct event *e);
    void *context;
};

/* NULL when `where` is valid ("memory", or the path of a directory), else the accepted form. */
const char *store_check(const char *where);

/* Open the store, and create a missing one. 0 (*out is NULL for "memory", which stores nothing), or
 * -errno with one line in why: -EBUSY when another process uses it, -EBADMSG when it is damaged or
 * has another format. A damaged store is not changed. */
int store_open(const char *where, struct store **out, char why[STORE_WHY_MAX]);

/* Safe on NULL. All functions below are, too: they do nothing and succeed. */
void store_free(struct store **s);

/* Pass the whole content to loader. 0; -EBADMSG with a line in why when the store is damaged. */
int store_load(struct store *s, const struct store_loader *loader, char why[STORE_WHY_MAX]);

/* Keep the ids of forgotten events, of the last max events that showed one. PAST_IDS by default. */
void store_remember_ids(struct store *s, uint64_t max);

/* From now on keep an event that is forgotten while it is the newest of its key: one that
 * state_settled() finds. state is the caller's and outlives the store's use. */
void store_keep_state(struct store *s, const struct state *state);

/* Make room for count calls of store_drop_kept(). 0 or -ENOMEM. */
int store_reserve(struct store *s, size_t count);

/* The event seq is no longer the newest of its key. When it is kept, the next change of the store
 * drops it: before a later event of the key is forgotten. */
void store_drop_kept(struct store *s, uint64_t seq);

/* The position up to which events are forgotten; 0: none are. */
uint64_t store_trimmed(const struct store *s);

/* An epoch begins at position, which is not before the last event. 0 or -errno. */
int store_begin_epoch(struct store *s, uint64_t position);

/* Events before the epoch that began at position are missing. 0 or -errno. */
int store_mark_incomplete(struct store *s, uint64_t position);

/* Append events in order, all or none, and forget some of the events up to position trim (all after
 * a few calls). count may be 0. 0: they are on the disk. -errno: nothing has changed, and a later
 * call may succeed. */
int store_append(struct store *s, struct event *const *events, size_t count, uint64_t trim);

/* Numbers of a store; all 0 for "memory". */
struct store_stats {
    uint64_t file_bytes;                    /* on the disk */
    uint64_t used_bytes;                    /* of these, in use */
    uint64_t commits;                       /* successful transactions */
    uint64_t commit_us;                     /* their total time */
    uint64_t written_events, written_bytes; /* in them */
    uint64_t failures;                      /* failed transactions */
};

struct store_stats store_stats(const struct store *s);

#endif
