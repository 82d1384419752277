/* own_ids.h - which event of a history has an own id: as its publisher's, and as a cursor.
 *
 * An own id belongs to its publisher, so that index is by publisher and id. As a cursor an id names
 * the one event that showed it, in whatever history. Of events that are no longer retained, the ids
 * that they showed are remembered, a bounded number of them (past_ids.h).
 *
 * It does not know the order of events, or when one is evicted.
 *
 * Ownership: the struct is the caller's. Events are borrowed: each is removed before it is freed.
 */
#ifndef SSECAST_OWN_IDS_H
#define SSECAST_OWN_IDS_H

#include "codec/event.h"
#include "model/deque.h"
#include "model/past_ids.h"

#define OWN_ID_COST 120u /* bytes of each own id in each of the two indexes, beside its length */

struct own_ids {
    struct table *published; /* publisher and own id -> the newest event */
    struct table *shown;     /* own id that events showed -> the only event */
    struct past_ids *past;   /* ids that events showed which are no longer retained */
    uint64_t bytes;          /* what the two tables cost, as history.h counts it */
};

/* 0 or -ENOMEM. No past ids are remembered yet. */
int own_ids_init(struct own_ids *ids);
void own_ids_release(struct own_ids *ids);

/* Add e, which is newer than all others. An event without an own id is left out. 0 or -ENOMEM;
 * unchanged on failure. */
int own_ids_add(struct own_ids *ids, struct event *e);

/* Remove e, which was added. all: the retained events, with or without e. */
void own_ids_remove(struct own_ids *ids, const struct event *e, const struct deque *all);

/* From now on remember max past ids, of none of the events before. 0 or -ENOMEM. */
int own_ids_limit_past(struct own_ids *ids, uint64_t max);

/* e is about to be removed, or was never added: remember the id that it showed. */
void own_ids_remember(struct own_ids *ids, const struct event *e);

/* The event that this publisher published with this id, or NULL;
 * the newest when there are several. */
struct event *own_ids_published(const struct own_ids *ids, struct slice publisher, struct slice id);

/* The meaning of an own id as a cursor. */
enum id_cursor {
    CURSOR_UNKNOWN,  /* no event is known that showed it */
    CURSOR_EXACT,    /* one event showed it, retained or not */
    CURSOR_AMBIGUOUS /* several events showed it */
};

/* Find what id names. *seq is set with CURSOR_EXACT only: the seq is a cursor that means the
 * same. */
enum id_cursor own_ids_find_cursor(const struct own_ids *ids, struct slice id, uint64_t *seq);

/* What e's own id costs at most, in both indexes. */
uint64_t own_ids_cost(const struct event *e);

#endif
