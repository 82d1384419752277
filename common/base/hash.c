#include "base/hash.h"

#include <pthread.h>
#include <sodium.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/must.h"

static unsigned char key[crypto_shorthash_KEYBYTES];
static pthread_once_t key_drawn = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    MUST(getrandom(key, sizeof key, 0) == (ssize_t)sizeof key);
}

uint64_t hash_keyed(struct slice bytes)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "the hash fills 64 bits");

    pthread_once(&key_drawn, draw_key);
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)(bytes.len ? bytes.data : ""),
                     bytes.len, key);
    return hash;
}

uint64_t hash_fixed(struct slice bytes)
{
    static const unsigned char fixed[crypto_shorthash_KEYBYTES] = "ssecast own ids";
    char hash[crypto_shorthash_BYTES];

    crypto_shorthash((unsigned char *)hash, (const unsigned char *)(bytes.len ? bytes.data : ""),
                     bytes.len, fixed);
    return get_u64(hash);
}

/* --- SHA-256 over parts --- */

static crypto_hash_sha256_state *state_of(struct hash_parts *h)
{
    _Static_assert(sizeof h->state >= sizeof(crypto_hash_sha256_state), "libsodium's state fits");
    _Static_assert(_Alignof(struct hash_parts) >= _Alignof(crypto_hash_sha256_state),
                   "and may stand there");
    _Static_assert(HASH_PARTS_HEX == 2 * crypto_hash_sha256_BYTES + 1, "two digits for each byte");
    return (crypto_hash_sha256_state *)(void *)h->state;
}

void hash_parts_begin(struct hash_parts *h)
{
    crypto_hash_sha256_init(state_of(h));
}

void hash_parts_add(struct hash_parts *h, struct slice part)
{
    char len[8];

    put_u64(len, part.len);
    crypto_hash_sha256_update(state_of(h), (const unsigned char *)len, sizeof len);
    crypto_hash_sha256_update(state_of(h), (const unsigned char *)(part.len ? part.data : ""),
                              part.len);
}

void hash_parts_end(struct hash_parts *h, char hex[HASH_PARTS_HEX])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_final(state_of(h), hash);
    sodium_bin2hex(hex, HASH_PARTS_HEX, hash, sizeof hash);
}
