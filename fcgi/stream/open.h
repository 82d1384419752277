/* open.h - admission: what becomes of a request for a stream, or of one that is refused.
 *
 * The request is read, its token verified and the limits checked before anything is allocated for
 * it. Admitted, it becomes a stream (stream.h); otherwise it gets a short answer that says why. It
 * does not decide whether a request is for a service.
 *
 * Ownership: the descriptor is taken over; the parameters stay the caller's.
 */
#ifndef SSECAST_OPEN_H
#define SSECAST_OPEN_H

#include "stream/stream.h"

/* Answer a request for a stream: open one, or say why not. */
void open_request(struct streams *set, const struct incoming *in);

/* The same for a request to the hub (mercure.h). */
void open_mercure(struct streams *set, const struct incoming *in);

/* Answer a request that can be read in two ways (request_refuse_repeated()), or whose path names
 * nothing (found is false). False: it is neither, and was not answered. */
bool open_refuse(struct streams *set, const struct incoming *in, bool found);

#endif
