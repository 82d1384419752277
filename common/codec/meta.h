/* meta.h - packs the values that are kept of a request besides session and channels, META_MAX at
 * most.
 *
 * A worker keeps the values as long as the stream and reports them to the broker, so they are
 * packed. An IP address takes 5 or 17 bytes, a text its length and one byte, a missing value one
 * byte. Labels are kept elsewhere, once for each worker. Pure.
 */
#ifndef SSECAST_META_H
#define SSECAST_META_H

#include <stddef.h>

#include "base/slice.h"

#define META_MAX 8u         /* values of one connection */
#define META_VALUE_MAX 250u /* bytes of a value; a longer one is cut between characters */
#define META_LABEL_MAX 64u  /* bytes of a value's label */
#define META_PACKED_MAX (META_MAX * (META_VALUE_MAX + 1))
#define META_RULE "1 to 64 of letters, digits, '_', '-' and '.'"

/* Write value to out, which has room for META_VALUE_MAX + 1 bytes. Returns the bytes written. An
 * empty value is a missing one. */
size_t meta_pack(struct slice value, char *out);

/* True when packed is the output of at most META_MAX calls of meta_pack(). */
bool meta_valid(struct slice packed);

/* Take the next value off packed, which is valid. text is scratch space. False at the end. */
bool meta_next(struct slice *packed, char text[META_VALUE_MAX], struct slice *value);

bool meta_label_valid(struct slice label);

#endif
