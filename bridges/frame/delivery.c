/* Requests are lists of events, also for one event: so no member of a message can be taken for one
 * of the request. */
#define LOG_SUBSYSTEM "delivery"
#include "frame/delivery.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/backoff.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/must.h"
#include "ops/log.h"

#define FIRST_WAIT_MS 200
#define LAST_WAIT_MS 10000

enum delivery_step { STEP_COLLECTING, STEP_PENDING, STEP_WAITING, STEP_DONE };

struct delivery {
    struct ssecast_publisher *publisher;
    char *broker;
    enum delivery_step step;
    struct buf text;                /* the objects, with commas between them */
    size_t ends[DELIVERY_MESSAGES]; /* where each ends in text */
    struct delivery_outcome outcomes[DELIVERY_MESSAGES];
    size_t count;
    bool singly;    /* the batch was refused: its messages one by one */
    size_t current; /* singly: which */
    int64_t again_at;
    struct backoff backoff;
    struct delivery_counts counts;
};

int delivery_new(struct delivery **out, const struct ssecast_publisher_options *options,
                 const char *broker)
{
    struct delivery *d = *out = calloc(1, sizeof **out);
    if (!d)
        return -ENOMEM;

    d->backoff =
        (struct backoff){.retry_ms = FIRST_WAIT_MS, .max_ms = LAST_WAIT_MS, .jitter_percent = 25};
    d->broker = strdup(broker);
    int err = d->broker ? ssecast_publisher_new(&d->publisher, options) : -ENOMEM;
    if (err)
        delivery_free(out);
    return err;
}

void delivery_free(struct delivery **d)
{
    if (!*d)
        return;
    ssecast_publisher_free(&(*d)->publisher);
    buf_release(&(*d)->text);
    free((*d)->broker);
    free(*d);
    *d = NULL;
}

/* ---- the batch ---- */

bool delivery_add(struct delivery *d, struct slice object)
{
    if (d->step != STEP_COLLECTING || d->count == DELIVERY_MESSAGES ||
        (d->count && d->text.len + object.len > DELIVERY_BYTES))
        return false;

    size_t before = d->text.len;
    if (d->count)
        buf_put(&d->text, ",", 1);
    buf_put_slice(&d->text, object);
    if (d->text.failed) {
        d->text.len = before;
        d->text.failed = false;
        return false;
    }
    d->ends[d->count++] = d->text.len;
    return true;
}

size_t delivery_count(const struct delivery *d)
{
    return d->count;
}

bool delivery_pending(const struct delivery *d)
{
    return d->step != STEP_COLLECTING;
}

static struct slice object_at(const struct delivery *d, size_t index)
{
    MUST(index < d->count);
    size_t begin = index ? d->ends[index - 1] + 1 : 0;
    return (struct slice){d->text.data + begin, d->ends[index] - begin};
}

const struct delivery_outcome *delivery_outcome(const struct delivery *d, size_t index)
{
    MUST(d->step == STEP_DONE && index < d->count);
    return &d->outcomes[index];
}

void delivery_end(struct delivery *d)
{
    MUST(d->step == STEP_DONE);
    d->step = STEP_COLLECTING;
    d->count = 0;
    d->text.len = 0;
}

/* ---- answers ---- */

bool delivery_code_passes(const char *code)
{
    static const char *const passing[] = {"store_failed", "busy"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (strcmp(code, passing[i]) == 0)
            return true;
    return false;
}

static void submit(struct delivery *d);

static void wait_and_retry(struct delivery *d, const char *why)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = UINT32_MAX / 2;
    d->backoff.failures++;
    d->again_at = clock_ms() + (int64_t)backoff_wait(&d->backoff, random);
    d->step = STEP_WAITING;
    if (d->backoff.failures == 1)
        log_each_event(LOG_WARN, "publish failed; retrying", log_name("broker", d->broker),
                       log_name("reason", why), log_count("messages", d->count));
}

static void delivery_settle(struct delivery *d, size_t index, const char *why)
{
    struct delivery_outcome *o = &d->outcomes[index];
    o->refused = why != NULL;
    snprintf(o->why, sizeof o->why, "%s", why ? why : "");
    d->counts.refused += why != NULL;
    d->counts.published += why == NULL;
}

