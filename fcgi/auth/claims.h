/* claims.h - the claims of a token: its times, its issuer and audience, and what it grants. Pure.
 *
 * The rights at a hub are read in mercure_rights.h.
 *
 * Ownership: token_release() frees what it allocates. Slices of the token point into its claims.
 */
#ifndef SSECAST_CLAIMS_H
#define SSECAST_CLAIMS_H

#include <stdint.h>

struct token;
struct token_rules;

/* Read out->claims into sub, channels, publish and expires_ms (without the leeway). NULL, or what
 * is wrong with the token, for the log: a text that lives for ever. now_ms is unix time. That the
 * time of a token is over is no fault here. */
const char *claims_judge(const struct token_rules *rules, int64_t now_ms, struct token *out);

#endif
