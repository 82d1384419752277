/* presence.h - who is connected, through which worker, under what lease.
 *
 * Workers report what opens and what ends; a worker that is silent for longer than its lease is lost, and its
 * connections with it. Connections are found by id, by session and by channel, so that what is asked costs what it
 * concerns. It knows neither sockets nor clocks: messages arrive decoded and the time (any clock in ms that does not
 * step back) is passed in.
 *
 * Each change is told once to whoever observes. A full report is compared with what was known, so only differences are changes; what
 * ends and what a worker has lost on the way is told with its cause. A fresh broker knows nobody: connections that their worker
 * had reported to the run before are taken over, which is a silent change; and of those that ended meanwhile the last known one of a session counts for
 * some seconds more, until other workers had their time to say whom they have.
 *
 * Ownership: it copies all names; what it lends is valid until the next report or expiry.
 */
#ifndef SSECAST_PRESENCE_H
#define SSECAST_PRESENCE_H

#include "codec/event.h"
#include "codec/wire.h"
#include "model/history.h"
#include "presence/listing.h"

struct presence;
struct connection;
struct worker;

struct presence *presence_new(void);
void presence_free(struct presence **p);

#define PRESENCE_SETTLE_MS 5000

/* How long a broker that has just started delays the end of what may be a session's last connection, when a worker reports that it
 * ended meanwhile. By then other workers have reported theirs. PRESENCE_SETTLE_MS unless it is set. */
void presence_set_settle(struct presence *p, int64_t ms);

/* From now on ask this how far behind a worker is that reports to be at position. Before, nobody is. */
void presence_measure_lag(struct presence *p, struct history_lag (*lag)(void *context, uint64_t position),
                          void *context);

enum presence_what { PRESENCE_CONNECTED, PRESENCE_DISCONNECTED, PRESENCE_SESSION_ONLINE, PRESENCE_SESSION_OFFLINE };

/* A session comes online with its first connection, after it, and goes offline with its last, after it. */
struct presence_change {
    enum presence_what what;
    bool silent; /* it happened before this run of the broker, which told nobody */
    struct slice connection;
    const struct connection *of; /* to be described; it is there, also when it just ended */
    enum end_cause cause;        /* disconnected, session_offline */
};

/* From now on call changed for each change, in order; it must not call back. run is this broker's: a worker that told its connections to
 * another run has those taken over. */
void presence_observe(struct presence *p, uint64_t run,
                      void (*changed)(void *context, const struct presence_change *change), void *context);

/* The worker with this routing id said hello (at position 0: it has not met a broker before); until its next full report, increments
 * are not accepted. 0 or -ENOMEM. */
int presence_hello(struct presence *p, struct slice id, const struct wire_hello *m, int64_t now);

/* Take a worker's report, also one that reached another broker of a cluster first. Of a full report in pieces each is
 * taken at once; connections that none of them had end with the last piece. A worker that says good-bye is forgotten.
 * 0; -ESTALE when something was missed (an unknown worker, a hole in n) or memory ran out: the worker has to say hello
 * and report in full. */
int presence_report(struct presence *p, struct slice id, const struct wire_presence *m, int64_t now);

/* The number of the last report that was taken from this worker; 0: none. */
uint64_t presence_taken(const struct presence *p, struct slice id);

/* The worker said something else: its lease begins anew. Nothing when it is unknown. */
void presence_renew(struct presence *p, struct slice id, int64_t now);

#define PRESENCE_LEASE_MS 15000 /* of a worker, unless presence_set_lease() says otherwise */

/* A worker that says nothing for longer than this is lost. */
void presence_set_lease(struct presence *p, int64_t ms);
int64_t presence_lease(const struct presence *p);

/* The broker has just read what workers say; all_read: nothing was left. Call it in each turn. Time in which the broker
 * did not look, or did not come to an end with looking, does not count against a lease. */
void presence_attend(struct presence *p, int64_t now, bool all_read);

/* Each second: drop the workers whose lease has ended, and tell ends that were put off. Returns how many workers were lost.
 * Without a presence_attend() just before nobody is. */
size_t presence_expire(struct presence *p, int64_t now);

/* Connections that an event with this audience concerns: those in the `to` lists (all when has_to is false), less
 * those in the `except` lists. Costs in proportion to those that the lists concern. */
size_t presence_match(struct presence *p, bool has_to, const struct names lists[EVENT_LISTS]);

size_t presence_connections(const struct presence *p);
size_t presence_sessions(const struct presence *p);
size_t presence_channels(const struct presence *p);
size_t presence_workers(const struct presence *p);
size_t presence_session_connections(const struct presence *p, struct slice session);

/* The workers' counters, those of lost workers included: in all, and of that what was counted before this presence was there or while a
 * worker was forgotten (a new broker is told of all that its workers ever did). */
void presence_counters(const struct presence *p, uint64_t out[WORKER_COUNTERS]);
void presence_counted_before(const struct presence *p, uint64_t out[WORKER_COUNTERS]);

/* The sums of the gauges of all workers that are heard of. */
void presence_gauges(const struct presence *p, uint64_t out[WORKER_GAUGES]);

/* Offer each session whose name begins with prefix; the count of a listed value is presence_listed_connections(). */
void presence_list_sessions(const struct presence *p, struct slice prefix, struct listing *out);
size_t presence_listed_connections(const struct listed *session);

/* Offer each connection's id, its struct connection as the value: of one session, or of all when session is empty. */
void presence_list_connections(const struct presence *p, struct slice session, struct listing *out);

struct top_session {
    struct slice session;
    size_t connections;
};

/* The sessions with the most connections, the largest first: max of them. Costs as much as it gives. */
size_t presence_top_sessions(const struct presence *p, struct top_session *out, size_t max);

/* Offer each worker under a lease by its name for people, its struct worker as the value. */
void presence_list_workers(const struct presence *p, struct listing *out);

struct worker_info {
    int64_t heard_at;         /* the clock of the reports */
    const uint64_t *gauges;   /* WORKER_GAUGES, as of its last report */
    const uint64_t *counters; /* WORKER_COUNTERS */
    size_t connections;
    uint64_t lag_events; /* how far behind it was at its last report: presence_measure_lag() */
    int64_t lag_ms;
};

void worker_describe(const struct worker *w, struct worker_info *out);

struct connection_info {
    struct slice session;
    struct slice worker; /* its name for people */
    int64_t since_ms;    /* unix time */
    size_t channel_count;
    struct slice labels; /* names, encoded: walk with wire_next_name() */
    struct slice meta;   /* their values, packed (meta.h) */
    bool lags;           /* else all is sent that concerns it, and nothing waits */
    uint64_t sent;       /* lags: position */
    uint64_t queued;     /* lags: bytes */
};

void connection_describe(const struct connection *c, struct connection_info *out);
struct slice connection_channel(const struct connection *c, size_t i); /* i < channel_count */

#endif
