/* Rows are deleted instead of remembered by their last id: a transaction with a smaller id may
 * commit later.
 *
 * An own id has the row's id and its xmin, the number of the transaction that wrote it. A table
 * that is emptied and counts from 1 again has new own ids by that. The name of the table comes from
 * the server, which quotes it as SQL needs it.
 *
 * To make JSON of a large value may take the server minutes, in which it does not end the statement.
 * So the values are measured first, each in a way that is fast for its type.
 *
 * A row may still be one that the server cannot read: it has no UTF-8, or is damaged. One statement
 * reads many rows, so it fails for all of them. Then one row is read, and after each success twice
 * as many, until that row is the first one.
 *
 * Some failures do not tell whether the row or the server is the reason: too little memory, no answer
 * in time, a connection that is lost. Then the row is a suspect. It is read again, alone and later each
 * time, and is refused when it has failed SUSPECT_TRIES times and another row can be read. So it holds
 * up others for about SUSPECT_TRIES + 2 times the statement timeout. */
#define LOG_SUBSYSTEM "outbox"
#include "pgsql/outbox_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/must.h"
#include "frame/mapping.h"
#include "ops/log.h"

#define LOCK_CLASS "1936942435" /* "ssec", the upper half of the number of the advisory lock */
#define NUMBER_MAX 24u
#define SUSPECT_TRIES 4u

/* A row that was read. */
struct outbox_row {
    char id[NUMBER_MAX], version[NUMBER_MAX];
    bool refused;
    char why[DELIVERY_WHY];
};

/* The first row while it cannot be read, for a reason that may be the server's. */
struct outbox_suspect {
    char id[NUMBER_MAX], version[NUMBER_MAX];
    uint32_t tries;         /* 0: no row is suspected */
    bool cut;               /* the last try cost the connection, so the witness has not been read */
    char why[DATABASE_WHY]; /* of the last try */
    size_t witness;         /* how many rows behind it to skip for the next row that is compared with it */
};

