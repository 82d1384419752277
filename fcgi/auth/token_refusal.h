/* token_refusal.h - what a client is answered when its token is refused.
 *
 * There are three answers: the token is missing, it has expired, it is not accepted. The reason is
 * in the log only.
 */
#ifndef SSECAST_TOKEN_REFUSAL_H
#define SSECAST_TOKEN_REFUSAL_H

#include "auth/token.h"

/* The value of WWW-Authenticate with a 401, and the error code and the sentence that its body
 * may tell. */
struct token_refusal {
    const char *challenge, *error, *message;
};

/* Who reads the token. The hub looks in other places than streams and services do. */
enum token_reader { READER_STREAMS, READER_HUB };

/* The texts live for ever. The verdict is not TOKEN_GOOD. */
const struct token_refusal *token_refusal(enum token_verdict verdict, enum token_reader reader);

#endif
