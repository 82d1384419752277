/* loop.h - the worker's event loop: descriptors and timers. The only user of epoll.
 *
 * It runs in one thread and knows nothing of streams.
 *
 * Ownership: watches and timers are embedded in their owners. After loop_remove() the owner keeps
 * the memory until the end of the turn (see the reaping in worker.c): an event that was already
 * fetched finds fd < 0 and is skipped. A timer that was ever set must live as long as the loop.
 * Timers are few: each serves a whole list of deadlines.
 */
#ifndef SSECAST_LOOP_H
#define SSECAST_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

struct loop_watch {
    int fd;                                        /* -1: not watched */
    void (*ready)(void *context, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
    void *context;
};

struct loop_timer {
    int64_t due;                                 /* clock_ms(); 0: not set */
    void (*fire)(void *context, int64_t now_ms); /* the timer is cleared before the call */
    void *context;
    SLIST_ENTRY(loop_timer) link;
    bool linked;
};

/* turn_end is called with context after the callbacks of each turn. It returns true when more
 * work is ready, so that the loop does not sleep. NULL on failure, with errno set. */
struct loop *loop_new(bool (*turn_end)(void *context), void *context);

void loop_free(struct loop **l);

/* Watch w->fd for events. 0 or -errno; -EPERM for a regular file, which epoll cannot watch. */
int loop_add(struct loop *l, struct loop_watch *w, uint32_t events);

/* Replace the events that are watched for. */
void loop_set(struct loop *l, struct loop_watch *w, uint32_t events);

/* Stop watching; the descriptor stays open, w->fd becomes -1. Safe when not watched. */
void loop_remove(struct loop *l, struct loop_watch *w);

/* Stop watching, and close the descriptor, which no other process has: the kernel stops watching
 * what is closed for good. w->fd becomes -1. Safe when not watched. */
void loop_close(struct loop_watch *w);

/* Fire once, at due (clock_ms()). A timer that is set already is moved. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due);

void loop_timer_stop(struct loop_timer *t);

/* The time (clock_ms()) at which this turn began. */
int64_t loop_now(const struct loop *l);

/* The number of this turn: it grows with each, and is 0 before the first. */
uint64_t loop_turn(const struct loop *l);

/* Run until loop_stop(); return at once if it was called before. May be called again. 0 or
 * -errno. */
int loop_run(struct loop *l);

void loop_stop(struct loop *l);

#endif
