/* report.h - presence reports to the broker: each stream that opens or ends, a snapshot of all, and
 * slow readers.
 */
#ifndef SSECAST_REPORT_H
#define SSECAST_REPORT_H

#include "stream/stream.h"

/* Report that s was opened (ITEM_OPENED), or has ended. */
void report_stream(struct stream *s, enum wire_item kind);

/* Send the reports that are due. */
void report_send(struct streams *set);

/* The worker ends: report what ended last, and the good-bye. */
void report_leave(struct streams *set);

/* Fill in what upstream wants to know in this report: gauges, connections, slow readers. */
void report_fill(struct streams *set, struct report_draft *draft);

/* A broker, which was at head, has a report of all connections up to mark. */
void report_acknowledged(struct streams *set, uint64_t mark, uint64_t head);

#endif
