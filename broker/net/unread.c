#include "net/unread.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/table.h"

#define PEERS_MIN 64u /* fewer are kept without looking for idle ones */

struct unread {
    struct table *peers; /* atomic_size_t: bytes that wait */
    size_t max;
    size_t forget_at; /* with this many peers, idle ones are forgotten */
};

struct unread *unread_new(size_t max)
{
    struct unread *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    *u = (struct unread){
        .peers = table_new(sizeof(atomic_size_t)), .max = max, .forget_at = PEERS_MIN};
    if (!u->peers)
        unread_free(&u);
    return u;
}

void unread_free(struct unread **u)
{
    if (!*u)
        return;
    for (atomic_size_t *waiting = NULL;
         (*u)->peers && (waiting = table_next((*u)->peers, waiting));)
        MUST(atomic_load(waiting) == 0);
    table_free(&(*u)->peers);
    free(*u);
    *u = NULL;
}

static void forget_idle(struct unread *u)
{
    if (table_count(u->peers) < u->forget_at)
        return;
    for (atomic_size_t *waiting = table_next(u->peers, NULL), *next; waiting; waiting = next) {
        next = table_next(u->peers, waiting);
        if (atomic_load(waiting) == 0)
            table_remove(u->peers, waiting);
    }
    u->forget_at = 2 * table_count(u->peers) + PEERS_MIN;
}

atomic_size_t *unread_reserve(struct unread *u, struct slice peer, size_t len)
{
    forget_idle(u);
    atomic_size_t *waiting = table_insert(u->peers, peer);
    size_t before = waiting ? atomic_load(waiting) : 0;
    if (!waiting || (before && (before > u->max || len > u->max - before)))
        return NULL;
    atomic_fetch_add(waiting, len);
    return waiting;
}

void unread_release(atomic_size_t *waiting, size_t len)
{
    size_t before = atomic_fetch_sub(waiting, len);
    MUST(before >= len);
}

size_t unread_peers(const struct unread *u)
{
    return table_count(u->peers);
}
