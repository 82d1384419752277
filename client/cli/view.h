/* view.h - the broker's replies, shown to people: the only user of jansson in the command line.
 *
 * Which reply it is, and whether it is a refusal, libssecast knows; this makes tables of one.
 */
#ifndef SSECAST_VIEW_H
#define SSECAST_VIEW_H

#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

/* One column of a list of objects. */
struct column {
    const char *field;
    const char *heading;
    const char *missing; /* shown when the field is not there, or null; NULL: "-" */
    bool is_time;        /* unix ms, shown as local time */
};

/* What a verb's reply looks like: a text under one name, as it is; a list under one name; or its fields, one on each line. */
struct view {
    const char *list; /* NULL: none */
    const struct column *columns;
    size_t count;
    const char *more; /* how to ask for what did not fit */
    const char *text; /* NULL: none */
};

/* Write the reply for people. *more: is there more than it holds? 0; -EBADMSG when it is no JSON object; -ENOMEM. */
int view_show(const struct view *view, struct slice reply, FILE *out, bool *more);

/* A reply to look into. What is asked of NULL, of a name that is not there, or of another kind of value, is nothing: NULL, 0, empty. */
struct tree;

/* NULL when it is no JSON object, or out of memory. */
struct tree *tree_parse(struct slice reply);
void tree_free(struct tree **t);

const struct tree *tree_at(const struct tree *t, const char *name);
size_t tree_length(const struct tree *list);
const struct tree *tree_item(const struct tree *list, size_t i);
uint64_t tree_number(const struct tree *t, const char *name);
uint64_t tree_number_at(const struct tree *list, size_t i);
bool tree_flag(const struct tree *t, const char *name);
struct slice tree_text(const struct tree *t, const char *name);

/* Is text a JSON value? When not, a line in problem says where. */
bool is_json(struct slice text, char *problem, size_t size);

#endif
