/* option_help.h - writes what --help says of options, by their rows. Lines have at most 80
 * columns. */
#ifndef SSECAST_OPTION_HELP_H
#define SSECAST_OPTION_HELP_H

#include <stdio.h>

#include "ops/option.h"

/* Write a text from this column on, without a line break in it, and end the line. */
void option_help_text(FILE *out, int column, const char *text);

/* Write one option: its name, and text from this column on. A longer name has a line of its own.
 * letter: the option is -H too; 0: it has none. */
void option_help_line(FILE *out, int column, const struct option_row *row, char letter,
                      const char *text);

/* Write the whole help of a program. built_in: what it has beside its rows. */
void option_help(FILE *out, const struct option_program *program, const struct option_row *built_in,
                 size_t count);

#endif
