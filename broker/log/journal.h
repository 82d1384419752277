/* journal.h - a log of batches that several brokers append to: a stream on NATS JetStream, and
 * recovery when it differs from what was read.
 *
 * All brokers read the stream from its beginning and go on reading. A batch (batch.h) is offered
 * with the offset of the last message that its broker has read. The server accepts it only when no
 * other message follows. So the broker was up to date, and all brokers hold the same order. A
 * broker that was overtaken reads the batches of the others and offers its batch again.
 *
 * The stream decides, never a missing acknowledgement: a batch that was given up may still appear,
 * and is then read like any other. A stream may be deleted, truncated or restored from an older
 * copy. Its sequence numbers show that, or a batch that names another predecessor, and it is
 * reported.
 *
 * It does not look into events. It does not block, except in journal_open(), in journal_free(), and
 * when it reconnects after the server had refused the connection.
 *
 * Ownership: the result of journal_next() is valid until its next call.
 */
#ifndef SSECAST_JOURNAL_H
#define SSECAST_JOURNAL_H

#include "codec/wire.h"
#include "log/batch.h"
#include "log/nats_link.h"
#include "log/store.h"
#include "model/history.h"

struct journal;

/* Strings must stay valid. */
struct journal_config {
    struct nats_link_config link;
    const char *stream;
    uint64_t replicas;
    struct history_limits limits; /* a new stream holds at least as much */
    uint64_t broker;              /* our epoch: the names of our batches begin with it */
};

/* Connect. As nats_link_open(). */
int journal_open(const struct journal_config *config, struct journal **out,
                 char why[NATS_LINK_WHY_MAX]);

/* Safe on NULL. */
void journal_free(struct journal **j);

/* Becomes readable when journal_next() may have news. It changes with each new connection; -1: not
 * connected. */
int journal_fd(const struct journal *j);

enum journal_news {
    JOURNAL_NOTHING,   /* no news */
    JOURNAL_BATCH,     /* the next batch, of any broker; a pending batch of ours is not stored */
    JOURNAL_STORED,    /* the pending batch is stored */
    JOURNAL_OVERTAKEN, /* the pending batch is not stored: another message has its offset */
    JOURNAL_REFUSED,   /* the pending batch is not stored: the server rejected it; journal_why() */
    /* The stream is another, or lost its end; it is read again. A pending batch is not stored. */
    JOURNAL_LOST,
};

struct journal_batch {
    struct batch batch;
    bool linked; /* it follows the batch read last; else batches between may be missing */
};

/* now: clock_ms(). */
enum journal_news journal_next(struct journal *j, int64_t now, struct journal_batch *out);

/* Repeat unanswered requests. Call it about ten times a second while a batch is pending or
 * journal_ready() is false, else every second. */
void journal_tick(struct journal *j, int64_t now);

/* The stream was read to its end, the leader of the stream has its last batch too, and reading goes
 * on. */
bool journal_ready(const struct journal *j);

/* Request the end of the stream; one request at a time. */
void journal_request_end(struct journal *j, int64_t now);

/* Everything was read up to the end that was requested last. */
bool journal_reached_end(const struct journal *j);

/* Maximum bytes of a message, header included. */
size_t journal_room(const struct journal *j);

/* Offer a batch, while none is pending. message holds BATCH_HEADER_LEN bytes for the header, and
 * the entries. t has the fields of the header except names and offset. The message is taken over,
 * and *message zeroed. */
void journal_offer(struct journal *j, struct buf *message, struct batch *t, int64_t now);

/* Stop waiting for the pending batch. True when it was never sent, so that it is certainly not
 * stored. Else that is unknown: if it is stored, it comes as a JOURNAL_BATCH. */
bool journal_give_up(struct journal *j);

/* The last message of the stream is older than this. False when there was none. */
bool journal_is_older(const struct journal *j, int64_t age_ms);

/* Why there is no progress: one line for the log. */
const char *journal_why(const struct journal *j);

/* Retrying cannot succeed; journal_why(). */
bool journal_hopeless(const struct journal *j);

struct store_stats journal_stats(const struct journal *j);

#endif
