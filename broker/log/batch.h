/* batch.h - the batch of a broker as a message of a shared log: encoder and decoder.
 *
 * Bytes in, bytes out. A batch is one message of the log, so it is stored as a whole or not at all.
 * Its header names the offset and the batch that it was written after. A batch at another offset is
 * void, and all readers of the log agree on that. A batch whose predecessor is not the batch that
 * was read last does not continue what was read.
 *
 * The message, little-endian (format 1):
 *     0  'S' 'S' 'C' 'L'         24  u64 broker, 32 u64 number: its predecessor's name
 *     4  u8  format              40  u64 offset it was written after
 *     5  u8  flags (1: begins)   48  u64 position before its first event
 *     6  u16 zero                56  u64 incomplete: a position, or 0
 *     8  u64 broker              64  entries (event.h), in order
 *    16  u64 number: its name, with broker
 */
#ifndef SSECAST_BATCH_H
#define SSECAST_BATCH_H

#include <stdint.h>

#include "base/slice.h"

#define BATCH_HEADER_LEN 64u

/* Unique for each batch. All zero: none. */
struct batch_name {
    uint64_t broker; /* its epoch */
    uint64_t number;
};

struct batch {
    struct batch_name name, predecessor;
    /* Of the last message of the log; the batch is void unless it is stored right after that. */
    uint64_t offset;
    uint64_t position; /* before its first event */
    /* Not 0: events before this position are missing, so cursors before it are not exact. */
    uint64_t incomplete;
    bool begins;          /* the sequence continues at position, with nothing in between */
    struct slice entries; /* decoded: the bytes after the header; ignored when encoding */
};

bool batch_same_name(const struct batch_name *a, const struct batch_name *b);

void batch_put_header(char head[BATCH_HEADER_LEN], const struct batch *t);

/* 0, or -EPROTO when message is not a batch of format 1. Entries are not parsed. */
int batch_get(struct slice message, struct batch *t);

#endif
