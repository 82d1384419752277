/* intake.h - reads one request: from the bytes of a descriptor to its parameters, and its body
 * where a service reads it. The only user of libfcgi, which parses the parameters of FastCGI. SCGI
 * requests (scgi.h) are always collected.
 *
 * It never waits: accept.c calls it when there is more to read and at the timeout. A usual request
 * is complete at the first look, and libfcgi reads it directly from the socket. A request in pieces
 * is collected, in memory that is bounded for all requests together.
 *
 * Ownership: descriptors stay the caller's, except as intake_at_once() says.
 */
#ifndef SSECAST_INTAKE_H
#define SSECAST_INTAKE_H

#include "http/params.h"
#include "http/record.h"

#define INTAKE_HEAD_MAX 262144u  /* bytes of a request up to the end of its parameters */
#define INTAKE_MANAGEMENT_MAX 8u /* management records before a request */
#define INTAKE_OWN_ROOM 4096u    /* bytes of each request that do not count for room */
#define INTAKE_SKIP_MAX 65536u   /* bytes of an unread body that are skipped before the answer */

/* What all requests of a worker share. */
struct intakes {
    /* The largest body accepted for this request. 0: its body is not read. */
    size_t (*body_max)(void *context, struct params *params);
    void *context;
    bool scgi;             /* peers speak SCGI, not FastCGI */
    size_t room;           /* bytes for all incomplete requests, beside INTAKE_OWN_ROOM each */
    size_t held;           /* now */
    uint64_t max_requests; /* limit reported to a web server that asks (FCGI_GET_VALUES) */
};

/* A request in pieces; begin with a zeroed one. */
struct intake {
    struct params params; /* once the head is complete */
    struct record_scan scan;
    struct record_body framing;
    uint64_t body_left; /* SCGI: bytes of the body still to come */
    char *data;         /* collected bytes: the head with its records, then the body without */
    size_t len, size;
    size_t body_max;
    size_t dropped; /* bytes of a body that is not read */
    bool in_body;
    unsigned answered; /* management records */
};

enum intake_progress {
    INTAKE_WAITING, /* incomplete */
    INTAKE_READY,   /* complete */
    INTAKE_BROKEN,  /* not a request */
};

/* Before the first request: libfcgi sets itself up, signal handlers included. 0 or -1. */
int intake_init(void);

/* Try to read a whole request from fd (non-blocking), from which nothing was read. INTAKE_READY:
 * *out is the caller's to release. INTAKE_BROKEN: fd is closed. INTAKE_WAITING: nothing was
 * read. */
enum intake_progress intake_at_once(struct intakes *set, int fd, struct params *out);

/* Read the bytes that have arrived. INTAKE_READY: *out is the caller's to release. A request of
 * which nothing has arrived holds no memory. */
enum intake_progress intake_more(struct intakes *set, struct intake *in, int fd,
                                 struct params *out);

/* At the timeout: the request without the rest of its body, if its parameters are complete.
 * Never INTAKE_WAITING. */
enum intake_progress intake_give_up(struct intakes *set, struct intake *in, struct params *out);

/* Does it wait for a body that is read? */
bool intake_wants_body(const struct intake *in);

/* Free the collected bytes. */
void intake_release(struct intakes *set, struct intake *in);

/* A plain CGI program's body: read from fd (which may block) until it is complete, until
 * timeout_ms, or until stop_fd is readable. A body that is not wanted is read and dropped. */
void intake_cgi_body(const struct intakes *set, int fd, int stop_fd, int timeout_ms,
                     struct params *params);

#endif
