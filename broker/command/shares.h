/* shares.h - who gives the next request of an iteration: services (the commands socket) and workers (on behalf of HTTP publishers) take turns.
 *
 * Each source has a share of its own: requests, bytes (of requests and of their replies) and time. The source that has used fewer bytes is
 * next. The first request of a source is always taken, however large what the other sent. So neither can keep the other from being served.
 */
#ifndef SSECAST_SHARES_H
#define SSECAST_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum source { FROM_SERVICES, FROM_WORKERS };
#define SOURCES 2

/* What a source gets of an iteration. A request that is begun within it is finished. */
#define SHARE_REQUESTS 1000u
#define SHARE_BYTES ((size_t)1 << 20)
#define SHARE_US 10000

struct share {
    size_t requests, bytes;
    int64_t us;
    bool empty; /* nothing is there */
};

struct shares {
    struct share of[SOURCES];
};

/* A new iteration. */
void shares_begin(struct shares *s);

/* Which source gives the next request. False when each has used its share or is empty. */
bool shares_next(const struct shares *s, enum source *from);

/* May this source give one more? */
bool shares_has_left(const struct shares *s, enum source from);

/* A request of this source was run: bytes and microseconds. */
void shares_use(struct shares *s, enum source from, size_t bytes, int64_t us);

/* The source has no more requests for now. */
void shares_empty(struct shares *s, enum source from);

/* May there be more: has a share ended the iteration? */
bool shares_more(const struct shares *s);

#endif
