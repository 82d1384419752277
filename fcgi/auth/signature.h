/* signature.h - whether one of a set's keys has signed a token, and why not. Pure.
 *
 * HS256, RS256 and ES256. The key decides which of them: a token that names another algorithm than
 * its key's, or none, is not signed by it. It reads no claim.
 *
 * Ownership: keys and token are the caller's.
 */
#ifndef SSECAST_SIGNATURE_H
#define SSECAST_SIGNATURE_H

#include <stddef.h>

struct jwks;
struct jws;

/* What the keys of a set know of a token. In order: of several sets, the largest counts. */
enum signature { ALGORITHM_UNKNOWN, KEY_UNKNOWN, SIGNATURE_WRONG, SIGNATURE_GOOD };

enum signature signature_find(const struct jwks *keys, const struct jws *token);

/* Why a token is refused (found is not SIGNATURE_GOOD), for the log. It names the algorithm and the
 * kid of the token's header, and nothing else of the token. */
void signature_fault(enum signature found, const struct jws *token, char *why, size_t size);

#endif
