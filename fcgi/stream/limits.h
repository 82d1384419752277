/* limits.h - the limits of one stream: when its token expires, and the streams and the rate of its
 * client's address.
 *
 * The limits of all streams together are those of open.c.
 *
 * Ownership: limits_new() returns limits, limits_free() frees them.
 */
#ifndef SSECAST_LIMITS_H
#define SSECAST_LIMITS_H

#include "stream/stream.h"

/* set's limits are filled in. 0 or -ENOMEM. */
int limits_init(struct streams *set);
void limits_release(struct streams *set);

/* Count a request for a stream before its token is verified. False: the rate of its address is
 * exceeded. *address may be NULL: no limits. */
bool limits_admit(struct streams *set, const struct params *params, struct address **address);

/* The same for a request that opens no stream. */
bool limits_admit_token(struct streams *set, const struct params *params);

/* The limits of s, which is about to open: it ends at expires_ms (unix time; 0: never), and
 * counts for its address (NULL: none). *own is NULL if there are none. 0 or -ENOMEM. */
int limits_new(struct stream *s, int64_t expires_ms, struct address *address, struct limits **own);

/* The address whose streams include this one; NULL: none. own may be NULL. */
const struct address *limits_address(const struct limits *own);

/* The stream has ended. Sets *own to NULL; safe on NULL. */
void limits_free(struct limits **own);

#endif
