/* option_number.h - the numbers among a program's options: counts, sizes, durations,
 * permissions. Pure: text in, value out. */
#ifndef SSECAST_OPTION_NUMBER_H
#define SSECAST_OPTION_NUMBER_H

#include <stdbool.h>

#include "ops/option.h"

bool option_is_number(enum option_type type);

/* The value of text, in the unit of the row's type. False when it is no such number, does
 * not fit or is outside the row's limits; *out is undefined then. */
bool option_parse_number(const struct option_row *row, const char *text, uint64_t *out);

/* Describe what is accepted: "a duration such as 15 (seconds), ..., from 1s to 1h". */
void option_describe_number(const struct option_row *row, char *out, size_t size);

#endif
