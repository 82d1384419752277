/* presence.h - the presence tracker: who is connected, through which worker, under what lease.
 *
 * Workers report opened and ended streams. A worker that is silent for longer than its lease is
 * lost, with its connections. Connections are found by id, by session and by channel, so the cost
 * of a query depends on its result.
 *
 * presence_next() returns each change once, while a report is applied or leases are checked. A full
 * report is compared with the known connections, so only differences are changes. A new broker
 * knows no connections: those that a worker had reported to the previous epoch are taken over
 * silently. The last connection of a session that ended meanwhile counts for some seconds more,
 * until other workers have reported theirs.
 *
 * It does not know sockets or clocks: messages are decoded, and the time (ms of a monotonic clock)
 * is passed in.
 *
 * Ownership: all names are copied. Results are valid until the next report or expiry.
 */
#ifndef SSECAST_PRESENCE_H
#define SSECAST_PRESENCE_H

#include "codec/event.h"
#include "codec/wire.h"
#include "model/history.h"
#include "presence/listing.h"

struct presence;
struct connection;
struct presence_worker;

struct presence *presence_new(void);
void presence_free(struct presence **p);

#define PRESENCE_SETTLE_MS 5000

/* After a start, delay the end of the last known connection of a session by this time, when it
 * ended while no broker ran. By then other workers have reported theirs. PRESENCE_SETTLE_MS by
 * default. */
void presence_set_settle(struct presence *p, int64_t ms);

/* Set the function that measures how far a worker at this position is behind. Without it no worker
 * is behind. */
void presence_measure_lag(struct presence *p,
                          struct history_lag (*lag)(void *context, uint64_t position),
                          void *context);

enum presence_what {
    PRESENCE_CONNECTED,
    PRESENCE_DISCONNECTED,
    PRESENCE_SESSION_ONLINE,
    PRESENCE_SESSION_OFFLINE
};

/* A session comes online after its first connection, and goes offline after its last one ended.
 * Connections without a session change no session. */
struct presence_change {
    enum presence_what what;
    bool silent; /* it happened before this epoch and is not published */
    struct slice connection;
    const struct connection *of; /* to be described; valid also when it just ended */
    enum end_cause cause;        /* disconnected, session_offline */
};

/* The epoch of this broker: connections that were reported to another one are taken over. */
void presence_set_epoch(struct presence *p, uint64_t epoch);

/* After presence_report() or presence_expire(): apply it up to the next change. False when it is
 * done. Until then only functions that ask are called. *out is valid until the next call. */
bool presence_next(struct presence *p, struct presence_change *out);

/* The worker with this routing id sent a hello (position 0: its first to any broker). Increments
 * are refused until its next full report. 0 or -ENOMEM. */
int presence_hello(struct presence *p, struct slice id, const struct wire_hello *m, int64_t now);

/* Begin to apply a report of a worker, also one from another broker of the cluster. Call
 * presence_next() until it returns false; m's bytes stay valid until then. Each piece of a full
 * report is applied at once; connections in none of the pieces end with the last piece. A worker
 * that leaves is forgotten. */
void presence_report(struct presence *p, struct slice id, const struct wire_presence *m,
                     int64_t now);

/* Of the last report, when it is done: 0; -ESTALE when a report was missed (an unknown worker, a
 * hole in n) or out of memory: the worker has to send a hello and a full report. */
int presence_result(const struct presence *p);

/* The number of the last report of this worker that was applied; 0: none. */
uint64_t presence_acknowledged(const struct presence *p, struct slice id);

/* The worker sent another message: renew its lease. Ignored for an unknown worker. */
void presence_renew(struct presence *p, struct slice id, int64_t now);

#define PRESENCE_LEASE_MS 15000 /* the default of presence_set_lease() */

/* A worker that is silent for longer than this is lost. */
void presence_set_lease(struct presence *p, int64_t ms);
int64_t presence_lease(const struct presence *p);

