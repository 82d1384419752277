/* token_source.h - where a request brings its token: the header, a cookie, the query.
 *
 * It judges no token.
 *
 * Ownership: each text is a copy, which token_source_wipe() frees.
 */
#ifndef SSECAST_TOKEN_SOURCE_H
#define SSECAST_TOKEN_SOURCE_H

#include "http/params.h"

/* Where the hub looks, in this order: `Authorization: Bearer`, the query's `authorization`, the
 * cookies `mercureAuthorization` and `__Secure-mercure_access_token`. */
enum mercure_place { PLACE_HEADER, PLACE_QUERY, PLACE_COOKIE, PLACE_ACCESS_COOKIE, PLACES };

/* The token of a request for a stream: `Authorization: Bearer`, else the cookie of this name (NULL:
 * none), else `?token=`. index 1 and up: of more cookies of that name, when it is the cookie. NULL:
 * none. */
char *token_source_stream(const struct params *params, const char *cookie, size_t index);

/* The token for the hub in this place; index as above. NULL: none. */
char *token_source_mercure(const struct params *params, enum mercure_place place, size_t index);

/* Overwrite and free a token's text. Safe on NULL; sets *text to NULL. */
void token_source_wipe(char **text);

#endif
