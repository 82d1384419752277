/* variables.h - environment variables that begin with SSECAST_ and set nothing: most are misspelt.
 *
 * A variable that sets an option of another of our programs is none of them: one file of settings may serve all.
 */
#ifndef SSECAST_VARIABLES_H
#define SSECAST_VARIABLES_H

#include <stdbool.h>

#include "ops/option.h"

#define VARIABLES_WHY_MAX 256

/* The next such variable of the environment, from *cursor (at first 0) on. why is for people: its name, without its value, and the nearest
 * known name where one is near. False: there is none left. */
bool variables_next_unknown(const struct option_program *program, size_t *cursor, char why[VARIABLES_WHY_MAX]);

/* Log a warning for each of them. */
void variables_warn(const struct option_program *program);

/* Is this the name of an option of any of our programs? */
bool variables_known(const char *option);

#endif
