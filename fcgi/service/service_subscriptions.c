/* subscriptions: the hub's active subscriptions, as JSON (docs/mercure.md): all, those of one
 * matcher, or one. The broker has the list. A client that asks is granted the path as a topic, as
 * for the events of these subscriptions. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/json_out.h"
#include "codec/subscription.h"
#include "service/judgement.h"

#define REPLY_BEGIN "{\"ok\":true,\"head\":"
#define REPLY_LIST ",\"subscriptions\":["
#define REPLY_END "],\"more\":"
#define SEGMENTS_MAX 3u

/* --- what is asked --- */

/* A call's state. */
struct question {
    char path[NAME_BYTES_MAX + 1]; /* also the topic that has to be granted */
    bool old;                      /* documents of dialect 0.x */
    bool one;                      /* one subscription, else a list */
    char link[2 * NAME_BYTES_MAX]; /* to the hub */
};

/* Decode a segment of the path. False when it is none, or too long. */
static bool decode(struct slice raw, char out[NAME_BYTES_MAX], struct slice *segment)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (len == NAME_BYTES_MAX)
            return false;
        if (c == '%') {
            int escaped = hex_escape(raw.data + i, raw.data + raw.len);
            if (escaped < 0)
                return false;
            c = (char)escaped;
            i += 2;
        }
        out[len++] = c;
    }
    *segment = (struct slice){out, len};
    return len > 0;
}

/* Write the path as the topics have it: clients escape different characters. *typed: its first
 * segment is a type of dialect 1.0. Returns the number of segments; -1: there is no such path. */
static int read_path(struct slice rest, char path[NAME_BYTES_MAX + 1], bool *typed)
{
    char *at = path + sizeof HUB_RESERVED - 1, *limit = path + NAME_BYTES_MAX;
    int count = 0;
    memcpy(path, HUB_RESERVED, sizeof HUB_RESERVED);
    while (rest.len > 1) {
        char decoded[NAME_BYTES_MAX];
        struct slice segment, raw = {rest.data + 1, rest.len - 1};
        const char *end = memchr(raw.data, '/', raw.len);
        raw.len = end ? (size_t)(end - raw.data) : raw.len;
        rest = (struct slice){raw.data + raw.len, rest.len - 1 - raw.len};
        if (!decode(raw, decoded, &segment) || at == limit)
            return -1;

        if (!count++)
            *typed = slice_equal(segment, slice_of("exact")) ||
                     slice_equal(segment, slice_of("urlpattern"));
        *at++ = '/';
        at = subscription_encode(at, limit, segment);
        if (!at || count > (int)SEGMENTS_MAX)
            return -1;
    }
    *at = '\0';
    return count;
}

/* False when no such path exists. */
static bool read_question(struct slice rest, bool access, struct question *q)
{
    bool typed = false;
    int count = read_path(rest, q->path, &typed);
    typed = typed && count > 1;
    if (count < 0 || count > (typed ? 3 : 2))
        return false;

    q->old = count ? !typed : !access;
    q->one = count == (typed ? 3 : 2);
    return true;
}

static void note_link(struct slice hub, struct question *q)
{
    MUST(hub.len);
    snprintf(q->link, sizeof q->link, "%.*s", (int)(hub.len < NAME_BYTES_MAX ? hub.len : 0),
             hub.data);
}

static void subscriptions_ask(struct call *c, const struct question *q)
{
    struct buf json = {0};
    json_begin_object(&json, NULL);
    json_put_text(&json, "op", slice_of("subscriptions"));
    json_put_text(&json, "path", slice_of(q->path));
    json_put_flag(&json, "old", q->old);
    json_end_object(&json);
    if (json.failed)
        call_refuse(c, 503, "unavailable", "out of memory");
    else
        call_ask(c, &grant_everything, buf_slice(&json), true);
    buf_release(&json);
}

static void refuse_scope(struct call *c)
{
    c->headers = "WWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n";
    call_refuse(c, 403, "insufficient_scope", "this token does not grant the path as a topic");
}

