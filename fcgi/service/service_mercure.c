/* mercure: updates that publishers of the Mercure protocol send to the hub (docs/mercure.md). POST
 * with a form; the answer is the update's id.
 *
 * A topic is a channel, so an update becomes a publish request for these channels. A token
 * grants the topics. A token in a cookie comes from the browser by itself: then the page's
 * origin has to be one that is trusted.
 *
 * An id that was used before does not make an update a duplicate, as it does elsewhere: the update
 * is published again, without the id. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/must.h"
#include "base/name.h"
#include "codec/event.h"
#include "codec/json_in.h"
#include "codec/sse.h"
#include "codec/subscription.h"
#include "http/form.h"
#include "service/judgement.h"

#define TOPICS_MAX REQUEST_CHANNELS_MAX
#define UNSURE "it is unknown whether the update was published"

/* --- permission --- */

/* A body takes memory, so the token is judged first. */
static size_t body_max(struct services *services, struct params *params)
{
    const struct judgement *j = judgement_of(services, params, &judgement_hub);
    bool may = j && j->token.verdict == TOKEN_GOOD && j->token.mercure.publish.count;
    return may ? services->streams->mercure.publish_bytes : 0;
}

static void refuse_scope(struct call *c, const char *what)
{
    c->headers = "WWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n";
    call_refuse(c, 403, "insufficient_scope", "this token may not publish %s", what);
}

/* --- the form --- */

/* An update, and the text that its fields are in. It is a call's state, so it is one allocation. */
struct update {
    struct slice topics[TOPICS_MAX];
    size_t topic_count;
    struct slice data, id, type, publisher;
    enum hub_dialect dialect; /* of the token */
    uint64_t retry;
    bool has_retry, is_private;
    unsigned char seen; /* bits of single_fields */
    char text[];        /* the form, then the publisher */
};

static bool has_topic(const struct update *u, struct slice topic)
{
    for (size_t i = 0; i < u->topic_count; i++)
        if (slice_equal(u->topics[i], topic))
            return true;
    return false;
}

/* What is wrong with a form. The text lives until the next one. */
__attribute__((format(printf, 1, 2))) static const char *refusal(const char *format, ...)
{
    static char why[256];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return why;
}

/* Each returns NULL, or what is wrong with the value. */

static const char *set_topic(struct update *u, const struct mercure_rules *rules,
                             struct slice value)
{
    const char *fault = mercure_check_topic(rules, u->dialect, value);
    if (fault)
        return refusal("topic %zu is not valid; %s", u->topic_count + 1, fault);
    if (slice_equal(value, slice_of("*")) ||
        memmem(value.data, value.len, HUB_RESERVED, strlen(HUB_RESERVED)))
        return "topic is reserved; accepted: neither * nor one of the hub's own subscriptions";
    if (has_topic(u, value))
        return NULL;

    size_t most = rules->max_topics < TOPICS_MAX ? rules->max_topics : TOPICS_MAX;
    if (u->topic_count == most)
        return refusal("too many topics; accepted: at most %zu (max-channels)", most);
    u->topics[u->topic_count++] = value;
    return NULL;
}

/* An id that cannot be a cursor of ours is left out: a hub may choose its own. */
static const char *set_id(struct update *u, struct slice value)
{
    if ((value.len && value.data[0] == '#') || slice_equal(value, slice_of("earliest")))
        return "id is reserved; accepted: neither earliest nor a # at the beginning";
    if (memchr(value.data, '\r', value.len) || memchr(value.data, '\n', value.len) ||
        memchr(value.data, 0, value.len))
        return "id is not valid; accepted: one line without zero bytes";
    if (value.len && own_id_valid(value))
        u->id = value;
    return NULL;
}

static const char *set_type(struct update *u, struct slice value)
{
    bool reserved =
        slice_equal(value, slice_of("mercure")) || slice_begins(value, slice_of(EVENT_RESERVED));
    if (reserved || !sse_valid_event(value) || !utf8_valid(value))
        return "type is not valid; accepted: "
               "one line of UTF-8, at most 255 bytes, neither mercure nor beginning "
               "with " EVENT_RESERVED;
    u->type = value;
    return NULL;
}

static const char *set_retry(struct update *u, struct slice value)
{
    static const char rule[] =
        "retry is not valid; accepted: a number of at most 10 digits, in milliseconds";
    uint64_t number = 0;
    if (!value.len || value.len > 10)
        return rule;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return rule;
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    }
    u->retry = number;
    u->has_retry = true;
    return NULL;
}

static const char *set_data(struct update *u, struct slice value)
{
    if (!utf8_valid(value))
        return "data is not valid; accepted: UTF-8";
    u->data = value;
    return NULL;
}

/* The fields that an update has once. */
static const struct {
    const char *name;
    const char *(*set)(struct update *u, struct slice value);
} single_fields[] = {{"data", set_data}, {"id", set_id}, {"type", set_type}, {"retry", set_retry}};

