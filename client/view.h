/* view.h - the broker's replies, shown to people: the only user of jansson in the command line.
 *
 * Which reply it is, and whether it is a refusal, libssecast knows; this makes tables of one.
 *
 * Ownership: reply_parse() gives a reply that reply_free() frees; texts belong to it.
 */
#ifndef SSECAST_VIEW_H
#define SSECAST_VIEW_H

#include <stdio.h>

#include "slice.h"

/* One column of a list of objects. */
struct column {
    const char *field;
    const char *heading;
    const char *missing; /* shown when the field is not there, or null; NULL: "-" */
    bool is_time;        /* unix ms, shown as local time */
};

/* What a verb's reply looks like: a list under one name, or (list NULL) its fields, one on each line. */
struct view {
    const char *list;
    const struct column *columns;
    size_t count;
    const char *more; /* how to ask for what did not fit */
};

struct reply;

/* NULL when text is not a JSON object, or out of memory. */
struct reply *reply_parse(struct slice text);
void reply_free(struct reply **r);

bool reply_ok(const struct reply *r);

/* The broker's refusal. */
const char *reply_error(const struct reply *r);   /* its code, or "?" */
const char *reply_message(const struct reply *r); /* or "" */

/* Is there more than the reply holds? */
bool reply_more(const struct reply *r);

/* Write it for people. 0 or -ENOMEM. */
int reply_show(const struct reply *r, const struct view *view, FILE *out);

/* Is text a JSON value? When not, a line in problem says where. */
bool is_json(struct slice text, char *problem, size_t size);

#endif
