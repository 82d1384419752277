/* intake.h - one request on its way in: from the bytes of a descriptor to its parameters, and its body where somebody wants it. The only
 * user of libfcgi, which parses the parameters.
 *
 * It never waits: accept.c says when there is more to read, and when the time is up. An ordinary request is whole when it is first looked
 * at, and libfcgi reads it straight from the socket. One that comes in pieces is collected, in memory that is bounded for all requests
 * together.
 *
 * Ownership: descriptors stay the caller's, but see intake_at_once().
 */
#ifndef SSECAST_INTAKE_H
#define SSECAST_INTAKE_H

#include "http/params.h"
#include "http/record.h"

#define INTAKE_HEAD_MAX 262144u  /* bytes of a request up to the end of its parameters */
#define INTAKE_MANAGEMENT_MAX 8u /* management records before a request */
#define INTAKE_OWN_ROOM 4096u    /* bytes that each may have without asking for room */
#define INTAKE_PATIENCE                                                                                                \
    65536u /* bytes of a body that nobody wants are waited for, so that it is read before the answer */

/* What all requests of a worker have in common. */
struct intakes {
    /* How many bytes of its body this request is worth. 0: it wants none. */
    size_t (*body_max)(void *context, struct params *params);
    void *context;
    size_t room; /* bytes that may be held for all requests that are not complete, beside INTAKE_OWN_ROOM for each */
    size_t held; /* at the moment */
    uint64_t max_requests; /* how many connections the worker takes, for a web server that asks (FCGI_GET_VALUES) */
};

/* A request that comes in pieces; begin with a zeroed one. */
struct intake {
    struct params params; /* once the head is complete */
    struct record_scan scan;
    struct record_body framing;
    char *data; /* what is collected: first the head, with its records; then the body, without */
    size_t len, size;
    size_t body_max;
    size_t dropped; /* bytes of a body that nobody wants */
    bool in_body;
    unsigned answered; /* management records */
};

enum intake_progress {
    INTAKE_WAITING, /* there will be more */
    INTAKE_READY,   /* here it is */
    INTAKE_BROKEN,  /* no request */
};

/* Before the first request: libfcgi sets itself up, signal handlers included. 0 or -1. */
int intake_init(void);

/* Look at fd (non-blocking), from which nothing was read. INTAKE_READY: *out is the caller's to release. INTAKE_BROKEN: fd is closed.
 * INTAKE_WAITING: nothing was read. */
enum intake_progress intake_at_once(struct intakes *set, int fd, struct params *out);

/* Read what has come. INTAKE_READY: *out is the caller's to release. */
enum intake_progress intake_more(struct intakes *set, struct intake *in, int fd, struct params *out);

/* Its time is up: what there is of it, when its parameters are complete. Never INTAKE_WAITING. */
enum intake_progress intake_give_up(struct intakes *set, struct intake *in, struct params *out);

/* Is it a body that it waits for, and that somebody wants? */
bool intake_wants_body(const struct intake *in);

/* Let go of what was collected. */
void intake_release(struct intakes *set, struct intake *in);

/* A plain CGI program's body: read from fd (which may block) until it is complete, patience_ms are over, or stop_fd is readable. What
 * nobody wants is read and dropped. */
void intake_cgi_body(const struct intakes *set, int fd, int stop_fd, int patience_ms, struct params *params);

#endif
