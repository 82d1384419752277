#include "stream/owner.h"

#include <sodium.h>

/* The key only separates these hashes from others of the same name. */
static const unsigned char purpose[] = "ssecast: the owner of a stream";

_Static_assert(sizeof purpose >= crypto_generichash_KEYBYTES_MIN &&
                   sizeof purpose <= crypto_generichash_KEYBYTES_MAX,
               "libsodium takes no such key");
_Static_assert(OWNER_LEN / 2 >= crypto_generichash_BYTES_MIN, "libsodium makes no hash as short");

void owner_of(struct slice session, char out[OWNER_LEN + 1])
{
    unsigned char hash[OWNER_LEN / 2];

    crypto_generichash(hash, sizeof hash, (const unsigned char *)session.data, session.len, purpose,
                       sizeof purpose);
    sodium_bin2hex(out, OWNER_LEN + 1, hash, sizeof hash);
}
