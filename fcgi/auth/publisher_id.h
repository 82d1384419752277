/* publisher_id.h - the identity of a token's bearer as a publisher (grant.h).
 *
 * A token that replaces another one has the same identity. It is made of issuer and subject, or,
 * without a subject, of issuer and what may be published. It grants nothing.
 *
 * Ownership: the text is the caller's.
 */
#ifndef SSECAST_PUBLISHER_ID_H
#define SSECAST_PUBLISHER_ID_H

#include "base/slice.h"
#include "codec/grant.h"

struct json_in;

/* "token:" and 32 hexadecimal digits, to be freed with free(); NULL: out of memory. issuer: the
 * claim iss, or NULL. sub: empty when the token names none; then the patterns of publish count, in
 * any order and each once. */
char *publisher_id(const struct json_in *issuer, struct slice sub, const struct grant *publish);

#endif
