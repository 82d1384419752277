/* sequence.h - gives each event its seq, finds duplicates by their own id, and keeps the history
 * and the batch of an iteration.
 *
 * An own id belongs to its publisher: only an earlier event of the same publisher makes a
 * duplicate. As a cursor an id names one event for ever: the id: line of an event shows its own id
 * only when no known event has shown that id before. Known are the retained events, and the last
 * PAST_IDS ids (or as many as history may have events) of forgotten ones. A store keeps these, too.
 *
 * The batch of an iteration is provisional until it is committed: neither workers nor publishers
 * see its events before. It does not know sockets, clocks or JSON.
 *
 * Ownership: the sequence owns its history and its bans. Pointers into them are valid until the
 * next append.
 */
#ifndef SSECAST_SEQUENCE_H
#define SSECAST_SEQUENCE_H

#include "codec/wire.h"
#include "log/batch.h"
#include "log/store.h"
#include "model/bans.h"
#include "model/history.h"
#include "model/state.h"

struct sequence;

#define SEQUENCE_BATCH_BYTES (256u << 10) /* a message on the feed is closed at this size */

/* The result of an append. */
struct sequenced {
    uint64_t seq;   /* of the event, or of the first one with its id */
    bool duplicate; /* a retained event of this publisher has this id: nothing was appended */
};

/* A sequence whose head is position: its first event gets position + 1. epoch identifies this start
 * of the broker and is not 0. NULL when out of memory. */
struct sequence *sequence_new(const struct history_limits *limits, uint64_t position, uint64_t epoch);

/* Refuse to ban more sessions than max at once. */
void sequence_limit_bans(struct sequence *s, uint64_t max);

/* Refuse new keys beyond these limits. */
void sequence_limit_state(struct sequence *s, const struct state_limits *limits);

/* Load the store, and commit to it from now on. Call it before the first append. The head is then
 * the later of the position of sequence_new() and the last stored event. store stays the caller's
 * and may be NULL. progress may be NULL and is called now and then. 0 or -errno with a line in why.
 * A store that cannot be written is no error: the head stays at the last stored event, commits
 * fail, and why has a line (else it is empty). */
int sequence_restore(struct sequence *s, struct store *store, void (*progress)(uint64_t events),
                     char why[STORE_WHY_MAX]);

void sequence_free(struct sequence **s);

/* What the position of a worker says about the history. */
enum sequence_met {
    SEQUENCE_KNOWN,
    SEQUENCE_UNKNOWN, /* it has events that are not stored (an older copy of the store, or a clock set back): older cursors
                         become unknown */
    SEQUENCE_AHEAD, /* with a journal: it has events that were not read yet, or are missing; the next batch will tell */
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
 * banned; -EFBIG when their names would exceed their share of the log; -EDQUOT when the state has no
 * room for its key, or it would exceed its share of a journal; -ENOMEM. Unchanged on failure. */
int sequence_append(struct sequence *s, struct event_spec *spec, struct sequenced *out);

/* Take back the events after position, an earlier sequence_head() of this batch. */
void sequence_rollback(struct sequence *s, uint64_t position);

/* A log forgets its oldest events, and a ban may last longer than its record is kept. So bans whose
 * record is in the older half of the log are appended again, in records of their own (EVENT_BANS),
 * with their old ends. sequence_commit() and sequence_expire() do that themselves, and a store
 * keeps a record until its ban has a newer one. With a journal call it before a batch is offered:
 * it appends at most max bytes of records. It does nothing when no ban is due, or when the log does
 * not outlive the broker. */
void sequence_rewrite_bans(struct sequence *s, size_t max, int64_t now_ms);

/* The same for the events of keys, in records EVENT_STATE: with a journal only. A store keeps the
 * event of a key itself. A record, with everything that belongs to it, has at most max bytes. */
void sequence_rewrite_state(struct sequence *s, size_t max, int64_t now_ms);

/* True when the journal will soon forget the record of a key: nothing else comes before. */
bool sequence_must_rewrite(const struct sequence *s);

/* Store the batch. The number of its events, which are final and follow from sequence_next_batch();
 * or -errno of the store: then they are taken back. */
int sequence_commit(struct sequence *s);

/* --- with a journal that other brokers append to as well (journal.h) ---
 *
 * Then sequence_restore() and sequence_commit() are not used. A batch is offered, and is not in the
 * history until the journal has accepted it. Batches of other brokers are adopted. The sequence
 * begins at position 0 and is empty until the first batch. */

/* Use a journal from now on. The first seq is above floor, so that two epochs never give the same
 * one, even when the journal was lost. */
void sequence_share(struct sequence *s, uint64_t floor);

/* True when a batch has to be offered although nothing was appended: events are missing, the
 * sequence continues at another position, or no batch of this epoch was accepted yet (which proves
 * that the journal was read to its end). */
bool sequence_has_header(const struct sequence *s);

/* Bytes of the entries in the batch, and what the events of keys take when they are written again. */
size_t sequence_batch_bytes(const struct sequence *s);

/* Write BATCH_HEADER_LEN zero bytes and the entries of the batch to b, and fill the header t. The
 * events leave the history until one of the next two functions. When b->failed, call
 * sequence_withdraw(). */
void sequence_offer(struct sequence *s, struct batch *t, struct buf *b);

/* The journal has the offered batch: it is final. The number of its events. */
int sequence_accept(struct sequence *s);

/* The journal does not have it. Its seqs are free again. */
void sequence_withdraw(struct sequence *s);

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

/* Forget keys that have expired, events beyond the age limit (in the store too, some at each call) and bans that have
 * ended, and retry a store that could not be written. now_ms is unix time. The number of events
 * appended: records of bans. */
int sequence_expire(struct sequence *s, int64_t now_ms);

uint64_t sequence_head(const struct sequence *s);
uint64_t sequence_epoch(const struct sequence *s);
const struct history *sequence_history(const struct sequence *s);
const struct bans *sequence_bans(const struct sequence *s);
const struct state *sequence_state(const struct sequence *s);

/* Position: bans up to here may be unknown, because there was no log. 0: all are known. */
uint64_t sequence_bans_since(const struct sequence *s);

#endif
