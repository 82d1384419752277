/* Rows are deleted instead of remembered by their last id: a transaction with a smaller id may
 * commit later.
 *
 * An own id has the row's id and its xmin. A table that is emptied and counts from 1 again has new
 * own ids by that.
 *
 * A row may be one that the server cannot read: it has no UTF-8, or is damaged. One statement reads
 * many rows, so it fails for all of them. Then one row is read, and after each success twice as
 * many, until that row is the first one. suspect.h has the case that the failure may be the
 * server's. */
#define LOG_SUBSYSTEM "outbox"
#include "pgsql/outbox_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "frame/mapping.h"
#include "ops/log.h"
#include "pgsql/outbox_sql.h"
#include "pgsql/suspect.h"

/* A row that was read. */
struct outbox_row {
    struct row_key key;
    bool refused;
    char why[DELIVERY_WHY];
};

struct outbox_table {
    struct frame *frame;
    struct outbox_sql sql;
    char *id_prefix;
    bool standby_logged;
    struct outbox_row rows[DELIVERY_MESSAGES];
    size_t count;
    size_t limit; /* of the rows that the next statement reads */
    struct suspect suspect;
    size_t sent[DELIVERY_MESSAGES]; /* which row the message of a batch is */
    size_t sent_count;
    struct buf object;
};

struct outbox_table *outbox_table_new(struct frame *frame, const char *table, const char *id_prefix,
                                      uint64_t max_bytes)
{
    struct outbox_table *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->frame = frame;
    o->id_prefix = strdup(id_prefix);
    o->limit = DELIVERY_MESSAGES;
    if (outbox_sql_init(&o->sql, table, max_bytes) != 0 || !o->id_prefix)
        outbox_table_free(&o);
    return o;
}

void outbox_table_free(struct outbox_table **o)
{
    if (!*o)
        return;
    outbox_sql_release(&(*o)->sql);
    free((*o)->id_prefix);
    buf_release(&(*o)->object);
    free(*o);
    *o = NULL;
}

/* ---- the table ---- */

int outbox_table_open(struct outbox_table *o, struct database *db)
{
    o->standby_logged = false;
    return outbox_sql_open(&o->sql, db);
}

int outbox_table_lock(struct outbox_table *o, struct database *db, bool *held)
{
    int err = outbox_sql_lock(&o->sql, db, held);
    if (err)
        return err;

    if (!*held && !o->standby_logged)
        log_event(LOG_INFO, "another bridge works on the table; standing by",
                  log_name("table", o->sql.table));
    o->standby_logged = !*held;
    return 0;
}

/* ---- rows that were read ---- */

/* What was read can be read: twice as many next time. */
static void note_success(struct outbox_table *o)
{
    suspect_clear(&o->suspect);
    o->limit = 2 * o->limit < DELIVERY_MESSAGES ? 2 * o->limit : DELIVERY_MESSAGES;
}

static void refuse_row(struct outbox_table *o, struct outbox_row *row, const char *why)
{
    row->refused = true;
    snprintf(row->why, sizeof row->why, "%s", why);
    o->frame->refused++;
    log_event(LOG_WARN, "row refused; its column error says why", log_name("table", o->sql.table),
              log_name("id", row->key.id), log_name("reason", row->why));
}

/* Make the row's message. False when the batch is full. */
static bool add_row(struct outbox_table *o, struct outbox_row *row, struct slice object,
                    bool too_large)
{
    char id[256], why[MAPPING_WHY] = "out of memory";
    snprintf(id, sizeof id, "%s%s-%s", o->id_prefix, row->key.id, row->key.version);
    if (too_large) {
        refuse_row(o, row, "too_large: the row has more than max-event-bytes");
        return true;
    }

    o->object.failed = false;
    int err = mapping_row(object, id, &o->object, why);
    if (err == -EINVAL) {
        refuse_row(o, row, why);
        return true;
    }
    if (err || !delivery_add(o->frame->delivery, buf_slice(&o->object)))
        return false;
    MUST(o->sent_count < DELIVERY_MESSAGES);
    o->sent[o->sent_count++] = (size_t)(row - o->rows);
    return true;
}

