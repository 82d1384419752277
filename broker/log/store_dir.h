/* store_dir.h - the directory of a store: it is made, locked and checked when it is opened, and
 * holds an environment of LMDB.
 *
 * A process locks ssecast.lock. LMDB owns data.mdb and lock.mdb. LMDB follows invalid pointers in a
 * damaged page, or aborts. So a child process reads the whole store before it is opened.
 *
 * It does not know what a transaction changes (store_lmdb.c), or what the tables hold
 * (store_tables.h).
 *
 * Ownership: the struct is the caller's. store_dir_close() frees what is in it.
 */
#ifndef SSECAST_STORE_DIR_H
#define SSECAST_STORE_DIR_H

#include "log/store_tables.h"

struct store_dir {
    char *path;
    int lock;     /* descriptor of ssecast.lock; -1: none */
    MDB_env *env; /* NULL: closed after a fatal error of LMDB */
    struct store_tables tables;
};

/* Where the events of a store begin and end. */
struct store_bounds {
    uint64_t trimmed; /* position up to which events are forgotten; 0: none are */
    uint64_t last;    /* seq of the last event; 0: the store has none */
};

/* Open the directory at path, and create a missing one. Results as those of store_open(). After an
 * error nothing is open. */
int store_dir_open(struct store_dir *d, const char *path, struct store_bounds *out,
                   char why[STORE_WHY_MAX]);
void store_dir_close(struct store_dir *d);

/* Open the environment again after store_dir_close_env(), which keeps the lock. 0, or -errno with a
 * line in why. */
int store_dir_open_env(struct store_dir *d, char why[STORE_WHY_MAX]);
void store_dir_close_env(struct store_dir *d);

/* Take more address space, when a transaction ended with MDB_MAP_FULL. 0 or a code of LMDB. */
int store_dir_grow(struct store_dir *d);

/* The address space for a file that outgrows this many bytes; 0: a size_t cannot say it. */
size_t store_dir_next_map(size_t bytes);

/* As store_load(). */
int store_dir_load(const struct store_dir *d, const struct store_loader *loader,
                   char why[STORE_WHY_MAX]);

/* Bytes of data.mdb; -1: there is none. */
int64_t store_dir_size(const struct store_dir *d);

#endif
