/* merge.h - reads several deques of events as one, in order of seq, each event once.
 *
 * An event that names a reader twice is in two deques. Deques must not change during a merge.
 */
#ifndef SSECAST_MERGE_H
#define SSECAST_MERGE_H

#include "model/deque.h"

#define MERGE_CHANNELS_MAX 1024u                  /* channels that one reader may have */
#define MERGE_DEQUES_MAX (3 + MERGE_CHANNELS_MAX) /* everyone, session, connection, and channels */

/* A heap from the first event that is taken on: the source with the next event is at its root. */
struct merge {
    size_t count;
    enum merge_state { MERGE_FILLS, MERGE_FORWARD, MERGE_BACKWARD } state;
    struct merge_source {
        const struct deque *deque;
        size_t at;
        struct event *next; /* NULL: it has no more */
        uint64_t rank;      /* of next, the lowest first */
    } items[MERGE_DEQUES_MAX];
};

/* A merge of nothing. */
void merge_init(struct merge *m);

/* Add the events of a deque after this position. NULL: none. At most MERGE_DEQUES_MAX times, and
 * before the first event is taken. */
void merge_add(struct merge *m, const struct deque *deque, uint64_t after);

/* The next event, or NULL at the end. The cost is proportional to the logarithm of the number of
 * deques. */
struct event *merge_next(struct merge *m);

/* The event before those that merge_next() gives, or NULL at the beginning. A merge goes in one
 * direction only; from the end when everything was added after UINT64_MAX. */
struct event *merge_previous(struct merge *m);

#endif
