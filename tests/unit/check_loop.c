#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "support.h"

static struct loop *loop;
static int turns, turns_wanted, busy_turns;
static const int *awaited;

/* Ends the loop after turns_wanted turns, or when *awaited is not 0;
 * the first busy_turns have more to do at once. */
static bool turn_end(void *context)
{
    ck_assert_ptr_eq(context, &turns);
    turns++;
    if (awaited ? *awaited != 0 : turns >= turns_wanted)
        loop_stop(loop);
    return turns <= busy_turns;
}

static void setup(void)
{
    turns = busy_turns = 0;
    turns_wanted = 1;
    awaited = NULL;
    loop = loop_new(turn_end, &turns);
    ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
    loop_free(&loop);
    ck_assert_ptr_null(loop);
    loop_free(&loop);
}

/* --- timers --- */

struct alarm {
    struct loop_timer timer;
    int fired;
    int64_t at;
    struct alarm *other; /* set anew when this one fires */
};

static void fire(void *context, int64_t now)
{
    struct alarm *a = context;
    ck_assert_int_eq(a->timer.due, 0);
    ck_assert_int_eq(now, loop_now(loop));
    a->fired++;
    a->at = now;
    if (a->other)
        loop_timer_set(loop, &a->other->timer, now + 1);
}

static struct alarm alarm_new(void)
{
    return (struct alarm){.timer = {.fire = fire}};
}

static void set(struct alarm *a, int64_t due)
{
    a->timer.context = a;
    loop_timer_set(loop, &a->timer, due);
}

START_TEST(a_timer_fires_once_and_not_before)
{
    struct alarm a = alarm_new();
    int64_t due = clock_ms() + 30;
    set(&a, due);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(a.fired, 1);
    ck_assert_int_ge(a.at, due);
    ck_assert_int_lt(a.at, due + 5000);
}
END_TEST

START_TEST(it_does_not_sleep_while_there_is_more_to_do)
{
    struct alarm now = alarm_new(), far = alarm_new();
    set(&now, clock_ms());
    set(&far, clock_ms() + 600000);
    busy_turns = 4;
    turns_wanted = 5;
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(now.fired, 1);
    ck_assert_int_eq(far.fired, 0);
}
END_TEST

START_TEST(timers_fire_when_they_are_due)
{
    struct alarm early = alarm_new(), late = alarm_new(), never = alarm_new();
    int64_t now = clock_ms();
    set(&late, now + 20);
    set(&early, now + 1);
    set(&never, now + 10);
    loop_timer_stop(&never.timer);
    awaited = &late.fired; /* both fire in one turn when the machine was busy */
    loop_run(loop);
    ck_assert_int_eq(early.fired, 1);
    ck_assert_int_eq(late.fired, 1);
    ck_assert_int_eq(never.fired, 0);
    ck_assert_int_le(early.at, late.at);
}
END_TEST

START_TEST(a_timer_that_is_set_is_moved)
{
    struct alarm a = alarm_new();
    set(&a, clock_ms() + 100000);
    set(&a, clock_ms() - 5); /* long past: at once */
    loop_run(loop);
    ck_assert_int_eq(a.fired, 1);
    set(&a, clock_ms());
    turns = 0;
    loop_run(loop);
    ck_assert_int_eq(a.fired, 2);
}
END_TEST

START_TEST(a_timer_may_set_itself_and_others)
{
    struct alarm a = alarm_new(), b = alarm_new();
    a.other = &b;
    b.other = &a;
    b.timer.context = &b;
    set(&a, clock_ms());
    turns_wanted = 4;
    loop_run(loop);
    ck_assert_int_eq(a.fired, 2);
    ck_assert_int_eq(b.fired, 2);
}
END_TEST

/* --- descriptors --- */

struct pipe_watch {
    struct loop_watch watch;
    int write_fd;
    int calls;
    uint32_t events;
    struct pipe_watch *victim; /* removed when this one is ready */
};

static void ready(void *context, uint32_t events)
{
    struct pipe_watch *p = context;
    char byte;
    p->calls++;
    p->events = events;
    if (events & EPOLLIN)
        ck_assert_int_eq(read(p->watch.fd, &byte, 1), 1);
    if (p->victim)
        loop_remove(loop, &p->victim->watch);
}

static void open_pipe(struct pipe_watch *p)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    *p = (struct pipe_watch){.watch = {fds[0], ready, p}, .write_fd = fds[1]};
    ck_assert_int_eq(loop_add(loop, &p->watch, EPOLLIN), 0);
}

