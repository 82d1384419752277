/* Numbers are integers throughout; a row gives the number of digits behind the decimal point. So
 * nothing is rounded, however large a counter is. */
#include "ops/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 96 /* of a family, NUL included */

/* --- life --- */

int metrics_begin(struct metrics *m)
{
    *m = (struct metrics){0};
    m->file = open_memstream(&m->data, &m->len);
    return m->file ? 0 : -ENOMEM;
}

struct slice metrics_end(struct metrics *m)
{
    bool whole = m->file && !ferror(m->file);
    if (m->file && fclose(m->file) != 0)
        whole = false;
    m->file = NULL;
    return whole ? (struct slice){m->data, m->len} : (struct slice){0};
}

void metrics_release(struct metrics *m)
{
    if (m->file)
        fclose(m->file);
    free(m->data);
    *m = (struct metrics){0};
}

/* --- pieces --- */

static void put_head(struct metrics *m, const char *family, const char *type, const char *help)
{
    fprintf(m->file, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

static void put_number(struct metrics *m, uint64_t value, uint8_t decimals)
{
    uint64_t unit = 1;
    for (uint8_t i = 0; i < decimals; i++)
        unit *= 10;
    fprintf(m->file, " %" PRIu64, value / unit);
    if (decimals)
        fprintf(m->file, ".%0*" PRIu64, decimals, value % unit);
    fputc('\n', m->file);
}

static void put_sample(struct metrics *m, const char *family, const char *labels, uint64_t value,
                       uint8_t decimals)
{
    fputs(family, m->file);
    if (labels)
        fprintf(m->file, "{%s}", labels);
    put_number(m, value, decimals);
}

/* Characters that a label's value may not hold, and all beyond ASCII, become question marks. */
static void put_worker_label(struct metrics *m, struct slice name, const char *labels)
{
    fputs("{worker=\"", m->file);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        fputc(c > ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?', m->file);
    }
    fprintf(m->file, "\"%s%s}", labels ? "," : "", labels ? labels : "");
}

/* --- families --- */

static const char *type_of(const struct stat_row *row)
{
    return row->gauge ? "gauge" : "counter";
}

static const char *help_of(const struct stat_row *row)
{
    return row->family_help ? row->family_help : row->help;
}

/* Write the family's name to out: from the row, or made of the row's name. part: "" or
 * "worker_". */
static const char *family_of(const struct stat_row *row, const char *part, char out[NAME_MAX_LEN])
{
    static const char ours[] = "ssecast_";
    const char *rest = row->family ? row->family + sizeof ours - 1 : row->name;
    size_t len = strlen(part);
    if (strncmp(rest, part, len) == 0)
        part = ""; /* the name has it already */
    snprintf(out, NAME_MAX_LEN, "%s%s%s%s", ours, part, rest,
             row->family || row->gauge ? "" : "_total");
    return out;
}

static bool has_family(const struct stat_row *row)
{
    return !row->family || *row->family;
}

static bool same_family(const struct stat_row *a, const struct stat_row *b)
{
    return a == b || (a->family && b->family && strcmp(a->family, b->family) == 0);
}

static bool seen_before(const struct stat_row *rows, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (same_family(&rows[j], &rows[i]))
            return true;
    return false;
}

void metrics_rows(struct metrics *m, const struct stat_row *rows, size_t count,
                  const uint64_t *numbers)
{
    char family[NAME_MAX_LEN];
    for (size_t i = 0; i < count; i++) {
        if (!has_family(&rows[i]) || rows[i].no_sum || seen_before(rows, i))
            continue;
        put_head(m, family_of(&rows[i], "", family), type_of(&rows[i]), help_of(&rows[i]));
        for (size_t j = i; j < count; j++)
            if (same_family(&rows[i], &rows[j]))
                put_sample(m, family, rows[j].labels, numbers[j], rows[j].decimals);
    }
}

void metrics_latency(struct metrics *m, const uint64_t counters[WORKER_COUNTERS])
{
    static const char family[] = "ssecast_publish_to_write_seconds";
    uint64_t sum = 0;
    put_head(m, family, "histogram",
             "how long live deliveries took, from the publish to the write to the web server");
    for (int i = 0; i < LATENCY_BUCKETS - 1; i++) {
        sum += counters[LATENCY_FIRST + i];
        fprintf(m->file, "%s_bucket{le=\"%g\"}", family, latency_bounds_ms[i] / 1000.0);
        put_number(m, sum, 0);
    }
    sum += counters[LATENCY_MORE];
    fprintf(m->file, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum", family, sum, family);
    put_number(m, counters[LATENCY_SUM_MS], 3);
    fprintf(m->file, "%s_count %" PRIu64 "\n", family, sum);
}

/* --- each worker --- */

static void put_each(struct metrics *m, const struct stat_row *rows, size_t row, bool gauges,
                     const struct metrics_worker *workers, size_t count)
{
    char family[NAME_MAX_LEN];
    put_head(m, family_of(&rows[row], "worker_", family), type_of(&rows[row]), rows[row].help);
    for (size_t i = 0; i < count; i++) {
        fputs(family, m->file);
        put_worker_label(m, workers[i].name, rows[row].labels);
        put_number(m, (gauges ? workers[i].gauges : workers[i].counters)[row], rows[row].decimals);
    }
}

enum heard_number { SILENT_MS, LAG_EVENTS, LAG_MS, HEARD_NUMBERS };

/* Gauges that the broker keeps of a worker. */
static const struct stat_row heard_rows[HEARD_NUMBERS] = {
    [SILENT_MS] = {.help = "how long ago the worker was heard",
                   .family = "ssecast_worker_silent_seconds",
                   .decimals = 3,
                   .gauge = true},
    [LAG_EVENTS] = {.help = "events that were on their way to the worker when it reported",
                    .family = "ssecast_worker_feed_lag_events",
                    .gauge = true},
    [LAG_MS] = {.help = "how old the first of these was",
                .family = "ssecast_worker_feed_lag_seconds",
                .decimals = 3,
                .gauge = true},
};

static uint64_t heard_number(const struct metrics_worker *w, int number)
{
    int64_t ms = number == LAG_MS ? w->lag_ms : w->silent_ms;

    if (number == LAG_EVENTS)
        return w->lag_events;
    return ms > 0 ? (uint64_t)ms : 0;
}

static void put_heard(struct metrics *m, int number, const struct metrics_worker *workers,
                      size_t count)
{
    const struct stat_row *row = &heard_rows[number];
    put_head(m, row->family, type_of(row), row->help);
    for (size_t i = 0; i < count; i++) {
        if (!workers[i].heard)
            continue;
        fputs(row->family, m->file);
        put_worker_label(m, workers[i].name, NULL);
        put_number(m, heard_number(&workers[i], number), row->decimals);
    }
}

void metrics_workers(struct metrics *m, const struct metrics_worker *workers, size_t count)
{
    for (int i = 0; i < HEARD_NUMBERS; i++)
        put_heard(m, i, workers, count);
    for (size_t i = 0; i < WORKER_GAUGES; i++)
        put_each(m, worker_gauge_rows, i, true, workers, count);
    for (size_t i = 0; i < WORKER_COUNTERS; i++)
        if (worker_counter_rows[i].each_worker)
            put_each(m, worker_counter_rows, i, false, workers, count);
}

/* --- ourselves --- */

void metrics_up(struct metrics *m, bool up)
{
    put_head(m, "ssecast_up", "gauge",
             "1: the broker answered. 0: it did not, and the numbers are those of one worker");
    put_sample(m, "ssecast_up", NULL, up, 0);
}

void metrics_build(struct metrics *m)
{
    put_head(m, "ssecast_build_info", "gauge", "the broker's version");
    put_sample(m, "ssecast_build_info", "version=\"" SSECAST_VERSION "\"", 1, 0);
}
