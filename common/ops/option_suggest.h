/* option_suggest.h - which option was meant by a name that is none.
 *
 * It prints nothing; option.c asks the question.
 *
 * Ownership: names are those of the rows.
 */
#ifndef SSECAST_OPTION_SUGGEST_H
#define SSECAST_OPTION_SUGGEST_H

#include "base/slice.h"
#include "ops/option.h"

/* The first row from whose name this one differs in one letter: one that is added, missing, wrong,
 * or swapped with its neighbour. NULL: none. */
const char *option_suggest(const struct option_row *rows, size_t count, struct slice name);

#endif
