#include "service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_out.h"
#include "monitor.h"

static const struct service *const services[] = {&service_healthz};
#define SERVICES (sizeof services / sizeof services[0])

/* The last segment of the path: PATH_INFO and SCRIPT_NAME differ from one web server to the next, REQUEST_URI does not. */
static struct slice last_segment(const char *uri)
{
    size_t len = strcspn(uri, "?#"), from = len;
    while (from && uri[from - 1] != '/')
        from--;
    return (struct slice){uri + from, len - from};
}

const struct service *service_find(const struct params *params)
{
    const char *uri = params_get(params, "REQUEST_URI"), *method = params_get(params, "REQUEST_METHOD");
    struct slice name = uri ? last_segment(uri) : (struct slice){0};
    if (method && strcmp(method, "OPTIONS") == 0)
        return NULL; /* a preflight is the same for all */
    for (size_t i = 0; i < SERVICES; i++)
        if (slice_equal(name, slice_of(services[i]->name)))
            return services[i];
    return NULL;
}

static bool method_accepted(const struct service *service, const char *method)
{
    size_t len = method ? strlen(method) : 0;
    const char *at = len ? strstr(service->methods, method) : NULL;
    return at && (at[len] == ',' || !at[len]) && (at == service->methods || at[-1] == ' ');
}

static void too_late(void *context, int64_t now)
{
    struct call *c = context;
    (void)now;
    call_refuse(c, 503, "unavailable", "the broker has not replied within %d s", SERVICE_PATIENCE_MS / 1000);
}

void service_begin(struct stream *s, const struct service *service, const struct params *params)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    struct call *c = calloc(1, sizeof *c);
    if (!c) {
        conn_cut(&s->conn, END_CLIENT);
        return;
    }
    *c = (struct call){.stream = s, .service = service, .deadline = {.fire = too_late, .context = c}};
    s->call = c;
    if (service->monitors && !monitor_allows(s->set->monitor, params))
        call_refuse(c, 403, "forbidden", "this is not for you");
    else if (method_accepted(service, method))
        service->begin(c, params);
    else
        call_refuse(c, 405, "method_not_allowed", "%.20s is not accepted here; accepted: %s",
                    method ? method : "no method", service->methods);
}

void call_ask(struct call *c, const struct grant *grant, struct slice json, bool again)
{
    struct streams *set = c->stream->set;
    c->question = upstream_command(set->upstream, c, grant, json, again);
    if (c->question)
        loop_timer_set(set->loop, &c->deadline, loop_now(set->loop) + SERVICE_PATIENCE_MS);
    else
        call_refuse(c, 503, "unavailable", "out of memory");
}

void service_replied(void *context, void *asker, struct slice json)
{
    struct call *c = asker;
    (void)context;
    c->question = NULL;
    c->service->replied(c, json);
}

void call_answer(struct call *c, int status, const char *headers, const char *type, struct slice body)
{
    struct stream *s = c->stream;
    struct answer answer = {.status = status,
                            .allow = status == 405 ? c->service->methods : NULL,
                            .headers = headers,
                            .type = type,
                            .body = body};
    stream_send_text(s, reply_answer(&s->set->reply_rules, &answer));
    conn_end(&s->conn, END_CLIENT);
    call_free(&s->call);
}

void call_refuse(struct call *c, int status, const char *error, const char *format, ...)
{
    char message[256];
    struct json_out out = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_begin_object(&out, NULL);
    json_put_text(&out, "error", slice_of(error));
    json_put_text(&out, "message", slice_of(message));
    json_end_object(&out);
    call_answer(c, status, "", "application/json", (struct slice){out.data, out.failed ? 0 : out.len});
    json_out_release(&out);
}

void call_free(struct call **c)
{
    if (!*c)
        return;
    loop_timer_stop(&(*c)->deadline);
    upstream_forget(&(*c)->question);
    free((*c)->state);
    free(*c);
    *c = NULL;
}
