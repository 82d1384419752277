#include "hash.h"

#include <pthread.h>
#include <sodium.h>
#include <sys/random.h>

#include "must.h"

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
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)(bytes.len ? bytes.data : ""), bytes.len, key);
    return hash;
}
