/* mercure_rights.h - what the claims of a token grant at a hub (docs/mercure.md): the claim
 * `mercure`, or `authorization_details` of an access token. Pure.
 *
 * It judges neither the signature nor the times of a token.
 *
 * Ownership: mercure_rights_read() allocates, in any case; mercure_rights_release() frees. The
 * texts of selectors point into the claims.
 */
#ifndef SSECAST_MERCURE_RIGHTS_H
#define SSECAST_MERCURE_RIGHTS_H

#include "auth/selector.h"

struct json_in;

#define MERCURE_RIGHTS_MAX 1024u /* selectors in all lists of a token; one with more is invalid */

/* A list that is missing allows nothing. */
struct mercure_rights {
    struct selectors publish, subscribe;
    struct selector *items; /* both */
    size_t room;            /* items that there may be */
};

/* Read the claims into *out (zeroed by the caller). hub: the host of the hub, for relative
 * patterns. False with a sentence in fault when they are not what they must be. */
bool mercure_rights_read(const struct json_in *claims, bool access, struct slice hub,
                         struct mercure_rights *out, char *fault, size_t size);

/* Safe on zeroed rights; zeroes them. */
void mercure_rights_release(struct mercure_rights *rights);

/* What the claims say to others of a subscription with this matcher: a JSON text on one line, to be
 * freed with free(). NULL: nothing, or out of memory. */
char *mercure_rights_payload(const struct json_in *claims, bool access, struct slice hub,
                             struct slice matcher);

#endif
