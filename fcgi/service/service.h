/* service.h - what a worker answers beside streams: requests whose path names a service
 * (/sse/healthz, ...).
 *
 * A service is a row: its access rule, its methods and its functions. It answers at once, or sends
 * the broker a request and answers with the reply. After SERVICE_TIMEOUT_MS without a reply the
 * answer is 503. Each service lives in its service_<name>.c.
 *
 * Ownership: a call is an exchange (exchange.h), and ends with it. struct services is the caller's;
 * it keeps what it points to.
 */
#ifndef SSECAST_SERVICE_H
#define SSECAST_SERVICE_H

#include <sys/queue.h>

#include "http/exchange.h"
#include "http/route.h"
#include "stream/stream.h"

#define SERVICE_TIMEOUT_MS 5000
#define SERVICE_ASKED_MAX (64u << 20) /* bytes of all pending requests */

struct call;
struct service;
struct watch;

/* What all calls share. */
struct services {
    struct streams *streams;             /* with limits, counters, upstream, exchanges and state */
    const struct monitor *monitor;       /* NULL: services that need one refuse everyone */
    struct route_rules route_rules;      /* which paths there are */
    TAILQ_HEAD(call_list, call) waiting; /* for the broker's reply, the longest first */
    struct loop_timer call_timer;
    size_t asked_bytes;  /* of their pending requests */
    struct watch *watch; /* viewers of the status page; NULL: there was none yet */
};

/* One request to a service, until it is answered. */
struct call {
    struct exchange exchange; /* first: the exchange that it is while its role is EXCHANGE_CALL */
    struct services *services;
    const struct service *service;
    struct upstream_request *pending; /* to the broker, under way */
    int64_t deadline;                 /* for the broker's reply */
    TAILQ_ENTRY(call) link;           /* in the list of waiting calls */
    /* More of those of a refusal, each ended by CRLF; NULL: none. */
    const char *headers;
    char *origin;       /* a page of which may read the answer; NULL: none */
    size_t asked_bytes; /* of the pending request */
    bool head;          /* HEAD: the answer has no body */
    /* It was answered with a stream, which goes on: heartbeats and refusals are none of it. */
    bool streams;
    void *state; /* the service's own; freed with free() */
};

struct service {
    const char *name;    /* the segment of the path behind the mount point (route.h) */
    const char *methods; /* "GET, HEAD" */
    bool monitors;       /* needs access by monitor.h; else the answer is 403 */
    /* By address only under a name that is known, and not one that a page made up (monitor.h). */
    bool guarded;
    bool asks;          /* a refusal asks browsers for the monitor token, as a password (401) */
    bool cross_origin;  /* pages of the origins in cors-origin may ask too */
    const char *unsure; /* for its 503 when the broker did not reply; NULL: nothing to add */
    /* The largest body that is read, in bytes; 0: none. NULL: never one. */
    size_t (*body_max)(struct services *set, struct params *params);
    /* Answer c with call_answer(), or ask with call_ask(). params is valid during the call. */
    void (*begin)(struct call *c, struct params *params);
    /* The broker's reply to call_ask(), valid during the call: answer c. NULL: it asks nothing. */
    void (*replied)(struct call *c, struct slice json);
    /* There is no broker, or it has not replied in time: answer c. NULL: 503. */
    void (*unanswered)(struct call *c);
    /* c is about to be answered with this status; for counting. NULL: it does not count. */
    void (*answered)(struct call *c, int status);
    /* c ends now, for whatever reason. NULL: nothing depends on it. */
    void (*closed)(struct call *c);
};

extern const struct service service_mercure, service_publish, service_healthz, service_metrics,
    service_status, service_presence, service_subscriptions;

/* set's streams, monitor and route_rules are filled in; prepare the rest. */
void services_init(struct services *set);

/* The worker ends: answer all calls that wait for the broker. */
void services_give_up(struct services *set);

/* At the end, when all connections are closed. */
void services_release(struct services *set);

/* What the request's path and method name: a service, or NULL for the streams (*hub: those of the
 * hub). False: nothing. */
bool service_find(const struct services *set, const struct params *params,
                  const struct service **service, bool *hub);

/* The largest body that is read of this request, in bytes; 0: none. */
size_t service_body_max(struct services *set, struct params *params);

/* Answer the request to service. Its descriptor is taken over; the parameters stay the caller's. */
void service_begin(struct services *set, const struct service *service, const struct incoming *in);

/* The broker's reply to call_ask() has come; empty: the broker was lost. */
void service_replied(struct call *c, struct slice json);

/* --- for the services --- */

/* Send the broker a request of a caller with this grant; again: as for upstream_command(). Without
 * memory, or above SERVICE_ASKED_MAX, the call is answered 503. */
void call_ask(struct call *c, const struct grant *grant, struct slice json, bool again);

/* Answer and end the request. headers is empty or whole lines, each ended by CRLF; type is a
 * Content-Type. c is gone afterwards. */
void call_answer(struct call *c, int status, const char *headers, const char *type,
                 struct slice body);

/* The same with {"error":...,"message":...} as the body; message goes through printf. */
void call_refuse(struct call *c, int status, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Refuse with 429: the client's address sends too many requests that bring a token. */
void call_refuse_rate(struct call *c);

/* --- between service.c and service_status.c --- */

/* At the end: what the status page remembers. */
void status_release(struct services *set);

#endif
