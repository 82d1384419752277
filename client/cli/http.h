/* http.h - posts JSON to a web server, to publish over HTTP. On libcurl, which is loaded by
 * the first call.
 *
 * Redirects are not followed, because the token is meant for the named server only.
 *
 * Ownership: http_post() allocates the text of the answer; http_answer_release() frees it.
 */
#ifndef SSECAST_HTTP_H
#define SSECAST_HTTP_H

#include <stdint.h>

#include "base/buf.h"

#define HTTP_WHY 256

struct http_answer {
    long status;
    struct buf text; /* NUL-terminated; its data is NULL when there is none */
};

/* 0; or with a line in why (HTTP_WHY bytes): -EINVAL when url is no complete address of http or
 * https, -ELIBACC when libcurl cannot be loaded. */
int http_check_url(const char *url, char why[HTTP_WHY]);

/* POST json to url; token may be NULL. 0, or -errno with the reason in why: -EINVAL when url is
 * none, -ETIMEDOUT, -EHOSTUNREACH, -ELIBACC, -ENOMEM. Release out in any case. */
int http_post(const char *url, const char *token, struct slice json, uint64_t timeout_ms,
              struct http_answer *out, char why[HTTP_WHY]);

/* The same with another header than the token's. */
int http_post_with(const char *url, const char *header, const char *value, struct slice json,
                   uint64_t timeout_ms, struct http_answer *out, char why[HTTP_WHY]);

void http_answer_release(struct http_answer *a);

#endif
