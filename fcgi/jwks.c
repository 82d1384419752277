#include "jwks.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "json_in.h"

#define P256_BYTES 32u   /* of a coordinate */
#define NUMBER_MAX 1024u /* bytes of an RSA modulus: 8192 bits */

/* --- the set --- */

/* A new last key, all zero. NULL when the set is full or out of memory. */
static struct jwk *add(struct jwks *set)
{
    struct jwk *keys = set->count < JWKS_KEYS_MAX ? reallocarray(set->keys, set->count + 1, sizeof *keys) : NULL;
    if (!keys)
        return NULL;
    set->keys = keys;
    keys[set->count] = (struct jwk){0};
    return &keys[set->count++];
}

static int add_secret(struct jwks *set, const void *bytes, size_t len)
{
    struct jwk *key = add(set);
    if (!key || !(key->data = malloc(len)))
        return -ENOMEM;
    key->use = JWK_HS256;
    memcpy(key->data, bytes, len);
    key->len = len;
    return 0;
}

/* The PEM text of a public key, for libjwt. */
static int add_public(struct jwks *set, enum jwk_use use, EVP_PKEY *public)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct jwk *key = add(set);
    char *pem = NULL;
    int err = -ENOMEM;
    if (bio && key && PEM_write_bio_PUBKEY(bio, public) == 1) {
        long len = BIO_get_mem_data(bio, &pem);
        key->use = use;
        key->data = (unsigned char *)strndup(pem, (size_t)len);
        key->len = (size_t)len;
        err = key->data ? 0 : -ENOMEM;
    }
    BIO_free(bio);
    return err;
}

void jwks_release(struct jwks *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->keys[i].kid);
        if (set->keys[i].data)
            OPENSSL_cleanse(set->keys[i].data, set->keys[i].len);
        free(set->keys[i].data);
    }
    free(set->keys);
    *set = (struct jwks){0};
}

/* --- what a public key is good for --- */

/* Put what it is good for into *use; false with *why for a key that is good for nothing here. */
static bool find_use(EVP_PKEY *key, enum jwk_use *use, const char **why)
{
    char curve[32] = "";
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        *use = JWK_RS256;
        *why = "an RSA key has fewer than 2048 bits";
        return EVP_PKEY_get_bits(key) >= JWKS_RSA_BITS_MIN;
    case EVP_PKEY_EC:
        *use = JWK_ES256;
        *why = "an EC key is not on the curve P-256";
        return EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) == 1 && strcmp(curve, "prime256v1") == 0;
    default:
        *why = "a public key is neither RSA nor EC P-256";
        return false;
    }
}

static int add_checked(struct jwks *set, EVP_PKEY *key, const char **why)
{
    enum jwk_use use;
    if (!find_use(key, &use, why))
        return -EINVAL;
    *why = "out of memory, or too many keys";
    return add_public(set, use, key);
}

/* --- PEM --- */

/* The next public key. 0 with *key NULL at the end. */
static int next_public(BIO *bio, EVP_PKEY **key)
{
    char *name = NULL, *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    *key = NULL;
    if (PEM_read_bio(bio, &name, &header, &data, &len) != 1)
        return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : -EINVAL;
    const unsigned char *at = data;
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        *key = d2i_PUBKEY(NULL, &at, len);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    return *key ? 0 : -EINVAL;
}

static int read_pem(struct slice text, struct jwks *out, const char **why)
{
    static const char not_public[] = "its PEM text is not a public key (-----BEGIN PUBLIC KEY-----)";
    if (memmem(text.data, text.len, "PRIVATE KEY-----", 16)) {
        *why = "it holds a private key: a worker is to have the public key only";
        return -EINVAL;
    }
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    EVP_PKEY *key = NULL;
    int err = bio ? 0 : -ENOMEM;
    do {
        *why = not_public;
        err = err ? err : next_public(bio, &key);
        if (!err && key)
            err = add_checked(out, key, why);
        EVP_PKEY_free(key);
    } while (!err && key);
    BIO_free(bio);
    ERR_clear_error();
    return err || out->count ? err : -EINVAL;
}

/* --- JWKS --- */

static int base64url_digit(char c)
{
    if (isupper((unsigned char)c))
        return c - 'A';
    if (islower((unsigned char)c))
        return c - 'a' + 26;
    if (isdigit((unsigned char)c))
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Decode a member's base64url into out. The bytes written; 0 when it is not there, not base64url or longer than max. */
static size_t get_bytes(const struct json_in *jwk, const char *name, unsigned char *out, size_t max)
{
    struct slice text = json_in_text(json_in_member(jwk, name));
    size_t len = 0;
    unsigned bits = 0;
    int count = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64url_digit(text.data[i]);
        if (digit < 0)
            return 0;
        bits = (bits << 6 | (unsigned)digit) & 0xffff;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        if (len == max)
            return 0;
        out[len++] = (unsigned char)(bits >> count);
    }
    return len;
}

