/* outstanding.h - requests to the broker until they are answered: which one is sent next, and which
 * one is sent again.
 *
 * It sends nothing and receives nothing: it says what to send; outstanding_sent() says that it was
 * sent. Times are clock_ms(). Pure.
 *
 * Ownership: requests are its own. A handle is valid until outstanding_drop().
 */
#ifndef SSECAST_OUTSTANDING_H
#define SSECAST_OUTSTANDING_H

#include <sys/queue.h>

#include "codec/wire.h"

#define OUTSTANDING_IN_FLIGHT_MAX 64u /* requests of a class in flight; further ones wait */
#define OUTSTANDING_QUESTIONS_MAX 16u /* the broker has at most this many before a publish */

enum request_purpose { FOR_REPLAY, FOR_REPAIR, FOR_SHUTDOWNS, FOR_COMMAND };

/* They do not wait for each other: publishers (commands that are sent only once), streams, and
 * questions, for example for lists, which may take the broker some ms each. */
enum request_class { CLASS_COMMANDS, CLASS_PAGES, CLASS_QUESTIONS, REQUEST_CLASSES };

struct outstanding;
struct request_list;

struct upstream_request {
    TAILQ_ENTRY(upstream_request) link;
    struct outstanding *owner;
    struct request_list *list; /* that contains it */
    enum request_purpose purpose;
    void *asker; /* of a replay or a command */
    bool once;   /* it is never sent again */
    uint64_t number;
    int64_t first, asked; /* when it was sent first and last; 0: not yet */
    int64_t dated;        /* of shutdowns: when the age in the message was right */
    struct buf message;   /* the request */
};

struct request_list {
    TAILQ_HEAD(, upstream_request) requests;
    size_t count;
};

struct outstanding {
    struct request_list waiting[REQUEST_CLASSES], under_way, asked_once;
    size_t in_flight[REQUEST_CLASSES]; /* of under_way and asked_once */
    struct request_list given_up;      /* that are sent only once, of a lost broker */
    struct upstream_request *repair;   /* the only one FOR_REPAIR; NULL: there is none */
    uint64_t last_number;
    int64_t retry_ms, least_ms, most_ms; /* timeout of a request, and its bounds */
};

void outstanding_init(struct outstanding *o, int64_t retry_ms, int64_t retry_max_ms);

void outstanding_release(struct outstanding *o);

/* A request, whose message the caller completes with its number. NULL when out of memory. */
struct upstream_request *outstanding_new(struct outstanding *o, enum request_purpose purpose,
                                         void *asker);

/* Queue q, whose message is complete. NULL when there was no memory for the message: q is freed. */
struct upstream_request *outstanding_add(struct outstanding *o, struct upstream_request *q);

/* The next request to send for the first time, or after a lost broker; NULL: there is none, or
 * enough of its class are in flight. The repair goes first: streams wait for it, too. */
struct upstream_request *outstanding_next(const struct outstanding *o);

/* The next request to send again, with the same number: the first reply counts. NULL: none. */
struct upstream_request *outstanding_overdue(const struct outstanding *o, int64_t now);

/* q was sent. */
void outstanding_sent(struct outstanding *o, struct upstream_request *q, int64_t now);

/* The request under way with this number; NULL when it was answered or forgotten. */
struct upstream_request *outstanding_find(const struct outstanding *o, uint64_t number);

/* A page has arrived for q. Replies that take long make the timeout longer: on a slow connection,
 * sending requests again too soon would fill it with duplicate replies. */
void outstanding_adapt(struct outstanding *o, const struct upstream_request *q, int64_t now);

/* q was answered, or is no longer needed: free it. */
void outstanding_drop(struct upstream_request *q);

/* The broker is lost: requests under way wait again, those sent only once are given up. */
void outstanding_lose(struct outstanding *o);

/* A request that was given up; NULL: none. */
struct upstream_request *outstanding_given_up(const struct outstanding *o);

#endif
