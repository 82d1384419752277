/* judgement.h - the token of a request to publish, judged once.
 *
 * A request is judged when its head is there, to decide how large its body may be, and looked at
 * again when it is whole. The token is verified once, and counted once against its address's rate.
 */
#ifndef SSECAST_JUDGEMENT_H
#define SSECAST_JUDGEMENT_H

#include "auth/token.h"
#include "service/service.h"

struct judgement {
    bool too_fast; /* and so the token was not looked at */
    struct token token;
};

/* Where a service looks for its token. */
struct judgement_source {
    bool (*brought)(const struct tokens *t, const struct params *params);
    enum token_verdict (*verify)(struct tokens *t, const struct params *params, int64_t now_ms,
                                 struct token *out);
};

/* For requests to the hub. */
extern const struct judgement_source judgement_hub;

/* The judgement of a request, which keeps it. NULL without memory, or without keys. */
const struct judgement *judgement_of(const struct services *services, struct params *params,
                                     const struct judgement_source *source);

/* The token, when it is good now: the body may have taken longer than the token lasts. Otherwise
 * the call is refused (429 or 401), and the result is NULL. j may be NULL. */
const struct token *judgement_token(const struct judgement *j, struct call *c);

/* The same of a request to the hub. It is refused with 400 when its query has two tokens. */
const struct token *judgement_hub_token(const struct judgement *j, struct call *c,
                                        const struct params *params);

#endif
