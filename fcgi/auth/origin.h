/* origin.h - origins of pages, as browsers send them, and which of them an operator allows. Pure.
 *
 * A pattern is an origin (`https://example.org`, `http://localhost:8080`), an origin with `*.`
 * before its host, or `*`. `*.` stands for every subdomain and not for the host itself, `*` for all
 * origins.
 */
#ifndef SSECAST_ORIGIN_H
#define SSECAST_ORIGIN_H

#include <stdbool.h>

/* NULL when some browser can send an origin that matches the pattern; else what is accepted.
 * Static. */
const char *origin_check(const char *pattern);

/* Does a checked pattern, which is not `*`, name this origin? origin is any text. */
bool origin_matches(const char *pattern, const char *origin);

#endif
