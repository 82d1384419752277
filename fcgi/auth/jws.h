/* jws.h - takes the text of a token apart: a JSON Web Signature in its compact form (RFC 7515,
 * 7.1). Pure: it checks no signature and no claim.
 *
 * Ownership: jws_read() allocates what the struct points to, jws_release() frees it. The slices
 * point into the token's text.
 */
#ifndef SSECAST_JWS_H
#define SSECAST_JWS_H

#include <stdbool.h>

#include "base/slice.h"

struct json_in;

#define JWS_BYTES_MAX 8192u /* of a token's text */
#define JWS_NAME_MAX 256u   /* of alg, kid and typ, with the NUL */

/* What a token's header says. */
struct jws {
    struct slice signed_text;     /* header.claims */
    struct slice claims;          /* base64url */
    struct slice signature;       /* base64url */
    bool access;                  /* an access token (RFC 9068): typ at+jwt */
    char algorithm[JWS_NAME_MAX]; /* alg; empty: it names none */
    char kid[JWS_NAME_MAX];       /* empty: it names none */
};

/* NULL, or what is wrong with the token: a text that lives for ever. */
const char *jws_read(const char *token, struct jws *out);

/* The claims, an object that the caller frees; NULL: they cannot be read. Only for a token whose
 * signature is good. */
struct json_in *jws_claims(const struct jws *token);

#endif
