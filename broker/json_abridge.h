/* json_abridge.h - a request without its payloads, so that jansson need not build a tree of what is handed on unread.
 *
 * A payload (the value of any field "data") is checked here, strictly, in one pass and without allocating; jansson checks and
 * reads the rest. What is unusual (deep, many fields, escapes in names, surrogates) is not judged here: the whole request then goes
 * to jansson, as does every request that turns out to be wrong, so that there is one source of errors.
 */
#ifndef SSECAST_JSON_ABRIDGE_H
#define SSECAST_JSON_ABRIDGE_H

#include "slice.h"

/* Bytes that json_abridge() may write for a text. */
size_t json_abridged_max(struct slice text);

/* Write text to out with `0 ` in the place of each payload. The bytes written, or 0 when a payload may not be valid JSON or is unusual.
 * When jansson accepts what was written, it would have accepted text. */
size_t json_abridge(struct slice text, char *out);

#endif
