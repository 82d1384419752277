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

#include "wire.h"

/* A report under way. */
struct reported_report {
    uint64_t n;
    uint32_t mark;
    uint64_t ended; /* bytes of ended items before its end, since the beginning of time */
};

/* Zeroed is empty. */
struct reported {
    struct wire_buf ended; /* items that no broker is known to have taken, oldest first */
    uint64_t dropped;      /* bytes of items that went out in front */
    struct reported_report *reports;
    size_t first, count, cap;
};

void reported_release(struct reported *r);

/* A connection ended. False when what is kept was more than max bytes: then all of it was dropped. */
bool reported_ended(struct reported *r, const struct wire_presence_item *item, size_t max);

/* Report n was sent: it told of everything there is here. mark says which connections there were; it comes back. */
void reported_sent(struct reported *r, uint64_t n, uint32_t mark);

/* Reports up to n were taken. True when one of them was known: then *mark is that of the last. */
bool reported_taken(struct reported *r, uint64_t n, uint32_t *mark);

#endif
