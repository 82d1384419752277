/* json_text.h - checks that a text is one JSON value, before it is put into a request.
 *
 * It builds no tree: numbers stay text and may have any size, and nothing is allocated.
 */
#ifndef SSECAST_JSON_TEXT_H
#define SSECAST_JSON_TEXT_H

#include "base/slice.h"

#define JSON_TEXT_DEPTH 1900 /* nesting of lists and objects; the broker accepts a little more */

/* True for exactly one value, with white space around it allowed (RFC 8259); strings are UTF-8.
 * Escapes of surrogates need not come in pairs: the broker takes them so in `data`. */
bool json_text_valid(struct slice text);

#endif
