#include "command/in_flight.h"

#include <stdlib.h>

#include "base/hash.h"

#define PEER_MAX 255u

struct peer_slot {
    uint64_t batch; /* the slot is free in any other batch */
    uint64_t count;
    uint8_t len;
    char peer[PEER_MAX];
};

struct in_flight {
    uint64_t batch, peer_max;
    size_t slot_count; /* a power of 2, at least twice the requests of a batch */
    struct peer_slot slots[];
};

struct in_flight *in_flight_new(unsigned batch_max, uint64_t peer_max)
{
    size_t count = 2;
    while (count < 2 * (size_t)batch_max)
        count *= 2;
    struct in_flight *f = calloc(1, sizeof *f + count * sizeof *f->slots);
    if (!f)
        return NULL;
    f->batch = 1;
    f->slot_count = count;
    f->peer_max = peer_max;
    return f;
}

void in_flight_free(struct in_flight **f)
{
    free(*f);
    *f = NULL;
}

void in_flight_reset(struct in_flight *f)
{
    f->batch++;
}

/* The slot of the peer in this batch, or a free one, which always exists. */
static struct peer_slot *find(struct in_flight *f, struct slice peer)
{
    for (uint64_t at = hash_keyed(peer);; at++) {
        struct peer_slot *slot = &f->slots[at & (f->slot_count - 1)];
        if (slot->batch != f->batch || slice_equal((struct slice){slot->peer, slot->len}, peer))
            return slot;
    }
}

bool in_flight_admit(struct in_flight *f, struct slice peer)
{
    struct peer_slot *slot = find(f, peer);
    if (slot->batch != f->batch) {
        slot->batch = f->batch;
        slot->count = 0;
        slot->len = (uint8_t)(peer.len < PEER_MAX ? peer.len : PEER_MAX);
        memcpy(slot->peer, peer.data, slot->len);
    }
    if (slot->count >= f->peer_max)
        return false;
    slot->count++;
    return true;
}
