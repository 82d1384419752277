/* libjwt 1.10 checks signatures too, but parses a public key's PEM text again for each.
 * That takes half a millisecond, ten times as long as the check itself, and no stream is served
 * meanwhile. So public keys are kept as keys of libcrypto. */
#include "auth/jwks.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/must.h"
#include "codec/json_in.h"

#define P256_BYTES 32u /* of a coordinate */
#define PRIVATE "it holds a private key: a worker is to have the public key only"
#define NUMBER_MAX 1024u /* bytes of an RSA modulus: 8192 bits */

/* --- the set --- */

/* A new last key, all zero. NULL when the set is full or out of memory. */
static struct jwk *jwks_add(struct jwks *set)
{
    struct jwk *keys =
        set->count < JWKS_KEYS_MAX ? reallocarray(set->keys, set->count + 1, sizeof *keys) : NULL;
    if (!keys)
        return NULL;
    set->keys = keys;
    keys[set->count] = (struct jwk){0};
    return &keys[set->count++];
}

static int add_secret(struct jwks *set, const void *bytes, size_t len)
{
    struct jwk *key = jwks_add(set);
    MUST(len >= JWKS_SECRET_MIN);

    if (!key || !(key->data = malloc(len)))
        return -ENOMEM;
    key->use = JWK_HS256;
    memcpy(key->data, bytes, len);
    key->len = len;
    return 0;
}

static int add_public(struct jwks *set, enum jwk_use use, EVP_PKEY *public)
{
    struct jwk *key = jwks_add(set);
    if (!key)
        return -ENOMEM;
    key->use = use;
    key->public = public;
    EVP_PKEY_up_ref(public);
    return 0;
}

void jwks_release(struct jwks *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->keys[i].kid);
        if (set->keys[i].data)
            OPENSSL_cleanse(set->keys[i].data, set->keys[i].len);
        free(set->keys[i].data);
        EVP_PKEY_free(set->keys[i].public);
    }
    free(set->keys);
    *set = (struct jwks){0};
}

/* --- the algorithm of a public key --- */

