/* A file of keys for tokens: secrets, PEM and JWKS. It is read as a whole or refused with a reason,
 * a key that is good for nothing here is not taken for one, and a file of one kind never gives a
 * key of the other.
 *
 * Input: the file. */
#include <openssl/evp.h>

#include "auth/jwks.h"
#include "fuzz.h"

static void is_public(const struct jwk *key)
{
    must(key->public && !key->data);
    if (key->use == JWK_RS256)
        must(EVP_PKEY_get_base_id(key->public) == EVP_PKEY_RSA &&
             EVP_PKEY_get_bits(key->public) >= JWKS_RSA_BITS_MIN);
    else
        must(EVP_PKEY_get_base_id(key->public) == EVP_PKEY_EC &&
             EVP_PKEY_get_bits(key->public) == 256);
}

static void is_a_key(int kind, const struct jwk *key)
{
    must((kind == JWKS_SECRETS) == (key->use == JWK_HS256));
    if (key->use == JWK_HS256)
        must(key->data && key->len >= JWKS_SECRET_MIN && !key->public);
    else
        is_public(key);
    jwk_signed(key, slice_of("text"), slice_of("c2lnbmF0dXJl")); /* by nobody */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct jwks set = {0};
    const char *why = NULL;
    text.data = exact_copy(text);
    for (int kind = JWKS_PUBLIC; kind <= JWKS_SECRETS; kind++) {
        if (jwks_read((enum jwks_kind)kind, text, &set, &why) == 0) {
            must(set.count >= 1 && set.count <= JWKS_KEYS_MAX);
            for (size_t i = 0; i < set.count; i++)
                is_a_key(kind, &set.keys[i]);
        } else {
            must(set.count == 0 && why && *why);
        }
        jwks_release(&set);
        must(set.count == 0);
    }
    free((char *)text.data);
    return 0;
}
