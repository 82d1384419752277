/* rewrite.h - appends records of old bans and keys to the batch, before the log evicts them.
 *
 * What is due, and what a record may have, effects.h says. A record is an event of the batch like
 * others. Writing something again that another broker wrote meanwhile changes nothing.
 *
 * Nothing is appended when nothing is due, or when the log does not outlive the broker. Without
 * memory the rest stays due.
 */
#ifndef SSECAST_REWRITE_H
#define SSECAST_REWRITE_H

#include "log/sequence.h"

/* Append records of bans that are due, with the ends that they have, of at most max bytes together.
 * now_ms is unix time. */
void rewrite_bans(struct sequence *s, size_t max, int64_t now_ms);

/* Append records with the events of keys that are due. A record, with everything that belongs to
 * it, has at most max bytes, and so have all together. */
void rewrite_keys(struct sequence *s, size_t max, int64_t now_ms);

#endif
