/* zap.h - ZeroMQ's authentication protocol (RFC 27) as frames: what libzmq asks before it lets a peer in, and the answer.
 *
 * Pure: bus.c moves the frames.
 */
#ifndef SSECAST_ZAP_H
#define SSECAST_ZAP_H

#include "base/slice.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_QUESTION 7u /* frames of a question about CURVE, without routing id and delimiter */
#define ZAP_ANSWER 6u

struct zap_question {
    struct slice id;
    struct slice domain;
    struct slice address; /* of the peer, for people */
    struct slice key;     /* 32 bytes; empty when the mechanism is not CURVE */
};

/* False when the frames are no question of this protocol. */
bool zap_read(const struct slice *frames, size_t count, struct zap_question *out);

/* The frames of the answer: let in as this user, or (user empty) not. They point to the arguments and to constants. */
void zap_answer(const struct zap_question *question, struct slice user, struct slice out[ZAP_ANSWER]);

#endif
