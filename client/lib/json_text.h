/* json_text.h - is a text one JSON value? It is asked before somebody's text is put into a request.
 *
 * Why not a parser of trees: numbers may be as large as they like here (they travel as text), and nothing is kept.
 */
#ifndef SSECAST_JSON_TEXT_H
#define SSECAST_JSON_TEXT_H

#include "base/slice.h"

#define JSON_TEXT_DEPTH 1900 /* lists and objects in one another; the broker refuses requests a little deeper */

/* True for exactly one value, with white space around it allowed (RFC 8259); strings are UTF-8. Escapes of surrogates need not
 * come in pairs: the broker takes them so in `data`. */
bool json_text_valid(struct slice text);

/* True when every byte of text belongs to a valid UTF-8 sequence. */
bool utf8_valid(struct slice text);

#endif
