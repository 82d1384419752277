/* keys.h - keys made while a test runs: PEM texts, and JWKs of them. */
#ifndef SSECAST_TESTS_KEYS_H
#define SSECAST_TESTS_KEYS_H

#include <check.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

struct test_key {
    EVP_PKEY *pair;
    char public[4096], private[8192]; /* PEM */
};

static inline void take_text(BIO *bio, char *out, size_t room)
{
    int len = BIO_read(bio, out, (int)room - 1);
    ck_assert_int_gt(len, 0);
    out[len] = '\0';
    BIO_free(bio);
}

static inline struct test_key take_pair(EVP_PKEY *pair)
{
    struct test_key key = {.pair = pair};
    BIO *public = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_mem());
    ck_assert_ptr_nonnull(pair);
    ck_assert_int_eq(PEM_write_bio_PUBKEY(public, pair), 1);
    ck_assert_int_eq(PEM_write_bio_PrivateKey(private, pair, NULL, NULL, 0, NULL, NULL), 1);
    take_text(public, key.public, sizeof key.public);
    take_text(private, key.private, sizeof key.private);
    return key;
}

static inline struct test_key make_rsa(unsigned bits)
{
    return take_pair(EVP_RSA_gen(bits));
}

static inline struct test_key make_ec(const char *curve)
{
    return take_pair(EVP_EC_gen(curve));
}

static inline void free_key(struct test_key *key)
{
    EVP_PKEY_free(key->pair);
    key->pair = NULL;
}

/* Base64url without padding. Returns behind the text. */
static inline char *put_base64url(char *out, const unsigned char *bytes, size_t len)
{
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    char *end = out + strcspn(out, "=");
    *end = '\0';
    for (char *at = out; at < end; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return end;
}

static inline char *put_number(char *out, EVP_PKEY *key, const char *param, size_t width)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, param, &number), 1);
    size_t len = width ? width : (size_t)BN_num_bytes(number);
    ck_assert_int_eq(BN_bn2binpad(number, bytes, (int)len), (int)len);
    BN_free(number);
    return put_base64url(out, bytes, len);
}

/* {"kty":...} of the public key; more is put before the closing brace: ",\"kid\":\"a\"". */
static inline const char *jwk_of(const struct test_key *key, const char *more, char *out)
{
    char *at = out;
    if (EVP_PKEY_get_base_id(key->pair) == EVP_PKEY_RSA) {
        at = put_number(stpcpy(at, "{\"kty\":\"RSA\",\"n\":\""), key->pair, OSSL_PKEY_PARAM_RSA_N,
                        0);
        at = put_number(stpcpy(at, "\",\"e\":\""), key->pair, OSSL_PKEY_PARAM_RSA_E, 0);
    } else {
        at = put_number(stpcpy(at, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\""), key->pair,
                        OSSL_PKEY_PARAM_EC_PUB_X, 32);
        at = put_number(stpcpy(at, "\",\"y\":\""), key->pair, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    }
    stpcpy(stpcpy(stpcpy(at, "\""), more), "}");
    return out;
}

#endif
