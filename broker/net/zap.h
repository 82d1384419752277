/* zap.h - the ZeroMQ authentication protocol (RFC 27): decodes a request of libzmq to admit a peer,
 * and encodes the reply.
 *
 * Pure: zap_gate.c moves the frames.
 */
#ifndef SSECAST_ZAP_H
#define SSECAST_ZAP_H

#include "base/slice.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_REQUEST_FRAMES 7u /* of a request about CURVE, without routing id and delimiter */
#define ZAP_REPLY_FRAMES 6u

struct zap_request {
    struct slice id;
    struct slice domain;
    struct slice address; /* of the peer, for the log */
    struct slice key;     /* 32 bytes; empty when the mechanism is not CURVE */
};

/* False when the frames are no request of this protocol. */
bool zap_read(const struct slice *frames, size_t count, struct zap_request *out);

/* Write the frames of the reply: admit the peer as this user, or refuse it when user is empty. They
 * point to the arguments and to constants. */
void zap_reply(const struct zap_request *request, struct slice user,
               struct slice out[ZAP_REPLY_FRAMES]);

#endif