static void advance(struct delivery *d)
{
    if (++d->current < d->count)
        submit(d);
    else
        d->step = STEP_DONE;
}

static void accepted(struct delivery *d)
{
    if (d->backoff.failures)
        log_each_event(LOG_INFO, "broker accepts events again", log_name("broker", d->broker));
    d->backoff.failures = 0;
    if (d->singly) {
        delivery_settle(d, d->current, NULL);
        advance(d);
        return;
    }

    for (size_t i = 0; i < d->count; i++)
        delivery_settle(d, i, NULL);
    d->step = STEP_DONE;
}

/* why: the code and the message of the broker. */
static void refused(struct delivery *d, const char *why)
{
    d->backoff.failures = 0;
    if (d->singly || d->count == 1) {
        delivery_settle(d, d->current, why);
        advance(d);
        return;
    }

    d->singly = true;
    submit(d);
}

static const char *reason(const struct delivery *d, int err)
{
    const char *problem = ssecast_publisher_problem(d->publisher);
    if (err == -EHOSTUNREACH && *problem)
        return problem;
    if (err == -EHOSTUNREACH || err == -ETIMEDOUT)
        return "no answer";
    return err == -EBADMSG ? "the peer is not ssecast-broker" : strerror(-err);
}

static void on_reply(void *context, int err, struct ssecast_reply *reply)
{
    struct delivery *d = context;
    char why[DELIVERY_WHY];
    if (err == -ECANCELED)
        return;

    MUST(d->step == STEP_PENDING);
    if (err == 0) {
        accepted(d);
    } else if (err != -EREMOTEIO) {
        wait_and_retry(d, reason(d, err));
    } else {
        snprintf(why, sizeof why, "%s: %s", ssecast_reply_code(reply),
                 ssecast_reply_message(reply));
        if (delivery_code_passes(ssecast_reply_code(reply)))
            wait_and_retry(d, why);
        else
            refused(d, why);
    }
}

/* ---- requests ---- */

static struct slice events(const struct delivery *d)
{
    return d->singly ? object_at(d, d->current) : (struct slice){d->text.data, d->text.len};
}

/* Submit the batch, or the current message. -EINVAL: it cannot be a request. */
static int submit_events(struct delivery *d)
{
    struct buf request = {0};
    buf_put_slice(&request, slice_of("{\"op\":\"publish\",\"events\":["));
    buf_put_slice(&request, events(d));
    buf_put_slice(&request, slice_of("]}"));
    buf_terminate(&request);
    int err =
        request.failed ? -ENOMEM : ssecast_query_async(d->publisher, request.data, on_reply, d);
    buf_release(&request);
    return err;
}

static void submit(struct delivery *d)
{
    MUST(d->count && d->current < d->count);
    d->step = STEP_PENDING;
    int err = submit_events(d);
    if (err == -EINVAL)
        refused(d, "bad_request: it cannot be part of a request");
    else if (err)
        wait_and_retry(d, strerror(-err));
}

void delivery_begin(struct delivery *d)
{
    MUST(d->step == STEP_COLLECTING && d->count);
    d->singly = false;
    d->current = 0;
    submit(d);
}

bool delivery_process(struct delivery *d)
{
    ssecast_publisher_process(d->publisher);
    if (d->step == STEP_WAITING && clock_ms() >= d->again_at)
        submit(d);
    return d->step == STEP_DONE;
}

int delivery_fd(const struct delivery *d)
{
    return ssecast_publisher_fd(d->publisher);
}

int delivery_timeout(const struct delivery *d)
{
    int timeout = ssecast_publisher_next_timeout(d->publisher);
    if (d->step == STEP_DONE)
        return 0;
    if (d->step != STEP_WAITING)
        return timeout;

    int64_t rest = d->again_at - clock_ms();
    if (rest < 0)
        rest = 0;
    return timeout >= 0 && timeout < rest ? timeout : (int)rest;
}

struct delivery_counts delivery_counts(const struct delivery *d)
{
    return d->counts;
}
