/* log.h - one line for each thing an operator should know, on stderr.
 *
 *     log_warn("the broker has been silent for %d s; streams stay open and wait for it", 15);
 *     log_event(LOG_WARN, "a worker was silent and is lost, with its connections", log_text("worker", name), log_count("connections", n));
 *
 * A line names the part of the program it comes from: the module's name, unless the file defines LOG_SUBSYSTEM before it includes this.
 * What repeats is counted and not written again: of the lines of one call, those with the same text as one in the last minute, and
 * those beyond LOG_DISTINCT in a minute, are told by one line a minute that says how many there were. Lines of the level debug, which
 * somebody asked for, are all written.
 *
 * Payloads, tokens and keys are never logged. Names of sessions and the like are anybody's: control characters in a line are escaped.
 */
#ifndef SSECAST_LOG_H
#define SSECAST_LOG_H

#include <sys/queue.h>

#include "ops/log_line.h"

/* The program's name in each line, and the level above which nothing is written. Lines are text; when stderr is the journal (as
 * JOURNAL_STREAM says), with the priority in front and without the time, which the journal knows itself. */
void log_open(const char *program, enum log_level level);

/* The name of a format, as log_check_format() accepts it: "text" or "json". */
void log_set_format(const char *format);

/* From now on. */
void log_set_level(enum log_level level);

/* The same while the program runs: says so, and by what ("signal"), in a line that is always written. */
void log_change_level(enum log_level level, const char *by);

enum log_level log_level(void);

/* Debug, or back to the level that was set: for a signal. Says so as log_change_level() does. */
void log_toggle_debug(void);

/* Once a second, from the program's loop (clock_ms()): the time by which repetitions are counted, and what is to be told of them. */
void log_tick(int64_t now_ms);

/* At the end: what was counted and not yet told. */
void log_close(void);

/* NULL when it is a level ("error", "warn", "info", "debug"), or a format; else what is accepted. */
const char *log_check_level(const char *name);
const char *log_check_format(const char *name);

/* The level of that name; LOG_INFO for any other. */
enum log_level log_level_of(const char *name);

/* --- writing --- */

/* A line without its newline, at a level; printf's formats. */
#define log_write(level, ...)                                                                                          \
    do {                                                                                                               \
        static struct log_site log_site_ = {.subsystem = LOG_SUBSYSTEM};                                               \
        log_print(&log_site_, (level), __VA_ARGS__);                                                                   \
    } while (0)

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* A message that is always the same, and fields: log_text(), log_name() or log_count(), at least one. */
#define log_event(level, message, ...)                                                                                 \
    do {                                                                                                               \
        static struct log_site log_site_ = {.subsystem = LOG_SUBSYSTEM};                                               \
        const struct log_field log_fields_[] = {__VA_ARGS__};                                                          \
        log_put(&log_site_, (level), (message), log_fields_, sizeof log_fields_ / sizeof log_fields_[0]);              \
    } while (0)

/* --- behind the macros --- */

#ifndef LOG_SUBSYSTEM
#define LOG_SUBSYSTEM __FILE_NAME__ /* up to the dot */
#endif

#define LOG_DISTINCT 20 /* different lines of one call in a minute */

/* One call in the source: what was written from it lately. */
struct log_site {
    const char *subsystem;
    SLIST_ENTRY(log_site) link; /* all sites that wrote a line */
    bool linked;
    int64_t since_ms;            /* when its minute began */
    unsigned texts;              /* written since then */
    uint64_t seen[LOG_DISTINCT]; /* what they were: hashes */
    uint64_t held_back;          /* lines since then that were not */
    enum log_level level;
    char last[LOG_REPEATED_MAX]; /* the last of them */
};

void log_print(struct log_site *site, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_put(struct log_site *site, enum log_level level, const char *message, const struct log_field *fields,
             size_t count);

#endif
