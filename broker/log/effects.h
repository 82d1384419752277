/* effects.h - what events change beside the history: the bans and the current state, and what of
 * them a log must have again.
 *
 * Changes are provisional until the batch is final. With a journal, the changes of the last batch
 * can be undone even then, because that batch may turn out to be void.
 *
 * A log evicts its oldest events. A ban or a key may last longer than its event. So both are
 * written again in records of their own (EVENT_BANS, EVENT_STATE), before the log evicts them. The
 * log is divided into quarters, by its limits of events, bytes and age. What one kind may take of a
 * log is an eighth of it, so that writing it again never fills the log.
 *
 * It does not know the history, ids, or where events are stored.
 *
 * Ownership: it owns bans and state. Events are borrowed; it takes references.
 */
#ifndef SSECAST_EFFECTS_H
#define SSECAST_EFFECTS_H

#include "model/bans.h"
#include "model/history.h"
#include "model/state.h"

struct effects;

/* A record is closed at this size, unless one item is larger. */
#define EFFECTS_RECORD_BYTES ((size_t)64 << 10)

/* What is written again. */
enum effects_rewritten {
    REWRITE_NOTHING, /* no log outlives the broker */
    REWRITE_BANS,    /* a store of our own keeps the events of keys itself */
    REWRITE_ALL,     /* a journal forgets everything */
};

/* log: what the log holds. NULL when out of memory. */
struct effects *effects_new(const struct history_limits *log);
void effects_free(struct effects **f);

/* REWRITE_NOTHING at first. Call it before the first event. */
void effects_rewrite(struct effects *f, enum effects_rewritten what);

/* Refuse more bans or keys than this; UINT64_MAX at first. */
void effects_limit_bans(struct effects *f, uint64_t max);
void effects_limit_state(struct effects *f, const struct state_limits *limits);

const struct bans *effects_bans(const struct effects *f);
const struct state *effects_state(const struct effects *f);

/* Bytes that e takes of a batch in the log: its entry, and with a journal also what the record
 * takes that has its key again. */
size_t effects_batch_bytes(const struct effects *f, const struct event *e);

/* --- provisional changes --- */

/* 0, or -EDQUOT when the state has no room for the key of e. limited: its publisher has limits, and
 * may not fill the state. */
int effects_admit(const struct effects *f, const struct event *e, bool limited);

/* Apply an event that is being appended. 0; -E2BIG when there would be too many bans; -EFBIG when
 * their names would exceed their share of the log; -ENOMEM. On an error call effects_rollback().
 * limited: who bans has limits, and may not fill these bounds. */
int effects_apply(struct effects *f, struct event *e, bool limited);

/* Revert the changes by events after position. */
void effects_rollback(struct effects *f, uint64_t position);

/* A provisional change of the state, the oldest has number 0; NULL: there are no more. */
const struct state_change *effects_change(const struct effects *f, size_t number);

/* --- final changes --- */

/* A batch becomes final: what the one before changed cannot be undone any more. */
void effects_begin(struct effects *f);

/* What was applied is final. */
void effects_settle(struct effects *f);

/* Apply an event that the log has already, before effects_settle().
 * 0, or -ENOMEM: something that it changes is missing. */
int effects_read(struct effects *f, struct event *e);

/* Undo what the batch changed in the state that became final last. */
void effects_undo(struct effects *f);

/* --- what a log has --- */

/* The log has e, as its newest event. */
void effects_note(struct effects *f, const struct event *e);

/* Remove bans that have ended. A quarter ends after a quarter of the log's age at the latest.
 * now_ms is unix time. Not when there are provisional changes. */
void effects_tick(struct effects *f, int64_t now_ms);

/* Forget a key that has expired. The seq of its event; 0: none has. Not when there are provisional
 * changes. */
uint64_t effects_expire_key(struct effects *f, int64_t now_ms);

/* The seq of the oldest record of a ban; 0: no ban has a record. */
uint64_t effects_oldest_ban(const struct effects *f);

/* The log may lack what it had after position (0: anything): write that again. */
void effects_doubt(struct effects *f, uint64_t position);

/* Events may have been missed. What is known is not written again until the log has it, and is
 * forgotten after four quarters without. */
void effects_distrust(struct effects *f);

/* Events after position are void: forget the keys that have one. */
void effects_revoke(struct effects *f, uint64_t position);

/* --- records --- */

/* True when bans are due, that is two quarters old; likewise keys. Always false for what is not
 * written again. */
bool effects_bans_due(const struct effects *f);
bool effects_keys_due(const struct effects *f);

/* True when the log will forget the record of a key in the next quarter. */
bool effects_is_urgent(const struct effects *f);

/* The text of a record with the oldest bans, of at most max bytes. Its length in bytes; 0: none is
 * a quarter old, or out of memory. The caller frees *text. */
size_t effects_collect_bans(const struct effects *f, size_t max, char **text);

/* Likewise of the keys after *cursor, NULL at first, which goes on. The record with everything that
 * belongs to it has at most max bytes; max is above EVENT_ENTRY_MIN. */
size_t effects_collect_keys(const struct effects *f, int64_t now_ms, size_t max,
                            const void **cursor, char **text);

#endif
