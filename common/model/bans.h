/* bans.h - the sessions that are turned away for a while: who, until when, and which record of the sequence said so.
 *
 * The broker keeps them to tell workers that come later; a worker keeps them to answer 204. The last record about a session
 * counts: it may lengthen its ban, shorten it, or lift it. An end is an absolute time, so writing a ban again never lengthens it.
 *
 * A log forgets its oldest records. The log is thought of in quarters, and each ban knows in which its record stands; so the broker can
 * write again, in time, what the log is going to forget. It does not know logs, sockets or clocks.
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

/* session is turned away until until_ms (unix time; 0: its ban is lifted), says the record seq. 0 or -ENOMEM. */
int bans_set(struct bans *b, struct slice session, int64_t until_ms, uint64_t seq);

/* What the event says, if it is about bans: a shutdown bans each session it names for block_s from its time, or lifts their bans (0); an
 * EVENT_BANS says it for each. 0; or -ENOMEM, when some of it may be missing. */
int bans_apply(struct bans *b, const struct event *e);

/* Until when session is turned away; 0: it is not at now_ms. */
int64_t bans_until(const struct bans *b, struct slice session, int64_t now_ms);

size_t bans_count(const struct bans *b);
uint64_t bans_bytes(const struct bans *b); /* as an EVENT_BANS holds them all */

/* Forget those that have ended. It looks at no others. Not between bans_hold() and bans_settle(). */
void bans_expire(struct bans *b, int64_t now_ms);

/* Walk: NULL first; NULL at the end. The pointer is a cursor. Nothing may change meanwhile. The order is that of the records. */
const void *bans_next(const struct bans *b, const void *cursor, struct slice *session, int64_t *until_ms);

/* --- what may be taken back --- */

/* From now on changes are provisional. Only a broker's are. */
void bans_hold(struct bans *b);

/* Take back what records after position said since bans_settle(). */
void bans_rollback(struct bans *b, uint64_t position);

/* What was said so far is final. */
void bans_settle(struct bans *b);

/* --- what replaces everything --- */

/* What bans_say() said since this was called last is all that was said up to position. Forget the others, but for those of records up to
 * since: who says it does not know them. */
void bans_replace(struct bans *b, uint64_t position, uint64_t since);

/* As bans_set(), for a list that ends with bans_replace(). */
int bans_say(struct bans *b, struct slice session, int64_t until_ms);

/* --- before the log forgets --- */

/* A quarter of what the log holds was appended. */
void bans_next_quarter(struct bans *b);

/* The ban whose record is the oldest: its seq; 0: there is none. */
uint64_t bans_oldest(const struct bans *b);

/* Is a record so old that its bans are to be written again: two quarters or more? */
bool bans_due(const struct bans *b);

/* Collect bans for a record, the oldest first, as long as they are at least a quarter old and the record has at most max bytes. The caller frees *out. The
 * bytes of its text; 0: there is none, or no memory. */
size_t bans_collect(const struct bans *b, size_t max, char **out);

/* It is not certain that the records after position are in the log (0: any): their bans are due. */
void bans_doubt(struct bans *b, uint64_t position);

#endif
