/* window.h - the pending requests: those to send, to resend, to wait for, and to time out.
 *
 * Pure: the caller passes the time (ms of a monotonic clock) and sends.
 *
 * Ownership: requests belong to the caller; the window links them while they are pending.
 */
#ifndef SSECAST_WINDOW_H
#define SSECAST_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum window_request_state { REQUEST_WAITING, REQUEST_SENT, REQUEST_SENT_ONCE };

struct window_request {
    uint64_t ref;
    int64_t deadline;  /* set by the caller; never earlier than that of the request added before */
    bool repeatable;   /* set by the caller: it may be resent */
    int64_t resend_at; /* REQUEST_SENT only */
    enum window_request_state state;
    bool was_sent; /* at least once */
    TAILQ_ENTRY(window_request) by_age;
    /* REQUEST_WAITING: order of sending; REQUEST_SENT: of resending. */
    TAILQ_ENTRY(window_request) by_turn;
};

TAILQ_HEAD(window_request_list, window_request);

struct window;

/* A window for at most size requests. NULL when out of memory. */
struct window *window_new(size_t size);
void window_free(struct window **w); /* the window is empty */

size_t window_count(const struct window *w);

/* The ref of the next request; 0 when the window is full. */
uint64_t window_next_ref(struct window *w);

/* Add r, which has that ref, as REQUEST_WAITING. */
void window_add(struct window *w, struct window_request *r);

void window_remove(struct window *w, struct window_request *r);

struct window_request *window_find(const struct window *w, uint64_t ref); /* NULL: not pending */
struct window_request *window_oldest(const struct window *w);             /* NULL: none */
/* The one added after r, or NULL. */
struct window_request *window_newer(const struct window_request *r);
/* The next to send, or NULL. */
struct window_request *window_waiting(const struct window *w);

/* r, which waited, was sent. A repeatable one is due again at resend_at, which never decreases
 * between calls. */
void window_sent(struct window *w, struct window_request *r, int64_t resend_at);

/* Queue the requests that are due to be resent. Returns their number. */
size_t window_resend(struct window *w, int64_t now);

/* The earliest deadline or time to resend; INT64_MAX: none. */
int64_t window_due(const struct window *w);

#endif
