/* bans.h - banned sessions: until when, and by which record of the sequence.
 *
 * The broker keeps bans to send them to workers that connect later; a worker keeps them to answer
 * 204. The last record of a session counts: it may extend, shorten or lift the ban. An end is an
 * absolute time, so writing a ban again never extends it.
 *
 * A log evicts its oldest records. The log is divided into quarters, and each ban has the quarter
 * of its record. So the broker rewrites bans before the log evicts them. This module does not know
 * logs, sockets or clocks.
 *
 * Ownership: names are copied.
 */
#ifndef SSECAST_BANS_H
#define SSECAST_BANS_H

#include <stdint.h>

#include "codec/event.h"

struct bans;

struct bans *bans_new(void);
void bans_free(struct bans **b);

/* Ban session until until_ms (unix time; 0 lifts its ban), by the record seq. 0 or -ENOMEM. */
int bans_set(struct bans *b, struct slice session, int64_t until_ms, uint64_t seq);

/* Apply the bans of an event. A shutdown bans each session it names for block_s from its time,
 * or lifts their bans (0). An EVENT_BANS lists bans. 0, or -ENOMEM: some bans may be missing
 * then. */
int bans_apply(struct bans *b, const struct event *e);

/* When the session's ban ends; 0: it is not banned at now_ms. */
int64_t bans_until(const struct bans *b, struct slice session, int64_t now_ms);

size_t bans_count(const struct bans *b);
uint64_t bans_bytes(const struct bans *b); /* size of an EVENT_BANS with all of them */

/* Remove bans that have ended. The time does not depend on the others. Not between bans_hold() and
 * bans_settle(). */
void bans_expire(struct bans *b, int64_t now_ms);

/* Walk: NULL first; NULL at the end. The pointer is a cursor. Bans must not change during
 * the walk. The order is that of the records. */
const void *bans_next(const struct bans *b, const void *cursor, struct slice *session,
                      int64_t *until_ms);

/* --- provisional changes --- */

/* Changes are provisional from now on. Used by the broker only. */
void bans_hold(struct bans *b);

/* Revert the changes since bans_settle() by records after position. */
void bans_rollback(struct bans *b, uint64_t position);

/* All changes so far are final. */
void bans_settle(struct bans *b);

/* --- replacing all bans --- */

/* The bans from bans_say() since the last call are all bans up to position. Remove the others,
 * except those by records up to since, which the sender does not know. */
void bans_replace(struct bans *b, uint64_t position, uint64_t since);

/* As bans_set(), for a list that ends with bans_replace(). */
int bans_say(struct bans *b, struct slice session, int64_t until_ms);

/* --- rewriting before the log evicts --- */

/* A quarter of the log's capacity was appended. */
void bans_next_quarter(struct bans *b);

/* The seq of the oldest record of a ban that is trusted; 0: there is none. */
uint64_t bans_oldest(const struct bans *b);

/* True when a record is at least two quarters old, so that its bans must be rewritten. */
bool bans_due(const struct bans *b);

/* Collect bans at least a quarter old for a new record of at most max bytes, the oldest first.
 * Returns the length of its text in bytes; 0 when there are none, or when out of memory. The
 * caller frees *out. */
size_t bans_collect(const struct bans *b, size_t max, char **out);

/* The log may lack the records after position (0: any record): their bans are due. */
void bans_doubt(struct bans *b, uint64_t position);

/* Records may have been missed that lift any ban. So no ban is written again, until a record of the
 * log has it; after four quarters without one it is forgotten. Not between bans_hold() and
 * bans_settle() when something changed. */
void bans_distrust(struct bans *b);

#endif
