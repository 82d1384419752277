/* history.h - recent events in order, under three limits, found by seq, by own id and by target.
 *
 * Used as the broker's history and as each worker's window. There is an index for each session,
 * channel and connection named in a `to`, and one for events without a `to`. So the cost of a
 * replay depends on what it delivers, not on what is stored. The history knows which cursors it can
 * answer exactly: seqs are contiguous within an epoch of the broker, and a new segment begins where
 * they jump. It does not know sockets, clocks or files; the time is passed in.
 *
 * Own ids are in two indexes. One is for duplicates: an own id belongs to its publisher. The other
 * is for cursors: it has the ids that events showed to clients, of any publisher. Ids of events
 * that are gone are remembered apart.
 *
 * Ownership: history_append() takes a reference of its own; what the lookups return is borrowed
 * until the next append or evict (take a reference to keep it).
 */
#ifndef SSECAST_HISTORY_H
#define SSECAST_HISTORY_H

#include "codec/audience.h"
#include "codec/event.h"
#include "model/merge.h"
#include "model/own_ids.h"

struct history;

/* Whichever is reached first evicts the oldest events. */
struct history_limits {
    uint64_t events;
    uint64_t bytes; /* memory: entries, and the costs below */
    uint64_t age_ms;
};

#define HISTORY_CHANNELS_MAX MERGE_CHANNELS_MAX
#define HISTORY_SCAN_MAX 16384u /* events that a reader looks at in one call */

/* What is kept beside the entries, in bytes of memory with what malloc() adds (measured, rounded
 * up). The sum depends on nothing but the retained events, so all brokers of a cluster evict
 * alike. */
#define HISTORY_EVENT_COST 192u /* each event */
#define HISTORY_NAME_COST 176u  /* each distinct name that is in a `to`, beside its length */
#define HISTORY_PLACE_COST 16u  /* each event under such a name */

/* An empty history that stands at position: nothing before it is known. NULL when out of memory. */
struct history *history_new(const struct history_limits *limits, uint64_t position);

void history_free(struct history **h);

/* From now on remember the ids that evicted events showed, max of them; at first none are. 0 or
 * -ENOMEM. */
int history_remember_ids(struct history *h, uint64_t max);

/* The event with this seq showed this id and was evicted. The hash is that of past_ids.h. */
void history_remember_id(struct history *h, uint64_t hash, uint64_t seq);

/* Move the remembered ids from old, which then remembers none. */
void history_inherit_ids(struct history *h, struct history *old);

/* Append e. e->seq is greater than head; a jump (seq > head + 1) begins a new segment after
 * which nothing was missed. Nothing is evicted yet: history_evict() does that, when the append
 * is final. 0, -EINVAL (seq not greater than head), or -ENOMEM; unchanged on failure. */
int history_append(struct history *h, struct event *e);

/* Evict what is over the count and byte limits. */
void history_evict(struct history *h);

/* The sequence went on to position without an event in between (the broker was restarted): a new
 * segment begins there, and nothing was missed. Ignored when position is not beyond head. 0 or
 * -ENOMEM. */
int history_advance(struct history *h, uint64_t position);

/* What came between head and position is not known: cursors before position can no longer be
 * answered exactly. Events stay retained. position may be anything. 0 or -ENOMEM. */
int history_break(struct history *h, uint64_t position);

/* Record a break at e's seq when there is no memory to append e, although e is final. Its shown
 * id is remembered. 0 or -ENOMEM. */
int history_miss(struct history *h, const struct event *e);

/* A cursor that clients have lies in no segment, so events between two segments are missing.
 * Cursors before the later segment can no longer be answered exactly. Events stay retained.
 * Ignored when no segment begins after cursor. */
void history_doubt(struct history *h, uint64_t cursor);

/* Remove the events after position that no client has seen (a store failed). */
void history_rollback(struct history *h, uint64_t position);