static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (params && context && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    ERR_clear_error();
    return key;
}

static EVP_PKEY *rsa_key(const struct json_in *jwk)
{
    unsigned char bytes[NUMBER_MAX], exponent_bytes[8];
    size_t len = get_bytes(jwk, "n", bytes, sizeof bytes);
    size_t exponent_len = get_bytes(jwk, "e", exponent_bytes, sizeof exponent_bytes);
    if (!len || !exponent_len)
        return NULL;
    BIGNUM *n = BN_bin2bn(bytes, (int)len, NULL), *e = BN_bin2bn(exponent_bytes, (int)exponent_len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (build && n && e && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = key_of("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *ec_key(const struct json_in *jwk)
{
    unsigned char point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    if (get_bytes(jwk, "x", point + 1, P256_BYTES) != P256_BYTES ||
        get_bytes(jwk, "y", point + 1 + P256_BYTES, P256_BYTES) != P256_BYTES)
        return NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = key_of("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static int add_oct(struct jwks *set, const struct json_in *jwk, const char **why)
{
    unsigned char secret[NUMBER_MAX];
    size_t len = get_bytes(jwk, "k", secret, sizeof secret);
    *why = "a secret (kty oct) is not base64url of at least 32 bytes";
    int err = len >= JWKS_SECRET_MIN ? add_secret(set, secret, len) : -EINVAL;
    OPENSSL_cleanse(secret, sizeof secret);
    return err;
}

static int add_made(struct jwks *set, EVP_PKEY *key, const char **why)
{
    *why = "a key's numbers (n and e, x and y) are missing or wrong";
    int err = key ? add_checked(set, key, why) : -EINVAL;
    EVP_PKEY_free(key);
    return err;
}

static bool is(const struct json_in *jwk, const char *name, const char *value)
{
    return slice_equal(json_in_text(json_in_member(jwk, name)), slice_of(value));
}

/* A set may hold keys for other purposes: for encryption, and for algorithms that are none of ours. */
static bool meant_for(const struct json_in *jwk, const char *type, const char *algorithm)
{
    return is(jwk, "kty", type) && (!json_in_member(jwk, "use") || is(jwk, "use", "sig")) &&
           (!json_in_member(jwk, "alg") || is(jwk, "alg", algorithm));
}

static int add_jwk(struct jwks *set, const struct json_in *jwk, const char **why)
{
    size_t before = set->count;
    int err = 0;
    if (meant_for(jwk, "oct", "HS256"))
        err = add_oct(set, jwk, why);
    else if (meant_for(jwk, "RSA", "RS256"))
        err = add_made(set, rsa_key(jwk), why);
    else if (meant_for(jwk, "EC", "ES256") && is(jwk, "crv", "P-256"))
        err = add_made(set, ec_key(jwk), why);
    struct slice kid = json_in_text(json_in_member(jwk, "kid"));
    if (err || set->count == before || !kid.len)
        return err;
    set->keys[before].kid = strndup(kid.data, kid.len);
    return set->keys[before].kid ? 0 : -ENOMEM;
}

static int read_jwks(struct slice text, struct jwks *out, const char **why)
{
    struct json_in *root = json_in_parse(text);
    const struct json_in *list = json_in_member(root, "keys");
    int err = 0;
    *why = "it is neither a JWKS nor a JWK, or not valid JSON";
    if (json_in_member(root, "kty"))
        err = add_jwk(out, root, why);
    else if (!json_in_is_list(list))
        err = -EINVAL;
    for (size_t i = 0; !err && i < json_in_count(list); i++)
        err = add_jwk(out, json_in_item(list, i), why);
    if (!err && !out->count) {
        *why = "none of its keys is for HS256, RS256 or ES256";
        err = -EINVAL;
    }
    json_in_free(&root);
    return err;
}

/* --- a file --- */

static int read_secret(struct slice text, struct jwks *out, const char **why)
{
    if (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    if (text.len && text.data[text.len - 1] == '\r')
        text.len--;
    *why = "a secret has at least 32 bytes (openssl rand -hex 32)";
    return text.len < JWKS_SECRET_MIN ? -EINVAL : add_secret(out, text.data, text.len);
}

static bool begins_with_brace(struct slice text)
{
    size_t i = 0;
    while (i < text.len && isspace((unsigned char)text.data[i]))
        i++;
    return i < text.len && text.data[i] == '{';
}

int jwks_read(struct slice text, struct jwks *out, const char **why)
{
    int err;
    *out = (struct jwks){0};
    *why = "out of memory";
    if (begins_with_brace(text))
        err = read_jwks(text, out, why);
    else if (memmem(text.data, text.len, "-----BEGIN", 10))
        err = read_pem(text, out, why);
    else
        err = read_secret(text, out, why);
    if (err)
        jwks_release(out);
    return err;
}
