/* in_flight.h - how many requests of each publisher a turn holds unanswered, so that one publisher cannot have all of a turn.
 *
 * Replies leave together at the end of a turn; so what was taken in one turn is what is unanswered at once. Who never has more than the limit
 * unanswered is never refused.
 */
#ifndef SSECAST_IN_FLIGHT_H
#define SSECAST_IN_FLIGHT_H

#include <stdint.h>

#include "base/slice.h"

struct in_flight;

/* For turns of at most so many requests. NULL when out of memory. */
struct in_flight *in_flight_new(unsigned turn_max, uint64_t peer_max);
void in_flight_free(struct in_flight **f);

/* A turn begins: nothing is unanswered. */
void in_flight_reset(struct in_flight *f);

/* One more request of this peer (a routing id, at most 255 bytes). False when it has as many as it may already. */
bool in_flight_admit(struct in_flight *f, struct slice peer);

#endif
