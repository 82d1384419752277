#include "base/backoff.h"

/* retry_ms for the first attempt after a stream that was open, and for the first failure; then
 * twice as long each time. */
static uint64_t doubled(const struct backoff *b)
{
    uint64_t wait = b->retry_ms > 0 ? b->retry_ms : 1,
             max = b->max_ms > b->retry_ms ? b->max_ms : b->retry_ms;
    for (uint32_t i = 1; i < b->failures && wait < max; i++)
        wait *= 2;
    if (b->failures < 2)
        return b->retry_ms;
    return wait < max ? wait : max;
}

uint64_t backoff_wait(const struct backoff *b, uint32_t random)
{
    uint64_t wait = doubled(b),
             most = wait / 100 * b->jitter_percent + wait % 100 * b->jitter_percent / 100;
    return most > UINT32_MAX ? wait + random : wait + ((most + 1) * random >> 32);
}
