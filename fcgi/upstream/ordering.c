#include "upstream/ordering.h"

#include <stddef.h>

#include "base/must.h"

static const struct ordering_period *least_period(const struct ordering *o)
{
    if (!o->before.any)
        return o->recent.any ? &o->recent : NULL;
    return o->recent.any && o->recent.least < o->before.least ? &o->recent : &o->before;
}

void ordering_begin(struct ordering *o, uint64_t began)
{
    const struct ordering_period *p = least_period(o);
    struct ordering fresh = {.began = began, .former_known = o->former_known, .former = o->former};

    if (p) {
        fresh.former_known = true;
        fresh.former = p->least;
    }
    for (unsigned i = 0; i < ORDERING_PROOFS; i++)
        fresh.proofs[i] = o->proofs[i];
    fresh.count = o->count;
    fresh.last = o->last;
    *o = fresh;
}

static void ordering_note(struct ordering_period *p, int64_t difference)
{
    if (!p->any || difference < p->least)
        p->least = difference;
    p->any = true;
}

void ordering_heard(struct ordering *o, int64_t broker_us, int64_t now)
{
    if (o->recent.any && now - o->recent_from >= ORDERING_RECENT_US) {
        o->before = o->recent;
        o->recent.any = false;
    }
    if (!o->recent.any)
        o->recent_from = now;
    ordering_note(&o->recent, now - broker_us);
}

void ordering_heard_head(struct ordering *o, int64_t broker_us, int64_t now)
{
    if (broker_us < o->head_us)
        o->recent.any = o->before.any = false;

    o->head_us = broker_us;
    ordering_heard(o, broker_us, now);
}

void ordering_proved(struct ordering *o, uint64_t head, int64_t sent_at)
{
    unsigned newest = (o->last + ORDERING_PROOFS - 1) % ORDERING_PROOFS;
    if (o->count && sent_at - o->proofs[newest].sent_at < ORDERING_PROOF_US)
        return;

    o->proofs[o->last].head = head;
    o->proofs[o->last].sent_at = sent_at;
    o->last = (o->last + 1) % ORDERING_PROOFS;
    o->count += o->count < ORDERING_PROOFS;
    MUST(o->count <= ORDERING_PROOFS && o->last < ORDERING_PROOFS);
}

/* Not earlier than this; INT64_MIN: nothing is proved. */
static int64_t earliest(const struct ordering *o, uint64_t seq)
{
    int64_t at = INT64_MIN;
    for (unsigned i = 0; i < o->count; i++)
        if (o->proofs[i].head < seq && o->proofs[i].sent_at > at)
            at = o->proofs[i].sent_at;
    return at;
}

/* What is to be added to a stamp. False: not known. */
static bool difference(const struct ordering *o, uint64_t seq, int64_t *out)
{
    const struct ordering_period *p = least_period(o);

    if (seq <= o->began && o->former_known) {
        *out = o->former;
        return true;
    }
    if (p)
        *out = p->least;
    return p != NULL;
}

#define STAMP_MAX_MS (INT64_MAX / 4000) /* later ones are none, and would overflow */

int64_t ordering_latest(const struct ordering *o, uint64_t seq, int64_t stamp_ms)
{
    int64_t add;
    if (!difference(o, seq, &add) || stamp_ms < 0 || stamp_ms > STAMP_MAX_MS)
        return INT64_MAX;

    int64_t at = stamp_ms * 1000 + 999 + add; /* the stamp was rounded down */
    return at < earliest(o, seq) ? INT64_MAX : at;
}

int64_t ordering_broker_ms(const struct ordering *o, int64_t now, int64_t unknown_ms)
{
    int64_t add;
    return difference(o, UINT64_MAX, &add) || difference(o, 0, &add) ? (now - add) / 1000
                                                                     : unknown_ms;
}
