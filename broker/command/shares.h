/* shares.h - divides an iteration between services (the commands socket) and workers (requests of
 * HTTP publishers).
 *
 * Each source has its own share of requests, bytes (of requests and replies) and time. The source
 * that has used fewer bytes is next. The first request of a source is always taken, whatever the
 * other has sent. So no source can starve the other.
 */
#ifndef SSECAST_SHARES_H
#define SSECAST_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum source { FROM_SERVICES, FROM_WORKERS };
#define SOURCES 2

/* The share of a source in an iteration. A request that begins within the share is finished. */
#define SHARE_REQUESTS 1000u
#define SHARE_BYTES ((size_t)1 << 20)
#define SHARE_US 10000

struct share {
    size_t requests, bytes;
    int64_t us;
    bool empty; /* no request is waiting */
};

struct shares {
    struct share of[SOURCES];
};

/* Begin an iteration. */
void shares_begin(struct shares *s);

/* The source of the next request. False when every source is empty or has used its share. */
bool shares_next(const struct shares *s, enum source *from);

/* True when this source has a part of its share left. */
bool shares_has_left(const struct shares *s, enum source from);

/* Charge a request that was run to this source. */
void shares_use(struct shares *s, enum source from, size_t bytes, int64_t us);

/* The source has no more requests for now. */
void shares_empty(struct shares *s, enum source from);

/* True when more requests may be waiting: a share ended the iteration. */
bool shares_more(const struct shares *s);

#endif
