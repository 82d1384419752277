/* log_line.h - formats a log line. Pure: a record in, text out.
 *
 *     2026-11-21T10:46:50.123Z ssecast-broker: warning: sync: a worker is lost connections=12
 *     <4>sync: a worker is lost connections=12
 *     {"time":"2026-11-21T10:46:50.123Z","level":"warn","program":"ssecast-broker",
 *      "subsystem":"sync","message":"a worker is lost","connections":12}
 *
 * The JSON object is one line, too. A value with characters other than letters, digits and a few
 * more is quoted. Control characters and invalid UTF-8 are escaped (\x1b).
 */
#ifndef SSECAST_LOG_LINE_H
#define SSECAST_LOG_LINE_H

#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };

extern const char *const log_level_names[LOG_LEVELS];

struct log_field {
    const char *name;
    bool is_count;
    struct slice text;
    uint64_t count;
};

/* Initialisers of a field. text: a struct slice; string: a C string. */
#define log_text(name_, text_) ((struct log_field){.name = (name_), .text = (text_)})
#define log_name(name_, string_) ((struct log_field){.name = (name_), .text = slice_of(string_)})
#define log_count(name_, count_)                                                                   \
    ((struct log_field){.name = (name_), .is_count = true, .count = (count_)})

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JOURNAL, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL_JSON };

struct log_record {
    int64_t at_ms; /* unix time */
    enum log_level level;
    const char *program;
    struct slice subsystem;
    const char *message;
    const struct log_field *fields;
    size_t field_count;
    uint64_t repeated; /* lines like this one that were not written; 0: a line of its own */
};

#define LOG_LINE_MAX 3072    /* bytes of a line at most, so that lines of two processes never mix */
#define LOG_REPEATED_MAX 200 /* bytes of a message that is remembered, NUL included */

/* Write the record with its newline to out, which has LOG_LINE_MAX bytes. Fields that do not fit
 * are left out. Returns the length in bytes. */
size_t log_line(char *out, const struct log_record *r, enum log_format format);

#endif