static void subscriptions_answer(struct call *c, const struct token *token,
                                 const struct params *params)
{
    struct route route = route_find(&c->services->route_rules, params);
    struct question *q = c->state = calloc(1, sizeof *q);
    if (!q)
        call_refuse(c, 503, "unavailable", "out of memory");
    else if (!read_question(route.name, token->access, q))
        call_refuse(c, 404, "not_found", "there is nothing at this path");
    else if (!selectors_match(&token->mercure.subscribe, slice_of(q->path)))
        refuse_scope(c);
    else {
        note_link(route.hub, q);
        subscriptions_ask(c, q);
    }
}

static void subscriptions_begin(struct call *c, struct params *params)
{
    const struct judgement *j = judgement_of(c->services, params, &judgement_hub);
    if (!c->services->streams->mercure.subscriptions) {
        call_refuse(c, 404, "not_found",
                    "the list of subscriptions is off (option mercure-subscriptions)");
        return;
    }

    const struct token *token = judgement_hub_token(j, c, params);
    if (token)
        subscriptions_answer(c, token, params);
}

/* --- the answer --- */

/* Take head and documents out of the broker's reply. False when it has none. */
static bool read_reply(struct slice json, struct slice *head, struct slice *documents)
{
    const char *list =
        json.len ? memmem(json.data, json.len, REPLY_LIST, strlen(REPLY_LIST)) : NULL;
    if (!list || !slice_begins(json, slice_of(REPLY_BEGIN)))
        return false;

    const char *first = json.data + strlen(REPLY_BEGIN), *begin_list = list + strlen(REPLY_LIST),
               *end = NULL;
    for (size_t i = json.len - strlen(REPLY_END); i && !end; i--)
        if (memcmp(json.data + i, REPLY_END, strlen(REPLY_END)) == 0)
            end = json.data + i;
    if (!end || end < begin_list)
        return false;

    *head = (struct slice){first, (size_t)(list - first)};
    *documents = (struct slice){begin_list, (size_t)(end - begin_list)};
    return true;
}

static void put_one(struct buf *out, const struct question *q, struct slice cursor,
                    struct slice document)
{
    buf_put(out, document.data, document.len - 1);
    if (q->old)
        json_put_text(out, "lastEventID", cursor);
    json_end_object(out);
}

static void put_list(struct buf *out, const struct question *q, struct slice cursor,
                     struct slice documents)
{
    json_begin_object(out, NULL);
    if (q->old)
        json_put_text(out, "@context", slice_of("https://mercure.rocks/"));
    json_put_text(out, "id", slice_of(q->path));
    json_put_text(out, "type", slice_of(q->old ? "Subscriptions" : "subscriptions"));
    if (q->old)
        json_put_text(out, "lastEventID", cursor);
    json_begin_list(out, "subscriptions");
    buf_put_slice(out, documents);
    json_end_list(out);
    json_end_object(out);
}

static void answer_with(struct call *c, const struct question *q, struct slice cursor,
                        struct slice documents)
{
    char headers[sizeof q->link + 400];
    struct buf out = {0};
    if (q->one)
        put_one(&out, q, cursor, documents);
    else
        put_list(&out, q, cursor, documents);

    snprintf(headers, sizeof headers,
             "Link: <%s>; rel=\"mercure\"; last-event-id=\"%.*s\"\r\nETag: \"%.*s\"\r\n"
             "Access-Control-Expose-Headers: Link\r\n",
             q->link, (int)cursor.len, cursor.data, (int)cursor.len, cursor.data);
    if (out.failed)
        call_refuse(c, 503, "unavailable", "out of memory");
    else
        call_answer(c, 200, headers, q->old ? "application/ld+json" : "application/json",
                    buf_slice(&out));
    buf_release(&out);
}

static void replied(struct call *c, struct slice json)
{
    const struct question *q = c->state;
    struct slice head, documents;
    char cursor[32];
    MUST(q);

    if (!read_reply(json, &head, &documents)) {
        call_refuse(c, 503, "unavailable", "the broker cannot list the subscriptions now");
    } else if (q->one && !documents.len) {
        call_refuse(c, 404, "not_found", "there is no such subscription");
    } else {
        snprintf(cursor, sizeof cursor, "#%.*s", (int)head.len, head.data);
        answer_with(c, q, slice_of(cursor), documents);
    }
}

const struct service service_subscriptions = {
    .name = "subscriptions",
    .methods = "GET, HEAD, OPTIONS",
    .cross_origin = true,
    .begin = subscriptions_begin,
    .replied = replied,
};
