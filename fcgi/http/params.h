/* params.h - the parameters of one request, as the web server sent them, and its body where a
 * service reads it.
 *
 * Ownership: the text of all parameters is one allocation, their index and the body are others;
 * values point into the text.
 */
#ifndef SSECAST_PARAMS_H
#define SSECAST_PARAMS_H

#include <stdint.h>

#include "base/slice.h"

/* State of the request's body. */
enum params_body {
    BODY_NONE,      /* not read */
    BODY_WHOLE,     /* complete, possibly empty */
    BODY_PARTIAL,   /* incomplete at the timeout */
    BODY_TOO_LARGE, /* larger than accepted */
    BODY_NO_ROOM,   /* other bodies use all the memory reserved for them */
};

/* Where a parameter is in the text. */
struct param {
    uint32_t at, name_len;
};

struct params {
    uint16_t request; /* FastCGI request id */
    /* The web server keeps its connection for more requests, and no byte of one is lost. */
    bool keep;
    char *text; /* NAME=value, each with its NUL; an empty string ends them */
    struct param *index;
    size_t count; /* of the index */
    enum params_body body_state;
    char *body; /* BODY_WHOLE: body_len bytes; else of no use */
    size_t body_len;
    /* What was found out about the request before its body was read (service_publish.c),
     * or NULL. */
    void *judgement;
    void (*judgement_free)(void *judgement);
};

/* Copy a NULL-terminated list of NAME=value strings (an environment). 0 or -ENOMEM. */
int params_copy(struct params *p, char *const *list);

/* Take over the text of all parameters, from malloc(). 0 or -ENOMEM; then it is freed. */
int params_take(struct params *p, char *text);

void params_release(struct params *p);

/* The value of name, or NULL. A name that came twice has no value: a web server makes one name
 * of X-User and of X_User, and which of the two the client sent is unknown then. */
const char *params_get(const struct params *p, const char *name);

/* The next value of name, which may come twice. *at is where the search goes on, 0 at the
 * beginning. NULL at the end. */
const char *params_get_next(const struct params *p, const char *name, size_t *at);

/* Did name come twice? */
bool params_repeated(const struct params *p, const char *name);

/* A parameter of the query string, decoded, the first of that name; a header. A new text, to be
 * freed with free(); NULL: none. Names are compared decoded; a parameter without `=` has an empty
 * value. */
char *params_query(const struct params *p, const char *name);
char *params_header(const struct params *p, const char *name);

/* The next parameter of the query string with that name, likewise. *at is where the search goes on;
 * NULL: at the beginning. */
char *params_query_next(const struct params *p, const char *name, const char **at);

/* A cookie, likewise: of those of this name that are not empty, index 0 is the first. */
char *params_cookie(const struct params *p, const char *name, size_t index);

#define PARAM_NAME_MAX 300u /* bytes, its NUL included */

/* The decoded name of the next parameter of the query string; what does not fit is left out. *at as
 * above. False: no parameter is left. */
bool params_query_name(const struct params *p, const char **at, char name[PARAM_NAME_MAX]);

/* Did a parameter of the query string come twice? */
bool params_query_repeated(const struct params *p, const char *name);

/* The parameter that a header arrives as: HTTP_X_USER of X-User. */
void params_header_name(const char *name, char out[PARAM_NAME_MAX]);

/* How many bytes the body has by CONTENT_LENGTH; UINT64_MAX when there is no such parameter, or
 * no number in it. */
uint64_t params_content_length(const struct params *p);

#endif
