/* The name of the table comes from the server, which quotes it as SQL needs it. */
#include "pgsql/outbox_sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame/mapping.h"

#define LOCK_CLASS "1936942435" /* "ssec", the upper half of the number of the advisory lock */

int outbox_sql_init(struct outbox_sql *q, const char *table, uint64_t max_bytes)
{
    *q = (struct outbox_sql){.table = strdup(table), .max_bytes = max_bytes};
    return q->table ? 0 : -ENOMEM;
}

void outbox_sql_release(struct outbox_sql *q)
{
    free(q->table);
    free(q->name);
    free(q->fields);
    free(q->size);
    *q = (struct outbox_sql){0};
}

/* ---- statements are made of a format with the table's name ---- */

/* database_query() or database_try() */
typedef int run_sql(struct database *db, const char *sql, const char *const *params, int count,
                    struct rows **out);

static int statement(const struct outbox_sql *q, struct database *db, run_sql *run,
                     const char *format, const char *const *params, int count, struct rows **out)
{
    char *sql;
    if (asprintf(&sql, format, q->name) < 0)
        return -ENOMEM;
    int err = run(db, sql, params, count, out);
    free(sql);
    return err;
}

/* id, version and object of the rows that the condition selects. A large row has no object. $1 is
 * the number of bytes that an object may have. -EINVAL: the server cannot read one of them.
 * -EAGAIN: that, or the server is in trouble. */
#define OBJECTS                                                                                    \
    "SELECT ssecast_row.id, ssecast_row.xmin AS version, "                                         \
    "CASE WHEN %s <= $1::bigint THEN row_to_json(fields)::text END AS object "                     \
    "FROM %s AS ssecast_row, LATERAL (SELECT %s) AS fields "

static int try_objects(const struct outbox_sql *q, struct database *db, const char *format,
                       const char *const *params, int count, struct rows **out)
    __attribute__((format(printf, 3, 0)));

static int try_objects(const struct outbox_sql *q, struct database *db, const char *format,
                       const char *const *params, int count, struct rows **out)
{
    char *sql;
    if (asprintf(&sql, format, q->size, q->name, q->fields, q->name) < 0)
        return -ENOMEM;
    int err = database_try(db, sql, params, count, out);
    free(sql);
    return err;
}

/* ---- the table ---- */

/* Replace *text by a value of the first row. 0 or -ENOMEM. */
static int keep_value(char **text, const struct rows *rows, int column)
{
    struct slice value = rows_value(rows, 0, column);
    free(*text);
    *text = strndup(value.data, value.len);
    return *text ? 0 : -ENOMEM;
}

static int find_table(struct outbox_sql *q, struct database *db)
{
    const char *const params[] = {q->table};
    struct rows *rows = NULL;
    int err = database_query(db, "SELECT $1::regclass::text", params, 1, &rows);
    if (err)
        return err;

    err = keep_value(&q->name, rows, 0);
    rows_free(&rows);
    return err;
}

/* The size of a text is known without reading it. A jsonb is read and copied, which is faster than
 * to write it as JSON; in memory a number may take 6 times as many bytes as there. */
static int find_columns(struct outbox_sql *q, struct database *db)
{
    static const char sql[] =
        "SELECT coalesce(string_agg(name, ', '), ''), "
        "coalesce(string_agg('coalesce(' || CASE WHEN is_jsonb "
        "THEN 'pg_column_size(' || name || ' || ''[]''::jsonb) / 8' "
        "ELSE 'octet_length(' || name || '::text)' END || ', 0)::bigint', ' + '), '0') "
        "FROM (SELECT 'ssecast_row.' || quote_ident(attname) AS name, "
        "atttypid = 'jsonb'::regtype AS is_jsonb FROM pg_attribute "
        "WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped "
        "AND attname = ANY ($2::name[])) AS columns";
    const char *const params[] = {q->table, "{" MAPPING_ROW_FIELDS "}"};
    struct rows *rows = NULL;
    int err = database_query(db, sql, params, 2, &rows);
    if (err)
        return err;

    err = keep_value(&q->fields, rows, 0);
    if (!err)
        err = keep_value(&q->size, rows, 1);
    rows_free(&rows);
    return err;
}

int outbox_sql_open(struct outbox_sql *q, struct database *db)
{
    int err = find_table(q, db);
    if (!err)
        err = find_columns(q, db);
    if (!err)
        err = statement(q, db, database_query, "SELECT id::bigint, xmin, error FROM %s LIMIT 0",
                        NULL, 0, NULL);
    return err;
}

int outbox_sql_lock(const struct outbox_sql *q, struct database *db, bool *held)
{
    static const char sql[] =
        "SELECT pg_try_advisory_lock((" LOCK_CLASS "::bigint << 32) | $1::regclass::oid::bigint)";
    const char *const params[] = {q->table};
    struct rows *rows = NULL;
    int err = database_query(db, sql, params, 1, &rows);
    if (err)
        return err;

    *held = slice_equal(rows_value(rows, 0, 0), slice_of("t"));
    rows_free(&rows);
    return 0;
}

