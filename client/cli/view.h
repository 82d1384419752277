/* view.h - shows the broker's replies as tables: the only user of jansson in the command line.
 *
 * libssecast tells refusals from other replies; this formats one reply.
 */
#ifndef SSECAST_VIEW_H
#define SSECAST_VIEW_H

#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

/* How a column is shown. Each form but the first is for numbers; other values stay as they are. */
enum column_form {
    FORM_VALUE, /* the field itself */
    FORM_TIME,  /* unix ms, as local time */
    FORM_AGE,   /* unix ms, as the time since then */
    FORM_LEFT,  /* seconds from the row's `at` (unix ms), as the time that is left of them */
    FORM_HEARD, /* ms of silence, as show_silence() */
};

/* One column of a list of objects. */
struct column {
    const char *field;
    const char *heading;
    const char *missing; /* shown when the field is not there, or null; NULL: "-" */
    enum column_form form;
};

/* The form of a verb's reply: a text field as it is; a list field as a table; or all fields, one
 * a line. */
struct view {
    const char *list; /* NULL: none */
    const struct column *columns;
    size_t count;
    const char *more; /* how to request the rest; NULL: with --after and the reply's `next` */
    const char *text; /* NULL: none */
};

/* Write the reply; now_ms is the unix time. *more: the list is incomplete. 0; -EBADMSG when it is
 * not a JSON object; -ENOMEM. */
int view_show(const struct view *view, struct slice reply, int64_t now_ms, FILE *out, bool *more);

/* A parsed reply. For NULL, a missing name or a value of another type, getters return NULL, 0 or
 * empty. */
struct tree;

/* NULL when it is no JSON object, or out of memory. */
struct tree *tree_parse(struct slice reply);
void tree_free(struct tree **t);

const struct tree *tree_at(const struct tree *t, const char *name);
size_t tree_length(const struct tree *list);
const struct tree *tree_item(const struct tree *list, size_t i);
uint64_t tree_number(const struct tree *t, const char *name);
uint64_t tree_number_at(const struct tree *list, size_t i);
struct slice tree_text_at(const struct tree *list, size_t i);
bool tree_flag(const struct tree *t, const char *name);
struct slice tree_text(const struct tree *t, const char *name);

/* True when text is a JSON value. Otherwise a line in problem says where it is wrong. */
bool is_json(struct slice text, char *problem, size_t size);

#endif
