/* describe.h - a connection as JSON: the same wherever it is told of.
 *
 * Pure: what presence knows in, fields of an object out.
 */
#ifndef SSECAST_DESCRIBE_H
#define SSECAST_DESCRIBE_H

#include "base/json_out.h"
#include "presence/presence.h"

/* Add "connection" and "session" to the object that out has open. */
void describe_name(struct buf *out, struct slice id, const struct connection *c);

/* The same, and "channels": those that a pattern matches; NULL: all. */
void describe_who(struct buf *out, struct slice id, const struct connection *c, const struct names *channels);

/* Add "worker", "since" and "meta" (left out where it has none). */
void describe_origin(struct buf *out, const struct connection *c);

/* Add "sent", "queued" and "lag": how far it is behind head, as of its worker's last report. */
void describe_lag(struct buf *out, const struct connection *c, uint64_t head);

#endif
