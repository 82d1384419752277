/* params.h - the parameters of one request, as the web server sent them.
 *
 * Ownership: the text of all of them is one allocation; values point into it.
 */
#ifndef SSECAST_PARAMS_H
#define SSECAST_PARAMS_H

#include <stdint.h>

struct params {
    uint16_t request; /* FastCGI request id */
    char *text;       /* NAME=value, each with its NUL; an empty string ends them */
};

/* Copy a NULL-terminated list of NAME=value strings (an environment). 0 or -ENOMEM. */
int params_copy(struct params *p, char *const *list);

void params_release(struct params *p);

/* The value of name, or NULL. */
const char *params_get(const struct params *p, const char *name);

/* A parameter of the query string, decoded; a cookie; a header. A new text, to be freed with free(); NULL: none. */
char *params_query(const struct params *p, const char *name);
char *params_cookie(const struct params *p, const char *name);
char *params_header(const struct params *p, const char *name);

#endif
