/* url_pattern.h - a URL pattern (WHATWG) as a program that matches URLs.
 *
 * Without regular expressions in parentheses, and without the names of users. The program is for
 * the whole URL: the wildcards of each component pass only what can be in that component.
 */
#ifndef SSECAST_URL_PATTERN_H
#define SSECAST_URL_PATTERN_H

#include "auth/program.h"

#define URL_PATTERN_ACCEPTED                                                                       \
    "accepted: SCHEME://HOST/PATH or /PATH with :name, *, {...} and the modifiers ? * +"

/* The steps of a program for a URL, in this order: the scheme and its colon, // and the host, and
 * from the path on. */
struct url_parts {
    uint16_t host, path; /* where they begin; equal: there is no host */
    bool has_origin;     /* false: only the path is known, because the hub's host is not */
    bool has_host;       /* // was there */
};

/* hub is the host that paths are relative to, in lower case; empty: unknown. p is zeroed. NULL, or
 * what is wrong; *at is the byte where. */
const char *url_pattern_read(struct slice text, struct slice hub, struct program *p,
                             struct url_parts *parts, size_t *at);

#endif
