/* Timers are few, a handful for the whole worker and none for each stream. So finding the next one
 * walks a list. */
#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define BATCH 256 /* descriptors that one turn handles */

struct loop {
    int epoll;
    bool stopped;
    bool (*turn_end)(void *context);
    void *context;
    SLIST_HEAD(loop_timers, loop_timer) timers;
    int64_t now;
    uint64_t turn;
};

struct loop *loop_new(bool (*turn_end)(void *context), void *context)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    *l = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC),
                       .turn_end = turn_end,
                       .context = context,
                       .now = clock_ms()};
    if (l->epoll < 0) {
        free(l);
        return NULL;
    }
    return l;
}

void loop_free(struct loop **l)
{
    if (!*l)
        return;
    close((*l)->epoll);
    free(*l);
    *l = NULL;
}

/* By a system call, as below by epoll_pwait(): epoll_ctl() and epoll_wait() are libzmq's in a
 * worker (ops/zguard.h). */
static int loop_control(const struct loop *l, int op, struct loop_watch *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};
    return (int)syscall(SYS_epoll_ctl, l->epoll, op, w->fd, &event);
}

int loop_add(struct loop *l, struct loop_watch *w, uint32_t events)
{
    return loop_control(l, EPOLL_CTL_ADD, w, events) == 0 ? 0 : -errno;
}

void loop_set(struct loop *l, struct loop_watch *w, uint32_t events)
{
    if (w->fd >= 0)
        loop_control(l, EPOLL_CTL_MOD, w, events);
}

void loop_remove(struct loop *l, struct loop_watch *w)
{
    if (w->fd >= 0)
        loop_control(l, EPOLL_CTL_DEL, w, 0);
    w->fd = -1;
}

void loop_close(struct loop_watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due)
{
    t->due = due;
    if (!t->linked) {
        t->linked = true;
        SLIST_INSERT_HEAD(&l->timers, t, link);
    }
}

void loop_timer_stop(struct loop_timer *t)
{
    t->due = 0;
}

int64_t loop_now(const struct loop *l)
{
    return l->now;
}

uint64_t loop_turn(const struct loop *l)
{
    return l->turn;
}

/* The timeout for epoll_wait() in ms: until the next timer, or -1 (none) when no timer is set. */
static int wait_time(const struct loop *l)
{
    int64_t due = INT64_MAX;
    const struct loop_timer *t;
    SLIST_FOREACH (t, &l->timers, link)
        if (t->due && t->due < due)
            due = t->due;
    if (due == INT64_MAX)
        return -1;
    int64_t left = due - clock_ms();
    if (left <= 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

static void fire_timers(struct loop *l)
{
    struct loop_timer *t;
    SLIST_FOREACH (t, &l->timers, link)
        if (t->due && t->due <= l->now) {
            t->due = 0;
            t->fire(t->context, l->now);
        }
}

static int turn(struct loop *l, int timeout)
{
    struct epoll_event events[BATCH];
    int count = epoll_pwait(l->epoll, events, BATCH, timeout, NULL);
    if (count < 0 && errno != EINTR)
        return -errno;
    l->now = clock_ms();
    l->turn++;
    for (int i = 0; i < count; i++) {
        struct loop_watch *w = events[i].data.ptr;
        if (w->fd >= 0)
            w->ready(w->context, events[i].events);
    }
    fire_timers(l);
    return 0;
}

int loop_run(struct loop *l)
{
    bool more = false;
    while (!l->stopped) {
        int err = turn(l, more ? 0 : wait_time(l));
        if (err)
            return err;
        more = l->turn_end(l->context);
    }
    l->stopped = false;
    return 0;
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
}
