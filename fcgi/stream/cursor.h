/* cursor.h - the cursors that a request brings, as text.
 *
 * A cursor is a seq or a publisher's own id. What it names in the sequence is resume.c's matter.
 * Nothing of the query is refused: a client that names its cursor twice has appended the newer one.
 */
#ifndef SSECAST_CURSOR_H
#define SSECAST_CURSOR_H

#include <stdbool.h>

#include "http/params.h"

/* Which texts name a seq: on plain streams digits, on those of the hub also `#` and digits. */
enum cursor_seqs { CURSOR_SEQS_PLAIN, CURSOR_SEQS_OF_HUB };

/* The header Last-Event-ID, without blanks at its ends. A client may send it twice: some web
 * servers join the lines to "41, 42", others pass two parameters on. If all of them are seqs (or 0,
 * before all of them), the newest one is the cursor; else it is the whole text, since own ids may
 * have commas. A new text; NULL when the cursor is absent or empty, or without memory. */
char *cursor_from_header(const struct params *params, enum cursor_seqs seqs);

/* The parameter of the query: of the first of these names that has a value, the last one. names
 * ends with NULL. The result as above. */
char *cursor_from_query(const struct params *params, const char *const *names);

#endif
