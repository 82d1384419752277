/* merge.h - reads several deques of events as one, in order of seq, each event once.
 *
 * An event that names a reader twice is in two deques. Deques must not change during a merge.
 */
#ifndef SSECAST_MERGE_H
#define SSECAST_MERGE_H

#include "model/deque.h"

#define MERGE_CHANNELS_MAX 1024u                  /* channels that one reader may have */
#define MERGE_DEQUES_MAX (3 + MERGE_CHANNELS_MAX) /* everyone, the session, the connection, and the channels */

/* Zeroed is a merge of nothing. */
struct merge {
    size_t count;
    struct merge_source {
        const struct deque *deque;
        size_t at;
    } items[MERGE_DEQUES_MAX];
};

/* Add the events of a deque after this position. NULL: none. At most MERGE_DEQUES_MAX times. */
void merge_add(struct merge *m, const struct deque *deque, uint64_t after);

/* The next event, or NULL at the end. */
struct event *merge_next(struct merge *m);

/* The event before those that merge_next() gives, or NULL at the beginning. A merge goes in one
 * direction only; from the end when everything was added after UINT64_MAX. */
struct event *merge_previous(struct merge *m);

#endif
