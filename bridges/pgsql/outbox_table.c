/* Rows are deleted instead of remembered by their last id: a transaction with a smaller id may
 * commit later.
 *
 * An own id has the row's id and its xmin, the number of the transaction that wrote it. A table
 * that is emptied and counts from 1 again has new own ids by that. The name of the table comes from
 * the server, which quotes it as SQL needs it. */
#define LOG_SUBSYSTEM "outbox"
#include "pgsql/outbox_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "frame/mapping.h"
#include "ops/log.h"

#define LOCK_CLASS "1936942435" /* "ssec", the upper half of the number of the advisory lock */
#define NUMBER_MAX 24u

/* A row that was read. */
struct outbox_row {
    char id[NUMBER_MAX], version[NUMBER_MAX];
    bool refused;
    char why[DELIVERY_WHY];
};

struct outbox_table {
    struct frame *frame;
    char *table, *id_prefix;
    uint64_t max_bytes;
    char *name; /* quoted by the server */
    bool standby_logged;
    struct outbox_row rows[DELIVERY_MESSAGES];
    size_t count;
    size_t sent[DELIVERY_MESSAGES]; /* which row the message of a batch is */
    size_t sent_count;
    struct buf object;
};

struct outbox_table *outbox_table_new(struct frame *frame, const char *table, const char *id_prefix, uint64_t max_bytes)
{
    struct outbox_table *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->frame = frame;
    o->table = strdup(table);
    o->id_prefix = strdup(id_prefix);
    o->max_bytes = max_bytes;
    if (!o->table || !o->id_prefix)
        outbox_table_free(&o);
    return o;
}

void outbox_table_free(struct outbox_table **o)
{
    if (!*o)
        return;
    free((*o)->table);
    free((*o)->id_prefix);
    free((*o)->name);
    buf_release(&(*o)->object);
    free(*o);
    *o = NULL;
}

/* ---- statements, made of a format with the table's name ---- */

static int statement(const struct outbox_table *o, struct database *db, const char *format, const char *const *params,
                     int count, struct rows **out)
{
    char *sql;
    if (asprintf(&sql, format, o->name) < 0)
        return -ENOMEM;
    int err = database_query(db, sql, params, count, out);
    free(sql);
    return err;
}

static int find_table(struct outbox_table *o, struct database *db)
{
    const char *const params[] = {o->table};
    struct rows *rows = NULL;
    int err = database_query(db, "SELECT $1::regclass::text", params, 1, &rows);
    if (err)
        return err;

    struct slice name = rows_value(rows, 0, 0);
    free(o->name);
    o->name = strndup(name.data, name.len);
    rows_free(&rows);
    return o->name ? 0 : -ENOMEM;
}

int outbox_table_open(struct outbox_table *o, struct database *db)
{
    o->standby_logged = false;
    int err = find_table(o, db);
    return err ? err : statement(o, db, "SELECT id::bigint, xmin, error FROM %s LIMIT 0", NULL, 0, NULL);
}

int outbox_table_lock(struct outbox_table *o, struct database *db, bool *held)
{
    static const char sql[] = "SELECT pg_try_advisory_lock((" LOCK_CLASS "::bigint << 32) | $1::regclass::oid::bigint)";
    const char *const params[] = {o->table};
    struct rows *rows = NULL;
    int err = database_query(db, sql, params, 1, &rows);
    if (err)
        return err;

    *held = slice_equal(rows_value(rows, 0, 0), slice_of("t"));
    rows_free(&rows);
    if (!*held && !o->standby_logged)
        log_event(LOG_INFO, "another bridge works on the table; standing by", log_name("table", o->table));
    o->standby_logged = !*held;
    return 0;
}

/* ---- reading ---- */

