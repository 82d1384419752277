/* window.h - the requests under way: which wait to be sent, which for a reply, which are due again, which are too late.
 *
 * Pure bookkeeping: the caller passes the time (ms of a clock that never steps back) and does the sending.
 *
 * Ownership: requests are the caller's; the window links them while they are under way.
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
    int64_t deadline;  /* set by the caller; never before that of a request added earlier */
    bool repeatable;   /* set by the caller: it may be sent again */
    int64_t resend_at; /* REQUEST_SENT only */
    enum window_request_state state;
    bool was_sent; /* at least once */
    TAILQ_ENTRY(window_request) by_age;
    TAILQ_ENTRY(window_request) by_turn; /* REQUEST_WAITING: the order of sending; REQUEST_SENT: of sending again */
};

TAILQ_HEAD(window_request_list, window_request);

struct window;

/* For size requests at most. NULL when out of memory. */
struct window *window_new(size_t size);
void window_free(struct window **w); /* it is empty */

size_t window_count(const struct window *w);

/* The ref that the next request must have; 0 when the window is full. */
uint64_t window_next_ref(struct window *w);

/* Add r, which has that ref; it waits to be sent. */
void window_add(struct window *w, struct window_request *r);

void window_remove(struct window *w, struct window_request *r);

struct window_request *window_find(const struct window *w, uint64_t ref); /* NULL: not under way (any more) */
struct window_request *window_oldest(const struct window *w);             /* NULL: none */
struct window_request *window_newer(const struct window_request *r);      /* the one added after r, or NULL */
struct window_request *window_waiting(const struct window *w);            /* the next to send, or NULL */

/* r, which waited, was sent. If it may be sent again it will be due at resend_at, which is not before that of one sent earlier. */
void window_sent(struct window *w, struct window_request *r, int64_t resend_at);

/* Let those that are due again wait for their turn. Returns how many. */
size_t window_resend(struct window *w, int64_t now);

/* When something is due: the first deadline or repetition; INT64_MAX: never. */
int64_t window_due(const struct window *w);

#endif
