#include "service/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/must.h"
#include "service/monitor.h"
#include "stream/limits.h"

static const struct service *const services[] = {
    &service_publish, &service_healthz, &service_metrics, &service_status, &service_presence};
#define SERVICES (sizeof services / sizeof services[0])

static bool is_preflight(const char *method)
{
    return method && strcmp(method, "OPTIONS") == 0;
}

static const struct service *named(struct slice name)
{
    for (size_t i = 0; i < SERVICES; i++)
        if (slice_equal(name, slice_of(services[i]->name)))
            return services[i];
    return NULL;
}

/* Subscribers of the hub are streams. */
static const struct service *hub_service(const struct params *params)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    bool publishes = method && strcmp(method, "POST") == 0;
    return publishes || is_preflight(method) ? &service_mercure : NULL;
}

bool service_find(const struct services *set, const struct params *params,
                  const struct service **service, bool *hub)
{
    struct route route = route_find(&set->route_rules, params);
    *hub = route.kind == ROUTE_MERCURE;
    if (*hub) {
        *service = hub_service(params);
        return true;
    }
    if (route.kind == ROUTE_SUBSCRIPTIONS) {
        *service = &service_subscriptions;
        return true;
    }
    *service = route.name.len ? named(route.name) : NULL;

    bool found = route.kind == ROUTE_STREAMS || route.kind == ROUTE_EITHER || *service;
    if (*service && !(*service)->cross_origin && is_preflight(params_get(params, "REQUEST_METHOD")))
        *service = NULL; /* the answer is that for streams */
    return found;
}

static bool method_accepted(const struct service *service, const char *method)
{
    size_t len = method ? strlen(method) : 0;
    const char *at = len ? strstr(service->methods, method) : NULL;
    return at && (at[len] == ',' || !at[len]) && (at == service->methods || at[-1] == ' ');
}

size_t service_body_max(struct services *set, struct params *params)
{
    const struct service *service;
    bool hub;
    service_find(set, params, &service, &hub);
    bool wants = service && service->body_max &&
                 method_accepted(service, params_get(params, "REQUEST_METHOD"));
    return wants ? service->body_max(set, params) : 0;
}

/* No reply from the broker, and there will be none. */
static void give_up(struct call *c, bool asked)
{
    if (c->service->unanswered)
        c->service->unanswered(c);
    else if (!asked)
        call_refuse(c, 503, "unavailable", "no broker is connected; nothing was done");
    else
        call_refuse(c, 503, "unavailable", "the broker has not replied%s%s",
                    c->service->unsure ? "; " : "", c->service->unsure ? c->service->unsure : "");
}

/* --- those that wait for the broker --- */

static void watch_over(struct services *set)
{
    const struct call *first = TAILQ_FIRST(&set->waiting);
    if (first && !set->call_timer.due)
        loop_timer_set(set->streams->loop, &set->call_timer, first->deadline);
}

static void too_late(void *context, int64_t now)
{
    struct services *set = context;
    struct call *c;
    while ((c = TAILQ_FIRST(&set->waiting)) && c->deadline <= now)
        give_up(c, upstream_was_sent(c->pending));
    watch_over(set);
}

void services_give_up(struct services *set)
{
    struct call *c;
    while ((c = TAILQ_FIRST(&set->waiting)))
        give_up(c, upstream_was_sent(c->pending));
}

void services_init(struct services *set)
{
    TAILQ_INIT(&set->waiting);
    set->call_timer = (struct loop_timer){.fire = too_late, .context = set};
}

void services_release(struct services *set)
{
    MUST(TAILQ_EMPTY(&set->waiting) && !set->asked_bytes);

    loop_timer_stop(&set->call_timer);
    status_release(set);
}

/* Safe when c does not wait. */
static void end_wait(struct call *c)
{
    struct services *set = c->services;
    if (!c->deadline)
        return;

    TAILQ_REMOVE(&set->waiting, c, link);
    MUST(set->asked_bytes >= c->asked_bytes);
    set->asked_bytes -= c->asked_bytes;
    c->deadline = 0;
}

static void begin_wait(struct call *c, size_t bytes)
{
    struct services *set = c->services;
    end_wait(c); /* it asks again */
    c->deadline = loop_now(set->streams->loop) + SERVICE_TIMEOUT_MS;
    c->asked_bytes = bytes;
    set->asked_bytes += bytes;
    TAILQ_INSERT_TAIL(&set->waiting, c, link);
    watch_over(set);
}

/* --- requests --- */

static void answer_preflight(struct call *c)
{
    exchange_finish(&c->exchange, reply_preflight(&c->services->streams->reply_rules, c->origin,
                                                  c->service->methods,
                                                  c->service == &service_mercure
                                                      ? MERCURE_HEADERS
                                                      : "Authorization, Content-Type"));
}

/* A page of another site may have made its own name lead here, and would read the answer. */
static void refuse_host(struct call *c)
{
    call_refuse(
        c, 403, "forbidden",
        "this host name is not accepted; accepted: "
        "an IP address, localhost, a name of the option monitor-host, or the monitor token");
}

