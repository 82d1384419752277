/* grant.h - the permissions of a caller: which commands, and for which sessions and channels.
 *
 * Keys of services, tokens of HTTP publishers and workers all become a grant. The broker's commands
 * check grants only. A grant knows neither keys nor tokens.
 *
 * A pattern is a name, or a prefix followed by `*`; `*` alone matches every name.
 *
 * A publisher's identity is a short text: `key:` and a key's name; `token:` and a hash of a token's
 * claims; or empty for all callers without a key. Publishers with the same identity share their own
 * ids.
 *
 * Ownership: a grant borrows its patterns and the identity.
 */
#ifndef SSECAST_GRANT_H
#define SSECAST_GRANT_H

#include "codec/event.h"

/* What a peer may do; bits. */
enum role {
    ROLE_WORKER = 1,    /* feed and sync */
    ROLE_PUBLISHER = 2, /* publish, and query whether a session is online */
    ROLE_OPERATOR = 4,  /* every command */
    ROLE_EVENTS = 8,    /* publish only: callers over HTTP */
};

struct grant {
    unsigned roles;
    bool limited;          /* true: only for names that the patterns match; false: for all */
    struct names sessions; /* patterns */
    struct names channels;
    struct slice publisher; /* identity, EVENT_PUBLISHER_MAX bytes at most */
};

#define PUBLISHER_KEY "key:"       /* prefix of a key's identity; made by the broker only */
#define PUBLISHER_TOKEN "token:"   /* of a token's; made by workers */
#define PUBLISHER_WORKER "worker:" /* of a worker's own */

/* Every command, without limits. */
extern const struct grant grant_everything;

/* True when the grant is limited and has no patterns, so that nothing can match. */
bool grant_is_empty(const struct grant *grant);

/* What callers with limits may fill of a bound that all share: three quarters, so that they cannot
 * keep others from it. Above 0 when the bound is. */
uint64_t grant_limited_part(uint64_t bound);

#define PATTERN_RULE                                                                               \
    "a name (1 to 255 bytes of UTF-8 without control characters); "                                \
    "a `*` at its end stands for any rest"

bool pattern_valid(struct slice pattern);
bool pattern_matches(struct slice pattern, struct slice name);

/* True when one of the patterns matches. */
bool patterns_match(const struct names *patterns, struct slice name);

#endif
