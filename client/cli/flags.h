/* flags.h - parses the flags and arguments of a verb, by rows.
 *
 * The rows are those of options (option.h), but a flag has no default and stands on the command
 * line only. Flags may stand before, between or after the arguments. "-" and negative numbers are
 * arguments; "--" ends the flags. A text is taken as it is, spaces and control characters included.
 *
 * These types are accepted, and fill a field of the verb's struct:
 *
 *     OPTION_FLAG     bool               takes no value
 *     OPTION_TEXT     const char *       NULL when not given
 *     OPTION_LINES    struct flag_list   repeatable
 *     OPTION_COUNT    struct flag_count  a whole number
 *     OPTION_SECONDS  struct flag_count  a duration in whole seconds; min and max are milliseconds
 *
 * Ownership: values point into argv. The arrays of lists are freed by flags_release().
 */
#ifndef SSECAST_FLAGS_H
#define SSECAST_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ops/option.h"

struct flag_list {
    const char **items;
    size_t count;
};

struct flag_count {
    bool given;
    uint64_t value;
};

struct flags {
    const struct option_row *rows;
    size_t count;
    char letter;          /* of one flag, as in -H or -HVALUE; 0: none has one */
    const char *lettered; /* the name of that flag */
};

/* Read argv[0..argc) into values (zeroed by the caller). Moves the other arguments to the front of
 * argv, in their order. Returns their number, or -EINVAL with a line in problem. */
int flags_parse(const struct flags *flags, int argc, char **argv, void *values, char *problem,
                size_t size);

void flags_release(const struct flags *flags, void *values);

/* The lines of --help. */
void flags_help(const struct flags *flags, FILE *out);

#endif
