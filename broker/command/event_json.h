/* event_json.h - an event as a JSON object, as `history` lists it and a dump of a store prints it.
 *
 * The object has the fields that docs/protocol.md lists for `history`. The data is what a browser
 * sees: it is decoded from the event's text.
 */
#ifndef SSECAST_EVENT_JSON_H
#define SSECAST_EVENT_JSON_H

#include "base/json_out.h"
#include "codec/event.h"
#include "codec/grant.h"

/* Write e to out, as an element of a list or at the top. A limited grant sees only the names that
 * it matches. 0, or -ENOMEM: the object is closed, but the data is missing. */
int event_json_put(struct buf *out, const struct event *e, const struct grant *grant);

#endif
