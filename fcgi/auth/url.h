/* url.h - tidies up a URL as far as URL patterns need it.
 *
 * The scheme and the host become lower case. The default port of the scheme is left out. A URL of a
 * host has a path. Nothing else is changed: neither escapes nor dots in paths.
 */
#ifndef SSECAST_URL_H
#define SSECAST_URL_H

#include "base/slice.h"

/* Write the URL in text to out, which has room for max bytes. Returns its length; *scheme is that
 * of the scheme with its colon. 0: text is no URL, or there is no room. */
size_t url_tidy(struct slice text, char *out, size_t max, size_t *scheme);

/* Is this the port that URLs of this scheme (with its colon) have anyway? */
bool url_default_port(struct slice scheme, struct slice port);

#endif
