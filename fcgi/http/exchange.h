/* exchange.h - one HTTP exchange: a request, its connection, and the role that its answer has.
 *
 * Each request becomes an exchange. A short answer is nothing but its connection. A service call
 * and a stream are structs that begin with an exchange. When one of them ends, its exchange is a
 * short answer again: the rest of the response is still written. An exchange does not read requests
 * (intake.h), and knows neither services nor streams.
 *
 * Events that wait are shared; a large answer that waits for its reader is a copy of its own. All
 * of these together have EXCHANGES_UNREAD_MAX bytes. Beyond that the one whose reader has taken
 * nothing for the longest time is cut.
 *
 * Ownership: exchange_new() allocates one piece of memory for the exchange and the struct around
 * it. It is freed at the end of the iteration in which the connection has closed. What it points to
 * is given up in the role's closed hook.
 */
#ifndef SSECAST_EXCHANGE_H
#define SSECAST_EXCHANGE_H

#include "http/conn.h"
#include "http/handoff.h"
#include "http/params.h"

#define EXCHANGE_LARGE 16384u            /* bytes of an answer */
#define EXCHANGES_UNREAD_MAX (64u << 20) /* bytes of all large answers that are not gone */

enum exchange_role {
    EXCHANGE_ANSWER, /* a short answer, or the rest of a response whose role has ended */
    EXCHANGE_CALL,   /* a request to a service, until it is answered (service.h) */
    EXCHANGE_STREAM, /* a stream of events (stream.h) */
};

struct exchange {
    struct conn conn; /* first: a conn is its exchange */
    enum exchange_role role : 8;
    bool spools : 1;         /* lighttpd: writes large responses to temporary files */
    uint32_t unread;         /* bytes of a large answer, until it is gone; else 0 */
    struct handoff *handoff; /* until the browser's socket has come; else NULL */
};

/* A request that was read and is not an exchange yet. */
struct incoming {
    int fd; /* non-blocking */
    struct params *params;
    enum conn_transport transport;
};

/* All exchanges of a worker. */
struct exchanges {
    struct conns conns; /* first: the conns are their exchanges */

    /* Takes a connection over that waits for its next request. NULL: connections are closed
     * after one response. */
    void (*keep)(void *context, int fd);
    void *keep_context;
    struct handoffs *handoffs; /* NULL: no socket is handed over */
    size_t unread;             /* bytes of large answers */
};

/* The hooks of handoffs; an offer's owner is an exchange. */
extern const struct handoff_hooks exchange_handoff_hooks;

/* budget and write_ms: as in struct conns; counters: WORKER_COUNTERS of them. */
void exchanges_init(struct exchanges *set, struct loop *loop, size_t budget, int64_t write_ms,
                    uint64_t *counters);

/* A short answer without content yet, zeroed, in size bytes: those of a struct that begins with
 * a struct exchange. NULL with a line in the log when memory or descriptors are exhausted. In
 * either case the descriptor is taken over. */
void *exchange_new(struct exchanges *set, const struct incoming *in, size_t size);

/* The same without a connection yet: it is the browser's own, which Apache is to pass for
 * x->handoff. What is sent waits for it. NULL when no further socket can be handed over now. */
void *exchange_new_handed(struct exchanges *set, size_t size);

/* Close the descriptor of a request that cannot be answered, and log that. */
void exchange_drop(const struct incoming *in);

/* The short answer x takes this role. hooks lasts as long as x; its closed hook calls
 * exchange_leave(). */
void exchange_become(struct exchange *x, enum exchange_role role, const struct conn_hooks *hooks);

/* x has closed and its role ends: it is a short answer again. */
void exchange_leave(struct exchange *x);

/* Send text without a budget and give up the reference. A NULL text (no memory) cuts the
 * connection. */
void exchange_send(struct exchange *x, struct event *text);

/* Send the last text of x, and end the response. text as for exchange_send(). */
void exchange_finish(struct exchange *x, struct event *text);

/* Answer a request with this text and nothing else. text as for exchange_send(). */
void exchange_answer(struct exchanges *set, const struct incoming *in, struct event *text);

/* The same, without waiting where the socket has room for all of it. Only for a CONN_SOCKET whose
 * request was read to its end: with unread bytes, to close resets the connection before the peer
 * has read the answer. */
void exchange_answer_now(struct exchanges *set, const struct incoming *in, struct event *text);

#endif
