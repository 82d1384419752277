/* jwks.h - the keys that tokens are signed with, read from a file's text: secrets, or public keys;
 * and whether one of them has signed a text. The only user of libcrypto. Pure: text in, keys out.
 *
 * Each key is for one algorithm, and is used for no other. claims.h says what a token permits.
 * A file is of one kind, which the caller names and the text never decides: what is public can then
 * never become a secret.
 *
 *     JWKS_PUBLIC     PEM (-----BEGIN PUBLIC KEY-----), one or more keys; or a JWKS
 *                     ({"keys":[...]}) or one JWK of kty RSA or EC. RSA of 2048 bits or more,
 *                     EC P-256. A key of kty oct is an error
 *     JWKS_SECRETS    the bytes of one secret, less one line break at the end; or a JWKS or JWK of
 *                     kty oct. Secrets are for HS256 and have 32 bytes or more. A key of another
 *                     kty is an error, and so is text that is evidently no secret
 *
 * In a JWKS, keys of the right kty for another use or algorithm are left out.
 *
 * Ownership: jwks_read() allocates what the struct points to; jwks_release() frees it, and wipes
 * secrets.
 */
#ifndef SSECAST_JWKS_H
#define SSECAST_JWKS_H

#include "base/slice.h"

#define JWKS_SECRET_MIN 32u /* bytes of a secret: HS256 asks for as many */
#define JWKS_RSA_BITS_MIN 2048
#define JWKS_KEYS_MAX 64u /* of one file */

#define JWKS_DIGEST 32u /* bytes */

enum jwks_kind { JWKS_PUBLIC, JWKS_SECRETS };

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

/* 0, or -EINVAL or -ENOMEM: out is empty and *why a sentence that says what was wrong, valid
 * until the next call. */
int jwks_read(enum jwks_kind kind, struct slice text, struct jwks *out, const char **why);

/* SHA-256 of text: whether a file's text is another one than before. All zero without memory. */
void jwks_digest(struct slice text, unsigned char out[JWKS_DIGEST]);

void jwks_release(struct jwks *set);

/* Is signature (base64url) this key's, by its algorithm, for text? */
bool jwk_signed(const struct jwk *key, struct slice text, struct slice signature);

#endif
