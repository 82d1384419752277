/* surrogate.h - unpaired UTF-16 surrogates in JSON text: valid JSON, but not characters.
 *
 * `JSON.stringify("abcd😀".slice(0, 5))` is "abcd\ud83d". RFC 8259 allows it, JavaScript and Python
 * read it, and jansson refuses the whole text. `data` of an event is passed on as it was sent, so
 * it may hold them.
 */
#ifndef SSECAST_SURROGATE_H
#define SSECAST_SURROGATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* True for one half of a surrogate pair. */
bool surrogate_half(int32_t c);

/* Decode the four digits at p, which follow a backslash and `u`. A pair of escapes is one
 * character (*len is 10); an unpaired half is itself (*len is 4). -1 when there are no four
 * digits. */
int32_t surrogate_read(const char *p, const char *end, size_t *len);

/* A copy of JSON text in which each unpaired half is replaced by the escape of U+FFFD, of the
 * same length. For parsers that refuse halves. The caller frees it. NULL when out of memory. */
char *surrogate_softened(struct slice json);

#endif
