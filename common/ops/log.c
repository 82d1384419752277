/* log.c - decides which lines are written and which are only counted.
 *
 * A line is built in one buffer and written with one call (log_sink.c), so that lines of two
 * processes never mix. The state belongs to the process, as stderr does: it is the one global
 * variable. */
#include "ops/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/log_sink.h"

#define MINUTE_MS 60000
#define MESSAGE_MAX 1200

static struct {
    const char *program;
    enum log_level limit;
    enum log_level usual; /* the limit to come back to from debug */
    bool json;
    bool journal;
    int64_t now_ms;                        /* the last tick's */
    SLIST_HEAD(log_sites, log_site) sites; /* that wrote a line */
} state = {.program = "ssecast", .limit = LOG_INFO, .usual = LOG_INFO};

/* --- levels and formats --- */

/* The place of name, or LOG_LEVELS. */
static size_t find_level(const char *name)
{
    size_t i = 0;
    while (i < LOG_LEVELS && strcmp(log_level_names[i], name) != 0)
        i++;
    return i;
}

const char *log_check_level(const char *name)
{
    return find_level(name) < LOG_LEVELS ? NULL : "error, warn, info or debug";
}

enum log_level log_level_of(const char *name)
{
    size_t level = find_level(name);
    return level < LOG_LEVELS ? (enum log_level)level : LOG_INFO;
}

const char *log_check_format(const char *name)
{
    return strcmp(name, "text") == 0 || strcmp(name, "json") == 0 ? NULL : "text or json";
}

/* True when stderr is the journal's stream; see JOURNAL_STREAM in systemd.exec(5). */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char *end = NULL;
    struct stat s;
    if (!stream || fstat(STDERR_FILENO, &s) != 0)
        return false;
    bool device = strtoull(stream, &end, 10) == (unsigned long long)s.st_dev && *end == ':';
    return device && strtoull(end + 1, &end, 10) == (unsigned long long)s.st_ino && !*end;
}

static enum log_format format_now(void)
{
    if (state.json)
        return state.journal ? LOG_FORMAT_JOURNAL_JSON : LOG_FORMAT_JSON;
    return state.journal ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
}

void log_open(const char *program, enum log_level level)
{
    state.program = program;
    state.limit = state.usual = level;
    state.json = false;
    state.journal = is_journal();
}

void log_set_format(const char *format)
{
    state.json = strcmp(format, "json") == 0;
}

void log_set_level(enum log_level level)
{
    state.limit = state.usual = level;
}

enum log_level log_level(void)
{
    return state.limit;
}

/* --- a line --- */

static int write_line(struct log_record *r)
{
    char line[LOG_LINE_MAX];

    r->at_ms = clock_unix_ms();
    r->program = state.program;
    size_t len = log_line(line, r, format_now());
    return log_sink_write(line, len);
}

/* Report lines that were dropped, as soon as stderr takes lines again. */
static void report_dropped(void)
{
    uint64_t dropped = log_sink_dropped();
    const struct log_field fields[] = {log_count("lines", dropped)};
    struct log_record r = {.level = LOG_WARN,
                           .subsystem = slice_of("log"),
                           .message = "log lines were dropped because stderr was not read",
                           .fields = fields,
                           .field_count = 1};

    if (dropped && write_line(&r) == 0)
        log_sink_forget_dropped();
}

static void write_record(struct log_record *r)
{
    report_dropped();
    write_line(r);
}

/* Written at every level, so that the operator sees the effect. */
static void tell_level(const char *by)
{
    const struct log_field fields[] = {log_name("level", log_level_names[state.limit]),
                                       log_name("by", by)};
    struct log_record r = {.level = LOG_INFO,
                           .subsystem = slice_of("log"),
                           .message = "the log's level was changed",
                           .fields = fields,
                           .field_count = 2};
    write_record(&r);
}

void log_change_level(enum log_level level, const char *by)
{
    log_set_level(level);
    tell_level(by);
}

void log_toggle_debug(void)
{
    enum log_level back = state.usual == LOG_DEBUG ? LOG_INFO : state.usual;
    state.limit = state.limit == LOG_DEBUG ? back : LOG_DEBUG;
    tell_level("signal");
}

static struct slice subsystem_of(const struct log_site *site)
{
    return (struct slice){site->subsystem, strcspn(site->subsystem, ".")};
}

/* --- repetitions --- */

static uint64_t hash_bytes(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.data[i]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

static uint64_t hash_record(const struct log_record *r)
{
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, slice_of(r->message));
    for (size_t i = 0; i < r->field_count; i++) {
        const struct log_field *f = &r->fields[i];
        hash = hash_bytes(hash, f->text);
        hash = hash_bytes(hash, (struct slice){(const char *)&f->count, sizeof f->count});
    }
    return hash;
}

/* The site's minute is over: report the lines held back, and begin the next minute. */
static void begin_minute(struct log_site *site)
{
    struct log_record r = {.level = site->level,
                           .subsystem = subsystem_of(site),
                           .message = site->last,
                           .repeated = site->held_back};
    if (site->held_back)
        write_record(&r);
    site->held_back = 0;
    site->texts = 0;
    site->since_ms = state.now_ms;
}

static void meet(struct log_site *site)
{
    if (site->linked)
        return;
    site->linked = true;
    site->since_ms = state.now_ms;
    SLIST_INSERT_HEAD(&state.sites, site, link);
}

static void hold_back(struct log_site *site, const struct log_record *r)
{
    site->held_back++;
    site->level = r->level;
    snprintf(site->last, sizeof site->last, "%s", r->message);
}

/* True when r is to be written now. False: it repeats, or is one too many, and is only counted. */
static bool is_news(struct log_site *site, const struct log_record *r)
{
    meet(site);
    if (state.now_ms - site->since_ms >= MINUTE_MS)
        begin_minute(site);
    uint64_t hash = hash_record(r);
    for (unsigned i = 0; i < site->texts && !site->each; i++)
        if (site->seen[i] == hash)
            return false;
    if (site->texts == LOG_DISTINCT)
        return false;
    site->seen[site->texts++] = hash;
    return true;
}

void log_put(struct log_site *site, enum log_level level, const char *message,
             const struct log_field *fields, size_t count)
{
    int saved = errno;
    struct log_record r = {.level = level,
                           .subsystem = subsystem_of(site),
                           .message = message,
                           .fields = fields,
                           .field_count = count};
    if (level > state.limit)
        return;
    if (level == LOG_DEBUG || is_news(site, &r))
        write_record(&r);
    else
        hold_back(site, &r);
    errno = saved;
}

void log_print(struct log_site *site, enum log_level level, const char *format, ...)
{
    char message[MESSAGE_MAX];
    int saved = errno;
    if (level > state.limit)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    errno = saved;
    log_put(site, level, message, NULL, 0);
}

/* --- time --- */

void log_tick(int64_t now_ms)
{
    state.now_ms = now_ms;
    report_dropped();
    struct log_site *site;
    SLIST_FOREACH (site, &state.sites, link)
        if (now_ms - site->since_ms >= MINUTE_MS)
            begin_minute(site);
}

void log_close(void)
{
    struct log_site *site;
    SLIST_FOREACH (site, &state.sites, link)
        begin_minute(site);
}
