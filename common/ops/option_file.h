/* option_file.h - reads the lines NAME = VALUE of a configuration file.
 *
 * Empty lines and lines that begin with '#' or ';' are skipped. Spaces around a name and around a
 * value do not belong to them; everything else of a value does. There are no sections, quotes and
 * continuation lines.
 *
 * It does not know the options.
 *
 * Ownership: the FILE is the caller's. A name and a value are valid until the next line is read.
 */
#ifndef SSECAST_OPTION_FILE_H
#define SSECAST_OPTION_FILE_H

#include <stdio.h>

#include "base/slice.h"

#define OPTION_NAME_MAX 64u    /* bytes */
#define OPTION_VALUE_MAX 8192u /* bytes of one value, or of one item of a list, from any source */
#define OPTION_LINE_MAX (OPTION_NAME_MAX + 3 + OPTION_VALUE_MAX)

enum option_line {
    OPTION_LINE_PAIR, /* name and value are set */
    OPTION_LINE_END,
    OPTION_LINE_SECTION, /* it begins with '[' */
    OPTION_LINE_LONG,    /* more than OPTION_LINE_MAX bytes */
    OPTION_LINE_BAD,     /* no '=', or a NUL byte */
};

struct option_file {
    FILE *file;
    size_t line; /* the line read last, from 1 */
    char *name, *value;
    char text[OPTION_LINE_MAX + 1];
};

/* Read up to the next line that is not skipped. */
enum option_line option_file_next(struct option_file *f);

/* text without the white space around it. */
struct slice option_trim(struct slice text);

#endif
