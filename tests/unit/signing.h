/* signing.h - tokens that a test signs with keys of its own. */
#ifndef SSECAST_TESTS_SIGNING_H
#define SSECAST_TESTS_SIGNING_H

#include <check.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keys.h"
#include "support.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER_SECRET "fedcba9876543210fedcba9876543210"

/* A file of keys that only its owner may read. */
static inline void write_key_file(const char *path, const char *keys)
{
    make_file(path, slice_of(keys), 0600);
}

/* A token with these claims, signed so. Valid until the next one. */
static inline const char *sign_as(jwt_alg_t algorithm, const char *key, const char *kid,
                                  const char *claims)
{
    static char *made;
    jwt_t *jwt;
    free(made);
    ck_assert_int_eq(jwt_new(&jwt), 0);
    if (kid)
        ck_assert_int_eq(jwt_add_header(jwt, "kid", kid), 0);
    ck_assert_int_eq(jwt_add_grants_json(jwt, claims), 0);
    ck_assert_int_eq(
        jwt_set_alg(jwt, algorithm, (const unsigned char *)key, key ? (int)strlen(key) : 0), 0);
    made = jwt_encode_str(jwt);
    ck_assert_ptr_nonnull(made);
    jwt_free(jwt);
    return made;
}

static inline const char *sign(const char *claims)
{
    return sign_as(JWT_ALG_HS256, SECRET, NULL, claims);
}

/* An access token with these claims: libjwt writes no other typ than JWT. */
static inline const char *sign_access(const char *claims)
{
    static char made[4096];
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}";
    unsigned char mac[32];
    unsigned len = sizeof mac;

    char *end = put_base64url(made, (const unsigned char *)header, sizeof header - 1);
    *end++ = '.';
    end = put_base64url(end, (const unsigned char *)claims, strlen(claims));
    HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (unsigned char *)made, (size_t)(end - made),
         mac, &len);
    *end++ = '.';
    *put_base64url(end, mac, len) = '\0';
    return made;
}

#endif
