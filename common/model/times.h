/* times.h - finds events by time in a long row of events whose times mostly rise.
 *
 * Times go back where a clock was set, and between two epochs or brokers. So they cannot be
 * searched as if they were sorted. The row is cut into blocks, and the newest time of each block is
 * kept: a search skips the blocks that are too old. Events are counted by their ordinal, which the
 * first event ever appended begins with 0. It does not keep events: the caller looks into the
 * block.
 */
#ifndef SSECAST_TIMES_H
#define SSECAST_TIMES_H

#include <stddef.h>
#include <stdint.h>

#define TIMES_BLOCK 256u /* events */

/* Zeroed is empty. */
struct times {
    int64_t *newest; /* of each block, or later than that */
    size_t count, cap;
    uint64_t first; /* number of the first block */
};

void times_release(struct times *t);

/* The event with this ordinal was appended. Ordinals only grow, except that those of events that
 * were taken back are used again. 0 or -ENOMEM; unchanged on failure. */
int times_add(struct times *t, uint64_t ordinal, int64_t time_ms);

/* Events before this ordinal are gone. */
void times_drop(struct times *t, uint64_t ordinal);

/* The ordinal of the first event of the next block, from the one of `ordinal` on, that may have an
 * event at time_ms or later; UINT64_MAX: none has. It may be before `ordinal`. */
uint64_t times_seek(const struct times *t, uint64_t ordinal, int64_t time_ms);

#endif
