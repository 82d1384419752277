/* scgi.h - reads an SCGI request: a netstring of NAME NUL VALUE NUL pairs, then the body. Pure:
 * bytes in, parameters out.
 *
 * Ownership: as for params.h.
 */
#ifndef SSECAST_SCGI_H
#define SSECAST_SCGI_H

#include "http/params.h"

enum scgi_progress {
    SCGI_PARTIAL,  /* incomplete */
    SCGI_COMPLETE, /* the headers are complete; the body may not be */
    SCGI_BAD,      /* not a request */
};

/* The headers of a request. */
struct scgi_head {
    struct slice pairs; /* NAME NUL VALUE NUL, ... */
    size_t len;         /* bytes of the request before its body */
    uint64_t body_len;  /* CONTENT_LENGTH */
};

/* Judge the bytes of one request from its first byte on. SCGI_COMPLETE: out points into them.
 * SCGI_BAD also if the headers have more than max bytes, if a name is empty or contains '=', or
 * without CONTENT_LENGTH first and SCGI=1. */
enum scgi_progress scgi_scan(struct slice bytes, size_t max, struct scgi_head *out);

/* Copy the pairs of a complete head to p, which is zeroed. 0 or -ENOMEM. */
int scgi_params(const struct scgi_head *head, struct params *p);

#endif
