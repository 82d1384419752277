/* backoff.h - the wait before the next attempt, of a stream or a connection.
 *
 * Pure: the caller provides the random bits.
 */
#ifndef SSECAST_BACKOFF_H
#define SSECAST_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t retry_ms;       /* the server's `retry`, or the default */
    uint64_t max_ms;         /* doubling ends here, but never below retry_ms */
    uint32_t jitter_percent; /* random addition, in percent of the wait */
    uint32_t failures;       /* consecutive failed attempts */
};

/* The next wait in milliseconds. random: 32 random bits. */
uint64_t backoff_wait(const struct backoff *b, uint32_t random);

#endif
