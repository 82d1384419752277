/* backoff.h - how long to wait before a stream is opened again.
 *
 * Pure: the caller brings the dice.
 */
#ifndef SSECAST_BACKOFF_H
#define SSECAST_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t retry_ms;       /* what the server asked for, or our default */
    uint64_t max_ms;         /* doubling ends here, but never below retry_ms */
    uint32_t jitter_percent; /* up to so much of the wait is added */
    uint32_t failures;       /* in a row: attempts that found nobody */
};

/* The next wait in milliseconds. random: 32 random bits. */
uint64_t backoff_wait(const struct backoff *b, uint32_t random);

#endif
