/* surrogate.h - halves of UTF-16 pairs in JSON text: valid JSON, and no character.
 *
 * `JSON.stringify("abcd😀".slice(0, 5))` is "abcd\ud83d". RFC 8259 allows it, JavaScript and Python read it, and jansson
 * refuses the whole text. `data` of an event is handed on as it was sent, so it may have them.
 */
#ifndef SSECAST_SURROGATE_H
#define SSECAST_SURROGATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Half of a pair. */
bool surrogate_half(int32_t c);

/* The character of the four digits at p, behind a backslash and `u`. A pair of escapes is one character (*len 10), a half without the other
 * is itself (*len 4). -1: these are no four digits. */
int32_t surrogate_read(const char *p, const char *end, size_t *len);

/* A copy of JSON text for a reader that refuses halves: each is the escape of U+FFFD instead, of the same length. NULL when out of memory.
 * The caller frees it. */
char *surrogate_softened(struct slice json);

#endif