/* ---- reading ---- */

static void put_count(char out[ROW_NUMBER_MAX], uint64_t number)
{
    snprintf(out, ROW_NUMBER_MAX, "%" PRIu64, number);
}

static void copy_number(char out[ROW_NUMBER_MAX], struct slice text)
{
    snprintf(out, ROW_NUMBER_MAX, "%.*s", (int)text.len, text.data);
}

void outbox_sql_key(const struct rows *rows, size_t i, struct row_key *key)
{
    copy_number(key->id, rows_value(rows, i, 0));
    copy_number(key->version, rows_value(rows, i, 1));
}

bool outbox_sql_object(const struct outbox_sql *q, const struct rows *rows, size_t i,
                       struct slice *object)
{
    *object = rows_value(rows, i, 2);
    return !rows_is_null(rows, i, 2) && object->len <= q->max_bytes;
}

int outbox_sql_read(const struct outbox_sql *q, struct database *db, size_t limit,
                    uint64_t all_bytes, struct rows **out)
{
    char row_max[ROW_NUMBER_MAX], all_max[ROW_NUMBER_MAX], most[ROW_NUMBER_MAX];
    const char *const params[] = {row_max, all_max, most};
    put_count(row_max, q->max_bytes);
    put_count(all_max, all_bytes);
    put_count(most, limit);
    *out = NULL;
    return try_objects(
        q, db,
        "SELECT id, version, CASE WHEN size <= $1::bigint THEN object END FROM ("
        "SELECT *, sum(least(size, $1::bigint)) OVER (ORDER BY id) AS total FROM ("
        "SELECT *, coalesce(octet_length(object), $1::bigint + 1) AS size FROM (" OBJECTS
        "WHERE ssecast_row.error IS NULL ORDER BY ssecast_row.id LIMIT $3::bigint"
        ") AS oldest) AS sized) AS summed WHERE total <= $2::bigint ORDER BY id",
        params, 3, out);
}

int outbox_sql_first(const struct outbox_sql *q, struct database *db, struct row_key *key,
                     bool *found)
{
    struct rows *rows = NULL;
    int err = statement(q, db, database_query,
                        "SELECT id, xmin FROM %s WHERE error IS NULL ORDER BY id LIMIT 1", NULL, 0,
                        &rows);
    if (err)
        return err;

    *found = rows_count(rows) > 0;
    if (*found)
        outbox_sql_key(rows, 0, key);
    rows_free(&rows);
    return 0;
}

int outbox_sql_read_row(const struct outbox_sql *q, struct database *db, const struct row_key *key,
                        struct rows **out)
{
    char row_max[ROW_NUMBER_MAX];
    const char *const params[] = {row_max, key->id, key->version};
    put_count(row_max, q->max_bytes);
    return try_objects(q, db,
                       OBJECTS "WHERE ssecast_row.id = $2::bigint AND ssecast_row.xmin = $3::xid",
                       params, 3, out);
}

int outbox_sql_read_behind(const struct outbox_sql *q, struct database *db, const char *id,
                           size_t skip, bool *found)
{
    char row_max[ROW_NUMBER_MAX], skipped[ROW_NUMBER_MAX];
    const char *const params[] = {row_max, id, skipped};
    struct rows *rows = NULL;
    put_count(row_max, q->max_bytes);
    put_count(skipped, skip);
    int err =
        try_objects(q, db,
                    OBJECTS "WHERE ssecast_row.id = (SELECT id FROM %s WHERE error IS NULL AND "
                            "id > $2::bigint ORDER BY id LIMIT 1 OFFSET $3::bigint)",
                    params, 3, &rows);

    *found = !err && rows_count(rows) > 0;
    rows_free(&rows);
    return err;
}

/* ---- changing ---- */

int outbox_sql_delete(const struct outbox_sql *q, struct database *db, const char *ids,
                      const char *versions)
{
    const char *const params[] = {ids, versions};
    return statement(
        q, db, database_query,
        "DELETE FROM %s AS t USING unnest($1::bigint[], $2::xid[]) AS done (id, version) "
        "WHERE t.id = done.id AND t.xmin = done.version",
        params, 2, NULL);
}

static int write_error(const struct outbox_sql *q, struct database *db, const struct row_key *key,
                       const char *why)
{
    const char *const params[] = {key->id, key->version, why};
    return statement(q, db, database_try,
                     "UPDATE %s SET error = $3 WHERE id = $1::bigint AND xmin = $2::xid", params, 3,
                     NULL);
}

/* What any database can hold. */
static void make_plain(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* The reason may have characters of the row, which the database's encoding lacks, or a part of
 * one. */
int outbox_sql_mark(const struct outbox_sql *q, struct database *db, const struct row_key *key,
                    char *why)
{
    int err = write_error(q, db, key, why);
    if (err != -EINVAL)
        return err;
    make_plain(why);
    return write_error(q, db, key, why);
}
