/* request_json.c encodes requests, window.c tracks them, link.c sends them, reply_json.c parses
 * replies. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lib/link.h"
#include "lib/reply_json.h"
#include "lib/request_json.h"
#include "lib/window.h"

#define TIMEOUT_MS 5000u
#define RETRY_MS 1000u
#define WINDOW 1000u
#define WINDOW_MAX 1000000u
#define BURST_MAX 1000 /* replies processed in one call */

struct ssecast_publisher {
    struct link *link;
    struct window *window;
    struct request_ids ids;
    uint32_t timeout_ms, retry_ms;
    bool calling_back; /* we are inside a callback */
    bool closing;
};

struct submitted_request {
    struct window_request request; /* first: window entries are cast to this struct */
    struct link_message *message;
    ssecast_done *done;
    void *context;
};

const char *ssecast_version(void)
{
    return SSECAST_VERSION;
}

/* ---- start and end ---- */

static int prepare(struct ssecast_publisher *p, const struct ssecast_publisher_options *o)
{
    if (o->window > WINDOW_MAX)
        return -EINVAL;
    p->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    p->retry_ms = o->retry_ms ? o->retry_ms : RETRY_MS;
    p->window = window_new(o->window ? o->window : WINDOW);
    if (!p->window)
        return -ENOMEM;
    int err = o->auto_id ? request_ids_begin(&p->ids) : 0;
    return err ? err : link_new(&p->link, o);
}

int ssecast_publisher_new(struct ssecast_publisher **publisher,
                          const struct ssecast_publisher_options *options)
{
    static const struct ssecast_publisher_options defaults = {0};
    *publisher = calloc(1, sizeof **publisher);
    if (!*publisher)
        return -ENOMEM;
    int err = prepare(*publisher, options ? options : &defaults);
    if (err)
        ssecast_publisher_free(publisher);
    return err;
}

/* Remove r and call its callback, once. */
static void complete(struct ssecast_publisher *p, struct window_request *r, int err,
                     struct ssecast_reply *reply)
{
    struct submitted_request *pending = (struct submitted_request *)r;
    bool inside = p->calling_back;
    window_remove(p->window, r);
    link_message_free(&pending->message);
    p->calling_back = true;
    if (pending->done)
        pending->done(pending->context, err, reply);
    p->calling_back = inside;
    free(pending);
}

void ssecast_publisher_free(struct ssecast_publisher **publisher)
{
    struct ssecast_publisher *p = *publisher;
    struct window_request *r;
    if (!p)
        return;
    p->closing = true;
    while (p->window && (r = window_oldest(p->window)))
        complete(p, r, -ECANCELED, NULL);
    window_free(&p->window);
    link_free(&p->link);
    free(p);
    *publisher = NULL;
}

/* ---- sending ---- */

/* Send the requests that the link accepts now. The rest is sent when it accepts more. */
static void send_waiting(struct ssecast_publisher *p, int64_t now)
{
    struct window_request *r;
    while ((r = window_waiting(p->window)) &&
           link_send(p->link, ((struct submitted_request *)r)->message) == 0)
        window_sent(p->window, r, now + p->retry_ms);
}

/* A request that is being written. */
struct draft {
    struct buf text;
    uint64_t ref;
    bool repeatable;
    int err; /* why it cannot be sent */
};

static struct draft publisher_begin(const struct ssecast_publisher *p)
{
    struct draft d = {.ref = window_next_ref(p->window)};
    d.err = d.ref ? 0 : -EAGAIN;
    if (p->closing)
        d.err = -ECANCELED;
    return d;
}

static struct submitted_request *pending_new(const struct draft *d, const struct slice *payload)
{
    struct submitted_request *pending = calloc(1, sizeof *pending);
    if (!pending)
        return NULL;
    pending->request = (struct window_request){.ref = d->ref, .repeatable = d->repeatable};
    pending->message = link_message_new((struct slice){d->text.data, d->text.len}, payload);
    if (pending->message)
        return pending;
    free(pending);
    return NULL;
}

/* Submit d with the payload (NULL: none), and release it. */
static int submit(struct ssecast_publisher *p, struct draft *d, const struct slice *payload,
                  ssecast_done *done, void *context)
{
    int64_t now = clock_ms();
    struct submitted_request *pending = d->err ? NULL : pending_new(d, payload);
    buf_release(&d->text);
    if (!pending)
        return d->err ? d->err : -ENOMEM;
    pending->request.deadline = now + p->timeout_ms;
    pending->done = done;
    pending->context = context;
    window_add(p->window, &pending->request);
    send_waiting(p, now);
    link_wake(p->link);
    return 0;
}

