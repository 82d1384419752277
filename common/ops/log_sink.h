/* log_sink.h - writes lines to stderr and never waits for the reader.
 *
 * stderr may be a pipe or a socket whose reader has stopped. A blocking write would then stop the
 * program's loop. A line that does not fit is dropped and counted. Files do not block, so lines to
 * a file are never dropped.
 *
 * The state belongs to the process, as stderr does. It is used from one thread.
 */
#ifndef SSECAST_LOG_SINK_H
#define SSECAST_LOG_SINK_H

#include <stddef.h>
#include <stdint.h>

/* Write a line of at most LOG_LINE_MAX bytes. When stderr takes a part of it, the rest goes
 * before the next line. A line that cannot be written now is dropped. 0, or -EAGAIN when it was
 * dropped. An error of stderr loses the line too, and is 0: it cannot be reported. */
int log_sink_write(const char *line, size_t len);

/* How many lines have been dropped since log_sink_forget_dropped(). */
uint64_t log_sink_dropped(void);

void log_sink_forget_dropped(void);

#endif
