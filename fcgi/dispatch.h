/* dispatch.h - what each request is that comes in: one for a service, one for a stream, or one that
 * is refused.
 *
 * It only decides. Services answer in service/, streams and refusals in stream/open.h.
 */
#ifndef SSECAST_DISPATCH_H
#define SSECAST_DISPATCH_H

#include "http/exchange.h"

struct services;

/* Answer the request. Its descriptor is taken over and its parameters are released. */
void dispatch_request(struct services *services, const struct incoming *in);

#endif
