/* show.h - prints untrusted text safely on a terminal, and tables.
 *
 * Names and payloads come from outside. Control characters, which a terminal would obey, and
 * invalid UTF-8 are written as escapes.
 */
#ifndef SSECAST_SHOW_H
#define SSECAST_SHOW_H

#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

/* Write text: newline as \n, tab as \t, other control characters and stray bytes as \xNN, a
 * backslash as it is. Returns the columns it takes, counting one for each character. out NULL
 * only counts. */
size_t show_text(FILE *out, struct slice text);

/* Write text as one word for a shell such as bash or zsh: $'...', with escapes as above. */
void show_word(FILE *out, struct slice text);

#define SHOW_DURATION 32

/* "90 s", "3 min", "5 h", "2 d". Returns out. */
const char *show_duration(uint64_t ms, char out[SHOW_DURATION]);

/* How long a worker has been silent: "now" below 3 s (workers report once a second), then as
 * show_duration(). Returns out. */
const char *show_silence(uint64_t ms, char out[SHOW_DURATION]);

/* A table in memory, cell by cell. */
struct grid;

/* headings ends with NULL and is kept by the caller; NULL: a table without headings, of the
 * columns given. NULL when out of memory. */
struct grid *grid_new(const char *const *headings, size_t columns);
void grid_free(struct grid **g);

/* Add the next cell (copied). 0 or -ENOMEM. */
int grid_add(struct grid *g, struct slice text);

/* Write it, columns aligned, the last one as wide as it is. */
void grid_show(const struct grid *g, FILE *out);

#endif
