/* reported.h - what the broker was told of connections, until it says that it took it.
 *
 * A report that was sent may never arrive: a broker can die with it. What opened is told again anyway, by the next full report; what ended
 * is kept here, and how far the connections had come with each report, so that a broker that does not know them can tell apart who is
 * new and who had been told to the broker before. Pure.
 *
 * Ownership: it copies items.
 */
#ifndef SSECAST_REPORTED_H
#define SSECAST_REPORTED_H

#include "codec/wire.h"

/* A report under way. */
struct reported_report {
    uint64_t n;
    bool whole;      /* with it the broker has been told of all connections ... */
    uint64_t mark;   /* ... up to this one */
    uint64_t ended;  /* bytes of ended items that had been told with it, since the beginning of time */
    int64_t sent_at; /* us */
};

/* Zeroed is empty. */
struct reported {
    struct buf ended; /* items that no broker is known to have taken, oldest first */
    uint64_t dropped; /* bytes of items that went out in front */
    struct reported_report *reports;
    size_t first, count, cap;
};

void reported_release(struct reported *r);

/* A connection ended. False when what is kept was more than max bytes: then all of it was dropped. */
bool reported_ended(struct reported *r, const struct wire_presence_item *item, size_t max);

/* How far the ended items go, in bytes since the beginning of time. */
uint64_t reported_end(const struct reported *r);

/* Those of them from this place on that are still kept. */
struct slice reported_from(const struct reported *r, uint64_t place);

/* This report was sent; n is greater than that of the one before. */
void reported_sent(struct reported *r, const struct reported_report *report);

/* What was sent so far counts for nothing: all of it is going to be reported anew. */
void reported_restart(struct reported *r);

/* Reports up to n were taken. True when one of them was known: then *out is the last, with the mark of the last that was whole, if one was. */
bool reported_taken(struct reported *r, uint64_t n, struct reported_report *out);

#endif
