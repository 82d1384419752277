/* unacked.h - presence reports that the broker has not acknowledged.
 *
 * A report may be lost when a broker dies. Connections that opened are in the next full report.
 * Those that ended are kept here, and for each report the newest connection in it: with that a new
 * broker can tell which connections an earlier broker knew. Pure.
 *
 * Ownership: it copies items.
 */
#ifndef SSECAST_UNACKED_H
#define SSECAST_UNACKED_H

#include "codec/wire.h"

/* A report under way. */
struct unacked_report {
    uint64_t n;
    bool whole;      /* it completes a report of all connections ... */
    uint64_t mark;   /* ... up to this one */
    uint64_t ended;  /* bytes of ended items sent up to it, since the start */
    int64_t sent_at; /* us */
};

/* Zeroed is empty. */
struct unacked {
    struct buf ended; /* items that no broker has acknowledged, oldest first */
    uint64_t dropped; /* bytes of items removed at the front */
    struct unacked_report *reports;
    size_t first, count, cap;
};

void unacked_release(struct unacked *r);

/* A connection ended. False when the items exceeded max bytes: then all of them were dropped. */
bool unacked_ended(struct unacked *r, const struct wire_presence_item *item, size_t max);

/* The end of the ended items, as an offset in bytes since the start. */
uint64_t unacked_end(const struct unacked *r);

/* The items from this offset on that are still kept. */
struct slice unacked_from(const struct unacked *r, uint64_t offset);

/* This report was sent; n is greater than that of the one before. */
void unacked_sent(struct unacked *r, const struct unacked_report *report);

/* Forget which reports were sent: all connections are going to be reported again. */
void unacked_restart(struct unacked *r);

/* Reports up to n were acknowledged. True when one of them was known: then *out is the last one,
 * with the mark of the last whole one. */
bool unacked_acknowledge(struct unacked *r, uint64_t n, struct unacked_report *out);

#endif
