/* store.h - the log of events that outlives the broker: append, trim at its old end, load at the start.
 *
 * A store answers no questions; the history (in memory) does. It keeps the events in order and the places where runs of the broker
 * began, and what it says is stored survives `kill -9` and power loss. Behind this interface: store_lmdb.c keeps a directory.
 * It is called from one thread and waits for the disk.
 *
 * Ownership: store_open() gives a store, store_free() gives it back. Events are borrowed.
 */
#ifndef SSECAST_STORE_H
#define SSECAST_STORE_H

#include "codec/event.h"

struct store;

#define STORE_WHY_MAX 512 /* bytes of an explanation, NUL included */

/* Receives what is stored, in order, but ids first. False from any ends the loading (-ECANCELED). event: e is borrowed. run: a run of the broker began at
 * position; doubted: events from before it are missing. id: an event that was forgotten showed it (past_ids.h). */
struct store_loader {
    bool (*event)(void *context, struct event *e);
    bool (*run)(void *context, uint64_t position, bool doubted);
    bool (*id)(void *context, uint64_t hash, uint64_t seq);
    void *context;
};

/* NULL when `where` names a kind of store there is ("memory", or a directory's path), else what is accepted. */
const char *store_check(const char *where);

/* Open the store, making it when there is none. 0 (*out is NULL for "memory", which keeps nothing), or -errno with one line for people in why:
 * -EBUSY when another process has it, -EBADMSG when it is damaged or of another format. A damaged store is left as it is. */
int store_open(const char *where, struct store **out, char why[STORE_WHY_MAX]);

/* Safe on NULL, like all functions below: they do nothing and succeed. */
void store_free(struct store **s);

/* Give everything that is stored to loader. 0; -EBADMSG with a line in why when something is damaged. */
int store_load(struct store *s, const struct store_loader *loader, char why[STORE_WHY_MAX]);

/* When events are forgotten, keep the ids that they showed: of the last max events that showed any. At first PAST_IDS. */
void store_remember_ids(struct store *s, uint64_t max);

/* The position up to which events are gone; 0: none ever were. */
uint64_t store_trimmed(const struct store *s);

/* A run of the broker begins at position; nothing stored is beyond it. 0 or -errno. */
int store_begin_run(struct store *s, uint64_t position);

/* Events from before the run that began at position are missing. 0 or -errno. */
int store_doubt_run(struct store *s, uint64_t position);

/* Append events in order, all or none, and forget some of what is at or before position trim (all of it after a few calls; count may
 * be 0). 0: they are on the disk. -errno: nothing has changed; a later call may succeed. */
int store_append(struct store *s, struct event *const *events, size_t count, uint64_t trim);

/* How it is doing; all 0 for "memory". */
struct store_stats {
    uint64_t file_bytes;                    /* on the disk */
    uint64_t used_bytes;                    /* of those, the ones that hold something */
    uint64_t commits;                       /* changes that are on the disk */
    uint64_t commit_us;                     /* what they took, together */
    uint64_t written_events, written_bytes; /* of them, the events */
    uint64_t failures;                      /* changes that could not be made */
};

struct store_stats store_stats(const struct store *s);

#endif