/* This request may not see how the system is. */
static void turn_away(struct call *c)
{
    bool asks = c->service->asks && monitor_asks(c->services->monitor);
    c->headers = asks ? "WWW-Authenticate: Basic realm=\"ssecast\", charset=\"UTF-8\"\r\n" : NULL;
    if (asks)
        call_refuse(c, 401, "unauthorized",
                    "monitor token required, as the password of any user name");
    else
        call_refuse(
            c, 403, "forbidden",
            "access denied; accepted: an address of the option monitor-from, or the monitor token");
}

/* May the sender see how the system is? False: c was answered. Who guesses tokens too fast is
 * not worth comparing one. */
static bool admit(struct call *c, const struct params *params)
{
    struct services *set = c->services;
    switch (monitor_judge(set->monitor, params, c->service->guarded)) {
    case MONITOR_SHOWN:
        return true;
    case MONITOR_HOST:
        refuse_host(c);
        return false;
    case MONITOR_TOKEN:
        break;
    case MONITOR_HIDDEN:
        turn_away(c);
        return false;
    }
    if (!limits_admit_token(set->streams, params))
        call_refuse_rate(c);
    else if (monitor_token_good(set->monitor, params))
        return true;
    else
        turn_away(c);
    return false;
}

static void service_start(struct call *c, struct params *params)
{
    const struct services *set = c->services;
    const char *method = params_get(params, "REQUEST_METHOD");
    c->head = method && strcmp(method, "HEAD") == 0;
    if (c->service->cross_origin)
        c->origin = request_origin(params, set->streams->reply_rules.cors_origins);
    if (c->service->monitors && !admit(c, params))
        return;
    if (is_preflight(method))
        answer_preflight(c);
    else if (method_accepted(c->service, method))
        c->service->begin(c, params);
    else
        call_refuse(c, 405, "method_not_allowed", "%.20s is not accepted here; accepted: %s",
                    method ? method : "no method", c->service->methods);
}

/* c ended in any way: its reply is no longer of use. */
static void call_closed(struct conn *conn)
{
    struct call *c = (struct call *)conn;
    MUST(c->exchange.role == EXCHANGE_CALL);

    if (c->service->closed)
        c->service->closed(c);
    end_wait(c);
    upstream_forget(c->services->streams->upstream, &c->pending);

    free(c->state);
    free(c->origin);
    c->state = NULL;
    c->origin = NULL;
    exchange_leave(&c->exchange);
}

static void call_drained(struct conn *conn)
{
    (void)conn; /* a service sends when it has something to say */
}

static const struct conn_hooks call_hooks = {.closed = call_closed, .drained = call_drained};

void service_begin(struct services *set, const struct service *service, const struct incoming *in)
{
    struct call *c = exchange_new(set->streams->exchanges, in, sizeof *c);
    if (!c)
        return;

    c->services = set;
    c->service = service;
    exchange_become(&c->exchange, EXCHANGE_CALL, &call_hooks);
    service_start(c, in->params);
}

void call_ask(struct call *c, const struct grant *grant, struct slice json, bool again)
{
    struct services *set = c->services;
    if (json.len > SERVICE_ASKED_MAX - set->asked_bytes) {
        call_refuse(c, 503, "unavailable", "too many requests are pending; nothing was done");
        return;
    }
    c->pending = upstream_command(set->streams->upstream, c, grant, json, again);
    if (!c->pending) {
        call_refuse(c, 503, "unavailable", "out of memory; nothing was done");
        return;
    }
    begin_wait(c, json.len);
}

void service_replied(struct call *c, struct slice json)
{
    c->pending = NULL;
    if (json.len)
        c->service->replied(c, json);
    else if (!c->streams)
        give_up(c, true);
}

void call_answer(struct call *c, int status, const char *headers, const char *type,
                 struct slice body)
{
    struct answer answer = {.status = status,
                            .allow = status == 405 ? c->service->methods : NULL,
                            .origin = c->origin,
                            .headers = headers,
                            .type = type,
                            .body = body,
                            .head = c->head};
    if (c->service->answered)
        c->service->answered(c, status);
    exchange_finish(&c->exchange, reply_answer(&c->services->streams->reply_rules, &answer));
}

void call_refuse(struct call *c, int status, const char *error, const char *format, ...)
{
    char message[256];
    struct buf out = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_begin_object(&out, NULL);
    json_put_text(&out, "error", slice_of(error));
    json_put_text(&out, "message", slice_of(message));
    json_end_object(&out);
    call_answer(c, status, c->headers ? c->headers : "", "application/json",
                (struct slice){out.data, out.failed ? 0 : out.len});
    buf_release(&out);
}

void call_refuse_rate(struct call *c)
{
    c->services->streams->counters[SHED_RATE]++;
    c->headers = "Retry-After: 1\r\n";
    call_refuse(c, 429, "rate_limited",
                "too many requests from this address; retry in a second (connect-rate)");
}