/* Set *use to the algorithm that key is for. False, with *why: none that is accepted here. */
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
        return EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) == 1 &&
               strcmp(curve, "prime256v1") == 0;
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
    static const char not_public[] =
        "its PEM text is not a public key (-----BEGIN PUBLIC KEY-----)";
    if (memmem(text.data, text.len, "PRIVATE KEY-----", 16)) {
        *why = PRIVATE;
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

/* A member's bytes. 0: it is not there, or not base64url. */
static size_t get_bytes(const struct json_in *jwk, const char *name, unsigned char *out, size_t max)
{
    return base64_decode(BASE64_URL, json_in_text(json_in_member(jwk, name)), out, max);
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
    BIGNUM *n = BN_bin2bn(bytes, (int)len, NULL),
           *e = BN_bin2bn(exponent_bytes, (int)exponent_len, NULL);
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
    if (build &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
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

/* key_ops, where it is there. */
static bool may_verify(const struct json_in *jwk)
{
    const struct json_in *list = json_in_member(jwk, "key_ops");
    bool may = !list;
    for (size_t i = 0; !may && i < json_in_count(list); i++)
        may = slice_equal(json_in_text(json_in_item(list, i)), slice_of("verify"));
    return may;
}

/* A set may hold keys for other purposes: for encryption, and for algorithms that are none of
 * ours. */
static bool meant_for(const struct json_in *jwk, const char *type, const char *algorithm)
{
    return is(jwk, "kty", type) && (!json_in_member(jwk, "use") || is(jwk, "use", "sig")) &&
           may_verify(jwk) && (!json_in_member(jwk, "alg") || is(jwk, "alg", algorithm));
}

/* NULL, or why the whole file is refused because of this key. */
static const char *misplaced(enum jwks_kind kind, const struct json_in *jwk)
{
    if (json_in_member(jwk, "d"))
        return PRIVATE;

    bool secret = is(jwk, "kty", "oct") || json_in_member(jwk, "k");
    if (kind == JWKS_PUBLIC && secret)
        return "its JWKS holds a secret (kty oct); "
               "accepted here: public keys, of kty RSA or EC. Secrets belong into jwt-secret-file";
    if (kind == JWKS_SECRETS && !is(jwk, "kty", "oct"))
        return "its JWKS holds a key that is no secret; "
               "accepted here: kty oct. Public keys belong into jwt-key-file";
    return NULL;
}

static int add_public_jwk(struct jwks *set, const struct json_in *jwk, const char **why)
{
    if (meant_for(jwk, "RSA", "RS256"))
        return add_made(set, rsa_key(jwk), why);
    if (meant_for(jwk, "EC", "ES256") && is(jwk, "crv", "P-256"))
        return add_made(set, ec_key(jwk), why);
    return 0;
}

static int add_jwk(enum jwks_kind kind, struct jwks *set, const struct json_in *jwk,
                   const char **why)
{
    size_t before = set->count;
    int err = 0;

    const char *fault = misplaced(kind, jwk);
    if (fault) {
        *why = fault;
        return -EINVAL;
    }

    if (kind == JWKS_PUBLIC)
        err = add_public_jwk(set, jwk, why);
    else if (meant_for(jwk, "oct", "HS256"))
        err = add_oct(set, jwk, why);

    struct slice kid = json_in_text(json_in_member(jwk, "kid"));
    if (err || set->count == before || !kid.len)
        return err;
    set->keys[before].kid = strndup(kid.data, kid.len);
    return set->keys[before].kid ? 0 : -ENOMEM;
}

static int read_jwks(enum jwks_kind kind, struct slice text, struct jwks *out, const char **why)
{
    struct json_in *root = json_in_parse(text);
    const struct json_in *list = json_in_member(root, "keys");
    int err = 0;
    *why = "it is neither a JWKS nor a JWK, or not valid JSON; accepted: {\"keys\":[...]}";
    if (json_in_member(root, "kty"))
        err = add_jwk(kind, out, root, why);
    else if (!json_in_is_list(list))
        err = -EINVAL;
    for (size_t i = 0; !err && i < json_in_count(list); i++)
        err = add_jwk(kind, out, json_in_item(list, i), why);
    if (!err && !out->count) {
        *why = kind == JWKS_SECRETS ? "none of its keys is for HS256"
                                    : "none of its keys is for RS256 or ES256";
        err = -EINVAL;
    }
    json_in_free(&root);
    return err;
}

/* --- what a file holds --- */

#define BOM "\xef\xbb\xbf"

static bool has(struct slice text, const char *part)
{
    return memmem(text.data, text.len, part, strlen(part)) != NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The same without blanks before it. */
static struct slice behind_blanks(struct slice text)
{
    while (text.len && is_blank(*text.data)) {
        text.data++;
        text.len--;
    }
    return text;
}

/* A DER SEQUENCE that is as long as it says: a key or a certificate. */
static bool is_der(const unsigned char *bytes, size_t len)
{
    if (len < 2 || bytes[0] != 0x30)
        return false;
    if (bytes[1] < 0x80)
        return len == 2u + bytes[1];
    if (bytes[1] == 0x81)
        return len >= 3 && len == 3u + bytes[2];
    return bytes[1] == 0x82 || bytes[1] == 0x83;
}

/* The same in base64, in either alphabet: as some tools show a public key. */
static bool is_der_text(struct slice text)
{
    unsigned char bytes[NUMBER_MAX];
    if (text.len > BASE64_LEN(sizeof bytes))
        return slice_begins(text, slice_of("MII"));

    size_t len = base64_decode(BASE64_PLAIN, text, bytes, sizeof bytes);
    if (len == 0)
        len = base64_decode(BASE64_URL, text, bytes, sizeof bytes);
    return is_der(bytes, len);
}

/* Characters and blanks only, from the first to the last. */
static bool is_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isprint((unsigned char)text.data[i]) && !is_blank(text.data[i]))
            return false;
    return true;
}

static bool has_blank(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_blank(text.data[i]))
            return true;
    return false;
}

/* What text is, if it is something that people know and that is no secret; NULL: nothing of
 * that. */
static const char *known_format(struct slice text)
{
    struct slice first = behind_blanks(text);
    if (slice_begins(text, slice_of(BOM)) || slice_begins(text, slice_of("\xff\xfe")) ||
        slice_begins(text, slice_of("\xfe\xff")))
        return "it begins with a byte order mark";
    if (has(text, "-----BEGIN"))
        return "it holds PEM";
    if (slice_begins(first, slice_of("ssh-")) || slice_begins(first, slice_of("ecdsa-")) ||
        slice_begins(first, slice_of("sk-")))
        return "it holds an OpenSSH key";
    if (slice_begins(first, slice_of("<")))
        return "it holds HTML or XML";
    if (slice_begins(first, slice_of("[")))
        return "it holds a JSON list";
    if (slice_begins(first, slice_of("{")))
        return "it holds a JSON object";
    if (slice_begins(first, slice_of("\"")))
        return "it holds a JSON text";
    if ((!is_text(text) && is_der((const unsigned char *)text.data, text.len)) || is_der_text(text))
        return "it holds a key or a certificate in DER";
    return NULL;
}

/* --- a file --- */

static struct slice without_line_break(struct slice text)
{
    if (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    if (text.len && text.data[text.len - 1] == '\r')
        text.len--;
    return text;
}

/* NULL, or what keeps this line from being a secret: most of it comes from an editor, and would
 * make every token invalid. */
static const char *secret_fault(struct slice secret)
{
    static const char accepted[] = "a secret has at least 32 bytes (openssl rand -hex 32)";
    if (memchr(secret.data, '\0', secret.len))
        return "it holds a NUL byte; accepted: one line of text without spaces";
    if (memchr(secret.data, '\n', secret.len) || memchr(secret.data, '\r', secret.len))
        return "it holds several lines; accepted: "
               "one secret, or a JWKS of several (ssecast keygen --jwt FILE)";
    if (secret.len && (is_blank(secret.data[0]) || is_blank(secret.data[secret.len - 1])))
        return "it has blanks before or after the secret; "
               "accepted: one line of text without spaces";
    if (is_text(secret) && has_blank(secret))
        return "it holds text with spaces; accepted: one line of text without spaces";
    return secret.len < JWKS_SECRET_MIN ? accepted : NULL;
}

#define SECRET_ACCEPTED "; accepted: one secret of 32 bytes or more, or a JWKS of such (kty oct)"

/* known_format() with what is accepted instead. */
static const char *no_secret(const char *format)
{
    static char text[200];
    snprintf(text, sizeof text, "%s" SECRET_ACCEPTED, format);
    return text;
}

static int read_secret(struct slice text, struct jwks *out, const char **why)
{
    struct slice secret = without_line_break(text);

    const char *format = known_format(secret);
    *why = format ? no_secret(format) : secret_fault(secret);
    if (*why)
        return -EINVAL;

    *why = "out of memory";
    return add_secret(out, secret.data, secret.len);
}

static int read_public(struct slice text, struct jwks *out, const char **why)
{
    static char found[200];
    if (has(text, "-----BEGIN"))
        return read_pem(text, out, why);

    const char *format = known_format(text);
    if (!format)
        format = text.len ? "it holds no public key" : "it is empty";
    snprintf(found, sizeof found,
             "%s; accepted: public keys, in PEM or as a JWKS of kty RSA or EC. "
             "A secret belongs into jwt-secret-file",
             format);
    *why = found;
    return -EINVAL;
}

int jwks_read(enum jwks_kind kind, struct slice text, struct jwks *out, const char **why)
{
    int err;
    *out = (struct jwks){0};
    *why = "out of memory";

    if (slice_begins(behind_blanks(text), slice_of("{")))
        err = read_jwks(kind, text, out, why);
    else if (kind == JWKS_PUBLIC)
        err = read_public(text, out, why);
    else
        err = read_secret(text, out, why);

    for (size_t i = 0; !err && i < out->count; i++)
        MUST((kind == JWKS_SECRETS) == (out->keys[i].use == JWK_HS256) &&
             !out->keys[i].public == !!out->keys[i].data);
    if (err)
        jwks_release(out);
    return err;
}

void jwks_digest(struct slice text, unsigned char out[JWKS_DIGEST])
{
    memset(out, 0, JWKS_DIGEST);
    EVP_Digest(text.data, text.len, out, NULL, EVP_sha256(), NULL);
}

/* --- signatures --- */

#define SIGNATURE_MAX NUMBER_MAX                 /* bytes: as many as an RSA modulus has */
#define ES256_BYTES (2 * P256_BYTES)             /* of its signature: r and s */
#define ES256_DER_MAX (2 * (P256_BYTES + 3) + 3) /* the same as libcrypto wants it */

static bool hmac_fits(const struct jwk *key, struct slice text, const unsigned char *signature,
                      size_t len)
{
    unsigned char should[EVP_MAX_MD_SIZE];
    unsigned should_len = 0;
    return HMAC(EVP_sha256(), key->data, (int)key->len, (const unsigned char *)text.data, text.len,
                should, &should_len) &&
           len == should_len && CRYPTO_memcmp(should, signature, len) == 0;
}

static bool public_fits(const struct jwk *key, struct slice text, const unsigned char *signature,
                        size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool fits =
        context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key->public) == 1 &&
        EVP_DigestVerify(context, signature, len, (const unsigned char *)text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return fits;
}

/* r and s, one after the other, as the DER that libcrypto wants. Its length; 0 when they are not
 * of that size. */
static size_t to_der(const unsigned char *signature, size_t len, unsigned char der[ES256_DER_MAX])
{
    ECDSA_SIG *pair = len == ES256_BYTES ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = pair ? BN_bin2bn(signature, (int)P256_BYTES, NULL) : NULL;
    BIGNUM *s = pair ? BN_bin2bn(signature + P256_BYTES, (int)P256_BYTES, NULL) : NULL;
    int der_len = 0;
    if (r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        der_len = i2d_ECDSA_SIG(pair, &der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return der_len > 0 ? (size_t)der_len : 0;
}

static bool ec_fits(const struct jwk *key, struct slice text, const unsigned char *signature,
                    size_t len)
{
    unsigned char der[ES256_DER_MAX];
    size_t der_len = to_der(signature, len, der);
    return der_len && public_fits(key, text, der, der_len);
}

bool jwk_signed(const struct jwk *key, struct slice text, struct slice signature)
{
    unsigned char bytes[SIGNATURE_MAX];
    size_t len = base64_decode(BASE64_URL, signature, bytes, sizeof bytes);
    if (!len)
        return false;
    switch (key->use) {
    case JWK_HS256:
        return hmac_fits(key, text, bytes, len);
    case JWK_RS256:
        return public_fits(key, text, bytes, len);
    case JWK_ES256:
        return ec_fits(key, text, bytes, len);
    }
    return false;
}
