/* reply_json.h - the broker's replies, taken apart: the only user of jansson in the library.
 *
 * The public part is in ssecast.h; here is what the publisher needs besides.
 */
#ifndef SSECAST_REPLY_JSON_H
#define SSECAST_REPLY_JSON_H

#include <stdint.h>

#include "base/slice.h"
#include "lib/ssecast.h"

/* Take text apart and remove our ref from it. *ref is the number of the request it belongs to, 0 when it names none. *reply has one
 * reference, the caller's. 0; -EBADMSG when text is no reply of a broker; -ENOMEM. */
int reply_parse(struct slice text, struct ssecast_reply **reply, uint64_t *ref);

/* Is text (valid JSON) a request: an object, with no "ref"? Has it no fields? May it be sent twice: is it a question? */
bool reply_is_request(struct slice text, bool *empty, bool *repeatable);

/* Can the broker read this request? (It refuses the same field twice, which json_text.h lets pass.) */
bool reply_readable(struct slice request);

#endif
