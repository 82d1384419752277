/* json_in.h - reads small JSON texts from outside: a token's claims, a key file. The worker's only
 * user of jansson.
 *
 * Getters take a type; a value of another type counts as missing. Every getter accepts NULL.
 *
 * Ownership: the root owns everything below it, until json_in_free().
 */
#ifndef SSECAST_JSON_IN_H
#define SSECAST_JSON_IN_H

#include "base/slice.h"

struct json_in; /* any value */

/* The value that text is; NULL when it is not JSON, holds a name twice in one object, or out of
 * memory. */
struct json_in *json_in_parse(struct slice text);

/* The value as JSON on one line, to be freed with free(). NULL when out of memory. */
char *json_in_print(const struct json_in *value);

/* Free and set *root to NULL. Safe on NULL. */
void json_in_free(struct json_in **root);

/* An object's member; NULL: none. */
const struct json_in *json_in_member(const struct json_in *value, const char *name);

bool json_in_is_object(const struct json_in *value);
bool json_in_is_list(const struct json_in *value);
bool json_in_is_text(const struct json_in *value);
bool json_in_is_number(const struct json_in *value);
bool json_in_is_true(const struct json_in *value);
bool json_in_is_false(const struct json_in *value);
bool json_in_is_null(const struct json_in *value); /* one that is there */

/* A list's length, 0 for what is none; its items, from 0. */
size_t json_in_count(const struct json_in *list);
const struct json_in *json_in_item(const struct json_in *list, size_t index);

/* A text; empty for what is none. */
struct slice json_in_text(const struct json_in *value);

/* A number; 0 for what is none. */
double json_in_number(const struct json_in *value);

#endif
