/* jwks.h - the keys that tokens are signed with, read from a file's text: an HMAC secret, public keys in PEM, or a JSON Web Key Set; and
 * whether one of them has signed a text. The only user of libcrypto. Pure: text in, keys out.
 *
 * Each key is for one algorithm, and is used for no other; what a token is good for, token.c says.
 *
 *     begins with {             a JWKS ({"keys":[...]}) or one JWK: kty oct, RSA, EC (P-256). Keys for another use or algorithm are
 *                               left out
 *     has -----BEGIN            PUBLIC KEY, one or more: RSA of 2048 bits or more, EC P-256
 *     anything else             the bytes of a secret for HS256, 32 or more; with a line break at the end two: with it and without
 *
 * Ownership: jwks_read() allocates what the struct points to; jwks_release() frees it, and wipes secrets.
 */
#ifndef SSECAST_JWKS_H
#define SSECAST_JWKS_H

#include "slice.h"

#define JWKS_SECRET_MIN 32u /* bytes of a secret: HS256 asks for as many */
#define JWKS_RSA_BITS_MIN 2048
#define JWKS_KEYS_MAX 64u /* of one file */

enum jwk_use { JWK_HS256, JWK_RS256, JWK_ES256 };

struct evp_pkey_st;

struct jwk {
    enum jwk_use use;
    char *kid;                  /* NULL: it has none */
    struct evp_pkey_st *public; /* NULL: it is a secret ... */
    unsigned char *data;        /* ... of these bytes */
    size_t len;
};

struct jwks {
    struct jwk *keys;
    size_t count;
};

/* 0, or -EINVAL or -ENOMEM: out is empty and *why a sentence that says what was wrong, static. */
int jwks_read(struct slice text, struct jwks *out, const char **why);

void jwks_release(struct jwks *set);

/* Is signature (base64url) this key's, by its algorithm, for text? */
bool jwk_signed(const struct jwk *key, struct slice text, struct slice signature);

#endif