/* Make the messages of rows that were read, as many as the batch takes. */
static void add_rows(struct outbox_table *o, const struct rows *rows)
{
    MUST(rows_count(rows) <= DELIVERY_MESSAGES);
    for (size_t i = 0; i < rows_count(rows); i++) {
        struct outbox_row *row = &o->rows[i];
        struct slice object;
        bool too_large = !outbox_sql_object(&o->sql, rows, i, &object);
        *row = (struct outbox_row){0};
        outbox_sql_key(rows, i, &row->key);
        if (!add_row(o, row, object, too_large))
            break;
        o->count++;
    }
}

/* ---- a row that cannot be read ---- */

static void refuse_unreadable(struct outbox_table *o, const char *reason, struct outbox_row *row)
{
    char why[DELIVERY_WHY];
    snprintf(why, sizeof why, "unreadable: %.200s", reason);
    refuse_row(o, row, why);
    o->count = 1;
    suspect_clear(&o->suspect);
}

static bool may_be_of_row(int err)
{
    return err == -EINVAL || err == -EAGAIN;
}

/* Can the server read another row? *can: it did. */
static int read_witness(struct outbox_table *o, struct database *db, bool *can)
{
    int err = outbox_sql_read_behind(&o->sql, db, o->suspect.row.id, o->suspect.witness, can);
    suspect_note_witness(&o->suspect, err != 0);
    return may_be_of_row(err) ? 0 : err;
}

/* Refuse the suspect if it has had its tries and the server can read another row.
 * 0 or the error of a lost connection. */
static int convict(struct outbox_table *o, struct database *db, struct outbox_row *row)
{
    bool server_reads = false;
    MUST(suspect_is(&o->suspect, &row->key));
    if (!suspect_is_due(&o->suspect))
        return 0;

    int err = read_witness(o, db, &server_reads);
    if (!err && server_reads)
        refuse_unreadable(o, o->suspect.why, row);
    return err;
}

/* The row failed in a way that may be the server's fault. cut: there is no connection any more. */
static int judge_suspect(struct outbox_table *o, struct database *db, struct outbox_row *row,
                         bool cut, uint64_t *wait_ms)
{
    suspect_note_failure(&o->suspect, &row->key, cut, database_why(db));
    int err = cut ? -ECONNRESET : convict(o, db, row);
    if (row->refused)
        return err;

    *wait_ms = suspect_wait(&o->suspect, o->frame->backoff);
    log_event(LOG_WARN, "row cannot be read; retrying", log_name("table", o->sql.table),
              log_name("id", row->key.id), log_count("tries", o->suspect.tries),
              log_name("reason", o->suspect.why));
    return err ? err : -EAGAIN;
}

/* Read this row alone, or refuse it if the server cannot read it. */
static int read_alone(struct outbox_table *o, struct database *db, struct outbox_row *row,
                      uint64_t *wait_ms)
{
    struct rows *rows = NULL;
    if (suspect_is(&o->suspect, &row->key) && o->suspect.cut) {
        int err = convict(o, db, row);
        if (err || row->refused)
            return err;
    }

    int err = outbox_sql_read_row(&o->sql, db, &row->key, &rows);
    if (err == -EAGAIN || err == -ECONNRESET)
        return judge_suspect(o, db, row, err == -ECONNRESET, wait_ms);
    if (err == -EINVAL) {
        refuse_unreadable(o, database_why(db), row);
        return 0;
    }
    if (err)
        return err;

    note_success(o);
    add_rows(o, rows);
    rows_free(&rows);
    return 0;
}

/* ---- reading ---- */

static int read_first(struct outbox_table *o, struct database *db, bool *more, uint64_t *wait_ms)
{
    struct outbox_row *row = &o->rows[0];
    *row = (struct outbox_row){0};
    int err = outbox_sql_first(&o->sql, db, &row->key, more);
    if (err || !*more)
        return err;
    return read_alone(o, db, row, wait_ms);
}

