/* signature.c - a token's header says which algorithm and which key it names. Each of our keys that
 * is for that algorithm and may be the one named is tried. So the header chooses among keys, and
 * never what a key is used for. */
#include "auth/signature.h"

#include <stdio.h>
#include <string.h>

#include "auth/jwks.h"
#include "auth/jws.h"
#include "base/must.h"

static const char *const algorithms[] = {
    [JWK_HS256] = "HS256", [JWK_RS256] = "RS256", [JWK_ES256] = "ES256"};

/* May this key have signed a token with such a header? */
static bool may_fit(const struct jwk *key, const struct jws *token)
{
    return strcmp(algorithms[key->use], token->algorithm) == 0 &&
           (!key->kid || !*token->kid || strcmp(key->kid, token->kid) == 0);
}

enum signature signature_find(const struct jwks *keys, const struct jws *token)
{
    enum signature found = ALGORITHM_UNKNOWN;
    for (size_t i = 0; i < keys->count; i++) {
        const struct jwk *key = &keys->keys[i];
        if (found == ALGORITHM_UNKNOWN && strcmp(algorithms[key->use], token->algorithm) == 0)
            found = KEY_UNKNOWN;
        if (!may_fit(key, token))
            continue;
        if (jwk_signed(key, token->signed_text, token->signature))
            return SIGNATURE_GOOD;
        found = SIGNATURE_WRONG;
    }
    return found;
}

void signature_fault(enum signature found, const struct jws *token, char *why, size_t size)
{
    MUST(found != SIGNATURE_GOOD);
    switch (found) {
    case ALGORITHM_UNKNOWN:
        snprintf(why, size, "no key is for its algorithm %.16s",
                 *token->algorithm ? token->algorithm : "(none)");
        break;
    case KEY_UNKNOWN:
        snprintf(why, size, "no key has its kid %.64s", token->kid);
        break;
    case SIGNATURE_WRONG:
        snprintf(why, size, "its %.16s signature is not that of a key", token->algorithm);
        break;
    case SIGNATURE_GOOD:
        break;
    }
}