/* The broker has just read messages of workers; all_read: none is left. Call it in each iteration.
 * Time in which the broker did not read, or did not read all, does not count against a lease. */
void presence_note_read(struct presence *p, int64_t now, bool all_read);

/* Call it each second, and then presence_next() until it returns false: drop workers whose lease
 * has ended, and report delayed ends. */
void presence_expire(struct presence *p, int64_t now);

/* Workers that the last presence_expire() lost, when it is done: none without a recent
 * presence_note_read(). */
size_t presence_lost(const struct presence *p);

/* The number of connections that an event with these lists reaches: those in `to` (all when has_to
 * is false) without those in `except`. The cost is proportional to the connections in the lists. */
size_t presence_match(struct presence *p, bool has_to, const struct names lists[EVENT_LISTS]);

size_t presence_connections(const struct presence *p);
size_t presence_sessions(const struct presence *p);
size_t presence_channels(const struct presence *p);
size_t presence_workers(const struct presence *p);
size_t presence_session_connections(const struct presence *p, struct slice session);

/* Sums of the counters of all workers, lost ones included. counted_before is the part from before
 * this broker started, or while a worker was forgotten: workers report what they have ever
 * counted. */
void presence_counters(const struct presence *p, uint64_t out[WORKER_COUNTERS]);
void presence_counted_before(const struct presence *p, uint64_t out[WORKER_COUNTERS]);

/* The sums of the gauges of all workers under a lease. */
void presence_gauges(const struct presence *p, uint64_t out[WORKER_GAUGES]);

/* Offer each session with this prefix. presence_listed_connections() counts the connections of a
 * listed value. */
void presence_list_sessions(const struct presence *p, struct slice prefix, struct listing *out);
size_t presence_listed_connections(const struct listed *session);

/* Offer the id of each connection of a session (all sessions when it is empty); the value is its
 * struct connection. */
void presence_list_connections(const struct presence *p, struct slice session, struct listing *out);

/* True when the worker reported the end, and that is not a change yet (presence_set_settle()). */
bool connection_has_ended(const struct connection *c);

/* The oldest connection of this session in this channel, of those that have not ended if there are
 * any; NULL: the session has none. The cost is proportional to the connections of the session and
 * their channels. */
const struct connection *presence_find_in(const struct presence *p, struct slice session,
                                          struct slice channel);

/* The connection with this id; NULL: the id is unknown. */
const struct connection *presence_find(const struct presence *p, struct slice id);

struct top_session {
    struct slice session;
    size_t connections;
};

/* Up to max sessions with the most connections, the largest first. The cost is proportional to the
 * result. */
size_t presence_top_sessions(const struct presence *p, struct top_session *out, size_t max);

/* Offer the name of each worker under a lease; the value is its struct presence_worker. */
void presence_list_workers(const struct presence *p, struct listing *out);

struct worker_info {
    int64_t heard_at;         /* the clock of reports */
    const uint64_t *gauges;   /* WORKER_GAUGES, as of its last report */
    const uint64_t *counters; /* WORKER_COUNTERS */
    size_t connections;
    uint64_t lag_events; /* how far behind it was at its last report: presence_measure_lag() */
    int64_t lag_ms;
};

void presence_describe_worker(const struct presence_worker *w, struct worker_info *out);

struct connection_info {
    struct slice session; /* empty: it has none */
    struct slice worker;  /* its name */
    int64_t since_ms;     /* unix time */
    size_t channel_count;
    struct slice labels;        /* names, encoded: walk with wire_next_name() */
    struct slice meta;          /* their values, packed (meta.h) */
    struct slice subscriptions; /* of a hub's stream, packed (subscription.h); empty: none */
    bool lags;                  /* else it has received all of its events */
    uint64_t sent;              /* lags: position */
    uint64_t queued;            /* lags: bytes */
};

void connection_describe(const struct connection *c, struct connection_info *out);
struct slice connection_channel(const struct connection *c, size_t i); /* i < channel_count */

#endif
