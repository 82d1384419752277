/* uri_template.h - a URI template (RFC 6570) as a program that matches its expansions.
 *
 * Level 4 without prefix modifiers. The values of variables may be texts, lists and maps.
 */
#ifndef SSECAST_URI_TEMPLATE_H
#define SSECAST_URI_TEMPLATE_H

#include "auth/program.h"

#define URI_TEMPLATE_ACCEPTED                                                                      \
    "accepted: text, {name}, {a,b}, {list*}, and the operators + # . / ; ? &"

/* p is zeroed. NULL, or what is wrong; *at is the byte where. */
const char *uri_template_read(struct slice text, struct program *p, size_t *at);

#endif
