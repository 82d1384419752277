/* turn.h - one turn of a broker as it stands in a log that several brokers share: encoder and decoder.
 *
 * Bytes in, bytes out. A turn is one message of the log, so it is there as a whole or not at all. Its head says what it was written
 * after: the place in the log and the turn before it. A turn that stands somewhere else than it was written for is void, and all who read
 * the log see that in the same way; a turn whose forerunner is not the one that its reader took in last comes from another past.
 *
 * The message, little-endian (format 1):
 *     0  'S' 'S' 'C' 'L'         8  u64 broker, 16 u64 number: the turn's name     40  u64 place it was written after
 *     4  u8  format             24  u64 broker, 32 u64 number: its forerunner's   48  u64 position before its first event
 *     5  u8  flags (1: begins)                                                    56  u64 doubted position, or 0
 *     6  u16 zero                                                                 64  entries (event.h), in order
 */
#ifndef SSECAST_TURN_H
#define SSECAST_TURN_H

#include <stdint.h>

#include "base/slice.h"

#define TURN_HEAD_LEN 64u

/* No other turn has the same. All zero: none. */
struct turn_name {
    uint64_t broker; /* its run */
    uint64_t number;
};

struct turn {
    struct turn_name name, forerunner;
    uint64_t place;    /* of the log's last message when it was written; it is void unless it stands right after that */
    uint64_t position; /* before its first event */
    uint64_t doubted;  /* not 0: something before this position is missing; cursors before it are not exact any more */
    bool begins;       /* the sequence goes on at position, and nothing was in between */
    struct slice entries; /* decoded: what follows the head; ignored when encoding */
};

bool turn_same_name(const struct turn_name *a, const struct turn_name *b);

void turn_put_head(char head[TURN_HEAD_LEN], const struct turn *t);

/* 0, or -EPROTO when message is no turn of format 1. Entries are not looked into. */
int turn_get(struct slice message, struct turn *t);

#endif
