/* hash.h - a keyed hash for names from outside.
 *
 * The hash is SipHash-2-4 of libsodium under a key that each process draws at random. Without
 * the key, names that fall into the same bucket cannot be found, so a hash table keeps its speed
 * whatever names it is given. Hashes mean nothing in another process: do not store or send
 * them.
 */
#ifndef SSECAST_HASH_H
#define SSECAST_HASH_H

#include <stdint.h>

#include "base/slice.h"

/* The hash of bytes; of none too. Safe from any thread. Aborts when the kernel gives no random
 * numbers for the key. */
uint64_t hash_keyed(struct slice bytes);

/* A hash that is the same in every process and on every processor, so it can be stored. Its key is
 * public: colliding bytes can be computed with 2^32 tries. Do not make it the place in a hash
 * table. */
uint64_t hash_fixed(struct slice bytes);

/* SHA-256 over parts. Each part goes in behind its length, so parts cannot be cut differently
 * for the same hash. */
struct hash_parts {
    _Alignas(16) unsigned char state[128];
};

#define HASH_PARTS_HEX 65u /* bytes of the whole hash as text, NUL included */

void hash_parts_begin(struct hash_parts *h);
void hash_parts_add(struct hash_parts *h, struct slice part);

/* The hash in hexadecimal. h must not be used afterwards. */
void hash_parts_end(struct hash_parts *h, char hex[HASH_PARTS_HEX]);

#endif
