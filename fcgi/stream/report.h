/* report.h - presence reports to the broker: each stream that opens or ends, a snapshot of all, and
 * slow readers.
 *
 * The functions with a context are hooks of upstream (upstream.h says what each does); context is
 * the struct streams.
 */
#ifndef SSECAST_REPORT_H
#define SSECAST_REPORT_H

#include "stream/stream.h"

/* Report that s was opened (ITEM_OPENED), or has ended. */
void report_stream(struct stream *s, enum wire_item kind);

bool report_snapshot(void *context, struct buf *b, size_t *cursor, size_t max);
void report_lagging(void *context, struct buf *b);
uint64_t report_mark(void *context);
void report_acknowledged(void *context, uint64_t mark, uint64_t head);

#endif