/* Remove the events after position that clients may have seen: their shown ids are remembered. */
void history_revoke(struct history *h, uint64_t position);

/* Evict what is older than the age limit at now_ms (unix time). */
void history_expire(struct history *h, int64_t now_ms);

/* Position: the last seq, or where it stands when empty. */
uint64_t history_head(const struct history *h);
uint64_t history_complete(const struct history *h); /* position: everything after it is retained */
uint64_t history_oldest(const struct history *h);   /* seq of the oldest event; none: head + 1 */
uint64_t history_count(const struct history *h);    /* events */
uint64_t history_bytes(const struct history *h);    /* memory, as the limit counts it */

/* Position: every event after it that is not retained is a value of a key (event_is_value()). So a
 * reader that is sent the state instead misses nothing. Not after history_complete(). */
uint64_t history_plain(const struct history *h);

/* What e costs at most: less when its names are in other events' `to` already. */
uint64_t history_cost(const struct event *e);

/* The position from which everything retained can be read without a hole in it. */
uint64_t history_begin(const struct history *h);

/* The position before the first event after history_begin() that has this time or a later one; the
 * head when there is none. Times may go back: later events may be older. */
uint64_t history_before_time(const struct history *h, int64_t time_ms);

/* Can a client that saw everything up to cursor be brought up to date exactly? */
bool history_knows(const struct history *h, uint64_t cursor);

/* The retained event that this publisher published with this id, or NULL; the newest when there
 * are several. */
struct event *history_published(const struct history *h, struct slice publisher, struct slice id);

/* Find what id names. *seq is set with CURSOR_EXACT only: the seq is a cursor that means the
 * same. */
enum id_cursor history_find_cursor(const struct history *h, struct slice id, uint64_t *seq);

/* The lag of a worker that has everything up to position: the number of retained events after it,
 * and the age of the first of these in ms at now_ms. Position 0 is that of a worker that has
 * received nothing: no lag. */
struct history_lag {
    uint64_t events;
    int64_t ms;
};
struct history_lag history_lag(const struct history *h, uint64_t position, int64_t now_ms);

/* Which events a reader is given. */
struct history_filter {
    /* Events that concern it; NULL: all. At most HISTORY_CHANNELS_MAX channels. */
    const struct audience *who;
    /* Of these, when it is in every channel; NULL: all. */
    bool (*selects)(const void *context, const struct event *e);
    const void *context;
    size_t look_max;      /* events that are looked at in one call; 0: HISTORY_SCAN_MAX */
    int64_t now_ms;       /* unix time: those that have not expired */
    bool compact;         /* those that no later event stands for: event_is_replaced() */
    uint64_t *superseded; /* counts those that `compact` left out; NULL: not counted */
};

/* Does e, which is in an index that the reader has, concern it? */
bool history_concerns(const struct history_filter *filter, const struct event *e);

/* The position before the count-th newest message that passes the filter. Only messages after
 * history_begin() are counted. It looks at the newest events of the reader's indexes, at most as
 * many as one call of history_read() does. If there are fewer messages, the position is before the
 * oldest one, or the head. *exact: older events would change nothing. */
uint64_t history_before_last(const struct history *h, const struct history_filter *filter,
                             size_t count, bool *exact);

/* upto, or the position before the first shutdown that passes the filter after position `after`, if
 * that is earlier. The cost is proportional to the events for the reader in between. */
uint64_t history_before_shutdown(const struct history *h, const struct history_filter *filter,
                                 uint64_t after, uint64_t upto);

/* Collect up to max events after position `after`, oldest first, until their entries pass
 * max_bytes (at least one is given); all of them, or those that pass the filter. *upto is the
 * position up to which the answer is complete. max is at least 1. Returns the number of events in
 * out. */
size_t history_read(const struct history *h, const struct history_filter *filter, uint64_t after,
                    struct event **out, size_t max, size_t max_bytes, uint64_t *upto);

#endif
