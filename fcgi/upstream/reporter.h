/* reporter.h - presence reports to the broker: all connections at first, in pieces, then what
 * changes, until the broker has acknowledged it.
 *
 * reporter_next() says which report is due and makes a draft of it. What only the worker knows it
 * adds to the draft. It sends nothing. Times are clock_ms(), but for sent_us. Pure.
 *
 * Ownership: it copies items. A draft is the caller's, until reporter_sent().
 */
#ifndef SSECAST_REPORTER_H
#define SSECAST_REPORTER_H

#include "upstream/unacked.h"

/* Bytes of reports of connections that ended without a broker. */
#define REPORTER_ENDED_MAX (4u << 20)
#define REPORTER_UNDER_WAY 4u /* unacknowledged pieces of a full report */

/* A full report in pieces: connections that ended unacknowledged, then all connections, together
 * with changes in the meantime. */
struct full_report {
    bool active;
    bool rest;         /* a piece was sent */
    uint64_t ended_to; /* offset in unacked: later items are changes in the meantime */
    bool walked;       /* all connections have been sent */
    size_t cursor;     /* of the walk */
};

struct reporter {
    size_t piece_bytes;   /* of a report */
    int64_t renew_ms;     /* between two reports */
    uint64_t n;           /* of the last report */
    uint64_t acked_n;     /* of the last acknowledged one */
    uint64_t acked_epoch; /* epoch of the broker that acknowledged a full report last; 0: none */
    bool lost;            /* a full report is due */
    bool stalled;         /* a report could not be sent */
    bool leaving;         /* the worker ends: what is left is sent at once, then a good-bye */
    bool left;            /* the good-bye was sent */
    int64_t report_at;    /* when the last report was sent */
    int64_t lags_at;      /* when slow streams were reported last */
    struct buf changes;   /* items to report */
    uint64_t covered;     /* offset in unacked: ended items up to it were sent to this broker */
    struct unacked unacked;
    struct full_report full;
};

/* A report. The caller fills in the fields of the second part. */
struct report_draft {
    bool full, rest, more, bye;
    bool whole;             /* nothing is left to report after it, unless further_connections */
    bool wants_connections; /* add connections to items, from cursor on, up to max bytes */
    bool wants_lags;        /* add slow streams to lags, unless further_connections was set */
    size_t max;
    struct buf items;

    size_t cursor;            /* of the walk over connections; 0: the first one */
    bool further_connections; /* not all of them were added: the walk goes on at cursor */
    struct buf lags;
    uint64_t mark; /* the newest connection, as a number that only grows */
    uint64_t gauges[WORKER_GAUGES];
};

/* piece_bytes: 0 for WIRE_PIECE_BYTES. */
void reporter_init(struct reporter *r, size_t piece_bytes, int64_t renew_ms);

void reporter_release(struct reporter *r);

/* A connection was opened or has ended; connected: a broker is there. Those that end without one
 * are kept for the next broker. False when too many were: all of these are dropped. */
bool reporter_note(struct reporter *r, const struct wire_presence_item *item, bool connected);

/* A broker has welcomed the worker: all connections are to be reported. */
void reporter_lose(struct reporter *r);

/* The worker ends: report what ended last, then the good-bye. all: report everything again. */
void reporter_leave(struct reporter *r, bool all);

/* There is a connection: a report that could not be sent is due again. */
void reporter_resume(struct reporter *r);

/* The next report that is due. False: no report is due, or one could not be sent. */
bool reporter_next(struct reporter *r, int64_t now, struct report_draft *draft);

/* The draft, which is filled in, as a message. b->failed when out of memory. */
void reporter_encode(const struct reporter *r, const struct report_draft *draft,
                     const uint64_t counters[WORKER_COUNTERS], struct buf *b);

/* The draft was sent, or could not be: then a full report is due. The draft is released. */
void reporter_sent(struct reporter *r, struct report_draft *draft, bool sent, int64_t now,
                   int64_t sent_us);

/* The broker of this epoch has acknowledged reports up to n. True when one of them was known: then
 * *out is the last one, with the mark of the last whole one. */
bool reporter_acknowledge(struct reporter *r, uint64_t n, uint64_t run, struct unacked_report *out);

#endif
