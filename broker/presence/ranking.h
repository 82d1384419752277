/* ranking.h - which have the most: a list in the order of counts, kept at the same small cost for each change of one by one.
 *
 * Sessions come and go a thousand times a second, and somebody may ask each second which are the largest; sorting a hundred thousand for
 * that would stop everything else. So the order is never computed, only kept: all that have the same count are neighbours, and what
 * changes by one goes to the end of its neighbours that is nearer to where it belongs.
 *
 * Ownership: a ranked is embedded in its owner, who keeps the memory while its count is not 0.
 */
#ifndef SSECAST_RANKING_H
#define SSECAST_RANKING_H

#include <stddef.h>

/* Zeroed: not in. */
struct ranked {
    struct ranked *prev, *next; /* more or as many; as many or fewer */
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

/* One fewer; at 0 it is taken out. Nothing when it is not in. */
void ranking_down(struct ranking *r, struct ranked *one);

/* Free what the ranking itself holds. */
void ranking_release(struct ranking *r);

#endif
