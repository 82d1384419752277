/* outbox.h - the replies of a batch, which are sent after its events are stored and on the feed.
 *
 * Ownership: everything is copied.
 */
#ifndef SSECAST_OUTBOX_H
#define SSECAST_OUTBOX_H

#include <stdint.h>

#include "base/slice.h"

/* Zeroed is empty. */
struct outbox {
    char *data;
    size_t len, cap; /* bytes */
    size_t read;     /* read so far */
};

struct outbox_reply {
    struct slice peer;     /* 255 bytes at most */
    struct slice envelope; /* of the request, as in bus.h; less than 65,536 bytes */
    bool to_worker;        /* the peer sent a WIRE_COMMAND; request is its number */
    uint64_t request;
    bool provisional; /* wrong when the batch could not be stored */
    struct slice ref; /* of the request, for such a refusal */
    struct slice body;
};

void outbox_release(struct outbox *o);

/* Drop the replies that were put after `len` had this value. */
void outbox_cut(struct outbox *o, size_t len);

/* Bytes that were put and not yet read. */
size_t outbox_waiting(const struct outbox *o);

/* 0 or -ENOMEM; unchanged on failure. */
int outbox_put(struct outbox *o, const struct outbox_reply *reply);

/* The next reply in the order of outbox_put(). False when all were read: the outbox is then empty.
 * The slices are valid until the next call of any function here. */
bool outbox_next(struct outbox *o, struct outbox_reply *reply);

#endif
