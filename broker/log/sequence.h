/* sequence.h - gives each event its seq, finds duplicates by their own id, and keeps the history
 * and the batch of an iteration.
 *
 * An own id belongs to its publisher: only an earlier event of the same publisher makes a
 * duplicate. As a cursor an id names one event for ever: the id: line of an event shows its own id
 * only when no known event has shown that id before. Known are the retained events, and the last
 * PAST_IDS ids (or as many as history may have events) of forgotten ones. A store keeps these, too.
 *
 * The batch of an iteration is provisional until the log has it: neither workers nor publishers see
 * its events before. A log that decides at once needs sequence_batch() and then sequence_accept()
 * or sequence_withdraw(). For a log that decides later sequence_offer() takes the batch out of the
 * history meanwhile. A batch may have a header, which says where the sequence continues and what is
 * missing. Batches that other brokers wrote to the log are adopted.
 *
 * It does not know logs, sockets, clocks or JSON; event_log.h is above it.
 *
 * Ownership: the sequence owns its history and its effects. Pointers into them are valid until the
 * next append.
 */
#ifndef SSECAST_SEQUENCE_H
#define SSECAST_SEQUENCE_H

#include "codec/wire.h"
#include "log/batch.h"
#include "log/effects.h"
#include "model/history.h"

struct sequence;

#define SEQUENCE_BATCH_BYTES (256u << 10) /* a message on the feed is closed at this size */

/* The result of an append. */
struct sequenced {
    uint64_t seq;   /* of the event, or of the first one with its id */
    bool duplicate; /* a retained event of this publisher has this id: nothing was appended */
};

/* A sequence whose head is position: its first event gets position + 1. epoch identifies this start
 * of the broker and is not 0. NULL when out of memory. */
struct sequence *sequence_new(const struct history_limits *limits, uint64_t position,
                              uint64_t epoch);

void sequence_free(struct sequence **s);

/* What the position of a worker says about the history. */
enum sequence_met {
    SEQUENCE_KNOWN,
    /* It has events that are not stored (an older copy of the store, or a clock set back):
     * older cursors become unknown. */
    SEQUENCE_UNKNOWN,
    /* It has events that were not read yet, or are missing;
     * the header of the next batch will tell. */
    SEQUENCE_AHEAD,
};

/* A worker reports its position, between batches. The next seq is above it, whatever the clock and
 * the store say. No broker gives out a position beyond furthest, so such a position is unknown. */
enum sequence_met sequence_meet(struct sequence *s, uint64_t position, uint64_t furthest);

/* The position at which this epoch began: earlier events have times of an earlier clock. 0: unknown
 * (with a journal, where each broker has its clock). */
uint64_t sequence_began(const struct sequence *s);

/* True when all events of the last age_ms before now_ms (unix time) are retained. */
bool sequence_retains(const struct sequence *s, int64_t now_ms, uint64_t age_ms);

/* Append the event that spec describes; its seq and the id it shows are set here. 0; -ENOSPC when
 * it exceeds the byte limit of the history by itself; -E2BIG when too many sessions would be
 * banned; -EFBIG when their names would exceed their share of the log; -EDQUOT when the state has
 * no room for its key, or it would exceed its share of a journal; -ENOMEM. Unchanged on failure. */
int sequence_append(struct sequence *s, struct event_spec *spec, struct sequenced *out);

/* Take back the events after position, an earlier sequence_head() of this batch. */
void sequence_rollback(struct sequence *s, uint64_t position);

/* Bytes that the batch takes in the log. */
size_t sequence_batch_bytes(const struct sequence *s);

/* The events of the batch in their order, and their number. Borrowed, until the batch changes. */
struct event *const *sequence_batch(const struct sequence *s, size_t *count);

/* The position up to which a store may forget: it has neither retained events nor the only record
 * of a ban. */
uint64_t sequence_forgettable(const struct sequence *s);

/* --- the log decides --- */

/* True when the log must get a record, although nothing may have been appended: events are missing,
 * the sequence continues at another position, or the log has no batch of this epoch yet. */
