/* turns.h - iterations of an event loop, for tests of what runs in one. */
#ifndef SSECAST_TESTS_TURNS_H
#define SSECAST_TESTS_TURNS_H

#include "base/clock.h"
#include "base/loop.h"
#include "support.h"

static struct loop_timer turn_timer; /* the loop knows it until it is freed */

static inline void turn_over(void *loop, int64_t now)
{
    (void)now;
    loop_stop(loop);
}

/* A loop for turn_for(); loop_free() frees it. One at a time. */
static inline struct loop *new_turns(bool (*turn_end)(void *context))
{
    struct loop *loop = loop_new(turn_end, NULL);
    turn_timer = (struct loop_timer){.fire = turn_over, .context = loop};
    return loop;
}

/* Run the loop for this long. 0 is one iteration. */
static inline void turn_for(struct loop *loop, int64_t ms)
{
    loop_timer_set(loop, &turn_timer, clock_ms() + ms);
    ck_assert_int_eq(loop_run(loop), 0);
}

#endif
