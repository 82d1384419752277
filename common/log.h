/* log.h - one line for each thing an operator should know, on stderr.
 *
 * Payloads and credentials are never logged. The web server (or the journal) adds the time.
 */
#ifndef SSECAST_LOG_H
#define SSECAST_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The program's name that begins each line, and the level above which nothing is written. */
void log_open(const char *program, enum log_level level);

/* NULL when name is a level's ("error", "warn", "info", "debug"), else what is accepted. */
const char *log_check_level(const char *name);

/* The level of that name; LOG_INFO for any other. */
enum log_level log_level_of(const char *name);

/* A line without its newline; printf's formats. Control characters in the result are written as '?'. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
