/* database.h - a connection to PostgreSQL that never waits without end: the only user of libpq.
 *
 * Each call has a deadline and ends early when the program is to stop. After a failure the
 * connection is closed; database_why() tells the reason.
 */
#ifndef SSECAST_DATABASE_H
#define SSECAST_DATABASE_H

#include "base/slice.h"
#include "frame/frame.h"

#define DATABASE_WHY 256

struct database;

/* Rows of a result. */
struct rows;

/* NULL: no memory. Connection strings and secrets are copied. password: NULL for none. */
struct database *database_new(struct frame *frame, const char *dsn, const char *password,
                              uint64_t timeout_ms);

/* Safe on NULL. */
void database_free(struct database **db);

/* Whether a connection string can be used: 0, or -EINVAL with a line in why. One with a password
 * is refused: command lines and environments can be read by others. */
int database_check(const char *dsn, char why[OPTION_WHY_MAX]);

/* Connect. 0, or -EIO. */
int database_open(struct database *db);
bool database_is_open(const struct database *db);
void database_close(struct database *db);
const char *database_why(const struct database *db);

/* The descriptor to poll for notifications. */
int database_fd(const struct database *db);

/* Run one statement with its parameters, as texts. The caller frees *out with rows_free(); out may
 * be NULL. 0, or -EIO; the connection is then closed. */
int database_query(struct database *db, const char *sql, const char *const *params, int count,
                   struct rows **out);

/* Who caused the failure of a statement that depends on data. */
enum database_fault {
    FAULT_OF_DATA, /* a character that an encoding lacks, or a value that is too large */
    /* The data need too much memory or time or are damaged; or the server is short of memory,
     * stalls, or cancelled the statement. */
    FAULT_UNCERTAIN,
    FAULT_OF_SERVER,
};

/* sqlstate: the code of an error; may be NULL. */
enum database_fault database_fault_of(const char *sqlstate);

/* The same for a statement that depends on data which others wrote. -EINVAL: the server refuses
 * these data. -EAGAIN: FAULT_UNCERTAIN. In both cases the connection stays open, and database_why()
 * tells the reason. -ECONNRESET: the server did not answer in time, or ended the connection without
 * a reason; the connection is closed, and the fault is uncertain too. */
int database_try(struct database *db, const char *sql, const char *const *params, int count,
                 struct rows **out);

/* The number of rows that the last statement changed. */
uint64_t database_affected(const struct database *db);

/* Begin to listen to a channel, whatever characters its name has. Returns as database_query(). */
int database_listen(struct database *db, const char *channel);

/* Read what has arrived, and call notified() for each notification. 0, or -EIO. */
int database_receive(struct database *db,
                     void (*notified)(void *context, struct slice channel, struct slice payload),
                     void *context);

size_t rows_count(const struct rows *r);
/* "" for null. Valid until rows_free(). */
struct slice rows_value(const struct rows *r, size_t row, int column);
bool rows_is_null(const struct rows *r, size_t row, int column);
void rows_free(struct rows **r);

#endif
