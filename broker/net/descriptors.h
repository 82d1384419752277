/* descriptors.h - how many descriptors (open files and connections) the broker has, and how many it may have.
 *
 * Each connection takes one, and libzmq's accept loop spins when there are none left. So the limit is raised as far as allowed, and the owner stops
 * accepting while descriptors_scarce() says so.
 */
#ifndef SSECAST_DESCRIPTORS_H
#define SSECAST_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

struct descriptors {
    uint64_t open, max;
    uint64_t opened;  /* since `open` was counted, at most: those that the owner noted */
    int64_t count_at; /* clock_us(): not before, since counting takes time */
    bool scarce;
};

/* Raise the soft limit to the hard one. */
void descriptors_init(struct descriptors *d);

/* Note this number of accepted connections. */
void descriptors_opened(struct descriptors *d, uint64_t count);

/* Once a second, and after descriptors_opened(): count again when it is due, or when few may be left. True when `scarce` changed: fewer than an
 * eighth of max are left, or more than a quarter again. */
bool descriptors_look(struct descriptors *d, int64_t now_us);

#endif
