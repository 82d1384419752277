/* mercure.h - requests of subscribers of the hub (docs/mercure.md): what they want, as a struct
 * request. Pure, like request.h.
 *
 * Two dialects of the Mercure protocol share one URL. The parameters' names say which one a request
 * speaks: `topic` (0.x) or `match...` (1.0). A topic is a channel. A subscriber has no session.
 */
#ifndef SSECAST_MERCURE_H
#define SSECAST_MERCURE_H

#include "stream/request.h"

#define MERCURE_METHODS "GET, HEAD, POST, OPTIONS"
/* Headers that pages of other origins may send. */
#define MERCURE_HEADERS "Authorization, Cache-Control, Content-Type, Last-Event-ID"

/* How the hub is configured. */
struct mercure_rules {
    bool subscriptions; /* they are reported to the streams that are granted it */
    bool anonymous;     /* who brings no token is sent what is public */
    size_t max_topics;  /* of one subscriber or update */
    size_t max_topic_bytes;
    size_t max_patterns;  /* weight of those of all streams, each counted once */
    size_t publish_bytes; /* the largest form */
    const struct option_list *cors_origins;
};

/* Read a request for a stream. token is what became of the request's token. 0 or -ENOMEM; release
 * out in either case with request_release(). */
int mercure_read(const struct params *params, const struct mercure_rules *rules,
                 const struct token *token, struct request *out);

/* May this request act by a cookie that the browser sent by itself? It comes from a page of an
 * origin that is named (`*` is none), or from one of the host's own. */
bool mercure_trusts_origin(const struct params *params, const struct option_list *origins);

/* NULL when topic is one in this dialect; else what is accepted. */
const char *mercure_check_topic(const struct mercure_rules *rules, enum hub_dialect dialect,
                                struct slice topic);

#endif
