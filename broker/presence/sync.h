/* sync.h - what a worker says on the sync socket, and what it is answered: hello, replay, presence.
 *
 * Bytes in, bytes out: it knows the sequence and who is present, but no socket and no clock. It must be asked between
 * turns only, when everything in the sequence is committed: an answer tells what is in the history.
 */
#ifndef SSECAST_SYNC_H
#define SSECAST_SYNC_H

#include "log/sequence.h"
#include "presence/cluster.h"
#include "presence/presence.h"
#include "stats/counters.h"

struct sync_context {
    struct sequence *sequence;
    struct presence *presence;
    uint64_t *counters;      /* BROKER_COUNTERS of them */
    struct cluster *cluster; /* who are told what workers say; NULL: there are no other brokers */
    int64_t clock_us;        /* the broker's, unix time, as of now */
    size_t piece_bytes;      /* of what is sent in pieces; 0: WIRE_PIECE_BYTES */
    /* Send a message before the answer. False: it could not be sent. NULL: nothing is sent in pieces. */
    bool (*send)(void *context, struct slice worker, struct slice message);
    /* A cursor was asked about that nobody knows here, but perhaps another broker gave it out and we have not heard of it yet: keep the message
     * until that is certain (true: there is no answer now). NULL: it is certain. */
    bool (*later)(void *context, struct slice worker, struct slice message);
    void *context;
};

#define SYNC_PAGE_EVENTS 1000u
#define SYNC_PAGE_BYTES (1u << 20)
#define SYNC_LOOK_PAGES 64u /* pages looked through for one page of shutdowns */

/* Take message from the worker with this routing id. True when *answer holds what to send back. now is that of
 * presence.h. */
bool sync_handle(const struct sync_context *c, struct slice worker, struct slice message, int64_t now,
                 struct buf *answer);

#endif
