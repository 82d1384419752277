/* meta.h - what is kept of a request besides session and channels: up to META_MAX short values, packed.
 *
 * A worker keeps the values for as long as the stream lasts and tells the broker, so they are packed: an IP address takes 5 or 17
 * bytes, a text its length and one more, a value that is not there one. What each is called stands elsewhere, once for a worker.
 * Pure.
 */
#ifndef SSECAST_META_H
#define SSECAST_META_H

#include <stddef.h>

#include "base/slice.h"

#define META_MAX 8u         /* values of one connection */
#define META_VALUE_MAX 250u /* bytes of a value; what is longer is cut, between characters */
#define META_LABEL_MAX 64u  /* bytes of what a value is called */
#define META_PACKED_MAX (META_MAX * (META_VALUE_MAX + 1))
#define META_RULE "1 to 64 of letters, digits, '_', '-' and '.'"

/* Write value to out, which has room for META_VALUE_MAX + 1 bytes. Returns how many were written. An empty value is one that is not
 * there. */
size_t meta_pack(struct slice value, char *out);

/* Is this what meta_pack() writes, META_MAX times at most? */
bool meta_valid(struct slice packed);

/* Take the next value off packed, which is valid. text is scratch for it. False at the end. */
bool meta_next(struct slice *packed, char text[META_VALUE_MAX], struct slice *value);

bool meta_label_valid(struct slice label);

#endif