static void close_pipe(struct pipe_watch *p, int read_fd)
{
    loop_remove(loop, &p->watch);
    loop_remove(loop, &p->watch);
    ck_assert_int_eq(p->watch.fd, -1);
    close(read_fd);
    close(p->write_fd);
}

/* Two watches that are ready in one turn see one number, and later turns higher ones. */
static uint64_t seen_turns[3];
static size_t seen_count;

static void see_turn(void *context, uint32_t events)
{
    struct loop_watch *w = context;
    char byte;
    (void)events;
    ck_assert_int_eq(read(w->fd, &byte, 1), 1);
    seen_turns[seen_count++] = loop_turn(loop);
}

START_TEST(each_turn_has_a_number)
{
    struct pipe_watch a, b;
    open_pipe(&a);
    open_pipe(&b);
    int a_fd = a.watch.fd, b_fd = b.watch.fd;
    a.watch.ready = b.watch.ready = see_turn;
    a.watch.context = &a.watch;
    b.watch.context = &b.watch;
    seen_count = 0;
    ck_assert_uint_eq(loop_turn(loop), 0);
    ck_assert_int_eq(write(a.write_fd, "xy", 2), 2);
    ck_assert_int_eq(write(b.write_fd, "x", 1), 1);
    turns_wanted = 2;
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_uint_eq(seen_count, 3);
    ck_assert(seen_turns[0] == 1 && seen_turns[1] == 1 && seen_turns[2] == 2 &&
              loop_turn(loop) == 2);
    close_pipe(&a, a_fd);
    close_pipe(&b, b_fd);
}
END_TEST

START_TEST(what_is_ready_is_called)
{
    struct pipe_watch a, b;
    open_pipe(&a);
    open_pipe(&b);
    int a_fd = a.watch.fd, b_fd = b.watch.fd;
    ck_assert_int_eq(write(a.write_fd, "x", 1), 1);
    loop_run(loop);
    ck_assert_int_eq(a.calls, 1);
    ck_assert_uint_eq(a.events, EPOLLIN);
    ck_assert_int_eq(b.calls, 0);
    close_pipe(&a, a_fd);
    close_pipe(&b, b_fd);
}
END_TEST

START_TEST(what_was_removed_in_this_turn_is_not_called)
{
    struct pipe_watch a, b;
    open_pipe(&a);
    open_pipe(&b);
    int a_fd = a.watch.fd, b_fd = b.watch.fd;
    a.victim = &b;
    b.victim = &a;
    ck_assert_int_eq(write(a.write_fd, "x", 1), 1);
    ck_assert_int_eq(write(b.write_fd, "x", 1), 1);
    loop_run(loop);
    ck_assert_int_eq(a.calls + b.calls, 1);
    close_pipe(&a, a_fd);
    close_pipe(&b, b_fd);
}
END_TEST

START_TEST(it_can_watch_for_other_events)
{
    struct pipe_watch a;
    struct alarm alarm = alarm_new();
    open_pipe(&a);
    int fd = a.watch.fd;
    ck_assert_int_eq(write(a.write_fd, "x", 1), 1);
    loop_set(loop, &a.watch, 0);
    set(&alarm, clock_ms() + 5);
    loop_run(loop);
    ck_assert_int_eq(a.calls, 0);
    loop_set(loop, &a.watch, EPOLLIN);
    turns = 0;
    loop_run(loop);
    ck_assert_int_eq(a.calls, 1);
    close_pipe(&a, fd);
}
END_TEST

START_TEST(a_plain_file_cannot_be_watched)
{
    struct loop_watch watch = {.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
    ck_assert_int_eq(loop_add(loop, &watch, EPOLLIN), -EPERM);
    close(watch.fd);
}
END_TEST

START_TEST(a_stop_before_the_start_counts)
{
    loop_stop(loop);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_int_eq(turns, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tests = one_case(suite, "loop");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_timer_fires_once_and_not_before);
    tcase_add_test(tests, it_does_not_sleep_while_there_is_more_to_do);
    tcase_add_test(tests, timers_fire_when_they_are_due);
    tcase_add_test(tests, a_timer_that_is_set_is_moved);
    tcase_add_test(tests, a_timer_may_set_itself_and_others);
    tcase_add_test(tests, each_turn_has_a_number);
    tcase_add_test(tests, what_is_ready_is_called);
    tcase_add_test(tests, what_was_removed_in_this_turn_is_not_called);
    tcase_add_test(tests, it_can_watch_for_other_events);
    tcase_add_test(tests, a_plain_file_cannot_be_watched);
    tcase_add_test(tests, a_stop_before_the_start_counts);
    return run_suite(suite);
}
