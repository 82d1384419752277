/* libpq is used without its waiting functions, because a server that is frozen or cut off would
 * keep them, and a signal could not end them. */
#define LOG_SUBSYSTEM "database"
#include "pgsql/database.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"

#define NOTICE_TIME "1s" /* until the server notices that a client has gone */

struct rows {
    PGresult *result;
};

struct database {
    struct frame *frame;
    char *dsn, *password;
    uint64_t timeout_ms;
    PGconn *connection; /* NULL: closed */
    uint64_t affected;
    char why[DATABASE_WHY];
};

struct database *database_new(struct frame *frame, const char *dsn, const char *password,
                              uint64_t timeout_ms)
{
    struct database *db = calloc(1, sizeof *db);
    if (!db)
        return NULL;
    *db = (struct database){.frame = frame, .dsn = strdup(dsn), .timeout_ms = timeout_ms};
    db->password = password ? strdup(password) : NULL;
    if (!db->dsn || (password && !db->password))
        database_free(&db);
    return db;
}

void database_free(struct database **db)
{
    if (!*db)
        return;
    database_close(*db);
    free((*db)->dsn);
    free((*db)->password);
    free(*db);
    *db = NULL;
}

static bool has_password(const PQconninfoOption *options)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, "password") == 0 && options->val && *options->val)
            return true;
    return false;
}

int database_check(const char *dsn, char why[OPTION_WHY_MAX])
{
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(dsn, &problem);
    if (!options) {
        snprintf(why, OPTION_WHY_MAX, "--dsn: must be a connection string of PostgreSQL: %.300s",
                 problem ? problem : "out of memory");
        PQfreemem(problem);
        return -EINVAL;
    }

    bool secret = has_password(options);
    PQconninfoFree(options);
    if (secret)
        snprintf(why, OPTION_WHY_MAX,
                 "--dsn: must not hold a password; "
                 "use --password-file, or passfile= with a .pgpass file");
    return secret ? -EINVAL : 0;
}

/* ---- failures ---- */

static void database_note(struct database *db, const char *text)
{
    snprintf(db->why, sizeof db->why, "%s", text);
    db->why[strcspn(db->why, "\n")] = '\0';
}

static int fail(struct database *db, const char *text)
{
    database_note(db, text);
    database_close(db);
    return -EIO;
}

static int fail_connection(struct database *db)
{
    return fail(db, PQerrorMessage(db->connection));
}

const char *database_why(const struct database *db)
{
    return db->why;
}

bool database_is_open(const struct database *db)
{
    return db->connection != NULL;
}

void database_close(struct database *db)
{
    PQfinish(db->connection);
    db->connection = NULL;
}

int database_fd(const struct database *db)
{
    return PQsocket(db->connection);
}

/* Wait for the events. 0; or -EIO after the deadline, or to stop. */
static int await(struct database *db, short events, int64_t deadline)
{
    while (!db->frame->stopping) {
        int64_t rest = deadline - clock_ms();
        if (rest <= 0)
            return fail(db, "no answer in time");
        if (frame_wait(db->frame, PQsocket(db->connection), events, (int)rest))
            return 0;
    }
    return fail(db, "stopping");
}

static int64_t deadline_of(const struct database *db)
{
    return clock_ms() + (int64_t)db->timeout_ms;
}

/* ---- connecting ---- */

/* What the server says beside its answers. It may hold data. */
static void on_notice(void *context, const char *text)
{
    (void)context;
    log_debug("PostgreSQL: %.*s", (int)strcspn(text, "\n"), text);
}

static int database_begin(struct database *db)
{
    const char *const names[] = {"dbname", "fallback_application_name", "client_encoding",
                                 "password", NULL};
    const char *const values[] = {db->dsn, "ssecast-pgsql", "UTF8", db->password, NULL};
    db->connection = PQconnectStartParams(names, values, 1);
    if (!db->connection)
        return fail(db, "out of memory");
    PQsetNoticeProcessor(db->connection, on_notice, NULL);
    return PQstatus(db->connection) == CONNECTION_BAD ? fail_connection(db) : 0;
}

static int poll_connection(struct database *db)
{
    int64_t deadline = deadline_of(db);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK) {
        if (step == PGRES_POLLING_FAILED)
            return fail_connection(db);
        int err = await(db, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
        if (err)
            return err;
        step = PQconnectPoll(db->connection);
    }
    return PQsetnonblocking(db->connection, 1) == 0 ? 0 : fail_connection(db);
}

/* The server gives up before we do, so that no statement of ours stays behind. One that goes on all
 * the same ends when the server notices that we have gone, and with it the lock of the connection.
 * PostgreSQL 13 does not notice. */
static int limit_statements(struct database *db)
{
    static const char sql[] = "SELECT set_config('statement_timeout', $1, false) UNION ALL "
                              "SELECT set_config(name, '" NOTICE_TIME "', false) FROM pg_settings "
                              "WHERE name = 'client_connection_check_interval'";
    char text[32];
    const char *const params[] = {text};
    snprintf(text, sizeof text, "%llu", (unsigned long long)db->timeout_ms);
    return database_query(db, sql, params, 1, NULL);
}

int database_open(struct database *db)
{
    MUST(!db->connection);
    int err = database_begin(db);
    if (!err)
        err = poll_connection(db);
    return err ? err : limit_statements(db);
}

/* ---- statements ---- */

