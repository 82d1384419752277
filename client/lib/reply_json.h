/* reply_json.h - parses the broker's replies: the only user of jansson in the library.
 *
 * The public functions are in ssecast.h; these are for the publisher.
 */
#ifndef SSECAST_REPLY_JSON_H
#define SSECAST_REPLY_JSON_H

#include <stdint.h>

#include "base/slice.h"
#include "lib/ssecast.h"

/* Parse text and remove our ref from it. *ref is the number of its request, 0 when it has none.
 * The caller owns the one reference of *reply. 0; -EBADMSG when text is not a reply of a broker;
 * -ENOMEM. */
int reply_parse(struct slice text, struct ssecast_reply **reply, uint64_t *ref);

/* True when text (valid JSON) is a request: an object without "ref". *empty: it has no fields.
 * *repeatable: it is a query, or has an id. */
bool reply_is_request(struct slice text, bool *empty, bool *repeatable);

/* True when the broker can parse this request. It refuses duplicate fields, which json_text.h
 * accepts. */
bool reply_readable(struct slice request);

#endif
