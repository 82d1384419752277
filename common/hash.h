/* hash.h - a keyed hash for names that strangers choose.
 *
 * The hash is SipHash-2-4 of libsodium under a key that each process draws at random. Nobody outside the process can find names that fall into
 * the same bucket, so a hash table keeps its speed whatever names it is given. Hashes mean nothing in another process: do not store or send them.
 */
#ifndef SSECAST_HASH_H
#define SSECAST_HASH_H

#include <stdint.h>

#include "slice.h"

/* The hash of bytes; of none too. Safe from any thread. Aborts when the kernel gives no random numbers for the key. */
uint64_t hash_keyed(struct slice bytes);

#endif
