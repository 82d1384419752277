/* base64.h - base64 (RFC 4648) in its two alphabets. The time does not depend on the bytes, so
 * secrets may be in it.
 *
 * Ownership: texts and bytes belong to the caller.
 */
#ifndef SSECAST_BASE64_H
#define SSECAST_BASE64_H

#include "base/slice.h"

enum base64_alphabet {
    BASE64_PLAIN, /* with + and /; its padding (=) may be missing */
    BASE64_URL,   /* with - and _; there is no padding */
};

/* The length of the text of this number of bytes, with padding. */
#define BASE64_LEN(bytes) (((bytes) + 2) / 3 * 4)

/* Decode text into out. Returns the number of bytes; 0 when text is empty, has more than max bytes,
 * or is not what an encoder would write. */
size_t base64_decode(enum base64_alphabet alphabet, struct slice text, void *out, size_t max);

/* Encode bytes as a string: BASE64_PLAIN with padding, BASE64_URL without. out has room for
 * BASE64_LEN() + 1. Returns out. */
char *base64_encode(enum base64_alphabet alphabet, struct slice bytes, char *out);

#endif
