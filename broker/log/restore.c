#include "log/restore.h"

#include <errno.h>
#include <stdio.h>

#define PROGRESS_EVENTS 20000u
#define DAMAGED                                                                                    \
    "the store is damaged: a position is not above the one before, "                               \
    "or above all that a broker gives out"

struct restoring {
    struct sequence *sequence;
    struct store *store;
    void (*progress)(uint64_t events);
    uint64_t count; /* of events */
    int err;        /* of the sequence: loading ended */
};

static bool note_error(struct restoring *r, int err)
{
    r->err = err;
    return err == 0;
}

/* The store no longer needs the event that the last one replaced. */
static bool drop_replaced(struct restoring *r)
{
    const struct state_change *c;
    for (size_t i = 0; (c = effects_change(sequence_effects(r->sequence), i)); i++) {
        if (!c->before)
            continue;
        if (!note_error(r, store_reserve(r->store, 1)))
            return false;
        store_drop_kept(r->store, c->before->seq);
    }
    return true;
}

static bool restore_epoch(void *context, uint64_t position, bool incomplete)
{
    struct restoring *r = context;
    return note_error(r, sequence_load_position(r->sequence, position, incomplete));
}

static bool restore_event(void *context, struct event *e)
{
    struct restoring *r = context;
    if (!note_error(r, sequence_load_event(r->sequence, e)))
        return false;

    if (++r->count % PROGRESS_EVENTS == 0 && r->progress)
        r->progress(r->count);
    return drop_replaced(r);
}

static bool restore_id(void *context, uint64_t hash, uint64_t seq)
{
    struct restoring *r = context;
    return note_error(r, sequence_load_id(r->sequence, hash, seq));
}

static bool restore_kept(void *context, struct event *e)
{
    struct restoring *r = context;
    return note_error(r, sequence_load_effects(r->sequence, e)) && drop_replaced(r);
}

/* What store_load() knows is only that the sequence ended it. */
static int explain(int err, char why[STORE_WHY_MAX])
{
    snprintf(why, STORE_WHY_MAX, "%s", err == -ENOMEM ? "out of memory" : DAMAGED);
    return err;
}

int restore_sequence(struct sequence *s, struct store *store, void (*progress)(uint64_t events),
                     char why[STORE_WHY_MAX])
{
    struct restoring r = {.sequence = s, .store = store, .progress = progress};
    struct store_loader loader = {restore_event, restore_epoch, restore_id, restore_kept, &r};
    uint64_t trimmed = store_trimmed(store);
    if (store)
        effects_rewrite(sequence_effects(s), REWRITE_BANS);

    int err = 0;
    if (!trimmed || note_error(&r, sequence_load_position(s, trimmed, false)))
        err = store_load(store, &loader, why);
    if (r.err)
        return explain(r.err, why);
    if (err)
        return err;

    sequence_load_end(s, trimmed > 0);
    store_remember_ids(store, sequence_ids_remembered(s));
    store_keep_state(store, sequence_state(s));
    why[0] = '\0';
    return 0;
}
