/* option_args.h - which row an argument of the command line names: --name or --name=VALUE.
 *
 * It reads single arguments. The programs' options (option.h) and the flags of verbs (cli/flags.h)
 * give them their meaning.
 *
 * Ownership: rows and arguments are the caller's.
 */
#ifndef SSECAST_OPTION_ARGS_H
#define SSECAST_OPTION_ARGS_H

#include <stdbool.h>

#include "base/slice.h"
#include "ops/option.h"

struct option_arg {
    const struct option_row *row;
    const char *value; /* NULL: none yet */
};

/* The row of this name; NULL: there is none. */
const struct option_row *option_find(const struct option_row *rows, size_t count,
                                     struct slice name);

/* Find the row that arg names; *out has the value that is attached. False: there is none. */
bool option_match(const struct option_row *rows, size_t count, const char *arg,
                  struct option_arg *out);

/* Take argv[*i + 1] as the value of a, if its row wants one that is not attached. False: there is
 * no further argument. */
bool option_take_value(struct option_arg *a, int argc, char **argv, int *i);

#endif
