/* describe.h - writes a connection as JSON, with the same fields everywhere.
 *
 * Pure: reads what presence knows, writes fields of an open object.
 */
#ifndef SSECAST_DESCRIBE_H
#define SSECAST_DESCRIBE_H

#include "base/json_out.h"
#include "presence/presence.h"

/* Add "session" to the open object of out: null for an empty one. */
void describe_session(struct buf *out, struct slice session);

/* Add "connection" and "session". */
void describe_name(struct buf *out, struct slice id, const struct connection *c);

/* The same, and "channels" that match a pattern; NULL: all. */
void describe_who(struct buf *out, struct slice id, const struct connection *c,
                  const struct names *channels);

/* Add "worker", "since" and "meta" (left out where it has none). */
void describe_origin(struct buf *out, const struct connection *c);

/* Add "meta", empty where it has none. */
void describe_meta(struct buf *out, const struct connection *c);

/* Add "sent", "queued" and "lag": its distance to head at the last report of its worker. */
void describe_lag(struct buf *out, const struct connection *c, uint64_t head);

#endif
