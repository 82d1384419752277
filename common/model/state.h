/* state.h - the current state: the newest event of each key, found by its target.
 *
 * An event with a key replaces the one before it with the same key and the same target (everyone,
 * one session or one channel). A private and a public event never replace each other, because not
 * all readers of the public one may see the private one. "Its key" below means its key in its place
 * (struct event_place). An event that removes its key leaves nothing. The broker keeps the
 * state beside its history, so that a key outlives the history's limits. A worker keeps a copy, for
 * streams that begin. Every event that is no longer the newest of its key is marked as superseded:
 * readers of a history may leave it out.
 *
 * Its limits are in state_room.h. state_records.h decides when the events of keys are written to a
 * log again.
 *
 * It does not know sockets, files or clocks; the time is passed in.
 *
 * Ownership: the state takes references of its own; what it returns is borrowed until the next
 * change.
 */
#ifndef SSECAST_STATE_H
#define SSECAST_STATE_H

#include "codec/event.h"
#include "codec/event_key.h"
#include "model/history.h"
#include "model/state_room.h"

struct state;

/* An empty state. NULL when out of memory. */
struct state *state_new(void);

void state_free(struct state **s);

/* True when the state would be within the limits after e, or e makes it no larger. */
bool state_has_room(const struct state *s, const struct event *e,
                    const struct state_limits *limits);

/* Apply an event of the sequence. One without a key changes nothing, but an EVENT_STATE gives its
 * events. An event that is older than the one that the state has of its key is marked as
 * superseded. When the state has the same event as another object, e takes its place. The order is
 * that of the seqs. It may be another one while all changes so far are final; then an event of
 * another key with the same seq is forgotten, because it is void. 0 or -ENOMEM: unchanged, or some
 * events of an EVENT_STATE are missing. */
int state_apply(struct state *s, struct event *e);

/* An event that is in the state's past: the state has what came of it. Nothing changes, but e is
 * marked when its key has a later event by now. A key that is not there proves nothing: the state
 * may be that of a broker which lost it. When the state has e as another object, e takes its
 * place. */
void state_match(struct state *s, struct event *e);

/* True when the state has a later event of e's key, which may stand for e (event_is_value()). */
bool state_supersedes(const struct state *s, const struct event *e);

/* Forget the keys whose event has expired at now_ms (unix time). Not between state_hold() and
 * state_settle() when something changed. Their number. */
size_t state_expire(struct state *s, int64_t now_ms);

/* The same for one key. The seq of its event; 0: no event has expired. */
uint64_t state_expire_one(struct state *s, int64_t now_ms);

/* Forget everything. Its events are not marked. */
void state_clear(struct state *s);

uint64_t state_count(const struct state *s); /* keys, without members */
bool state_is_empty(const struct state *s);  /* no key, and no member */
uint64_t state_bytes(const struct state *s); /* memory, as the limit counts it */

/* --- reading --- */

/* Collect events of the state that pass the filter, oldest first: those after position `after`, up
 * to position `upto`. The filter's `compact` makes no difference. out has room for max events, at
 * least 1. It ends when their entries exceed max_bytes, but at least one is given. Returns the
 * number of events in out. When neither bound was reached, there are no more. */
size_t state_read(const struct state *s, const struct history_filter *filter, uint64_t after,
                  uint64_t upto, struct event **out, size_t max, size_t max_bytes);

/* The event of event_member_key() in this channel; NULL: there is none. Members count against
 * member_bytes alone. */
struct event *state_member(const struct state *s, struct slice channel, struct slice session);

/* The number of members of the channel. */
uint64_t state_members(const struct state *s, struct slice channel);

/* Visit every event of the state that passes the filter, oldest first. The state must not change
 * meanwhile. */
void state_each(const struct state *s, const struct history_filter *filter,
                void (*visit)(void *context, struct event *e), void *context);

/* Visit the events that say that a subscription of a hub's stream is active, oldest first, unless
 * they have expired at now_ms. It costs what they are, whatever else the state has. */
void state_each_subscription(const struct state *s, int64_t now_ms,
                             void (*visit)(void *context, struct event *e), void *context);

/* The text of an event of the state without its id: line, made once and kept with it. A borrowed
 * EVENT_TEXT; NULL when out of memory or when e is not the newest event of its key. */
struct event *state_text(struct state *s, struct event *e);

/* --- provisional changes --- */

/* Changes are provisional from now on. Used by the broker only. */
void state_hold(struct state *s);

/* Revert the changes since state_settle() by events after position. */
void state_rollback(struct state *s, uint64_t position);

/* All changes so far are final. Without state_hold() they always are, and this only frees what is
 * no longer needed: call it now and then. */
void state_settle(struct state *s);

/* A provisional change, the oldest has number 0; NULL: there are no more. */
struct state_change {
    struct event *before; /* NULL: a new key */
    struct event *after;  /* the event that changed it; it may remove the key */
};
const struct state_change *state_change(const struct state *s, size_t number);

/* True when e, or its like, is the newest event of its key as far as changes are final. */
bool state_settled(const struct state *s, const struct event *e);

#endif
