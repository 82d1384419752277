/* presence_feed.h - encodes changes of presence as JSON messages with consecutive numbers.
 *
 * Every change has a number, published or not. A subscriber that misses a number takes a snapshot
 * (cmd_presence.c). The numbers restart with each epoch of the broker, which every message names.
 *
 * It does not know who is connected, and sends through a hook.
 */
#ifndef SSECAST_PRESENCE_FEED_H
#define SSECAST_PRESENCE_FEED_H

#include "presence/describe.h"

struct presence_feed {
    uint64_t epoch;
    uint64_t n;     /* of the last change */
    int64_t now_ms; /* unix time, set by the loop of the broker */
    struct buf message;
    void (*send)(void *context, struct slice message); /* message is valid during the call */
    void *context;
};

/* Write the epoch as messages and snapshots show it: 16 hexadecimal digits and a NUL. Returns
 * out. */
#define PRESENCE_EPOCH_LEN 17
const char *presence_feed_epoch(const struct presence_feed *w, char out[PRESENCE_EPOCH_LEN]);

/* Send a change of presence. */
void presence_feed_change(struct presence_feed *w, const struct presence_change *change);

void presence_feed_release(struct presence_feed *w);

#endif
