/* publish: events over HTTP, for services that do not speak ZeroMQ. POST with the JSON that the
 * broker's publish command takes; the answer is the broker's.
 *
 * A token grants the right to publish, and its targets (token.h). Only application/json is taken: a
 * form of another site, which a browser would send with the cookies of this one and without asking,
 * cannot have that type; a script of another site is asked about first, and cors-origin decides.
 *
 * What is to be published may have been stored although no reply came. So the question is put to
 * the broker once, and the answer says so. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "service/judgement.h"

#define UNSURE                                                                                     \
    "it is unknown whether the event was published: "                                              \
    "send it again with an `id`, so that it is published at most once"

/* How the broker's replies begin (protocol.md). */
#define REPLY_OK "{\"ok\":true"
#define REPLY_ERROR "{\"ok\":false,\"error\":\""

/* The status that goes with the broker's reply. */
static int status_of(struct slice reply)
{
    static const struct {
        const char *beginning;
        int status;
    } rows[] = {
        {REPLY_OK, 200},
        {REPLY_ERROR "forbidden\"", 403},
        {REPLY_ERROR "too_large\"", 413},
        {REPLY_ERROR "busy\"", 503},
        {REPLY_ERROR "store_failed\"", 503},
        {REPLY_ERROR "state_full\"", 503},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_begins(reply, slice_of(rows[i].beginning)))
            return rows[i].status;
    return 400;
}

/* --- permission --- */

/* A claim without targets grants nothing: every request would be refused. */
static bool allows(const struct token *token)
{
    return token->may_publish && !grant_is_empty(&token->publish);
}

static const struct judgement_source source = {token_is_brought, tokens_verify_request};

/* A body takes memory, so the token is judged first. */
static size_t body_max(struct services *services, struct params *params)
{
    size_t max = services->streams->limits.publish_bytes;
    if (!max)
        return 0;

    const struct judgement *j = judgement_of(services, params, &source);
    return j && j->token.verdict == TOKEN_GOOD && allows(&j->token) ? max : 0;
}

/* --- what is sent --- */

static bool is_json(const char *type)
{
    size_t len = type ? strcspn(type, "; \t") : 0;
    return len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0;
}

/* Why the body cannot be published; true when c was answered. */
static bool refuse_body(struct call *c, const struct params *params)
{
    unsigned long long max = c->services->streams->limits.publish_bytes;
    uint64_t length = params_content_length(params);
    switch (params->body_state) {
    case BODY_TOO_LARGE:
        call_refuse(c, 413, "too_large", "the request has more than %llu bytes (--publish-bytes)",
                    max);
        return true;
    case BODY_NO_ROOM:
        call_refuse(c, 503, "unavailable", "too many requests are pending; nothing was published");
        return true;
    case BODY_WHOLE:
        if (length == UINT64_MAX || length == params->body_len)
            return false;
        break;
    default:
        break;
    }
    call_refuse(c, 400, "bad_request",
                "the request ended before it was complete; nothing was published");
    return true;
}

static void publish_ask(struct call *c, const struct token *token, const struct params *params)
{
    struct grant grant = token->publish;
    grant.roles = ROLE_EVENTS;
    if (!allows(token))
        call_refuse(c, 403, "forbidden", "this token may not publish");
    else if (!is_json(params_get(params, "CONTENT_TYPE")))
        call_refuse(c, 415, "unsupported_media_type",
                    "the request is not JSON; accepted: Content-Type: application/json");
    else if (!refuse_body(c, params))
        call_ask(c, &grant, (struct slice){params->body, params->body_len}, false);
}

static void publish_begin(struct call *c, struct params *params)
{
    if (!c->services->streams->limits.publish_bytes) {
        call_refuse(c, 404, "not_found", "publishing over HTTP is off (option publish)");
        return;
    }

    const struct token *token = judgement_token(judgement_of(c->services, params, &source), c);
    if (token)
        publish_ask(c, token, params);
}

static void replied(struct call *c, struct slice json)
{
    call_answer(c, status_of(json), "", "application/json", json);
}

static void answered(struct call *c, int status)
{
    c->services->streams->counters[status == 200 ? PUBLISHES_HTTP : PUBLISHES_HTTP_REFUSED]++;
}

const struct service service_publish = {
    .name = "publish",
    .methods = "POST, OPTIONS",
    .cross_origin = true,
    .unsure = UNSURE,
    .body_max = body_max,
    .begin = publish_begin,
    .replied = replied,
    .answered = answered,
};
