/* addresses.h - how many streams each client address has, and how fast it asks for more.
 *
 * An address is what the web server reports; of IPv6 its first 64 bits, because one machine has all the rest. An address with streams is
 * remembered, and one without until its rate is forgotten: for ADDRESSES_IDLE_MAX of those at most, and the one that was silent for the longest
 * time goes first.
 *
 * Ownership: a struct address belongs to the table and lives while it has streams; without, until the next addresses_knock().
 */
#ifndef SSECAST_ADDRESSES_H
#define SSECAST_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESSES_IDLE_MAX 65536u

struct addresses;
struct address;

/* max_streams: of one address; rate: knocks of one address a second (and so many at once). 0: no limit. NULL when out of memory. */
struct addresses *addresses_new(uint64_t max_streams, uint64_t rate);

void addresses_free(struct addresses **a);

/* Somebody from remote (an address as text) asks for a stream. False: too fast. *out is its address; NULL when remote is none, or out of memory:
 * then there are no limits. */
bool addresses_knock(struct addresses *a, const char *remote, int64_t now_ms, struct address **out);

/* Has it as many streams as it may have? */
bool address_full(const struct addresses *a, const struct address *address);

/* It has one stream more, or less. */
void address_open(struct addresses *a, struct address *address);
void address_close(struct addresses *a, struct address *address);

/* Addresses that are remembered. */
size_t addresses_count(const struct addresses *a);

#endif
