/* tracker.h - the data of the presence tracker, which its files share: presence.c (reports),
 * connections.c, leases.c (workers) and audiences.c (sessions and channels).
 *
 * A connection is a member of groups: its session first, then its channels. A connection without a
 * session is no member of the first. A group exists while it has members. Workers hold their
 * connections in a list. So ending connections costs only what ends.
 */
#ifndef SSECAST_TRACKER_H
#define SSECAST_TRACKER_H

#include <stddef.h>

#include "base/group.h"
#include "base/table.h"
#include "presence/presence.h"
#include "presence/ranking.h"

/* A session or a channel: the value of a table, under its name. */
struct presence_group {
    struct ranked rank; /* among sessions; its count may be too low after a failed allocation */
    struct group group;
    uint64_t mark;           /* the last count that included all of its members */
    struct table *table;     /* the table it is in */
    struct ranking *ranking; /* NULL: a channel */
};

/* NULL: m is no member. */
static inline struct presence_group *presence_group_of(const struct membership *m)
{
    return m->group ? (struct presence_group *)(void *)((char *)m->group -
                                                        offsetof(struct presence_group, group))
                    : NULL;
}

struct presence_worker {
    struct connection *first;
    size_t count; /* of connections */
    int64_t heard_at;
    uint64_t n;     /* of the last report applied */
    bool synced;    /* a full report was applied */
    bool reporting; /* a full report has begun: its next piece is due */
    bool takeover;  /* by that report: it was sent to an earlier epoch before */
    bool lost;
    bool met; /* the counts for earlier brokers are known */
    uint64_t counters[WORKER_COUNTERS];
    uint64_t gauges[WORKER_GAUGES];
    struct history_lag lag;
    char name[NAME_BYTES_MAX];
    size_t name_len;
    char *labels; /* names of the meta values of its connections, from its hello; NULL: none */
    size_t labels_len;
    uint64_t full;  /* full reports so far: marks the connections in the last one */
    uint64_t round; /* reports of lagging connections so far */
};

struct connection {
    struct connection **slot; /* in the table of connections */
    struct presence_worker *worker;
    struct connection *prev, *next; /* of the worker */
    int64_t since_ms;
    uint64_t mark;         /* the last count that included it */
    uint64_t full;         /* the last full report of the worker that had it */
    uint64_t round;        /* the last report of lagging connections that had it */
    uint64_t sent, queued; /* from that report */
    int64_t ends_at;       /* when its end is to be reported; 0: it has not ended */
    enum end_cause cause;  /* of that end */
    uint32_t member_count;
    uint32_t meta_len;
    uint32_t subscriptions_len;
    struct membership members[]; /* followed by the packed values, then the packed subscriptions */
};

enum work_step {
    WORK_NONE,
    WORK_ITEMS,      /* of a report: its items, ... */
    WORK_UNREPORTED, /* ... then connections that a full report did not have, ... */
    WORK_GOODBYE,    /* ... then all connections of a worker that leaves */
    WORK_DUE,        /* delayed ends that are due, ... */
    WORK_LEASES,     /* ... then workers, one after the other, ... */
    WORK_LOST,       /* ... and all connections of one that is lost */
};

/* What presence_next() goes on with. */
struct presence_work {
    enum work_step step;
    int64_t now;
    struct presence_worker *worker; /* that reports, or is looked at */
    struct wire_presence report;    /* its items are those that are left */
    struct wire_presence_item item;
    bool again;    /* the item is not dealt with yet */
    bool takeover; /* the worker reported its connections to an earlier epoch, not yet to this */
    int result;
    size_t lost;                         /* workers */
    struct connection *next;             /* WORK_UNREPORTED */
    struct connection **next_due;        /* WORK_DUE */
    struct presence_worker *next_worker; /* WORK_LEASES */

    /* The change that was returned last, if another one may belong to it. */
    struct connection *changed; /* NULL: none */
    bool session_changed;       /* the change of its session was returned, too */
    struct presence_change change;
};

struct presence {
    struct table *workers;     /* routing id -> struct presence_worker */
    struct table *connections; /* id -> struct connection * */
    struct table *sessions, *channels;
    struct ranking largest; /* sessions */
    size_t lost;            /* lost workers in the table */
    int64_t lease_ms;
    int64_t read_at; /* when the broker last read messages of workers; 0: not yet */
    bool all_read;   /* it had read all of them */
    uint64_t mark;
    uint64_t gone[WORKER_COUNTERS];   /* counted by forgotten workers */
    uint64_t before[WORKER_COUNTERS]; /* counted by workers for earlier brokers */
    size_t ending;                    /* connections with a delayed end */
    int64_t settle_ms;
    uint64_t epoch;
    struct presence_work work;
    struct history_lag (*lag)(void *context, uint64_t position); /* NULL: no worker is behind */
    void *lag_context;
};

/* --- connections.c --- */

/* NULL when there is none with this id. */
struct connection *connection_find(const struct presence *p, struct slice id);

/* The connection of an item of the report. NULL when out of memory: then the rest of the report is
 * not applied. */
struct connection *connection_add(struct presence *p, const struct wire_presence_item *item);

/* Is it the only one of its session? False without a session, which neither comes online nor goes
 * offline. */
bool connection_is_only(const struct connection *c);

/* The connection was opened, or ends now: return that from presence_next(). A delayed end, if it
 * has one, gives the cause. Always true. */
bool connection_opens(struct presence *p, struct connection *c, bool silent);
bool connection_ends(struct presence *p, struct connection *c, enum end_cause cause);

/* What follows from the change that was returned last: its session comes online or goes offline,
 * and what has ended is dropped. True when there is a change. */
bool connection_follow_up(struct presence *p);

/* --- leases.c --- */

/* The worker with this routing id, which is not lost, sent a report: NULL when it is unknown. */
struct presence_worker *lease_find(struct presence *p, struct slice id);

/* A worker was heard: it is not lost. */
void lease_renew(struct presence *p, struct presence_worker *w, int64_t now);

/* The counters, gauges and position in a report. */
void lease_note_numbers(struct presence *p, struct presence_worker *w,
                        const struct wire_presence *m);

/* A worker has left: it has no connections, and its counters are kept. */
void lease_forget(struct presence *p, struct presence_worker *w);

/* The steps WORK_DUE to WORK_LOST. True when there is a change. */
bool lease_step(struct presence *p);

/* --- audiences.c --- */

/* Make m a member of the group of this name. ranking: of sessions; NULL: the group is a channel. 0
 * or -ENOMEM. */
int audience_join(struct table *groups, struct ranking *ranking, struct slice name,
                  struct membership *m);

/* Safe on one that is no member. A group without members is gone. */
void audience_leave(struct membership *m);

/* The session of c; empty: it has none. */
struct slice connection_session(const struct connection *c);

#endif
