/* gossip.h - what the brokers of a cluster tell each other beside the sequence: encoder and decoder.
 *
 * Bytes in, bytes out. A message that is longer than its carrier allows is sent in parts, one after the other; gossip_join() puts them
 * together again. A broker reads its own messages too, and knows them by its run.
 *
 * The message, little-endian (format 1), numbered by its sender from 1 on:
 *     0  'S' 'S' 'C' 'G'      6  u16 part, from 0       16  u64 number
 *     4  u8  format           8  u64 run of the sender  24  u16 length of the name
 *     5  u8  type            32  name, then body        26  u16 parts, 28 u32 zero
 */
#ifndef SSECAST_GOSSIP_H
#define SSECAST_GOSSIP_H

#include <stdint.h>

#include "codec/wire.h"

#define GOSSIP_HEAD_LEN 32u
#define GOSSIP_PARTS_MAX 4096u
#define GOSSIP_BYTES_MAX (4u << 20) /* of a body, put together */

_Static_assert(GOSSIP_BYTES_MAX >= 2 * WIRE_PIECE_BYTES, "what a worker reports fits into a body");

enum gossip_type {
    GOSSIP_HERE = 1,   /* each second. name: the broker's for people; body: u64 counters */
    GOSSIP_WORKER = 2, /* a worker of the sender's said so. name: its routing id; body: the message (wire.h) */
    GOSSIP_ASK = 3,    /* who has workers lets them report in full: all, or the one of this name */
    GOSSIP_BYE = 4,    /* the sender stops in order */
};

struct gossip {
    enum gossip_type type;
    uint64_t run;
    uint64_t number;
    struct slice name; /* NAME_BYTES_MAX bytes at most */
    struct slice body;
};

/* Write part `part` of m, of which none is longer than max bytes (at least GOSSIP_HEAD_LEN + NAME_BYTES_MAX + 1). Returns in how many parts it goes;
 * 0: in more than GOSSIP_PARTS_MAX. */
unsigned gossip_put(struct buf *b, const struct gossip *m, unsigned part, size_t max);

/* One sender's message, until all its parts are here. Zeroed is empty. */
struct gossip_whole {
    struct buf body;
    uint64_t number;
    unsigned next; /* part */
};

/* Who sent this part. 0, or -EPROTO when it is none. */
int gossip_sender(struct slice part, uint64_t *run);

/* Take a part, which comes from the sender that w belongs to. 0: *m is whole, and valid until the next call; -EAGAIN: more is to come, or one before it
 * was lost; -EPROTO; -ENOMEM. */
int gossip_join(struct gossip_whole *w, struct slice part, struct gossip *m);

#endif
