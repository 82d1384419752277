/* ranking.h - a list ordered by count, with constant cost for each change by one.
 *
 * Sessions may change a thousand times a second, and a client may request the largest ones each
 * second; sorting a hundred thousand would block the broker. So the order is maintained: entries
 * with the same count are neighbours, and an entry that changes by one moves past its neighbours.
 *
 * Ownership: a ranked is embedded in its owner, who keeps the memory while its count is not 0.
 */
#ifndef SSECAST_RANKING_H
#define SSECAST_RANKING_H

#include <stddef.h>

/* Zeroed: not in the list. */
struct ranked {
    struct ranked *prev, *next; /* with at least this count; with at most this count */
    size_t count;
};

/* Zeroed: empty. */
struct ranking {
    struct ranked *first;
    struct ranking_class *classes; /* by count */
    size_t room;
};

/* One more. 0; -ENOMEM: nothing has changed. */
int ranking_up(struct ranking *r, struct ranked *one);

/* One fewer; at 0 it leaves the list. Ignored when it is not in the list. */
void ranking_down(struct ranking *r, struct ranked *one);

/* Free the memory of the ranking itself. */
void ranking_release(struct ranking *r);

#endif