struct outbox_table {
    struct frame *frame;
    char *table, *id_prefix;
    uint64_t max_bytes;
    char *name;   /* quoted by the server */
    char *fields; /* SQL: the columns that are fields of a publish */
    char *size;   /* SQL: bytes of their values, of jsonb at most 8 times fewer */
    bool standby_logged;
    struct outbox_row rows[DELIVERY_MESSAGES];
    size_t count;
    size_t limit; /* of the rows that the next statement reads */
    struct outbox_suspect suspect;
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
    o->limit = DELIVERY_MESSAGES;
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
    free((*o)->fields);
    free((*o)->size);
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

/* id, version and object of the rows that the condition selects. A large row has no object. $1 is the
 * number of bytes that an object may have. -EINVAL: the server cannot read one of them. -EAGAIN: that, or
 * the server is in trouble. */
#define OBJECTS                                                                                                        \
    "SELECT ssecast_row.id, ssecast_row.xmin AS version, CASE WHEN %s <= $1::bigint THEN row_to_json(fields)::text "   \
    "END AS object FROM %s AS ssecast_row, LATERAL (SELECT %s) AS fields "

static int try_objects(const struct outbox_table *o, struct database *db, const char *format, const char *const *params,
                       int count, struct rows **out) __attribute__((format(printf, 3, 0)));

static int try_objects(const struct outbox_table *o, struct database *db, const char *format, const char *const *params,
                       int count, struct rows **out)
{
    char *sql;
    if (asprintf(&sql, format, o->size, o->name, o->fields, o->name) < 0)
        return -ENOMEM;
    int err = database_try(db, sql, params, count, out);
    free(sql);
    return err;
}

/* Replace *text by a value of the first row. 0 or -ENOMEM. */
static int keep_value(char **text, const struct rows *rows, int column)
{
    struct slice value = rows_value(rows, 0, column);
    free(*text);
    *text = strndup(value.data, value.len);
    return *text ? 0 : -ENOMEM;
}

static int find_table(struct outbox_table *o, struct database *db)
{
    const char *const params[] = {o->table};
    struct rows *rows = NULL;
    int err = database_query(db, "SELECT $1::regclass::text", params, 1, &rows);
    if (err)
        return err;

    err = keep_value(&o->name, rows, 0);
    rows_free(&rows);
    return err;
}

/* The size of a text is known without reading it. A jsonb is read and copied, which is faster than to
 * write it as JSON; in memory a number may take 6 times as many bytes as there. */
static int find_columns(struct outbox_table *o, struct database *db)
{
    static const char sql[] =
        "SELECT coalesce(string_agg(name, ', '), ''), coalesce(string_agg('coalesce(' || CASE WHEN is_jsonb "
        "THEN 'pg_column_size(' || name || ' || ''[]''::jsonb) / 8' ELSE 'octet_length(' || name || '::text)' END || "
        "', 0)::bigint', ' + '), '0') FROM (SELECT 'ssecast_row.' || quote_ident(attname) AS name, "
        "atttypid = 'jsonb'::regtype AS is_jsonb FROM pg_attribute "
        "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname = ANY ($2::name[])) AS columns";
    const char *const params[] = {o->table, "{" MAPPING_ROW_FIELDS "}"};
    struct rows *rows = NULL;
    int err = database_query(db, sql, params, 2, &rows);
    if (err)
        return err;

    err = keep_value(&o->fields, rows, 0);
    if (!err)
        err = keep_value(&o->size, rows, 1);
    rows_free(&rows);
    return err;
}

int outbox_table_open(struct outbox_table *o, struct database *db)
{
    o->standby_logged = false;
    int err = find_table(o, db);
    if (!err)
        err = find_columns(o, db);
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

/* A larger row is read without its content. All together are read up to a number of bytes. -EINVAL,
 * -EAGAIN: as try_objects(). */
static int try_rows(const struct outbox_table *o, struct database *db, struct rows **out)
{
    char row_max[NUMBER_MAX], all_max[NUMBER_MAX], limit[NUMBER_MAX];
    const char *const params[] = {row_max, all_max, limit};
    uint64_t all = o->max_bytes > DELIVERY_BYTES ? o->max_bytes : DELIVERY_BYTES;
    snprintf(row_max, sizeof row_max, "%llu", (unsigned long long)o->max_bytes);
    snprintf(all_max, sizeof all_max, "%llu", (unsigned long long)all);
    snprintf(limit, sizeof limit, "%zu", o->limit);
    *out = NULL;
    return try_objects(o, db,
                       "SELECT id, version, CASE WHEN size <= $1::bigint THEN object END FROM ("
                       "SELECT *, sum(least(size, $1::bigint)) OVER (ORDER BY id) AS total FROM ("
                       "SELECT *, coalesce(octet_length(object), $1::bigint + 1) AS size FROM (" OBJECTS
                       "WHERE ssecast_row.error IS NULL ORDER BY ssecast_row.id LIMIT $3::bigint"
                       ") AS oldest) AS sized) AS summed WHERE total <= $2::bigint ORDER BY id",
                       params, 3, out);
}

static bool may_be_of_row(int err)
{
    return err == -EINVAL || err == -EAGAIN;
}

/* What was read can be read: twice as many next time. */
static void note_success(struct outbox_table *o)
{
    o->suspect.tries = 0;
    o->limit = 2 * o->limit < DELIVERY_MESSAGES ? 2 * o->limit : DELIVERY_MESSAGES;
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

static void copy_number(char out[NUMBER_MAX], struct slice text)
{
    snprintf(out, NUMBER_MAX, "%.*s", (int)text.len, text.data);
}

/* The i-th of the rows becomes that of the batch. */
static struct outbox_row *begin_row(struct outbox_table *o, const struct rows *rows, size_t i)
{
    MUST(i < DELIVERY_MESSAGES);
    struct outbox_row *row = &o->rows[i];
    *row = (struct outbox_row){0};
    copy_number(row->id, rows_value(rows, i, 0));
    copy_number(row->version, rows_value(rows, i, 1));
    return row;
}

static void refuse_unreadable(struct outbox_table *o, const char *reason, struct outbox_row *row)
{
    char why[DELIVERY_WHY];
    snprintf(why, sizeof why, "unreadable: %.200s", reason);
    refuse_row(o, row, why);
    o->count = 1;
    o->suspect.tries = 0;
}

static bool is_suspect(const struct outbox_suspect *s, const struct outbox_row *row)
{
    return s->tries && strcmp(s->id, row->id) == 0 && strcmp(s->version, row->version) == 0;
}

/* Count a failure of the row. Only one row is remembered: the first one. */
static void suspect_row(struct outbox_suspect *s, const struct outbox_row *row, bool cut, const char *why)
{
    if (!is_suspect(s, row)) {
        *s = (struct outbox_suspect){0};
        memcpy(s->id, row->id, sizeof s->id);
        memcpy(s->version, row->version, sizeof s->version);
    }
    if (s->tries < UINT32_MAX)
        s->tries++;
    s->cut = cut;
    snprintf(s->why, sizeof s->why, "%s", why);
}

static int read_row(const struct outbox_table *o, struct database *db, const struct outbox_row *row, struct rows **out)
{
    char most[NUMBER_MAX];
    const char *const params[] = {most, row->id, row->version};
    snprintf(most, sizeof most, "%llu", (unsigned long long)o->max_bytes);
    return try_objects(o, db, OBJECTS "WHERE ssecast_row.id = $2::bigint AND ssecast_row.xmin = $3::xid", params, 3,
                       out);
}

/* Can the server read another row? *can: it did. Each call takes the next one, because several rows may
 * be unreadable. */
static int read_witness(struct outbox_table *o, struct database *db, bool *can)
{
    char most[NUMBER_MAX], skip[NUMBER_MAX];
    const char *const params[] = {most, o->suspect.id, skip};
    struct rows *rows = NULL;
    snprintf(most, sizeof most, "%llu", (unsigned long long)o->max_bytes);
    snprintf(skip, sizeof skip, "%zu", o->suspect.witness);
    int err = try_objects(o, db,
                          OBJECTS "WHERE ssecast_row.id = (SELECT id FROM %s WHERE error IS NULL AND "
                                  "id > $2::bigint ORDER BY id LIMIT 1 OFFSET $3::bigint)",
                          params, 3, &rows);

    *can = !err && rows_count(rows) > 0;
    o->suspect.witness = err ? (o->suspect.witness + 1) % DELIVERY_MESSAGES : 0;
    rows_free(&rows);
    return may_be_of_row(err) ? 0 : err;
}

/* Refuse the suspect if it has had its tries and the server can read another row. 0 or the error of a
 * lost connection. */
static int convict(struct outbox_table *o, struct database *db, struct outbox_row *row)
{
    bool server_reads = false;
    MUST(is_suspect(&o->suspect, row));
    if (o->suspect.tries < SUSPECT_TRIES)
        return 0;

    int err = read_witness(o, db, &server_reads);
    if (!err && server_reads)
        refuse_unreadable(o, o->suspect.why, row);
    return err;
}

/* The row failed in a way that may be the server's fault. cut: there is no connection any more. */
static int judge_suspect(struct outbox_table *o, struct database *db, struct outbox_row *row, bool cut,
                         uint64_t *wait_ms)
{
    struct backoff backoff = o->frame->backoff;
    suspect_row(&o->suspect, row, cut, database_why(db));
    int err = cut ? -ECONNRESET : convict(o, db, row);
    if (row->refused)
        return err;

    backoff.failures = o->suspect.tries;
    *wait_ms = backoff_wait(&backoff, 0);
    log_event(LOG_WARN, "row cannot be read; retrying", log_name("table", o->table), log_name("id", row->id),
              log_count("tries", o->suspect.tries), log_name("reason", o->suspect.why));
    return err ? err : -EAGAIN;
}

/* ---- a batch ---- */

/* Make the messages of rows that were read, as many as the batch takes. */
static void add_rows(struct outbox_table *o, const struct rows *rows)
{
    MUST(rows_count(rows) <= DELIVERY_MESSAGES);
    for (size_t i = 0; i < rows_count(rows); i++) {
        struct outbox_row *row = begin_row(o, rows, i);
        struct slice object = rows_value(rows, i, 2);
        bool too_large = rows_is_null(rows, i, 2) || object.len > o->max_bytes;
        if (!add_row(o, row, object, too_large))
            break;
        o->count++;
    }
}

/* Read this row alone, or refuse it if the server cannot read it. */
static int read_alone(struct outbox_table *o, struct database *db, struct outbox_row *row, uint64_t *wait_ms)
{
    struct rows *rows = NULL;
    if (is_suspect(&o->suspect, row) && o->suspect.cut) {
        int err = convict(o, db, row);
        if (err || row->refused)
            return err;
    }

    int err = read_row(o, db, row, &rows);
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

static int read_first(struct outbox_table *o, struct database *db, bool *more, uint64_t *wait_ms)
{
    struct rows *rows = NULL;
    int err = statement(o, db, "SELECT id, xmin FROM %s WHERE error IS NULL ORDER BY id LIMIT 1", NULL, 0, &rows);
    if (err)
        return err;

    *more = rows_count(rows) > 0;
    struct outbox_row *row = *more ? begin_row(o, rows, 0) : NULL;
    rows_free(&rows);
    return row ? read_alone(o, db, row, wait_ms) : 0;
}

static int read_several(struct outbox_table *o, struct database *db, bool *more)
{
    struct rows *rows = NULL;
    int err = try_rows(o, db, &rows);
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

static int write_error(const struct outbox_table *o, struct database *db, const struct outbox_row *row)
{
    const char *const params[] = {row->id, row->version, row->why};
    char *sql;
    if (asprintf(&sql, "UPDATE %s SET error = $3 WHERE id = $1::bigint AND xmin = $2::xid", o->name) < 0)
        return -ENOMEM;
    int err = database_try(db, sql, params, 3, NULL);
    free(sql);
    return err;
}

/* What any database can hold. */
static void make_plain(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* The reason may have characters of the row, which the database's encoding lacks, or a part of one. */
static int mark_refused(struct outbox_table *o, struct database *db, uint64_t *changed)
{
    int err = 0;
    for (size_t i = 0; i < o->count && !err; i++) {
        struct outbox_row *row = &o->rows[i];
        if (!row->refused)
            continue;

        if ((err = write_error(o, db, row)) == -EINVAL) {
            make_plain(row->why);
            err = write_error(o, db, row);
        }
        if (!err)
            *changed += database_affected(db);
        if (err == -EINVAL) {
            log_event(LOG_ERROR, "row cannot be marked as refused", log_name("table", o->table),
                      log_name("id", row->id), log_name("reason", database_why(db)));
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
        log_event(LOG_ERROR, "rows were published and cannot be deleted", log_name("table", o->table),
                  log_count("rows", o->count));
    o->count = o->sent_count = 0;
    return err;
}
