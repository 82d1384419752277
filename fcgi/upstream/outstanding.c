#include "upstream/outstanding.h"

#include <stdlib.h>
#include <string.h>

#include "base/must.h"

/* --- lists --- */

static void request_list_init(struct request_list *list)
{
    TAILQ_INIT(&list->requests);
    list->count = 0;
}

static void request_list_add(struct request_list *list, struct upstream_request *q)
{
    q->list = list;
    TAILQ_INSERT_TAIL(&list->requests, q, link);
    list->count++;
}

static void request_unlink(struct upstream_request *q)
{
    MUST(q->list->count > 0);
    TAILQ_REMOVE(&q->list->requests, q, link);
    q->list->count--;
}

static void request_move(struct upstream_request *q, struct request_list *to)
{
    request_unlink(q);
    request_list_add(to, q);
}

static void request_free(struct upstream_request *q)
{
    buf_release(&q->message);
    free(q);
}

static void request_list_release(struct request_list *list)
{
    struct upstream_request *q;
    while ((q = TAILQ_FIRST(&list->requests))) {
        request_unlink(q); // NOLINT(clang-analyzer-unix.Malloc): it unlinks what is freed
        request_free(q);
    }
}

static enum request_class class_of(const struct upstream_request *q)
{
    if (q->purpose != FOR_COMMAND)
        return CLASS_PAGES;
    return q->once ? CLASS_COMMANDS : CLASS_QUESTIONS;
}

static struct request_list *waiting_of(const struct upstream_request *q)
{
    return &q->owner->waiting[class_of(q)];
}

static bool is_in_flight(const struct upstream_request *q)
{
    return q->list == &q->owner->under_way || q->list == &q->owner->asked_once;
}

/* Move q, which may begin or cease to be in flight. */
static void request_pass(struct upstream_request *q, struct request_list *to)
{
    size_t *in_flight = &q->owner->in_flight[class_of(q)];
    bool before = is_in_flight(q);

    request_move(q, to);
    MUST(!before || *in_flight > 0);
    *in_flight -= before;
    *in_flight += is_in_flight(q);
}

/* --- life --- */

void outstanding_init(struct outstanding *o, int64_t retry_ms, int64_t retry_max_ms)
{
    MUST(retry_ms > 0 && retry_ms <= retry_max_ms);
    *o = (struct outstanding){.retry_ms = retry_ms, .least_ms = retry_ms, .most_ms = retry_max_ms};
    for (int i = 0; i < REQUEST_CLASSES; i++)
        request_list_init(&o->waiting[i]);
    request_list_init(&o->under_way);
    request_list_init(&o->asked_once);
    request_list_init(&o->given_up);
}

void outstanding_release(struct outstanding *o)
{
    for (int i = 0; i < REQUEST_CLASSES; i++)
        request_list_release(&o->waiting[i]);
    request_list_release(&o->under_way);
    request_list_release(&o->asked_once);
    request_list_release(&o->given_up);
    o->repair = NULL;
    memset(o->in_flight, 0, sizeof o->in_flight);
}

struct upstream_request *outstanding_new(struct outstanding *o, enum request_purpose purpose,
                                         void *asker)
{
    struct upstream_request *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->owner = o;
    q->purpose = purpose;
    q->asker = asker;
    q->number = ++o->last_number;
    return q;
}

struct upstream_request *outstanding_add(struct outstanding *o, struct upstream_request *q)
{
    MUST(!q->list && !(q->purpose == FOR_REPAIR && o->repair));
    if (q->message.failed) {
        request_free(q);
        return NULL;
    }

    request_list_add(waiting_of(q), q);
    if (q->purpose == FOR_REPAIR)
        o->repair = q;
    return q;
}

void outstanding_drop(struct upstream_request *q)
{
    size_t *in_flight = &q->owner->in_flight[class_of(q)];
    if (q->owner->repair == q)
        q->owner->repair = NULL;

    MUST(!is_in_flight(q) || *in_flight > 0);
    *in_flight -= is_in_flight(q);
    request_unlink(q);
    request_free(q);
}

/* --- sending --- */

static const size_t in_flight_max[REQUEST_CLASSES] = {[CLASS_COMMANDS] = OUTSTANDING_IN_FLIGHT_MAX,
                                                      [CLASS_PAGES] = OUTSTANDING_IN_FLIGHT_MAX,
                                                      [CLASS_QUESTIONS] =
                                                          OUTSTANDING_QUESTIONS_MAX};

struct upstream_request *outstanding_next(const struct outstanding *o)
{
    struct upstream_request *q = NULL;
    if (o->repair && o->repair->list == waiting_of(o->repair))
        return o->repair;

    for (int i = 0; i < REQUEST_CLASSES && !q; i++)
        if (o->in_flight[i] < in_flight_max[i])
            q = TAILQ_FIRST(&o->waiting[i].requests);
    return q;
}

/* Requests under way are in the order in which they were sent. */
struct upstream_request *outstanding_overdue(const struct outstanding *o, int64_t now)
{
    struct upstream_request *q = TAILQ_FIRST(&o->under_way.requests);
    return q && now - q->asked >= o->retry_ms ? q : NULL;
}

void outstanding_sent(struct outstanding *o, struct upstream_request *q, int64_t now)
{
    bool waited = q->list == waiting_of(q);
    MUST(waited || (q->list == &o->under_way && !q->once));
    if (waited)
        q->first = now;
    q->asked = now;
    request_pass(q, q->once ? &o->asked_once : &o->under_way);
}

/* --- answers --- */

static struct upstream_request *request_list_find(const struct request_list *list, uint64_t number)
{
    struct upstream_request *q = TAILQ_FIRST(&list->requests);
    while (q && q->number != number)
        q = TAILQ_NEXT(q, link);
    return q;
}

struct upstream_request *outstanding_find(const struct outstanding *o, uint64_t number)
{
    struct upstream_request *q = request_list_find(&o->asked_once, number);
    return q ? q : request_list_find(&o->under_way, number);
}

void outstanding_adapt(struct outstanding *o, const struct upstream_request *q, int64_t now)
{
    int64_t timeout = 2 * (now - q->first);

    if (timeout < o->least_ms)
        timeout = o->least_ms;
    if (timeout > o->most_ms)
        timeout = o->most_ms;
    o->retry_ms = timeout;
}

void outstanding_lose(struct outstanding *o)
{
    struct upstream_request *q;
    o->retry_ms = o->least_ms;
    while ((q = TAILQ_FIRST(&o->asked_once.requests)))
        request_pass(q, &o->given_up);
    while ((q = TAILQ_FIRST(&o->under_way.requests)))
        request_pass(q, waiting_of(q));
}

struct upstream_request *outstanding_given_up(const struct outstanding *o)
{
    return TAILQ_FIRST(&o->given_up.requests);
}
