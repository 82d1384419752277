/* in_flight.h - limits the unanswered requests of each publisher in a batch, so that one publisher
 * cannot fill a batch.
 *
 * The replies of a batch leave together, so its requests are the unanswered ones. A publisher that
 * never has more than the limit unanswered is never refused.
 */
#ifndef SSECAST_IN_FLIGHT_H
#define SSECAST_IN_FLIGHT_H

#include <stdint.h>

#include "base/slice.h"

struct in_flight;

/* For batches of at most batch_max requests. NULL when out of memory. */
struct in_flight *in_flight_new(unsigned batch_max, uint64_t peer_max);
void in_flight_free(struct in_flight **f);

/* A batch begins: no request is unanswered. */
void in_flight_reset(struct in_flight *f);

/* Admit one more request of this peer (a routing id, at most 255 bytes). False when it has reached
 * the limit. */
bool in_flight_admit(struct in_flight *f, struct slice peer);

#endif
