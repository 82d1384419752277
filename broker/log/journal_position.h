/* journal_position.h - how far a journal has read its stream, and whether the stream still has what
 * was read.
 *
 * A stream may be created again, lose its end, or be an older copy of itself. So there are three
 * comparisons. The state of the stream is compared before the stream is read. The consumer delivers
 * the message that was read last again (the overlap). The leader's copy of that message is
 * compared, too (the check). The consumer may be at a server whose copy differs: nats-server before
 * 2.10.23 keeps messages of a leader that lost its majority. Only the leader has the stream.
 *
 * When a comparison finds a difference, all that was read is forgotten, and the whole stream is to
 * be read again.
 *
 * Pure: it requests and logs nothing, and the caller gives the time (clock_ms()).
 */
#ifndef SSECAST_JOURNAL_POSITION_H
#define SSECAST_JOURNAL_POSITION_H

#include "log/batch.h"
#include "log/jetstream.h"

#define POSITION_CATCH_UP_MS 2000 /* a stream that is behind for this time lost its end */
#define POSITION_CHECK_MS 2000    /* the leader answers within this time */

/* Zeroed: nothing was read. */
struct journal_position {
    uint64_t offset;        /* read up to here */
    struct batch_name last; /* the last batch that was read ... */
    uint64_t last_offset;   /* ... and its offset */
    bool any;               /* a message was read ... */
    int64_t last_at;        /* ... and the last one is as old as this (ms of a monotonic clock) */
    uint64_t target;        /* the last offset of the stream, as far as is known */

    int64_t behind_since; /* the stream says it has less than was read; 0: it does not */
    char created[JETSTREAM_TIME_MAX];

    uint64_t overlap;               /* not 0: the consumer begins at this offset ... */
    struct batch_name overlap_name; /* ... which must hold this batch */

    bool agreed; /* the leader has the batch that was read last */
    /* Not 0: the message at this offset is requested from the leader ... */
    uint64_t check_offset;
    struct batch_name check_name; /* ... and must be this batch */
    int64_t check_at;
};

/* --- the state of the stream, before it is read (on) --- */

/* A leader that was just elected still applies what is committed, and says less than was read until
 * it has done so. True: inspect the stream again later. Only a stream that stays behind lost its
 * end. */
bool position_may_catch_up(struct journal_position *p, const struct jetstream_reply *r,
                           int64_t now);

/* The next state is of another server, perhaps: it is given the whole time to catch up. */
void position_other_server(struct journal_position *p);

/* NULL, or how the stream differs from what was read. */
const char *position_compare(struct journal_position *p, const struct jetstream_reply *r);

/* Read a stream in this state. The offset that the consumer begins at: that of the batch that was
 * read last, if the stream still has it. */
uint64_t position_begin(struct journal_position *p, const struct jetstream_reply *r);

/* The stream has messages up to this offset. True when it was not known. */
bool position_extend(struct journal_position *p, uint64_t last);

/* Everything was read up to the target. */
bool position_at_target(const struct journal_position *p);

/* --- messages --- */

/* The consumer delivers this message. False: it begins with another batch than the one that was
 * read last. */
bool position_overlaps(struct journal_position *p, uint64_t sequence, struct slice message);

/* The next message was read, and is not a batch for its offset. at: when it was stored (ms of a
 * monotonic clock; it may be negative). */
void position_skip(struct journal_position *p, uint64_t sequence, int64_t at);

/* The next message is the batch with this name. */
void position_advance(struct journal_position *p, const struct batch_name *name, uint64_t sequence,
                      int64_t at);

/* --- the check --- */

/* What was read may differ from what the leader has. */
void position_require_check(struct journal_position *p);

/* The offset of the message to request from the leader. 0: none, because it agrees (no batch was
 * read), or because one is requested. */
uint64_t position_begin_check(struct journal_position *p, int64_t now);

/* True when the answer is overdue. Then the check may begin again. */
bool position_end_late_check(struct journal_position *p, int64_t now);

enum position_check {
    POSITION_UNDECIDED, /* no answer to a check, or an error; it will be late */
    POSITION_AGREED,
    POSITION_UNKNOWN, /* the message is behind the target: inspect the stream again */
    POSITION_DIFFERS,
};

/* What the leader's answer says. */
enum position_check position_judge(struct journal_position *p, const struct jetstream_reply *r);

#endif
