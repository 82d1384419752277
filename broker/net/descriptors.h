/* descriptors.h - counts the open descriptors of the broker (files and connections) against their
 * limit.
 *
 * Each connection takes one, and the accept loop of libzmq spins when none is left. So the limit is
 * raised as far as allowed, and the owner stops accepting while `scarce` is set.
 */
#ifndef SSECAST_DESCRIPTORS_H
#define SSECAST_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

struct descriptors {
    uint64_t open, max;
    uint64_t opened;  /* since `open` was counted, as noted by the owner */
    int64_t count_at; /* clock_us(): not before, since counting takes time */
    bool scarce;
};

/* Raise the soft limit to the hard one. */
void descriptors_init(struct descriptors *d);

/* Note this number of accepted connections. */
void descriptors_opened(struct descriptors *d, uint64_t count);

/* Call it once a second and after descriptors_opened(). Counts again when that is due, or when few
 * may be left. True when `scarce` changed: it is set below an eighth of max, and cleared above a
 * quarter. */
bool descriptors_look(struct descriptors *d, int64_t now_us);

#endif
