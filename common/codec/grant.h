/* grant.h - what somebody may do: which commands, and about whom.
 *
 * Keys of services, tokens of HTTP publishers and workers all end up as a grant; the broker's commands look at nothing else. It knows
 * neither keys nor tokens.
 *
 * A pattern is a name, or a name's beginning followed by `*`; `*` alone matches every name.
 *
 * A publisher's identity is a short text: `key:` and a key's name, `token:` and a hash of what a token says about its bearer, or empty: everybody
 * who needs no key. Publishers with the same identity trust each other: they share their own ids.
 *
 * Ownership: a grant borrows its patterns and the identity.
 */
#ifndef SSECAST_GRANT_H
#define SSECAST_GRANT_H

#include "codec/event.h"

/* What a peer is there for; bits. */
enum role {
    ROLE_WORKER = 1,    /* feed and sync */
    ROLE_PUBLISHER = 2, /* publish, and ask whether a session is there */
    ROLE_OPERATOR = 4,  /* every command */
    ROLE_EVENTS = 8,    /* publish and nothing else: who does it over HTTP */
};

struct grant {
    unsigned roles;
    bool limited;          /* false: about everyone. true: about what the patterns match and nobody else */
    struct names sessions; /* patterns */
    struct names channels;
    struct slice publisher; /* identity, EVENT_PUBLISHER_MAX bytes at most */
};

#define PUBLISHER_KEY "key:"       /* how the identity of a key begins; only the broker makes it */
#define PUBLISHER_TOKEN "token:"   /* of a token; workers make it */
#define PUBLISHER_WORKER "worker:" /* of a worker that publishes for itself */

/* Every command, about everyone. */
extern const struct grant grant_everything;

/* Limited to nothing: no session and no channel can match. */
bool grant_is_empty(const struct grant *grant);

#define PATTERN_RULE "a name (1 to 255 bytes of UTF-8 without control characters); a `*` at its end stands for any rest"

bool pattern_valid(struct slice pattern);
bool pattern_matches(struct slice pattern, struct slice name);

/* Does one of the patterns match? */
bool patterns_match(const struct names *patterns, struct slice name);

#endif