int ssecast_publish_async(struct ssecast_publisher *p, const struct ssecast_event *event,
                          ssecast_done *done, void *context)
{
    const struct slice payload = {event->bytes, event->bytes_len};
    struct draft d = publisher_begin(p);
    if (!d.err)
        d.err = request_publish(&d.text, event, &p->ids, d.ref, &d.repeatable);
    return submit(p, &d, event->bytes ? &payload : NULL, done, context);
}

int ssecast_publish_batch_async(struct ssecast_publisher *p, const struct ssecast_event *events,
                                size_t count, ssecast_done *done, void *context)
{
    struct draft d = publisher_begin(p);
    if (!d.err)
        d.err = request_batch(&d.text, events, count, &p->ids, d.ref, &d.repeatable);
    return submit(p, &d, NULL, done, context);
}

int ssecast_shutdown_async(struct ssecast_publisher *p, const struct ssecast_shutdown *shutdown,
                           ssecast_done *done, void *context)
{
    struct draft d = publisher_begin(p);
    if (!d.err)
        d.err = request_shutdown(&d.text, shutdown, d.ref);
    return submit(p, &d, NULL, done, context);
}

int ssecast_query_async(struct ssecast_publisher *p, const char *json, ssecast_done *done,
                        void *context)
{
    struct draft d = publisher_begin(p);
    if (!d.err)
        d.err = request_query(&d.text, json, d.ref, &d.repeatable);
    return submit(p, &d, NULL, done, context);
}

/* ---- receiving ---- */

static struct slice request_text(const struct window_request *r)
{
    return link_message_json(((const struct submitted_request *)r)->message);
}

/* The request of a refusal without a ref. The broker does not parse a request that is too large
 * or invalid. A refusal as too large is for the largest request that was sent. NULL: unknown. */
static struct window_request *find_unnamed(const struct ssecast_publisher *p, const char *code)
{
    struct window_request *found = NULL;
    bool too_large = !strcmp(code, "too_large");
    for (struct window_request *r = window_oldest(p->window); r; r = window_newer(r)) {
        if (r->state == REQUEST_WAITING)
            continue;
        if (too_large ? !found || request_text(r).len > request_text(found).len
                      : !found && !reply_readable(request_text(r)))
            found = r;
    }
    return found || window_count(p->window) != 1 ? found : window_oldest(p->window);
}

/* The number of requests that this reply completes: 0 for a late or repeated one. */
static int take_reply(struct ssecast_publisher *p, struct slice text)
{
    struct ssecast_reply *reply;
    uint64_t ref;
    int err = reply_parse(text, &reply, &ref);
    if (err == -EBADMSG && window_count(p->window) == 1) {
        complete(p, window_oldest(p->window), err, NULL);
        return 1;
    }
    if (err)
        return 0; /* out of memory: as if the reply was lost */
    struct window_request *r = ref ? window_find(p->window, ref)
                               : ssecast_reply_ok(reply)
                                   ? NULL
                                   : find_unnamed(p, ssecast_reply_code(reply));
    if (r)
        complete(p, r, ssecast_reply_ok(reply) ? 0 : -EREMOTEIO, reply);
    ssecast_reply_free(&reply);
    return r != NULL;
}

static int publisher_receive(struct ssecast_publisher *p)
{
    struct slice text;
    int completed = 0, taken = 0;
    for (; taken < BURST_MAX && link_receive(p->link, &text) > 0; taken++)
        completed += take_reply(p, text);
    return completed;
}

static int time_out(struct ssecast_publisher *p, int64_t now)
{
    int completed = 0;
    struct window_request *r;
    while ((r = window_oldest(p->window)) && r->deadline <= now) {
        complete(p, r, r->was_sent ? -ETIMEDOUT : -EHOSTUNREACH, NULL);
        completed++;
    }
    return completed;
}

/* A request that a callback submits wakes the link. So does what the descriptor does not report. */
int ssecast_publisher_process(struct ssecast_publisher *p)
{
    if (p->calling_back)
        return -EDEADLK;
    link_clear_wakeup(p->link);
    int completed = publisher_receive(p);
    int64_t now = clock_ms();
    link_look(p->link, now);
    completed += time_out(p, now);
    if (window_resend(p->window, now))
        link_move(p->link);
    send_waiting(p, now);
    if (link_can_proceed(p->link, window_waiting(p->window) != NULL))
        link_wake(p->link);
    return completed;
}

