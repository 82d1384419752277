/* gossip.h - messages between the brokers of a cluster, beside the sequence: encoder and decoder.
 *
 * Bytes in, bytes out. A message that is longer than its carrier allows is sent in parts, in order;
 * gossip_join() reassembles it. A broker receives its own messages, too, and recognizes them by its
 * epoch.
 *
 * The message, little-endian (format 1), numbered by its sender from 1 on:
 *     0  'S' 'S' 'C' 'G'      6  u16 part, from 0         16  u64 number
 *     4  u8  format           8  u64 epoch of the sender  24  u16 length of the name
 *     5  u8  type            32  name, then body          26  u16 parts, 28 u32 zero
 */
#ifndef SSECAST_GOSSIP_H
#define SSECAST_GOSSIP_H

#include <stdint.h>

#include "codec/wire.h"

#define GOSSIP_HEAD_LEN 32u
#define GOSSIP_PARTS_MAX 4096u
#define GOSSIP_BYTES_MAX (4u << 20) /* of a whole body */

_Static_assert(GOSSIP_BYTES_MAX >= 2 * WIRE_PIECE_BYTES, "a report of a worker fits into a body");

enum gossip_type {
    GOSSIP_HERE = 1,    /* each second. name: of the broker; body: u64 counters */
    GOSSIP_WORKER = 2,  /* from a worker of the sender. name: its routing id; body: wire.h */
    GOSSIP_REQUEST = 3, /* requests full reports: of all workers, or of the one with this name */
    GOSSIP_BYE = 4,     /* the sender stops in order */
};

struct gossip {
    enum gossip_type type;
    uint64_t epoch;
    uint64_t number;
    struct slice name; /* NAME_BYTES_MAX bytes at most */
    struct slice body;
};

/* Write part `part` of m. No part is longer than max bytes (at least GOSSIP_HEAD_LEN +
 * NAME_BYTES_MAX + 1). Returns the number of parts; 0: more than GOSSIP_PARTS_MAX. */
unsigned gossip_put(struct buf *b, const struct gossip *m, unsigned part, size_t max);

/* The message of a sender, until all parts have arrived. Zeroed is empty. */
struct gossip_whole {
    struct buf body;
    uint64_t number;
    unsigned next; /* part */
};

/* The epoch of the sender of this part. 0, or -EPROTO. */
int gossip_sender(struct slice part, uint64_t *epoch);

/* Add a part from the sender of w. 0: *m is whole, and valid until the next call; -EAGAIN: parts
 * are missing, or an earlier one was lost; -EPROTO; -ENOMEM. */
int gossip_join(struct gossip_whole *w, struct slice part, struct gossip *m);

#endif
