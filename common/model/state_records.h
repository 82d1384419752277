/* state_records.h - the current state and the log: when the events of keys are written again, and
 * what happens to keys whose records the log lost.
 *
 * A log evicts its oldest events, and a key lasts longer. So the broker writes the events of keys
 * again in records of their own (EVENT_STATE), before the log evicts them. The log is divided into
 * quarters, and each key has the quarter of its record: of its event, or of the last EVENT_STATE
 * that has it (due.h).
 *
 * It does not write: it collects what the broker appends. Used by the broker only, while changes
 * are held (state_hold()).
 *
 * Ownership: as in state.h.
 */
#ifndef SSECAST_STATE_RECORDS_H
#define SSECAST_STATE_RECORDS_H

#include "model/state.h"

/* A quarter of the log's capacity was appended. */
void state_next_quarter(struct state *s);

/* The age in quarters of the oldest record of a key; negative: no key has a record. */
int64_t state_record_age(const struct state *s);

/* Collect events whose record is at least a quarter old, the oldest first, as the text of a new
 * record. Their entries have at most max bytes together; a longer one stands alone, up to
 * `longest`. Those that have expired at now_ms are left out. Set *cursor to NULL first; the next
 * call goes on there, while nothing changes. Returns the length of the text in bytes; 0 when there
 * are no more, or when out of memory. The caller frees *out. */
size_t state_collect(const struct state *s, int64_t now_ms, size_t max, size_t longest,
                     const void **cursor, char **out);

/* The log may lack the records after position (0: any record): their keys are due. */
void state_doubt(struct state *s, uint64_t position);

/* Take back a change that was final: `after` is void, and `before` (NULL: none) is the event of its
 * key again. Nothing happens when a later event changed the key. */
void state_undo(struct state *s, struct event *before, const struct event *after);

/* Events may have been missed that changed any key. So no key is written again, until an event or a
 * record of the log has it; after four quarters without one it is forgotten. */
void state_distrust(struct state *s);

/* The events after position are void. */
void state_revoke(struct state *s, uint64_t position);

#endif