static int flush(struct database *db, int64_t deadline)
{
    int left;
    while ((left = PQflush(db->connection)) != 0) {
        int err = left < 0 ? fail_connection(db) : await(db, POLLIN | POLLOUT, deadline);
        if (err)
            return err;
        if (!PQconsumeInput(db->connection))
            return fail_connection(db);
    }
    return 0;
}

static int receive_result(struct database *db, int64_t deadline)
{
    while (PQisBusy(db->connection)) {
        int err = await(db, POLLIN, deadline);
        if (err)
            return err;
        if (!PQconsumeInput(db->connection))
            return fail_connection(db);
    }
    return 0;
}

/* The results up to the end of the statement; the last of them is kept. */
static int database_collect(struct database *db, int64_t deadline, PGresult **last)
{
    int err;
    PGresult *next;
    *last = NULL;
    while ((err = receive_result(db, deadline)) == 0 &&
           (next = PQgetResult(db->connection)) != NULL) {
        PQclear(*last);
        *last = next;
    }
    return err;
}

static bool succeeded(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

enum database_fault database_fault_of(const char *sqlstate)
{
    static const struct {
        const char *begin;
        enum database_fault fault;
    } rows[] = {{"22", FAULT_OF_DATA},
                {"54", FAULT_OF_DATA},
                {"XX", FAULT_UNCERTAIN},
                {"53200", FAULT_UNCERTAIN},
                {"57014", FAULT_UNCERTAIN}};
    for (size_t i = 0; sqlstate && i < sizeof rows / sizeof rows[0]; i++)
        if (strncmp(sqlstate, rows[i].begin, strlen(rows[i].begin)) == 0)
            return rows[i].fault;
    return FAULT_OF_SERVER;
}

static const char *state_of(const PGresult *result)
{
    return result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
}

/* The connection is closed. A statement that was tried may be the reason,
 * unless the server gave one. */
static int lost(const struct database *db, bool tried, bool explained)
{
    MUST(!db->connection);
    return tried && !explained && !db->frame->stopping ? -ECONNRESET : -EIO;
}

/* -EINVAL or -EAGAIN when the statement was tried and its data may be the reason;
 * else as lost(). */
static int refuse(struct database *db, const PGresult *result, bool tried)
{
    const char *text = result ? PQresultErrorMessage(result) : "no result";
    const char *state = state_of(result);
    enum database_fault fault = database_fault_of(state);
    if (!tried || fault == FAULT_OF_SERVER) {
        bool explained = state != NULL;
        fail(db, text);
        return lost(db, tried, explained);
    }

    database_note(db, text);
    return fault == FAULT_OF_DATA ? -EINVAL : -EAGAIN;
}

static int hand_out(struct database *db, PGresult *result, bool tried, struct rows **out)
{
    if (!result || !succeeded(result)) {
        int err = refuse(db, result, tried);
        PQclear(result);
        return err;
    }

    db->affected = strtoull(PQcmdTuples(result), NULL, 10);
    if (!out) {
        PQclear(result);
        return 0;
    }
    *out = malloc(sizeof **out);
    if (*out) {
        (*out)->result = result;
        return 0;
    }
    PQclear(result);
    return fail(db, "out of memory");
}

static int run_statement(struct database *db, const char *sql, const char *const *params, int count,
                         bool tried, struct rows **out)
{
    int64_t deadline = deadline_of(db) + 1000; /* the server's limit comes first */
    PGresult *result = NULL;
    if (!db->connection)
        return -EIO;
    if (!PQsendQueryParams(db->connection, sql, count, NULL, params, NULL, NULL, 0))
        return fail_connection(db);

    int err = flush(db, deadline);
    if (!err)
        err = database_collect(db, deadline, &result);
    if (!err)
        return hand_out(db, result, tried, out);
    err = lost(db, tried, state_of(result) != NULL); /* before it closed the connection */
    PQclear(result);
    return err;
}

int database_query(struct database *db, const char *sql, const char *const *params, int count,
                   struct rows **out)
{
    return run_statement(db, sql, params, count, false, out);
}

int database_try(struct database *db, const char *sql, const char *const *params, int count,
                 struct rows **out)
{
    return run_statement(db, sql, params, count, true, out);
}

uint64_t database_affected(const struct database *db)
{
    return db->affected;
}

int database_listen(struct database *db, const char *channel)
{
    char statement[256];
    char *name = PQescapeIdentifier(db->connection, channel, strlen(channel));
    if (!name)
        return fail_connection(db);
    snprintf(statement, sizeof statement, "LISTEN %s", name);
    PQfreemem(name);
    return database_query(db, statement, NULL, 0, NULL);
}

/* ---- notifications ---- */

int database_receive(struct database *db,
                     void (*notified)(void *context, struct slice channel, struct slice payload),
                     void *context)
{
    PGnotify *n;
    if (!PQconsumeInput(db->connection))
        return fail_connection(db);
    while ((n = PQnotifies(db->connection)) != NULL) {
        notified(context, slice_of(n->relname), slice_of(n->extra));
        PQfreemem(n);
    }
    return 0;
}

/* ---- rows ---- */

size_t rows_count(const struct rows *r)
{
    return (size_t)PQntuples(r->result);
}

struct slice rows_value(const struct rows *r, size_t row, int column)
{
    return (struct slice){PQgetvalue(r->result, (int)row, column),
                          (size_t)PQgetlength(r->result, (int)row, column)};
}

bool rows_is_null(const struct rows *r, size_t row, int column)
{
    return PQgetisnull(r->result, (int)row, column) != 0;
}

void rows_free(struct rows **r)
{
    if (*r)
        PQclear((*r)->result);
    free(*r);
    *r = NULL;
}
