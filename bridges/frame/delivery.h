/* delivery.h - publishes messages in order, and again until the broker has answered.
 *
 * One batch is pending at a time. It is published as a whole. When the broker refuses it, its
 * messages are published one by one, so that one bad message holds up no other. No answer, a
 * broker that is away and a store that fails are no refusals: the batch is published again, later
 * and later, for as long as it takes. Each message has an own id, so the broker publishes it once.
 *
 * It does not wait: the caller polls delivery_fd() and calls delivery_process().
 *
 * Ownership: messages are copied.
 */
#ifndef SSECAST_DELIVERY_H
#define SSECAST_DELIVERY_H

#include <stdint.h>

#include "base/slice.h"
#include "lib/ssecast.h"

#define DELIVERY_MESSAGES 100u
#define DELIVERY_BYTES ((size_t)4 << 20) /* of a batch, but for one larger message */
#define DELIVERY_WHY 256

struct delivery;

/* What became of a message. */
struct delivery_outcome {
    bool refused; /* the broker will not take it; otherwise it is published and stored */
    char why[DELIVERY_WHY];
};

struct delivery_counts {
    uint64_t published, refused;
};

/* 0 or -errno of ssecast_publisher_new(). broker: how it is called in the log. */
int delivery_new(struct delivery **out, const struct ssecast_publisher_options *options,
                 const char *broker);

/* Safe on NULL. */
void delivery_free(struct delivery **d);

/* Add a message to the next batch: an item of `events`, with its id. False: the batch is full or
 * pending, or there is no memory. */
bool delivery_add(struct delivery *d, struct slice object);

/* The number of messages in the batch. */
size_t delivery_count(const struct delivery *d);

/* Publish the batch, which has at least one message. */
void delivery_begin(struct delivery *d);

/* True from delivery_begin() until delivery_end(). */
bool delivery_pending(const struct delivery *d);

/* Send, receive, try again. True when every message of the pending batch has its outcome. */
bool delivery_process(struct delivery *d);

/* The outcome of the message that was added as number index, from 0. */
const struct delivery_outcome *delivery_outcome(const struct delivery *d, size_t index);

/* Forget the batch, which has its outcomes, and begin an empty one. */
void delivery_end(struct delivery *d);

/* For poll(): a descriptor to read, and how long to wait in ms; -1: for ever. */
int delivery_fd(const struct delivery *d);
int delivery_timeout(const struct delivery *d);

struct delivery_counts delivery_counts(const struct delivery *d);

/* True when the broker may accept the same event later: it is no refusal of the event. */
bool delivery_code_passes(const char *code);

#endif
