/* log.h - writes log lines to stderr.
 *
 *     log_warn("broker silent for %d s: streams stay open and wait", 15);
 *     log_event(LOG_WARN, "a worker was silent and is lost, with its connections",
 *               log_text("worker", name), log_count("connections", n));
 *
 * A line names its subsystem: the module's name, unless the file defines LOG_SUBSYSTEM before it
 * includes this header. Repeated lines are counted instead of written, for each call in the source:
 * lines with the same text as one of the last minute, and lines beyond LOG_DISTINCT in a minute.
 * One line a minute has their number. Lines of the level debug are all written. Lines of
 * log_each() and log_each_event() may be equal.
 *
 * Payloads, tokens and keys are never logged. Names come from outside: control characters in a line
 * are escaped.
 */
#ifndef SSECAST_LOG_H
#define SSECAST_LOG_H

#include <sys/queue.h>

#include "ops/log_line.h"

/* Set the program's name and the most detailed level that is written. Lines are text. When
 * stderr is the systemd journal (see JOURNAL_STREAM), they begin with the priority and have no
 * time. */
void log_open(const char *program, enum log_level level);

/* The name of a format, as log_check_format() accepts it: "text" or "json". */
void log_set_format(const char *format);

/* Change the level without a log line. */
void log_set_level(enum log_level level);

/* Change the level at run time. A line that is always written names the cause, such as "signal". */
void log_change_level(enum log_level level, const char *by);

enum log_level log_level(void);

/* Switch to debug, or back to the level that was set. For a signal. Logs as log_change_level()
 * does. */
void log_toggle_debug(void);

/* Call once a second from the program's loop, with clock_ms(). Reports repetitions whose minute
 * is over. */
void log_tick(int64_t now_ms);

/* Call at the end: reports the repetitions that were counted and not yet reported. */
void log_close(void);

/* NULL when name is a level ("error", "warn", "info", "debug") or a format; otherwise what is
 * accepted. */
const char *log_check_level(const char *name);
const char *log_check_format(const char *name);

/* The level of that name; LOG_INFO for any other. */
enum log_level log_level_of(const char *name);

/* --- writing --- */

/* Write a line at a level. Takes printf() formats; no newline. */
#define log_write(level, ...)                                                                      \
    do {                                                                                           \
        static struct log_site log_site_ = {.subsystem = LOG_SUBSYSTEM};                           \
        log_print(&log_site_, (level), __VA_ARGS__);                                               \
    } while (0)

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Write a constant message with at least one field: log_text(), log_name() or log_count(). */
#define log_event(level, message, ...)                                                             \
    do {                                                                                           \
        static struct log_site log_site_ = {.subsystem = LOG_SUBSYSTEM};                           \
        const struct log_field log_fields_[] = {__VA_ARGS__};                                      \
        log_put(&log_site_, (level), (message), log_fields_,                                       \
                sizeof log_fields_ / sizeof log_fields_[0]);                                       \
    } while (0)

/* The same for a line that is written although it equals one of the last minute: the answer to an
 * operator, or a change of state. At most LOG_DISTINCT lines a minute are written from one call. */
#define log_each(level, ...)                                                                       \
    do {                                                                                           \
        static struct log_site log_site_ = {.subsystem = LOG_SUBSYSTEM, .each = true};             \
        log_print(&log_site_, (level), __VA_ARGS__);                                               \
    } while (0)
#define log_each_event(level, message, ...)                                                        \
    do {                                                                                           \
        static struct log_site log_site_ = {.subsystem = LOG_SUBSYSTEM, .each = true};             \
        const struct log_field log_fields_[] = {__VA_ARGS__};                                      \
        log_put(&log_site_, (level), (message), log_fields_,                                       \
                sizeof log_fields_ / sizeof log_fields_[0]);                                       \
    } while (0)

/* --- behind the macros --- */

#ifndef LOG_SUBSYSTEM
#define LOG_SUBSYSTEM __FILE_NAME__ /* up to the dot */
#endif

#define LOG_DISTINCT 20 /* lines of one call in a minute, without those that are only counted */

/* One call in the source, and the lines that it wrote lately. */
struct log_site {
    const char *subsystem;
    bool each;                  /* equal lines are written */
    SLIST_ENTRY(log_site) link; /* all sites that wrote a line */
    bool linked;
    int64_t since_ms;            /* when its minute began */
    unsigned texts;              /* written since then */
    uint64_t seen[LOG_DISTINCT]; /* hashes of these lines */
    uint64_t held_back;          /* lines since then that were not written */
    enum log_level level;
    char last[LOG_REPEATED_MAX]; /* the last line held back */
};

void log_print(struct log_site *site, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_put(struct log_site *site, enum log_level level, const char *message,
             const struct log_field *fields, size_t count);

#endif