#define SINGLE_FIELDS (sizeof single_fields / sizeof single_fields[0])
_Static_assert(SINGLE_FIELDS <= 8, "they are bits of an update's `seen`");

static const char *set_single(struct update *u, size_t field, struct slice value)
{
    unsigned bit = 1u << field;
    MUST(field < SINGLE_FIELDS);
    if (u->seen & bit)
        return refusal("the form names %s twice; accepted: once", single_fields[field].name);

    u->seen = (unsigned char)(u->seen | bit);
    return single_fields[field].set(u, value);
}

/* Other fields are ignored, as the protocol wants it. */
static const char *set_field(struct update *u, const struct mercure_rules *rules,
                             const struct form_field *f)
{
    if (slice_equal(f->name, slice_of("topic")))
        return set_topic(u, rules, f->value);
    if (slice_equal(f->name, slice_of("private")))
        u->is_private = true;

    for (size_t i = 0; i < SINGLE_FIELDS; i++)
        if (slice_equal(f->name, slice_of(single_fields[i].name)))
            return set_single(u, i, f->value);
    return NULL;
}

/* An update of this body. NULL when out of memory; *fault: what is wrong with it, or NULL. */
static struct update *read_update(const struct mercure_rules *rules, const struct params *params,
                                  const struct token *token, const char **fault)
{
    struct form_field field;
    struct slice publisher = token->publish.publisher;
    struct update *u = calloc(1, sizeof *u + params->body_len + publisher.len + 1);
    if (!u)
        return NULL;

    if (params->body_len)
        memcpy(u->text, params->body, params->body_len);
    if (publisher.len)
        memcpy(u->text + params->body_len, publisher.data, publisher.len);
    u->dialect = token->access ? HUB_1_0 : HUB_0_X;
    u->publisher = (struct slice){u->text + params->body_len, publisher.len};

    struct form form = form_open(u->text, params->body_len);
    *fault = NULL;
    while (!*fault && form_next(&form, &field))
        *fault = set_field(u, rules, &field);
    if (!*fault && !u->topic_count)
        *fault = "the form names no topic; accepted: one field `topic` or more";
    return u;
}

/* --- what the broker is sent --- */

static bool publishes_all(const struct selectors *granted)
{
    for (size_t i = 0; i < granted->count; i++)
        if (granted->items[i].kind == SELECTOR_ALL)
            return true;
    return false;
}

static void put_request(struct buf *out, const struct update *u, bool with_id)
{
    json_begin_object(out, NULL);
    json_put_text(out, "op", slice_of("publish"));
    json_put_text(out, "text", u->data);
    if (u->type.len)
        json_put_text(out, "event", u->type);
    if (with_id && u->id.len)
        json_put_text(out, "id", u->id);
    if (u->has_retry)
        json_put_count(out, "retry", u->retry);
    if (u->is_private)
        json_put_flag(out, "private", true);
    json_begin_object(out, "to");
    json_begin_list(out, "channels");
    for (size_t i = 0; i < u->topic_count; i++)
        json_put_text(out, NULL, u->topics[i]);
    json_end_list(out);
    json_end_object(out);
    json_end_object(out);
}

/* The grant is for this update's topics and no others,
 * unless a retry time needs one without limits. */
static void mercure_ask(struct call *c, const struct update *u, bool with_id)
{
    struct buf out = {0};
    struct grant grant = {.roles = ROLE_EVENTS,
                          .limited = !u->has_retry,
                          .channels = {u->topics, u->topic_count},
                          .publisher = u->publisher};
    put_request(&out, u, with_id);
    if (out.failed)
        call_refuse(c, 503, "unavailable", "out of memory; nothing was published");
    else if (out.len > WIRE_COMMAND_JSON_MAX)
        call_refuse(c, 413, "too_large",
                    "the update is too large; accepted: at most %u bytes as JSON",
                    WIRE_COMMAND_JSON_MAX);
    else
        call_ask(c, &grant, (struct slice){out.data, out.len}, false);
    buf_release(&out);
}

/* True when c was answered. */
static bool refuse_body(struct call *c, const struct params *params)
{
    uint64_t length = params_content_length(params);
    if (params->body_state == BODY_TOO_LARGE)
        call_refuse(c, 413, "too_large",
                    "the form is too large; accepted: at most %zu bytes (publish-bytes)",
                    c->services->streams->mercure.publish_bytes);
    else if (params->body_state == BODY_NO_ROOM)
        call_refuse(c, 503, "unavailable", "too many requests are pending; nothing was published");
    else if (params->body_state != BODY_WHOLE ||
             (length != UINT64_MAX && length != params->body_len))
        call_refuse(c, 400, "bad_request",
                    "the request ended before it was complete; nothing was published");
    else
        return false;
    return true;
}