/* A larger row is read without its content. All together are read up to a number of bytes. */
static int read_rows(const struct outbox_table *o, struct database *db, struct rows **out)
{
    char row_max[NUMBER_MAX], all_max[NUMBER_MAX];
    const char *const params[] = {row_max, all_max};
    uint64_t all = o->max_bytes > DELIVERY_BYTES ? o->max_bytes : DELIVERY_BYTES;
    snprintf(row_max, sizeof row_max, "%llu", (unsigned long long)o->max_bytes);
    snprintf(all_max, sizeof all_max, "%llu", (unsigned long long)all);
    return statement(o, db,
                     "SELECT id, version, CASE WHEN size <= $1::bigint THEN object END FROM ("
                     "SELECT *, sum(least(size, $1::bigint)) OVER (ORDER BY id) AS total FROM ("
                     "SELECT *, octet_length(object) AS size FROM ("
                     "SELECT ssecast_row.id, ssecast_row.xmin AS version, row_to_json(ssecast_row)::text AS object "
                     "FROM %s AS ssecast_row WHERE ssecast_row.error IS NULL ORDER BY ssecast_row.id LIMIT 100"
                     ") AS oldest) AS sized) AS summed "
                     "WHERE total <= $2::bigint ORDER BY id",
                     params, 2, out);
}

static void refuse_row(struct outbox_table *o, struct outbox_row *row, const char *why)
{
    row->refused = true;
    snprintf(row->why, sizeof row->why, "%s", why);
    o->frame->refused++;
    log_event(LOG_WARN, "row refused; its column error says why", log_name("table", o->table), log_name("id", row->id),
              log_name("reason", row->why));
}

/* Make the row's message. False when the batch is full. */
static bool add_row(struct outbox_table *o, struct outbox_row *row, struct slice object, bool too_large)
{
    char id[256], why[MAPPING_WHY] = "out of memory";
    snprintf(id, sizeof id, "%s%s-%s", o->id_prefix, row->id, row->version);
    if (too_large) {
        refuse_row(o, row, "too_large: the row has more than max-event-bytes");
        return true;
    }

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

static void copy_number(char out[NUMBER_MAX], struct slice text)
{
    snprintf(out, NUMBER_MAX, "%.*s", (int)text.len, text.data);
}

int outbox_table_read(struct outbox_table *o, struct database *db, bool *more)
{
    struct rows *rows = NULL;
    int err = read_rows(o, db, &rows);
    if (err)
        return err;

    *more = rows_count(rows) > 0;
    MUST(rows_count(rows) <= DELIVERY_MESSAGES);
    o->count = o->sent_count = 0;
    for (size_t i = 0; i < rows_count(rows); i++) {
        struct outbox_row *row = &o->rows[i];
        *row = (struct outbox_row){0};
        copy_number(row->id, rows_value(rows, i, 0));
        copy_number(row->version, rows_value(rows, i, 1));
        if (!add_row(o, row, rows_value(rows, i, 2), rows_is_null(rows, i, 2)))
            break;
        o->count++;
    }
    rows_free(&rows);
    return 0;
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
            log_event(LOG_WARN, "broker refused a row; its column error says why", log_name("table", o->table),
                      log_name("id", row->id), log_name("reason", row->why));
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
        buf_put_slice(&ids, slice_of(row->id));
        buf_put(&versions, versions.len ? "," : "{", 1);
        buf_put_slice(&versions, slice_of(row->version));
    }

    bool any = ids.len > 0;
    buf_put(&ids, "}", 1);
    buf_terminate(&ids);
    buf_put(&versions, "}", 1);
    buf_terminate(&versions);
    const char *const params[] = {ids.data, versions.data};
    int err = ids.failed || versions.failed ? -ENOMEM : 0;
    if (!err && any)
        err = statement(o, db,
                        "DELETE FROM %s AS t USING unnest($1::bigint[], $2::xid[]) AS done (id, version) "
                        "WHERE t.id = done.id AND t.xmin = done.version",
                        params, 2, NULL);
    if (!err && any)
        *changed += database_affected(db);
    buf_release(&ids);
    buf_release(&versions);
    return err;
}

static int mark_refused(const struct outbox_table *o, struct database *db, uint64_t *changed)
{
    int err = 0;
    for (size_t i = 0; i < o->count && !err; i++) {
        const struct outbox_row *row = &o->rows[i];
        const char *const params[] = {row->id, row->version, row->why};
        if (!row->refused)
            continue;
        err = statement(o, db, "UPDATE %s SET error = $3 WHERE id = $1::bigint AND xmin = $2::xid", params, 3, NULL);
        if (!err)
            *changed += database_affected(db);
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
        log_event(LOG_ERROR, "rows were published and cannot be deleted", log_name("table", o->table),
                  log_count("rows", o->count));
    o->count = o->sent_count = 0;
    return err;
}
