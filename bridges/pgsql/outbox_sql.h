/* outbox_sql.h - the statements about an outbox table: find it and lock it, read its rows, delete
 * or mark them.
 *
 * A row is named by its id and its xmin, the number of the transaction that wrote it. A row that
 * was changed has another xmin.
 *
 * To make JSON of a large value may take the server minutes, in which it does not end the
 * statement. So the values are measured first, each in a way that is fast for its type.
 *
 * Functions return 0; -EIO: the connection is lost; or -ENOMEM. Those that read values also return
 * what database_try() does: -EINVAL, -EAGAIN, -ECONNRESET.
 */
#ifndef SSECAST_OUTBOX_SQL_H
#define SSECAST_OUTBOX_SQL_H

#include "pgsql/database.h"

#define ROW_NUMBER_MAX 24u

/* A version of a row, as decimal numbers. */
struct row_key {
    char id[ROW_NUMBER_MAX], version[ROW_NUMBER_MAX];
};

struct outbox_sql {
    char *table;        /* as it was configured */
    uint64_t max_bytes; /* of a row that is read */
    char *name;         /* quoted by the server */
    char *fields;       /* SQL: the columns that are fields of a publish */
    char *size;         /* SQL: bytes of their values, of jsonb at most 8 times fewer */
};

/* 0 or -ENOMEM; release it then, too. table is copied. */
int outbox_sql_init(struct outbox_sql *q, const char *table, uint64_t max_bytes);
void outbox_sql_release(struct outbox_sql *q);

/* Find the table and its columns on a new connection. */
int outbox_sql_open(struct outbox_sql *q, struct database *db);

/* Take the table's advisory lock if it is free. *held: this connection holds it. */
int outbox_sql_lock(const struct outbox_sql *q, struct database *db, bool *held);

/* The key of row i of a result. */
void outbox_sql_key(const struct rows *rows, size_t i, struct row_key *key);

/* The object of row i of a result: JSON. False: the row has more than max_bytes. */
bool outbox_sql_object(const struct outbox_sql *q, const struct rows *rows, size_t i,
                       struct slice *object);

/* Read up to limit rows that have no error, in the order of their ids. All together have at most
 * all_bytes. *out: their keys and objects. The caller frees it. */
int outbox_sql_read(const struct outbox_sql *q, struct database *db, size_t limit,
                    uint64_t all_bytes, struct rows **out);

/* Find the first row without an error. *found: there is one. */
int outbox_sql_first(const struct outbox_sql *q, struct database *db, struct row_key *key,
                     bool *found);

/* Read one row, as outbox_sql_read(). */
int outbox_sql_read_row(const struct outbox_sql *q, struct database *db, const struct row_key *key,
                        struct rows **out);

/* Read another row: the one behind `skip` more rows after that id. *found: it was read.
 * Without an error and not found: the table has no such row. */
int outbox_sql_read_behind(const struct outbox_sql *q, struct database *db, const char *id,
                           size_t skip, bool *found);

/* Delete rows, unless they were changed.
 * ids, versions: array literals ("{1,2}"), in the same order. */
int outbox_sql_delete(const struct outbox_sql *q, struct database *db, const char *ids,
                      const char *versions);

/* Write the reason into the row's column `error`, unless the row was changed. When the database
 * cannot hold a character of why, those beyond ASCII are replaced in why by '?'. */
int outbox_sql_mark(const struct outbox_sql *q, struct database *db, const struct row_key *key,
                    char *why);

#endif
