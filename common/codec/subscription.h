/* subscription.h - the subscriptions of a hub's stream (docs/mercure.md): packed, as a topic, as
 * JSON.
 *
 * A worker packs the subscriptions of a stream once and reports them to the broker. The broker
 * makes of each the topic and the document that say that it is active, or no longer. Pure.
 */
#ifndef SSECAST_SUBSCRIPTION_H
#define SSECAST_SUBSCRIPTION_H

#include "base/json_out.h"
#include "base/name.h"

/* Topics that begin with this are the hub's own: all others are refused. */
#define HUB_RESERVED "/.well-known/mercure/subscriptions"

#define SUBSCRIPTION_PAYLOAD_MAX 1024u /* bytes of JSON; a longer one is left out */
#define SUBSCRIPTIONS_BYTES_MAX 32768u /* of all of a stream, packed */

/* The dialect, and in 1.0 the type of the matcher. */
enum subscription_form {
    SUBSCRIPTION_0_X,
    SUBSCRIPTION_EXACT,
    SUBSCRIPTION_URL_PATTERN,
    SUBSCRIPTION_FORMS
};

struct subscription {
    enum subscription_form form;
    struct slice subscriber, match;
    struct slice payload; /* JSON; empty: none */
};

/* Pack the next one; begin with an empty buffer. All have the same subscriber. False: it is left
 * out, because its topic would be longer than a name, or there is no room. */
bool subscription_pack(struct buf *out, const struct subscription *s);

/* True when packed is what subscription_pack() made; also when it is empty. */
bool subscriptions_valid(struct slice packed);

/* Walk packed, which is valid: s is zeroed first. False at the end. */
bool subscription_next(struct slice *packed, struct subscription *s);

/* Its topic; empty: it would be longer than a name. */
struct slice subscription_topic(const struct subscription *s, char out[NAME_BYTES_MAX]);

/* Its document, as active. */
void subscription_put(struct buf *out, const struct subscription *s);

/* The same document as no longer active, of one that says that it is. */
void subscription_put_ended(struct buf *out, struct slice document);

/* Is it of dialect 0.x? */
bool subscription_is_old(struct slice document);

/* True for the topic of a subscription, or of several. */
bool subscription_is_topic(struct slice topic);

/* Add text percent-encoded. Returns the end; NULL: it does not fit before limit. */
char *subscription_encode(char *at, const char *limit, struct slice text);

/* The part of a topic or selector that begins with HUB_RESERVED, when the hub's own path or URL
 * stands before it; else text as it is. */
struct slice subscription_relative(struct slice text);

#endif
