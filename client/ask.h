/* ask.h - one request to the broker and its reply: the only user of libzmq here.
 *
 * Ownership: the answer's memory is the caller's; answer_release() frees it.
 */
#ifndef SSECAST_ASK_H
#define SSECAST_ASK_H

#include <stdint.h>

#include "slice.h"

struct question {
    const char *endpoint;
    uint64_t timeout_ms; /* for everything together; at least 1 */
    struct slice request;
    bool has_payload;
    struct slice payload; /* the second frame */
};

struct answer {
    char *data;
    size_t len; /* bytes */
};

/* Connect, send, and wait for the reply. 0; -ETIMEDOUT when none came in time; another -errno when the endpoint cannot be
 * used. */
int ask(const struct question *q, struct answer *a);

void answer_release(struct answer *a);

#endif
