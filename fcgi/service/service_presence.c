/* presence: the members of a channel, for clients that may have a stream of it. The parameters are
 * those of a stream, with one `channel`, and `after` and `limit`. The broker has the list.
 *
 * A request is read as one for a stream, so that the same sources and tokens count, and the same
 * requests are refused. */
#include <stdio.h>
#include <stdlib.h>

#include "auth/token.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/name.h"
#include "service/service.h"
#include "stream/limits.h"

#define LIMIT_DEFAULT 100u
#define LIMIT_MAX 1000u

#define REPLY_OK "{\"ok\":true,"
#define REPLY_NOT_FOUND "{\"ok\":false,\"error\":\"not_found\""

/* --- permission --- */

static void refuse_request(struct call *c, const struct request *r)
{
    char challenge[200];
    if (r->challenge) {
        snprintf(challenge, sizeof challenge, "WWW-Authenticate: %s\r\n", r->challenge);
        c->headers = challenge;
    }
    call_refuse(c, r->status, r->error, "%s", r->message);
}

static bool is_banned(const struct streams *set, const struct request *r)
{
    return r->session && bans_until(set->bans, slice_of(r->session), streams_broker_ms(set));
}

/* The request is counted against its address's rate first: a token is work for the worker, and the
 * list is work for the broker. *in_time is false when the rate is exceeded. 0 or -ENOMEM. */
static int read_request(struct call *c, const struct params *params, struct request *r,
                        bool *in_time)
{
    struct streams *set = c->services->streams;
    struct token token = {0};

    *in_time = limits_admit_token(set, params);
    if (!*in_time)
        return 0;
    if (set->tokens && request_wants_token(&set->request_rules))
        tokens_verify_request(set->tokens, params, clock_unix_ms(), &token);

    int err = request_read_stream(params, &set->request_rules, &token, r);
    token_release(&token);
    return err;
}

/* --- what is asked --- */

/* The limit of the query. False when it is not valid. */
static bool read_limit(const struct params *params, uint64_t *limit)
{
    char *text = params_query(params, "limit");
    char *end = NULL;
    bool good = !text;

    *limit = LIMIT_DEFAULT;
    if (text && text[0] >= '1' && text[0] <= '9') {
        *limit = strtoull(text, &end, 10);
        good = !*end && *limit <= LIMIT_MAX;
    }
    free(text);
    return good;
}

/* A parameter of the page that came twice, or NULL. */
static const char *find_repeated(const struct params *params)
{
    static const char *const once[] = {"channel", "limit", "after"};
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        if (params_query_repeated(params, once[i]))
            return once[i];
    return NULL;
}

/* Any text is a place in the order; the broker takes UTF-8 alone. */
static bool is_place(const struct params *params)
{
    char *after = params_query(params, "after");
    bool good = !after || utf8_valid(slice_of(after));
    free(after);
    return good;
}

static void ask_broker(struct call *c, const struct params *params, struct slice channel,
                       uint64_t limit)
{
    char *after = params_query(params, "after");
    struct buf json = {0};

    json_begin_object(&json, NULL);
    json_put_text(&json, "op", slice_of("members"));
    json_put_text(&json, "channel", channel);
    if (after)
        json_put_text(&json, "after", slice_of(after));
    json_put_count(&json, "limit", limit);
    json_end_object(&json);

    if (json.failed)
        call_refuse(c, 503, "unavailable", "out of memory");
    else
        call_ask(c, &grant_everything, (struct slice){json.data, json.len}, true);
    buf_release(&json);
    free(after);
}

/* The one channel that is meant: `channel` says which, where the stream would have several. NULL: c
 * was answered. */
static const struct slice *choose_channel(struct call *c, const struct params *params,
                                          const struct request *r)
{
    char *name = params_query(params, "channel");
    const struct slice *found = r->channel_count == 1 && !name ? r->channels : NULL;

    for (size_t i = 0; name && i < r->channel_count && !found; i++)
        if (slice_equal(r->channels[i], slice_of(name)))
            found = &r->channels[i];
    if (!found && name && *name)
        call_refuse(c, 403, "forbidden_channel",
                    "a stream of this request would not have the channel");
    else if (!found)
        call_refuse(c, 400, "bad_channels", "the channel is missing; accepted: channel=NAME");
    free(name);
    return found;
}

static void presence_answer(struct call *c, const struct params *params, const struct request *r)
{
    const struct slice *channel;
    const char *twice;
    uint64_t limit;

    if (r->kind != REQUEST_STREAM)
        refuse_request(c, r);
    else if (is_banned(c->services->streams, r))
        call_refuse(c, 403, "forbidden", "the session is banned");
    else if ((twice = find_repeated(params)))
        call_refuse(c, 400, "repeated_parameter", "the query names %s twice; accepted: once",
                    twice);
    else if (!is_place(params))
        call_refuse(c, 400, "bad_parameter", "after is not valid; accepted: UTF-8");
    else if (!read_limit(params, &limit))
        call_refuse(c, 400, "bad_parameter", "limit is not valid; accepted: 1 to %u", LIMIT_MAX);
    else if ((channel = choose_channel(c, params, r)))
        ask_broker(c, params, *channel, limit);
}

static void presence_begin(struct call *c, struct params *params)
{
    struct request r = {0};
    bool in_time;

    if (read_request(c, params, &r, &in_time) != 0)
        call_refuse(c, 503, "unavailable", "out of memory");
    else if (!in_time)
        call_refuse_rate(c);
    else
        presence_answer(c, params, &r);
    request_release(&r);
}

/* --- the answer --- */

/* The broker's reply without its `ok`. */
static void answer_members(struct call *c, struct slice json)
{
    size_t cut = strlen(REPLY_OK) - 1;
    char *body = strndup(json.data + cut, json.len - cut);
    if (!body) {
        call_refuse(c, 503, "unavailable", "out of memory");
        return;
    }
    body[0] = '{';
    call_answer(c, 200, "", "application/json", (struct slice){body, json.len - cut});
    free(body);
}

static void replied(struct call *c, struct slice json)
{
    if (slice_begins(json, slice_of(REPLY_OK)))
        answer_members(c, json);
    else if (slice_begins(json, slice_of(REPLY_NOT_FOUND)))
        call_refuse(c, 404, "not_found",
                    "this channel has no members (broker option presence-channels)");
    else
        call_refuse(c, 503, "unavailable", "the broker cannot list the members now");
}

const struct service service_presence = {
    .name = "presence",
    .methods = "GET, HEAD, OPTIONS",
    .cross_origin = true,
    .begin = presence_begin,
    .replied = replied,
};
