/* sequence.h - gives each event its place: seq, duplicates by own id, history, and the turn's batch for the feed.
 *
 * An own id is counted per publisher: only what the same publisher published before is a duplicate. A cursor names one event for ever:
 * an event's id: line shows its own id only when no event before showed that id, as far as is known here. What is known: the events that are
 * retained, and the last PAST_IDS ids (or as many as the history may have events) of those that are gone. A store keeps them, too.
 *
 * What a turn of the broker appends is provisional until sequence_commit(): nobody is told before, neither workers nor
 * publishers. That is the one place where a turn's events are made durable. It does not know sockets, clocks or JSON.
 *
 * Ownership: the sequence owns its history and its bans; what it lends is valid until the next append.
 */
#ifndef SSECAST_SEQUENCE_H
#define SSECAST_SEQUENCE_H

#include "codec/wire.h"
#include "log/store.h"
#include "log/turn.h"
#include "model/bans.h"
#include "model/history.h"

struct sequence;

#define SEQUENCE_BATCH_BYTES (256u << 10) /* a message on the feed is closed when it has reached so many bytes */

/* What became of an event. */
struct sequenced {
    uint64_t seq;   /* of the event, or of the first one with its id */
    bool duplicate; /* an event of this publisher with this id is retained: nothing was appended */
};

/* A sequence that stands at position: its first event gets position + 1. run names this run of the broker and is not
 * 0. NULL when out of memory. */
struct sequence *sequence_new(const struct history_limits *limits, uint64_t position, uint64_t run);

/* From now on a shutdown that would ban more sessions than max is refused. */
void sequence_limit_bans(struct sequence *s, uint64_t max);

/* Take over what store holds, and keep in it what is committed from now on; before the first append. The sequence then stands at its
 * position or at the last event stored, whichever is later. store stays the caller's and may be NULL. progress, which may be NULL, is called now and then. 0 or -errno with a line in why. While
 * the store cannot be written to it stands at the last event stored and commits nothing; that too is 0, with a line in why (else empty). */
int sequence_restore(struct sequence *s, struct store *store, void (*progress)(uint64_t events),
                     char why[STORE_WHY_MAX]);

void sequence_free(struct sequence **s);

enum sequence_met {
    SEQUENCE_KNOWN,
    SEQUENCE_UNKNOWN, /* it has seen what is not stored here (an older copy of the store, or a clock that was set back): cursors from before are
                         no longer known */
    SEQUENCE_AHEAD, /* with a journal: it has seen what we have not taken in, or what is not in there. That is known after the next turn */
};

/* A worker stands at position, between turns. Seqs go on after it, whatever our clock and our store say; but a position
 * beyond furthest is none that a broker gave out, and is unknown. */
enum sequence_met sequence_meet(struct sequence *s, uint64_t position, uint64_t furthest);

/* The position at which this run began: events up to it were stamped by the clock of an earlier one. 0: not known (with a
 * journal, where each broker stamps its own). */
uint64_t sequence_began(const struct sequence *s);

/* Is everything retained that was appended in the last age_ms before now_ms (unix time)? */
bool sequence_retains(const struct sequence *s, int64_t now_ms, uint64_t age_ms);

/* Append the event that spec describes (its seq, and which id it shows, are set here). 0; -ENOSPC when the history's limit of bytes could not
 * hold it even alone; -E2BIG when more sessions would be banned than may be, -EFBIG when their names would take more of the log than they
 * may; -ENOMEM. Unchanged on failure. */
int sequence_append(struct sequence *s, struct event_spec *spec, struct sequenced *out);

/* Take back what was appended after position, which is where sequence_head() stood during this turn. */
void sequence_rollback(struct sequence *s, uint64_t position);

/* A store forgets its oldest events, and a ban may last longer than its record is kept. So bans whose record is in the older half of what the log
 * holds are appended anew, in records of their own (EVENT_BANS), with the ends that they have. sequence_commit() and sequence_expire() do
 * that by themselves, and a store never forgets a record whose ban has none that is newer. With a journal it is called before a turn is
 * offered: append at most max bytes of such records. It does nothing when no ban is due, or when the log does not outlive us. */
void sequence_write_bans_anew(struct sequence *s, size_t max, int64_t now_ms);

/* Store what was appended. The number of events, which are in force from now on and are given by sequence_next_batch(); or the store's
 * -errno: then they are taken back. */
int sequence_commit(struct sequence *s);

/* --- with a journal that other brokers append to as well (journal.h) ---
 *
 * Then sequence_restore() and sequence_commit() are not used. What a turn appended is offered, and is not in the history until the journal has
 * it; what others appended is adopted. The sequence begins at position 0 and knows nothing until the first turn of the journal. */

/* From now on the truth is a journal. Our first event gets a seq after floor at least: no two runs of a broker give the same one,
 * whatever became of the journal. */
void sequence_share(struct sequence *s, uint64_t floor);

/* Is there something to offer though nothing was appended: a doubt to be noted, a place where the sequence goes on, or our first turn (that it is taken proves that
 * we were up to date)? */
bool sequence_has_word(const struct sequence *s);

/* Bytes of what the turn appended so far, as entries. */
size_t sequence_turn_bytes(const struct sequence *s);

/* Write the turn's entries behind TURN_HEAD_LEN bytes of room in b (zeroed), and into t what its head says. What was appended is out of the
 * history until one of the two below. When b->failed, call sequence_withdraw(). */
void sequence_offer(struct sequence *s, struct turn *t, struct buf *b);

/* The turn that was offered is in the journal: it is in force. The number of its events. */
int sequence_accept(struct sequence *s);

/* It is not. The seqs are given to others. */
void sequence_withdraw(struct sequence *s);

/* Take in a turn of the journal, when none of ours is offered. linked: it follows what was taken in last; else something before it may be missing.
 * The number of its events; -ESTALE when it would go back behind the head, so that it is of another past, and -EPROTO when it is malformed: call
 * sequence_lose() then. -EALREADY: likewise, after sequence_lose(). */
int sequence_adopt(struct sequence *s, const struct turn *t, bool linked);

/* The journal has another past than was read. The sequence is to go on after floor and after all that was seen, and cursors from before are not
 * exact. */
void sequence_lose(struct sequence *s, uint64_t floor);

/* The same, and the journal is read anew from its begin: the history is emptied for that. What was committed and not given to the feed is dropped. 0 or
 * -ENOMEM: then the history is as it was. */
int sequence_restart(struct sequence *s, uint64_t floor);

/* What the history says is in doubt, until the journal has a note of that: answer no worker. */
bool sequence_lost(const struct sequence *s);

/* What was adopted so far is not for the feed: it was there before us. */
void sequence_skip_feed(struct sequence *s);

/* --- */

/* Write the next message for the feed. False when everything committed was given. When memory runs out the message is
 * left out, which workers notice and repair. */
bool sequence_next_batch(struct sequence *s, struct buf *b);

/* Forget what is too old (unix ms): events over the age limit (in the store too, some at each call), bans that have ended. And
 * look whether the store can be written to again. The number of events appended: bans written anew. */
int sequence_expire(struct sequence *s, int64_t now_ms);

uint64_t sequence_head(const struct sequence *s);
uint64_t sequence_run(const struct sequence *s);
const struct history *sequence_history(const struct sequence *s);
const struct bans *sequence_bans(const struct sequence *s);

/* Position: sessions that were banned up to here may be unknown to us, because we keep no log, or found none. 0: we know all. */
uint64_t sequence_bans_since(const struct sequence *s);

#endif
