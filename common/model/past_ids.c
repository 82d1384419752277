/* The ids stand in a ring in the order in which they came. A hash table with open addressing
 * finds them; it holds places in the ring. Publishers choose the ids and could compute their
 * hashes, so the place in the table is found with a keyed hash of the hash. */
#include "model/past_ids.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"

#define FIRST_CAP 64u

struct past_id {
    uint64_t hash, seq;
};

struct past_ids {
    size_t max;
    struct past_id *ring;
    size_t cap; /* 0 or a power of two; max is not always one, so the ring may be larger */
    size_t first, count;
    uint32_t *slots; /* 2 * cap of them: a place in the ring + 1; 0: free */
};

struct past_ids *past_ids_new(uint64_t max)
{
    struct past_ids *p = calloc(1, sizeof *p);
    if (p)
        p->max = max < PAST_IDS_MAX ? (size_t)max : PAST_IDS_MAX;
    return p;
}

void past_ids_free(struct past_ids **p)
{
    if (!*p)
        return;
    free((*p)->ring);
    free((*p)->slots);
    free(*p);
    *p = NULL;
}

uint64_t past_id_hash(struct slice id)
{
    return hash_fixed(id);
}

size_t past_ids_count(const struct past_ids *p)
{
    return p->count;
}

/* --- the table --- */

static size_t home_of(const struct past_ids *p, uint64_t hash)
{
    return (size_t)hash_keyed((struct slice){(const char *)&hash, sizeof hash}) & (2 * p->cap - 1);
}

static size_t next_slot(const struct past_ids *p, size_t slot)
{
    return (slot + 1) & (2 * p->cap - 1);
}

static void put_slot(struct past_ids *p, size_t place)
{
    size_t slot = home_of(p, p->ring[place].hash);

    while (p->slots[slot])
        slot = next_slot(p, slot);
    p->slots[slot] = (uint32_t)place + 1;
}

static size_t slot_of(const struct past_ids *p, size_t place)
{
    size_t slot = home_of(p, p->ring[place].hash);

    while (p->slots[slot] != place + 1) {
        MUST(p->slots[slot]);
        slot = next_slot(p, slot);
    }
    return slot;
}

/* Free a slot, and move up those behind it that stand there because it was taken. */
static void free_slot(struct past_ids *p, size_t slot)
{
    size_t mask = 2 * p->cap - 1;

    for (size_t at = next_slot(p, slot); p->slots[at]; at = next_slot(p, at)) {
        size_t home = home_of(p, p->ring[p->slots[at] - 1].hash);
        if (((at - home) & mask) < ((at - slot) & mask))
            continue;
        p->slots[slot] = p->slots[at];
        slot = at;
    }
    p->slots[slot] = 0;
}

/* --- the ring --- */

static void forget_oldest(struct past_ids *p)
{
    free_slot(p, slot_of(p, p->first));
    p->first = (p->first + 1) & (p->cap - 1);
    p->count--;
}

/* Twice the room. -ENOMEM: it is as it was. */
static int grow(struct past_ids *p)
{
    struct past_ids larger = {.max = p->max, .cap = p->cap ? 2 * p->cap : FIRST_CAP};
    larger.ring = malloc(larger.cap * sizeof *larger.ring);
    larger.slots = calloc(2 * larger.cap, sizeof *larger.slots);
    if (!larger.ring || !larger.slots) {
        free(larger.ring);
        free(larger.slots);
        return -ENOMEM;
    }

    for (; larger.count < p->count; larger.count++) {
        larger.ring[larger.count] = p->ring[(p->first + larger.count) & (p->cap - 1)];
        put_slot(&larger, larger.count);
    }

    free(p->ring);
    free(p->slots);
    *p = larger;
    return 0;
}

static bool has(const struct past_ids *p, uint64_t hash, uint64_t seq)
{
    for (size_t slot = p->cap ? home_of(p, hash) : 0; p->cap && p->slots[slot];
         slot = next_slot(p, slot)) {
        const struct past_id *id = &p->ring[p->slots[slot] - 1];
        if (id->hash == hash && id->seq == seq)
            return true;
    }
    return false;
}

void past_ids_add(struct past_ids *p, uint64_t hash, uint64_t seq)
{
    MUST(seq != 0);
    if (!p->max || has(p, hash, seq))
        return;

    if (p->count == p->max || (p->count == p->cap && grow(p) != 0)) {
        if (!p->count)
            return;
        forget_oldest(p);
    }

    MUST(p->count < p->cap);
    size_t place = (p->first + p->count++) & (p->cap - 1);
    p->ring[place] = (struct past_id){hash, seq};
    put_slot(p, place);
}

uint64_t past_ids_find(const struct past_ids *p, uint64_t hash)
{
    uint64_t seq = 0;

    for (size_t slot = p->cap ? home_of(p, hash) : 0; p->cap && p->slots[slot];
         slot = next_slot(p, slot)) {
        const struct past_id *id = &p->ring[p->slots[slot] - 1];
        if (id->hash != hash)
            continue;
        if (seq)
            return PAST_ID_SEVERAL;
        seq = id->seq;
    }
    return seq;
}
