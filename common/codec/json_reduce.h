/* json_reduce.h - one cheap pass over a request before jansson builds a tree of it.
 *
 * The pass accepts JSON (RFC 8259) and nothing else; halves of surrogate pairs (surrogate.h) in
 * `data` only. It counts the values that jansson would have to build, and writes a shorter text:
 * the values of `data` and `ref`, which are handed on as they were sent, become a 0. So nothing
 * that is nested in them costs a tree. The time is linear in the text; the memory is the shorter
 * text and 8 bytes for each field of an open object.
 *
 * It does not know the commands. It takes out `data` and `ref` of the request itself, and `data` of
 * the objects in `events`.
 *
 * Ownership: the result owns its text; `ref` points into the input.
 */
#ifndef SSECAST_JSON_REDUCE_H
#define SSECAST_JSON_REDUCE_H

#include "base/slice.h"

#define JSON_LEVELS_MAX 2000u /* objects and lists within each other; jansson reads a few more */

struct json_bounds {
    size_t levels; /* at most JSON_LEVELS_MAX; 0: that many */
    size_t values; /* without those in `data` and `ref`; 0: no bound */
};

enum json_verdict {
    JSON_GOOD,
    JSON_BAD,      /* not JSON, or a field twice in one object */
    JSON_TOO_DEEP, /* more than `levels` */
    JSON_TOO_MANY, /* more than `values` */
    JSON_NO_MEMORY,
};

struct json_reduced {
    char *text; /* malloc()ed; NULL: nothing was taken out (or not JSON_GOOD) */
    size_t len;
    struct slice ref; /* as it was sent; empty: there is none */
    size_t at;        /* JSON_BAD: bytes read, the wrong one included */
    const char *what; /* JSON_BAD: what is wrong, for people */
};

/* Read one request. The caller frees out->text. */
enum json_verdict json_reduce(struct slice text, const struct json_bounds *bounds, struct json_reduced *out);

#endif
