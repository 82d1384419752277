/* request_source.h - where the values of a request come from: a parameter of the query, a cookie, a
 * header, the token; and the values that are kept of a request (--meta). Pure.
 *
 * A source is a text of the configuration, "query:NAME" for example. It does not know what a value
 * is used for.
 *
 * Ownership: returned texts are the caller's.
 */
#ifndef SSECAST_REQUEST_SOURCE_H
#define SSECAST_REQUEST_SOURCE_H

#include "auth/token.h"
#include "codec/meta.h"
#include "http/params.h"
#include "ops/option.h"

/* NULL when value is one of the sources a session or channels can come from, else what is
 * accepted. */
const char *request_check_source(const char *value);

/* The same for a session, which may also be "none". */
const char *request_check_session_source(const char *value);

/* NULL when value can be the name of a cookie, or is empty; else what is accepted. */
const char *request_check_cookie(const char *value);

/* NULL when value is [LABEL=]SOURCE, or "none"; else what is accepted. */
const char *request_check_meta(const char *value);

/* What the value of such an item is called: its label, else the source's own name with '_' for
 * all that is no letter or digit, in lower case. "" for "none". Returns out. */
const char *request_meta_label(const char *item, char out[META_LABEL_MAX + 1]);

/* Is the source `jwt`; is it among these; or is a part of the token kept? */
bool source_is_token(const char *source);
bool source_lists_token(const struct option_list *sources);
bool source_keeps_token(const struct option_list *meta);

/* Is the item `none`? */
bool source_is_none(const char *item);

/* The value from this source; NULL when the request has none, or an empty one. */
char *source_value(const char *source, const struct params *params, const struct token *token);

/* value, or NULL (freed) when it is empty. */
char *source_unless_empty(char *value);

/* The values of these items, packed (meta.h), as a new text; NULL without items. 0 or -ENOMEM. */
int source_read_meta(const struct params *params, const struct token *token,
                     const struct option_list *items, char **meta, size_t *meta_len);

#endif
