/* form.h - reads a form (application/x-www-form-urlencoded), field by field. Pure.
 *
 * The text is decoded where it stands: it belongs to the caller, and values point into it.
 */
#ifndef SSECAST_FORM_H
#define SSECAST_FORM_H

#include "base/slice.h"

struct form {
    char *at, *end;
};

struct form_field {
    struct slice name, value; /* decoded; any bytes */
};

/* Is this Content-Type a form's? NULL is none. */
bool form_type(const char *content_type);

struct form form_open(char *text, size_t len);

/* The next field. A `%` that begins no escape stands for itself. False: there is none. */
bool form_next(struct form *form, struct form_field *field);

#endif
