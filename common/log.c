/* log.c - builds the line in one buffer and writes it with one call, so that lines of two processes never mix. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *log_program = "ssecast";
static enum log_level log_limit = LOG_INFO;

void log_open(const char *program, enum log_level level)
{
    log_program = program;
    log_limit = level;
}

static const char *const level_names[] = {"error", "warn", "info", "debug"};

#define LEVELS (sizeof level_names / sizeof level_names[0])

/* The place of name, or LEVELS. */
static size_t find_level(const char *name)
{
    size_t i = 0;
    while (i < LEVELS && strcmp(level_names[i], name) != 0)
        i++;
    return i;
}

const char *log_check_level(const char *name)
{
    return find_level(name) < LEVELS ? NULL : "error, warn, info or debug";
}

enum log_level log_level_of(const char *name)
{
    size_t level = find_level(name);
    return level < LEVELS ? (enum log_level)level : LOG_INFO;
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
