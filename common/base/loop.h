/* loop.h - the worker's event loop: descriptors, timers, one turn after the other. The only user of epoll.
 *
 * It calls back and knows nothing of streams. One thread.
 *
 * Ownership: watches and timers are embedded in their owners, who keep the memory until the end of the turn in which they
 * removed them (see worker.c's reaping): an event that was already fetched finds fd < 0 and is skipped. A timer that was ever set
 * must live as long as the loop; they are few, each for a whole list of things that wait.
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
    void (*fire)(void *context, int64_t now_ms); /* the timer is unset before */
    void *context;
    SLIST_ENTRY(loop_timer) link;
    bool linked;
};

/* turn_end is called with context after the callbacks of each turn; it returns true when there is more to do at once, so that the
 * loop must not sleep. NULL on failure (errno says why). */
struct loop *loop_new(bool (*turn_end)(void *context), void *context);

void loop_free(struct loop **l);

/* Watch w->fd for events. 0 or -errno (-EPERM: a plain file, which is always ready and cannot be watched). */
int loop_add(struct loop *l, struct loop_watch *w, uint32_t events);

/* Watch for other events from now on. */
void loop_set(struct loop *l, struct loop_watch *w, uint32_t events);

/* Stop watching; the descriptor stays open, w->fd becomes -1. Safe when not watched. */
void loop_remove(struct loop *l, struct loop_watch *w);

/* Fire at due (clock_ms()), once; a timer that is set already is moved. */
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due);

void loop_timer_stop(struct loop_timer *t);

/* Milliseconds (clock_ms()) at which this turn began. */
int64_t loop_now(const struct loop *l);

/* Turn until loop_stop() (not at all when that came before); it may be called again. 0 or -errno. */
int loop_run(struct loop *l);

void loop_stop(struct loop *l);

#endif
