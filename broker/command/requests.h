/* requests.h - keeps requests until their events are stored: those of the pending batch, and those
 * that wait for the next one.
 *
 * With a journal a batch is run again when another broker was first. So its requests are kept in
 * the order of their arrival.
 *
 * Ownership: everything is copied.
 */
#ifndef SSECAST_REQUESTS_H
#define SSECAST_REQUESTS_H

#include <stdint.h>

#include "base/slice.h"

#define REQUEST_FRAMES 2u

struct pending_request {
    struct slice peer;
    struct slice envelope; /* as in bus.h */
    /* frames[0] is the message of the worker (wire.h), with the command and its grant. */
    bool to_worker;
    struct slice user; /* else: the key of the connection */
    bool surplus;      /* its sender has too many unanswered requests */
    struct slice frames[REQUEST_FRAMES];
    size_t frame_count; /* as sent; beyond REQUEST_FRAMES none was kept */
    int64_t arrived;    /* clock_ms() */
};

/* Zeroed is empty. */
struct requests {
    struct pending_request **items;
    size_t count, cap;
    size_t bytes; /* of peers, envelopes, users and frames */
};

/* 0 or -ENOMEM; unchanged on failure. */
int requests_put(struct requests *r, const struct pending_request *request);

/* Drop the first count. */
void requests_drop(struct requests *r, size_t count);

void requests_release(struct requests *r);

#endif