static void publish(struct call *c, const struct token *token, const struct params *params)
{
    const char *fault = NULL;
    if (refuse_body(c, params))
        return;

    struct update *u = read_update(&c->services->streams->mercure, params, token, &fault);
    c->state = u;
    if (!u) {
        call_refuse(c, 503, "unavailable", "out of memory; nothing was published");
        return;
    }
    if (fault) {
        call_refuse(c, 400, "bad_request", "%s", fault);
        return;
    }
    for (size_t i = 0; i < u->topic_count; i++)
        if (!selectors_match(&token->mercure.publish, u->topics[i])) {
            refuse_scope(c, "to all of these topics");
            return;
        }

    if (!publishes_all(&token->mercure.publish))
        u->has_retry = false; /* a stream has one retry time for all of its topics */
    mercure_ask(c, u, true);
}

/* The token is good. */
static void publish_with(struct call *c, const struct token *token, const struct params *params)
{
    if (token->from_cookie &&
        !mercure_trusts_origin(params, c->services->streams->mercure.cors_origins))
        call_refuse(c, 403, "forbidden_origin",
                    "a token in a cookie is not accepted from this origin; "
                    "accepted: the host's own, or cors-origin");
    else if (!token->mercure.publish.count)
        refuse_scope(c, "updates");
    else if (!form_type(params_get(params, "CONTENT_TYPE")))
        call_refuse(
            c, 415, "unsupported_media_type",
            "the request is not a form; accepted: Content-Type: application/x-www-form-urlencoded");
    else
        publish(c, token, params);
}

static void mercure_begin(struct call *c, struct params *params)
{
    const struct judgement *j = judgement_of(c->services, params, &judgement_hub);
    const struct token *token = judgement_hub_token(j, c, params);
    if (token)
        publish_with(c, token, params);
}

/* --- the broker's reply --- */

static int status_of(struct slice error)
{
    static const struct {
        const char *error;
        int status;
    } rows[] = {{"forbidden", 403}, {"too_large", 413}, {"busy", 503}, {"store_failed", 503}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (slice_equal(error, slice_of(rows[i].error)))
            return rows[i].status;
    return 400;
}

#define MESSAGE_SIZE 200u /* less than a refusal has, for UNSURE behind it */

/* The broker's message, with the form's name of the field that it begins with. */
static void translate(struct slice message, char out[MESSAGE_SIZE])
{
    static const char *const names[][2] = {
        {"`event", "`type"}, {"`text", "`data"}, {"`to.channels", "`topic"}, {"`to", "`topic"}};
    const char *name = "";
    for (size_t i = 0; !*name && i < sizeof names / sizeof names[0]; i++)
        if (slice_begins(message, slice_of(names[i][0]))) {
            name = names[i][1];
            message = (struct slice){message.data + strlen(names[i][0]),
                                     message.len - strlen(names[i][0])};
        }
    snprintf(out, MESSAGE_SIZE, "%s%.*s", name, (int)message.len, message.len ? message.data : "");
}

/* The hub's errors have one shape, wherever they arise. reply is NULL when it was no JSON. */
static void refuse_reply(struct call *c, const struct json_in *reply)
{
    struct slice error = json_in_text(json_in_member(reply, "error"));
    char code[40], message[MESSAGE_SIZE];
    if (!error.len) {
        call_refuse(c, 503, "unavailable", "the broker's reply is not valid; " UNSURE);
        return;
    }
    snprintf(code, sizeof code, "%.*s", (int)error.len, error.data);
    translate(json_in_text(json_in_member(reply, "message")), message);
    bool unsure = json_in_is_true(json_in_member(reply, "unknown"));
    call_refuse(c, status_of(error), code, "%s%s", message, unsure ? "; " UNSURE : "");
}

/* The id that the update shows on the hub's streams. */
static void answer_id(struct call *c, const struct update *u, const struct json_in *reply,
                      bool with_id)
{
    char own[32];
    bool shown = with_id && u->id.len && !json_in_is_true(json_in_member(reply, "seq_as_id"));
    snprintf(own, sizeof own, "#%.0f", json_in_number(json_in_member(reply, "seq")));
    call_answer(c, 200, "", "text/plain; charset=utf-8", shown ? u->id : slice_of(own));
}

static void replied(struct call *c, struct slice json)
{
    struct update *u = c->state;
    struct json_in *reply = json_in_parse(json);
    MUST(u);

    if (!json_in_is_true(json_in_member(reply, "ok"))) {
        refuse_reply(c, reply);
    } else if (json_in_is_true(json_in_member(reply, "duplicate"))) {
        u->id = (struct slice){0};
        mercure_ask(c, u, false);
    } else {
        answer_id(c, u, reply, u->id.len > 0);
    }
    json_in_free(&reply);
}

static void answered(struct call *c, int status)
{
    c->services->streams->counters[status == 200 ? PUBLISHES_HTTP : PUBLISHES_HTTP_REFUSED]++;
}

const struct service service_mercure = {
    .name = "mercure",
    .methods = MERCURE_METHODS,
    .cross_origin = true,
    .unsure = UNSURE,
    .body_max = body_max,
    .begin = mercure_begin,
    .replied = replied,
    .answered = answered,
};
