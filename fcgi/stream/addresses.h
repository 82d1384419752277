/* addresses.h - the streams and the request rate of each client address.
 *
 * The address is the one that the web server reports. An IPv6 address counts by its first 64 bits,
 * because one machine has all of the rest. An address is kept while it has streams or its rate has
 * an effect. At most ADDRESSES_IDLE_MAX addresses without streams are kept; the longest silent one
 * is removed first.
 *
 * Ownership: a struct address belongs to the table. It is valid while it has streams, else until
 * the next addresses_admit().
 */
#ifndef SSECAST_ADDRESSES_H
#define SSECAST_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESSES_IDLE_MAX 65536u

struct addresses;
struct address;

/* max_streams: of one address; rate: requests of one address a second, which is also the burst.
 * 0: no limit. NULL when out of memory. */
struct addresses *addresses_new(uint64_t max_streams, uint64_t rate);

void addresses_free(struct addresses **a);

/* Count a request from remote (an address as text). False: it exceeds the rate. *out is the
 * address; NULL if remote is not one, or when out of memory: then there are no limits. */
bool addresses_admit(struct addresses *a, const char *remote, int64_t now_ms, struct address **out);

/* Has it reached max_streams? */
bool address_full(const struct addresses *a, const struct address *address);

/* It has one stream more, or less. */
void address_open(struct addresses *a, struct address *address);
void address_close(struct addresses *a, struct address *address);

/* Addresses in the table. */
size_t addresses_count(const struct addresses *a);

#endif