static int read_several(struct outbox_table *o, struct database *db, bool *more)
{
    struct rows *rows = NULL;
    uint64_t all_bytes = o->sql.max_bytes > DELIVERY_BYTES ? o->sql.max_bytes : DELIVERY_BYTES;
    int err = outbox_sql_read(&o->sql, db, o->limit, all_bytes, &rows);
    if (err) {
        o->limit = 1; /* also when there was no answer in time */
        return err;
    }

    *more = rows_count(rows) > 0;
    note_success(o);
    add_rows(o, rows);
    rows_free(&rows);
    return 0;
}

int outbox_table_read(struct outbox_table *o, struct database *db, bool *more, uint64_t *wait_ms)
{
    o->count = o->sent_count = 0;
    if (o->limit > 1) {
        int err = read_several(o, db, more);
        if (!may_be_of_row(err))
            return err;
    }
    return read_first(o, db, more, wait_ms);
}

/* ---- the end of a batch ---- */

void outbox_table_delivered(struct outbox_table *o)
{
    MUST(o->sent_count == delivery_count(o->frame->delivery));
    for (size_t i = 0; i < o->sent_count; i++) {
        struct outbox_row *row = &o->rows[o->sent[i]];
        const struct delivery_outcome *outcome = delivery_outcome(o->frame->delivery, i);
        row->refused = outcome->refused;
        snprintf(row->why, sizeof row->why, "%s", outcome->why);
        if (row->refused)
            log_event(LOG_WARN, "broker refused a row; its column error says why",
                      log_name("table", o->sql.table), log_name("id", row->key.id),
                      log_name("reason", row->why));
    }
}

/* Rows that were changed meanwhile have another version, and stay. */
static int delete_published(const struct outbox_table *o, struct database *db, uint64_t *changed)
{
    struct buf ids = {0}, versions = {0};
    for (size_t i = 0; i < o->count; i++) {
        const struct outbox_row *row = &o->rows[i];
        if (row->refused)
            continue;
        buf_put(&ids, ids.len ? "," : "{", 1);
        buf_put_slice(&ids, slice_of(row->key.id));
        buf_put(&versions, versions.len ? "," : "{", 1);
        buf_put_slice(&versions, slice_of(row->key.version));
    }

    bool any = ids.len > 0;
    buf_put(&ids, "}", 1);
    buf_terminate(&ids);
    buf_put(&versions, "}", 1);
    buf_terminate(&versions);
    int err = ids.failed || versions.failed ? -ENOMEM : 0;
    if (!err && any)
        err = outbox_sql_delete(&o->sql, db, ids.data, versions.data);
    if (!err && any)
        *changed += database_affected(db);
    buf_release(&ids);
    buf_release(&versions);
    return err;
}

static int mark_refused(struct outbox_table *o, struct database *db, uint64_t *changed)
{
    int err = 0;
    for (size_t i = 0; i < o->count && !err; i++) {
        struct outbox_row *row = &o->rows[i];
        if (!row->refused)
            continue;

        err = outbox_sql_mark(&o->sql, db, &row->key, row->why);
        if (!err)
            *changed += database_affected(db);
        if (err == -EINVAL) {
            log_event(LOG_ERROR, "row cannot be marked as refused", log_name("table", o->sql.table),
                      log_name("id", row->key.id), log_name("reason", database_why(db)));
            err = 0;
        }
    }
    return err;
}

/* A trigger or a policy of the table may keep rows where they are. */
int outbox_table_settle(struct outbox_table *o, struct database *db, bool *stuck)
{
    uint64_t changed = 0;
    int err = delete_published(o, db, &changed);
    if (!err)
        err = mark_refused(o, db, &changed);
    *stuck = !err && o->count && !changed;
    if (*stuck)
        log_event(LOG_ERROR, "rows were published and cannot be deleted",
                  log_name("table", o->sql.table), log_count("rows", o->count));
    o->count = o->sent_count = 0;
    return err;
}
