/* sync.h - the requests of workers on the sync socket: hello, replay, shutdowns and presence.
 *
 * Bytes in, bytes out: it knows the sequence, its log and presence, but no socket and no clock.
 * Call it only between batches, when every event in the sequence is committed: answers contain the
 * history.
 */
#ifndef SSECAST_SYNC_H
#define SSECAST_SYNC_H

#include "log/event_log.h"
#include "presence/cluster.h"
#include "presence/presence.h"
#include "stats/counters.h"

struct sync_context {
    struct sequence *sequence;
    struct event_log *log; /* of the sequence */
    struct presence *presence;
    uint64_t *counters;      /* BROKER_COUNTERS of them */
    struct cluster *cluster; /* receives the messages of workers; NULL: no other brokers */
    int64_t clock_us;        /* unix time of the broker, now */
    size_t piece_bytes;      /* size of a piece of a welcome; 0: SYNC_PIECE_BYTES and more */
    /* Send a message before the answer. False when it could not be sent. NULL: nothing is sent in
     * pieces. */
    bool (*send)(void *context, struct slice worker, struct slice message);
    /* The cursor of this request is unknown here, but another broker may have given it out: keep
     * the message until the log was read to its end. True: no answer now. NULL: the log was
     * read. */
    bool (*defer)(void *context, struct slice worker, struct slice message);
    void *context;
};

#define SYNC_PIECE_BYTES (64u << 10)
#define SYNC_PIECES 1000u /* pieces, after which the size doubles, up to WIRE_PIECE_BYTES */

#define SYNC_PAGE_EVENTS 1000u
#define SYNC_PAGE_BYTES (1u << 20)
#define SYNC_LOOK_PAGES 64u /* pages searched for one page of shutdowns */

enum sync_outcome {
    SYNC_SILENCE, /* there is no answer */
    SYNC_ANSWER,  /* *answer is to be sent back */
    SYNC_REPORT,  /* a report begins: take changes (presence_next()), then sync_reported() */
};

/* Handle a message of the worker with this routing id. now is the clock of presence.h. */
enum sync_outcome sync_handle(const struct sync_context *c, struct slice worker,
                              struct slice message, int64_t now, struct buf *answer);

/* The report in this message was applied: afterwards *answer is to be sent back. */
void sync_reported(const struct sync_context *c, struct slice worker, struct slice message,
                   int64_t now, struct buf *answer);

#endif
