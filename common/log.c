/* log.c - builds the line in one buffer and writes it with one call, so that lines of two processes never mix. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *log_program = "ssecast";
static enum log_level log_limit = LOG_INFO;

void log_open(const char *program, enum log_level level)
{
    log_program = program;
    log_limit = level;
}

static const char *level_mark(enum log_level level)
{
    static const char *const marks[] = {"error: ", "warning: ", "", "debug: "};
    return marks[level];
}

/* What snprintf says it would have written, as what is there. */
static size_t written(int length, size_t room)
{
    if (length < 0)
        return 0;
    return (size_t)length < room ? (size_t)length : room - 1;
}

static void mask_controls(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    int saved = errno;
    if (level > log_limit)
        return;
    size_t len = written(snprintf(line, sizeof line, "%s: %s", log_program, level_mark(level)), sizeof line);
    va_list args;
    va_start(args, format);
    errno = saved; /* for %m */
    len += written(vsnprintf(line + len, sizeof line - len, format, args), sizeof line - len);
    va_end(args);
    mask_controls(line, len);
    line[len++] = '\n'; /* in place of the NUL */
    ssize_t ignored = write(STDERR_FILENO, line, len);
    (void)ignored; /* nobody is left to tell */
    errno = saved;
}
