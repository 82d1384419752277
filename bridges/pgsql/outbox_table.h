/* outbox_table.h - a table whose rows are published in the order of their ids, and deleted when the
 * broker has answered.
 *
 * A row keeps its place until the answer is there, and each version of a row has an own id. So a
 * row is published once, also after a crash in between. One bridge at a time works on a table: the
 * one that holds the table's advisory lock. A row that the broker refuses is kept, with the reason
 * in its column `error`, and is not read again until that is null.
 */
#ifndef SSECAST_OUTBOX_TABLE_H
#define SSECAST_OUTBOX_TABLE_H

#include "pgsql/database.h"

struct outbox_table;

/* table: as SQL names it. id_prefix: what own ids begin with. NULL: no memory. */
struct outbox_table *outbox_table_new(struct frame *frame, const char *table, const char *id_prefix,
                                      uint64_t max_bytes);

/* Safe on NULL. */
void outbox_table_free(struct outbox_table **o);

/* Find the table and its columns on a new connection. 0, or -EIO of the database. */
int outbox_table_open(struct outbox_table *o, struct database *db);

/* Take the lock if it is free. *held: this bridge holds it. 0, or -EIO. */
int outbox_table_lock(struct outbox_table *o, struct database *db, bool *held);

/* Read the next rows and add them to the delivery, which has no batch. *more: there were rows. 0;
 * -EAGAIN: the first row or the server cannot be read now; or -EIO or -ECONNRESET: the connection
 * is lost. Do not read again before *wait_ms, which is unchanged when it does not matter. */
int outbox_table_read(struct outbox_table *o, struct database *db, bool *more, uint64_t *wait_ms);

/* Keep the outcomes of the delivery, which has those of the rows. */
void outbox_table_delivered(struct outbox_table *o);

/* Delete the rows that were published and mark those that were refused. *stuck: the table did not
 * let any of them go. 0, or -EIO: they will be read again. */
int outbox_table_settle(struct outbox_table *o, struct database *db, bool *stuck);

#endif
