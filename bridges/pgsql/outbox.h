/* outbox.h - a table whose rows are published in the order of their ids, and deleted when the
 * broker has answered.
 *
 * A row keeps its place until the answer is there, and each version of a row has an own id. So a
 * row is published once, also after a crash in between. One bridge at a time works on a table: the
 * one that holds the table's advisory lock. A row that the broker refuses is kept, with the reason
 * in its column `error`, and is not read again until that is null.
 */
#ifndef SSECAST_OUTBOX_H
#define SSECAST_OUTBOX_H

#include "pgsql/database.h"

struct outbox;

/* table: as SQL names it. id_prefix: what own ids begin with. NULL: no memory. */
struct outbox *outbox_new(struct frame *frame, const char *table, const char *id_prefix, uint64_t max_bytes);

/* Safe on NULL. */
void outbox_free(struct outbox **o);

/* Find the table and its columns on a new connection. 0, or -EIO of the database. */
int outbox_open(struct outbox *o, struct database *db);

/* Take the lock if it is free. *held: this bridge holds it. 0, or -EIO. */
int outbox_lock(struct outbox *o, struct database *db, bool *held);

/* Read the next rows and add them to the delivery, which has no batch. *more: there were rows. 0,
 * or -EIO. */
int outbox_read(struct outbox *o, struct database *db, bool *more);

/* Keep the outcomes of the delivery, which has those of the rows. */
void outbox_delivered(struct outbox *o);

/* Delete the rows that were published and mark those that were refused. *stuck: the table did not
 * let any of them go. 0, or -EIO: they will be read again. */
int outbox_settle(struct outbox *o, struct database *db, bool *stuck);

#endif
