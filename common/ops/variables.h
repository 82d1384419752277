/* variables.h - finds environment variables that begin with SSECAST_ and set no option: most are
 * misspelt.
 *
 * Variables for options of our other programs are accepted, because one settings file may serve
 * all.
 */
#ifndef SSECAST_VARIABLES_H
#define SSECAST_VARIABLES_H

#include <stdbool.h>

#include "ops/option.h"

#define VARIABLES_WHY_MAX 256

/* Find the next such variable, from *cursor (0 at first) on. why receives a line with its name,
 * without its value, and the nearest known name if there is one. False at the end. */
bool variables_next_unknown(const struct option_program *program, size_t *cursor,
                            char why[VARIABLES_WHY_MAX]);

/* Log a warning for each such variable. */
void variables_warn(const struct option_program *program);

/* True when one of our programs has an option of this name. */
bool variables_known(const char *option);

#endif