bool sequence_has_header(const struct sequence *s);

/* True until the log has a batch of this epoch, if only an empty one. */
bool sequence_begins(const struct sequence *s);

/* Offer the batch, which may be empty, and set the header t, without names and offset. The events
 * leave the history until one of the next two functions is called. */
void sequence_offer(struct sequence *s, struct batch *t);

/* The log has the batch, offered or not: it is final. The number of its events. */
int sequence_accept(struct sequence *s);

/* The log does not have it. Its seqs are free again. */
void sequence_withdraw(struct sequence *s);

/* --- loading a log of our own --- before the first append, in the order of store_loader. Then the
 * head is that of the log. An event's changes are in effects_change() until the next call. 0;
 * -EBADMSG for a position that no broker gives out; -ENOMEM; -EINVAL when a seq is not
 * above the one before. After an error only sequence_free() is allowed. */

/* The sequence continued at position; incomplete: events before are missing. */
int sequence_load_position(struct sequence *s, uint64_t position, bool incomplete);

int sequence_load_event(struct sequence *s, struct event *e);

/* An event that is no longer in the history, and is the newest of its key. */
int sequence_load_effects(struct sequence *s, struct event *e);

/* A forgotten event showed the id with this hash (past_ids.h). */
int sequence_load_id(struct sequence *s, uint64_t hash, uint64_t seq);

/* Everything was loaded, if there was anything. trimmed: the log had more once. The epoch begins
 * above the position of sequence_new(), and the log must have a header that says so. */
void sequence_load_end(struct sequence *s, bool trimmed);

/* The number of ids of forgotten events that are known. */
uint64_t sequence_ids_remembered(const struct sequence *s);

/* --- a log that other brokers append to as well (journal.h): the sequence begins at position 0 and
 * is empty until the first batch --- */

/* Use such a log from now on. The first seq is above floor, so that two epochs never give the same
 * one, even when the log was lost. */
void sequence_share(struct sequence *s, uint64_t floor);

/* Adopt a batch of the journal, while no batch is offered. linked: it follows the batch adopted
 * last; else events before it may be missing. The number of its events. -ESTALE when it begins
 * before the head, so that it belongs to another history, of which only the bans and the keys are
 * adopted; -EPROTO when it is malformed: call sequence_lose() then. -EALREADY: the same, after
 * sequence_lose(). */
int sequence_adopt(struct sequence *s, const struct batch *t, bool linked);

/* The journal differs from what was read. The sequence will continue above floor and above all
 * known seqs, and older cursors are not exact. */
void sequence_lose(struct sequence *s, uint64_t floor);

/* The same, and the journal is read again from its beginning into an empty history. Bans and keys
 * stay, and are written again unless the journal has them or something later. Events that are not
 * yet on the feed are dropped. 0 or -ENOMEM: then the history is unchanged. */
int sequence_restart(struct sequence *s, uint64_t floor);

/* The history may be wrong until the journal has a batch that says so. Do not answer workers
 * meanwhile. */
bool sequence_lost(const struct sequence *s);

/* Do not publish the events adopted so far: they are older than this broker. */
void sequence_skip_feed(struct sequence *s);

/* --- */

/* Write the next message for the feed. False when all final events were given. Without memory the
 * message is left out; workers notice that and fetch the events. */
bool sequence_next_batch(struct sequence *s, struct buf *b);

/* Forget events beyond the age limit, and bans that have ended. now_ms is unix time. Not while the
 * batch has provisional events. */
void sequence_expire(struct sequence *s, int64_t now_ms);

uint64_t sequence_head(const struct sequence *s);
uint64_t sequence_epoch(const struct sequence *s);
const struct history *sequence_history(const struct sequence *s);
const struct bans *sequence_bans(const struct sequence *s);
const struct state *sequence_state(const struct sequence *s);
struct effects *sequence_effects(const struct sequence *s);

/* Position: bans up to here may be unknown, because there was no log. 0: all are known. */
uint64_t sequence_bans_since(const struct sequence *s);

#endif