const char *ssecast_publisher_problem(const struct ssecast_publisher *p)
{
    const char *problem = link_problem(p->link);
    return problem ? problem : "";
}

int ssecast_publisher_fd(const struct ssecast_publisher *p)
{
    return link_fd(p->link);
}

int ssecast_publisher_next_timeout(const struct ssecast_publisher *p)
{
    int64_t due = window_due(p->window), again = link_due(p->link), now = clock_ms();
    due = again < due ? again : due;
    if (link_is_woken(p->link) || due <= now)
        return 0;
    if (due == INT64_MAX)
        return -1;
    return due - now > INT_MAX ? INT_MAX : (int)(due - now);
}

size_t ssecast_publisher_pending(const struct ssecast_publisher *p)
{
    return window_count(p->window);
}

/* ---- waiting ---- */

/* Wait until work is due, at the latest until this time. */
static void sleep_until(const struct ssecast_publisher *p, int64_t until)
{
    struct pollfd fd = {.fd = link_fd(p->link), .events = POLLIN};
    int64_t rest = until - clock_ms();
    int timeout = ssecast_publisher_next_timeout(p);
    if (rest < 0)
        rest = 0;
    if (timeout < 0 || timeout > rest)
        timeout = rest > INT_MAX ? INT_MAX : (int)rest;
    poll(&fd, 1, timeout); /* the caller repeats it after a signal */
}

int ssecast_publisher_wait(struct ssecast_publisher *p, size_t pending, int timeout_ms)
{
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms;
    if (p->calling_back)
        return -EDEADLK;
    for (;;) {
        ssecast_publisher_process(p);
        if (window_count(p->window) <= pending)
            return 0;
        if (clock_ms() >= until)
            return -ETIMEDOUT;
        sleep_until(p, until);
    }
}

/* The state of a synchronous call. */
struct awaited_reply {
    bool answered;
    int err;
    struct ssecast_reply *reply;
};

static void answered(void *context, int err, struct ssecast_reply *reply)
{
    struct awaited_reply *w = context;
    *w = (struct awaited_reply){true, err, ssecast_reply_ref(reply)};
}

/* Wait for room in the window, before a synchronous call. */
static int make_room(struct ssecast_publisher *p, struct ssecast_reply **reply)
{
    if (reply)
        *reply = NULL;
    if (p->calling_back)
        return -EDEADLK;
    while (window_next_ref(p->window) == 0) {
        int err = ssecast_publisher_wait(p, window_count(p->window) - 1, -1);
        if (err)
            return err;
    }
    return 0;
}

/* Wait for the reply, unless the submission failed with err. */
static int wait_answer(struct ssecast_publisher *p, int err, struct awaited_reply *w,
                       struct ssecast_reply **reply)
{
    if (err)
        return err;
    for (ssecast_publisher_process(p); !w->answered; ssecast_publisher_process(p))
        sleep_until(p, INT64_MAX);
    if (reply)
        *reply = w->reply;
    else
        ssecast_reply_free(&w->reply);
    return w->err;
}

int ssecast_publish(struct ssecast_publisher *p, const struct ssecast_event *event,
                    struct ssecast_reply **reply)
{
    struct awaited_reply w = {0};
    int err = make_room(p, reply);
    return wait_answer(p, err ? err : ssecast_publish_async(p, event, answered, &w), &w, reply);
}

int ssecast_publish_batch(struct ssecast_publisher *p, const struct ssecast_event *events,
                          size_t count, struct ssecast_reply **reply)
{
    struct awaited_reply w = {0};
    int err = make_room(p, reply);
    return wait_answer(p, err ? err : ssecast_publish_batch_async(p, events, count, answered, &w),
                       &w, reply);
}

int ssecast_shutdown(struct ssecast_publisher *p, const struct ssecast_shutdown *shutdown,
                     struct ssecast_reply **reply)
{
    struct awaited_reply w = {0};
    int err = make_room(p, reply);
    return wait_answer(p, err ? err : ssecast_shutdown_async(p, shutdown, answered, &w), &w, reply);
}

int ssecast_query(struct ssecast_publisher *p, const char *json, struct ssecast_reply **reply)
{
    struct awaited_reply w = {0};
    int err = make_room(p, reply);
    return wait_answer(p, err ? err : ssecast_query_async(p, json, answered, &w), &w, reply);
}
