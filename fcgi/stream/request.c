#include "stream/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/origin.h"
#include "base/must.h"
#include "base/name.h"
#include "stream/beginning.h"
#include "stream/cursor.h"

bool request_wants_token(const struct request_rules *rules)
{
    return source_lists_token(rules->session_from) || source_lists_token(rules->channels_from) ||
           source_keeps_token(rules->meta);
}

const char *request_open_source(const struct request_rules *rules)
{
    for (size_t i = 0; i < rules->session_from->count; i++)
        if (strncmp(rules->session_from->items[i], "query:", 6) == 0)
            return rules->session_from->items[i];
    return NULL;
}

/* --- what the request says --- */

void request_refuse(struct request *r, int status, const char *error, const char *format, ...)
{
    va_list args;
    r->kind = REQUEST_REFUSED;
    r->status = status;
    r->error = error;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
}

/* --- what came twice --- */

/* The parameter that a source reads; "" for one that is in the list below. */
static void param_of(const char *source, char out[PARAM_NAME_MAX])
{
    const char *colon = strchr(source, ':');
    out[0] = '\0';
    if (strncmp(source, "header:", 7) == 0)
        params_header_name(colon + 1, out);
    else if (strncmp(source, "env:", 4) == 0)
        snprintf(out, PARAM_NAME_MAX, "%s", colon + 1);
    else if (strcmp(source, "remote-user") == 0)
        snprintf(out, PARAM_NAME_MAX, "REMOTE_USER");
}

/* Looks at what every request is judged by, and at what these sources read. */
static bool find_repeated(const struct params *params, const struct option_list *sources,
                          char out[PARAM_NAME_MAX])
{
    for (size_t i = 0; i < sources->count; i++) {
        param_of(sources->items[i], out);
        if (*out && params_repeated(params, out))
            return true;
    }
    return false;
}

static bool find_fixed(const struct params *params, char out[PARAM_NAME_MAX])
{
    static const char *const names[] = {
        "REQUEST_METHOD", "REQUEST_URI",        "SCRIPT_NAME",    "QUERY_STRING",
        "REMOTE_ADDR",    "HTTP_AUTHORIZATION", "HTTP_COOKIE",    "HTTP_HOST",
        "HTTP_ORIGIN",    "CONTENT_TYPE",       "CONTENT_LENGTH",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (params_repeated(params, names[i])) {
            snprintf(out, PARAM_NAME_MAX, "%s", names[i]);
            return true;
        }
    return false;
}

/* A session or a token that the query says twice: another program may believe the one that this
 * one does not. */
static const char *find_in_query(const struct params *params, const struct option_list *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        if (strncmp(sources->items[i], "query:", 6) == 0 &&
            params_query_repeated(params, sources->items[i] + 6))
            return sources->items[i] + 6;
    return params_query_repeated(params, "token") ? "token" : NULL;
}

bool request_refuse_repeated(const struct params *params, const struct request_rules *rules,
                             struct request *out)
{
    char name[PARAM_NAME_MAX];
    const char *in_query = find_in_query(params, rules->session_from);
    if (!in_query)
        in_query = find_in_query(params, rules->channels_from);
    if (find_fixed(params, name) || find_repeated(params, rules->session_from, name) ||
        find_repeated(params, rules->channels_from, name))
        request_refuse(out, 400, "repeated_parameter",
                       "%.80s was sent twice, possibly once with - and once with _; accepted: once",
                       name);
    else if (in_query)
        request_refuse(out, 400, "repeated_parameter",
                       "the query names %.80s twice; accepted: once", in_query);
    else
        return false;
    return true;
}

void request_refuse_path(struct request *out)
{
    request_refuse(out, 404, "not_found",
                   "no stream or service at this path; the option mount sets the path of streams");
}

void request_refuse_query(struct request *out, size_t len, size_t most)
{
    MUST(len > most);
    request_refuse(out, 414, "too_large",
                   "the query has %zu bytes; "
                   "accepted: at most %zu, behind a web server that hands streams over",
                   len, most);
}

/* --- tokens --- */

void request_refuse_token(struct request *r, enum token_verdict verdict, enum token_reader reader)
{
    const struct token_refusal *why = token_refusal(verdict, reader);
    request_refuse(r, 401, why->error, "%s", why->message);
    r->challenge = why->challenge;
}

/* A source is about to be asked. A token that was brought and is not good is refused, whatever
 * may come after it in the list. */
static bool token_stops(const char *source, const struct token *token, struct request *r)
{
    bool bad = source_is_token(source) &&
               (token->verdict == TOKEN_EXPIRED || token->verdict == TOKEN_INVALID);
    if (bad)
        request_refuse_token(r, token->verdict, READER_STREAMS);
    return bad;
}

/* The token gave something: it limits the stream. */
static void bind_to(struct request *r, const struct token *token)
{
    r->bound = true;
    r->expires_ms = token->expires_ms;
}

/* A token that is good, and names no session. */
static void refuse_without_sub(struct request *r)
{
    request_refuse_token(r, TOKEN_INVALID, READER_STREAMS);
    snprintf(r->message, sizeof r->message, "the token names no session: it has no `sub`");
}

static void refuse_nameless(const struct option_list *sources, const struct token *token,
                            struct request *r)
{
    if (!source_lists_token(sources)) {
        request_refuse(r, 400, "missing_session",
                       "the request names no session; this worker looks in: %s%s",
                       sources->count > 0 ? sources->items[0] : "nothing",
                       sources->count > 1 ? " and other places" : "");
        return;
    }
    if (token->verdict == TOKEN_GOOD) {
        refuse_without_sub(r);
        return;
    }
    request_refuse_token(r, token->verdict, READER_STREAMS);
}

/* May a stream open without a session? A token that was brought is good here:
 * read_session() refuses any other. */
static bool allows_none(const struct option_list *sources)
{
    return sources->count && source_is_none(sources->items[sources->count - 1]);
}

static bool name_fits(const struct request_rules *rules, struct slice name)
{
    return name_valid(name) && name.len <= rules->max_name_bytes;
}

static void read_session(const struct params *params, const struct request_rules *rules,
                         const struct token *token, struct request *r)
{
    const struct option_list *sources = rules->session_from;
    for (size_t i = 0; !r->session && i < sources->count; i++) {
        if (token_stops(sources->items[i], token, r))
            return;
        r->session = source_value(sources->items[i], params, token);
        if (r->session && source_is_token(sources->items[i]))
            bind_to(r, token);
    }
    if (!r->session && allows_none(sources)) {
        if (source_lists_token(sources) && token->verdict == TOKEN_GOOD)
            bind_to(r, token); /* it has no `sub`, and limits the stream all the same */
        return;
    }
    if (!r->session)
        refuse_nameless(sources, token, r);
    else if (!name_fits(rules, slice_of(r->session)))
        request_refuse(r, 400, "missing_session",
                       "the session's name is not valid; "
                       "accepted: 1 to %zu bytes of UTF-8 without control characters",
                       rules->max_name_bytes);
}

static bool has_channel(const struct request *r, struct slice name)
{
    for (size_t i = 0; i < r->channel_count; i++)
        if (slice_equal(r->channels[i], name))
            return true;
    return false;
}

static void add_channel(struct request *r, const struct request_rules *rules, struct slice name)
{
    if (!name.len || has_channel(r, name))
        return;
    if (!name_fits(rules, name))
        request_refuse(r, 400, "bad_channels",
                       "the name of channel %zu is not valid; "
                       "accepted: 1 to %zu bytes of UTF-8 without control characters",
                       r->channel_count + 1, rules->max_name_bytes);
    else if (r->channel_count == rules->max_channels)
        request_refuse(r, 400, "bad_channels", "too many channels; accepted: at most %zu",
                       rules->max_channels);
    else
        r->channels[r->channel_count++] = name;
}

static void split_channels(struct request *r, const struct request_rules *rules)
{
    for (const char *at = r->channel_text; r->kind == REQUEST_STREAM;) {
        struct slice name = {at, strcspn(at, ",")};
        add_channel(r, rules, name);
        if (!at[name.len])
            break;
        at += name.len + 1;
    }
}

static bool is_pattern(struct slice name)
{
    return name.data[name.len - 1] == '*';
}

/* The channels that a token names exactly; its names end with it, so they are copied. */
static int take_channels(struct request *r, const struct request_rules *rules,
                         const struct token *token)
{
    size_t size = 0;
    for (size_t i = 0; i < token->channels.count; i++)
        size += token->channels.items[i].len;
    char *at = r->channel_text = malloc(size + 1);
    if (!at)
        return -ENOMEM;
    for (size_t i = 0; i < token->channels.count && r->kind == REQUEST_STREAM; i++) {
        struct slice name = token->channels.items[i];
        if (is_pattern(name))
            continue;
        add_channel(r, rules, (struct slice){memcpy(at, name.data, name.len), name.len});
        at += name.len;
    }
    return 0;
}

/* Does `channel`, which may be repeated, belong to this source? */
static bool takes_single(const char *source)
{
    return strcmp(source, "query:channels") == 0;
}

/* The values of each `channel` in the query: one name each, commas included. at is room for all of
 * them. */
static void add_singles(struct request *r, const struct params *params,
                        const struct request_rules *rules, char *at)
{
    const char *place = NULL;
    char *name;

    while (r->kind == REQUEST_STREAM && (name = params_query_next(params, "channel", &place))) {
        size_t len = strlen(name);
        add_channel(r, rules, (struct slice){memcpy(at, name, len + 1), len});
        at += len + 1;
        free(name);
    }
}

/* The list `channels`, and each `channel` beside it. */
static int take_query_channels(struct request *r, const struct params *params,
                               const struct request_rules *rules)
{
    const char *query = params_get(params, "QUERY_STRING"), *place = NULL;
    char *list = source_unless_empty(params_query(params, "channels"));
    char *single = params_query_next(params, "channel", &place);
    size_t len = list ? strlen(list) : 0;
    bool any = list || single;

    /* A decoded value is shorter than its parameter. */
    r->channel_text = any ? malloc(len + strlen(query) + 2) : NULL;
    if (r->channel_text) {
        memcpy(r->channel_text, list ? list : "", len + 1);
        split_channels(r, rules);
        add_singles(r, params, rules, r->channel_text + len + 1);
    }

    free(list);
    free(single);
    return any && !r->channel_text ? -ENOMEM : 0;
}

/* Fill in the channels from a source, if it has any. */
static int try_channels(struct request *r, const char *source, const struct params *params,
                        const struct request_rules *rules, const struct token *token)
{
    if (takes_single(source))
        return take_query_channels(r, params, rules);
    if (!source_is_token(source)) {
        r->channel_text = source_value(source, params, token);
        if (r->channel_text)
            split_channels(r, rules);
        return 0;
    }
    if (token_stops(source, token, r) || token->verdict != TOKEN_GOOD)
        return 0;
    bind_to(r, token);
    return token->has_channels ? take_channels(r, rules, token) : 0;
}

static int read_channels(const struct params *params, const struct request_rules *rules,
                         const struct token *token, struct request *r)
{
    const struct option_list *sources = rules->channels_from;
    int err = 0;
    r->channels = calloc(rules->max_channels + 1, sizeof *r->channels);
    if (!r->channels)
        return -ENOMEM;
    for (size_t i = 0; !err && r->kind == REQUEST_STREAM && !r->channel_text && i < sources->count;
         i++)
        err = try_channels(r, sources->items[i], params, rules, token);
    return err;
}

/* A token that gave the session, or channels, says which channels there may be. */
static void check_channels(struct request *r, const struct token *token)
{
    if (!token->has_channels || !r->bound)
        return;
    for (size_t i = 0; i < r->channel_count && r->kind == REQUEST_STREAM; i++)
        if (!patterns_match(&token->channels, r->channels[i]))
            request_refuse(r, 403, "forbidden_channel", "the token does not allow channel %zu",
                           i + 1);
}

/* The channels that the token allows are what the stream is granted of private events. It has no
 * others (check_channels()), so every private event of its channels is sent to it. */
static int take_grants(struct request *r, const struct token *token)
{
    size_t count = token->channels.count;
    if (!r->bound || !token->has_channels)
        return 0;

    struct selector *items = calloc(count + 1, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        items[i] = (struct selector){.kind = SELECTOR_PREFIX, .text = token->channels.items[i]};
    r->grants = items ? selectors_copy(&(struct selectors){items, count}) : NULL;
    free(items);
    return r->grants ? 0 : -ENOMEM;
}

/* A polyfill sends the header that its page gave it with each reconnect, and beside it in the
 * query what it has read since. A native EventSource repeats the query of its page, and its
 * header is newer. */
static void read_cursor(const struct params *params, struct request *r)
{
    static const char *const names[] = {"lastEventId", NULL};

    r->last_id = cursor_from_header(params, CURSOR_SEQS_PLAIN);
    r->other_id = cursor_from_query(params, names);
    if (!r->last_id)
        request_swap_cursors(r);
}

void request_swap_cursors(struct request *r)
{
    char *last_id = r->last_id;
    r->last_id = r->other_id;
    r->other_id = last_id;
}

/* An origin that is named goes before *, which comes without credentials. */
char *request_origin(const struct params *params, const struct option_list *allowed)
{
    const char *origin = params_get(params, "HTTP_ORIGIN"), *answer = NULL;
    for (size_t i = 0; origin && i < allowed->count; i++)
        if (origin_matches(allowed->items[i], origin))
            answer = origin;
        else if (strcmp(allowed->items[i], "*") == 0 && !answer)
            answer = "*";
    return answer ? strdup(answer) : NULL;
}

static enum request_kind method_kind(const char *method)
{
    if (method && strcmp(method, "GET") == 0)
        return REQUEST_STREAM;
    if (method && strcmp(method, "HEAD") == 0)
        return REQUEST_HEAD;
    return method && strcmp(method, "OPTIONS") == 0 ? REQUEST_PREFLIGHT : REQUEST_REFUSED;
}

static bool query_says_true(const struct params *params, const char *name)
{
    char *value = params_query(params, name);
    bool yes = value && strcmp(value, "true") == 0;
    free(value);
    return yes;
}

/* Checkpoints are events unless the client wants none. */
void request_read_checkpoints(const struct params *params, struct request *r)
{
    static const char *const names[] = {
        [CHECKPOINTS_OFF] = "false", [CHECKPOINTS_ON] = "true", [CHECKPOINTS_ALWAYS] = "always"};
    char *value = params_query(params, "checkpoints");
    size_t i = 0;

    while (value && i < sizeof names / sizeof names[0] && strcmp(value, names[i]) != 0)
        i++;

    r->checkpoints = CHECKPOINTS_ON;
    if (params_query_repeated(params, "checkpoints") && r->kind == REQUEST_STREAM)
        request_refuse(r, 400, "repeated_parameter",
                       "the query names checkpoints twice; accepted: once");
    else if (value && i < sizeof names / sizeof names[0])
        r->checkpoints = (enum checkpoints)i;
    else if (value && r->kind == REQUEST_STREAM)
        request_refuse(r, 400, "bad_parameter",
                       "checkpoints=%.40s; accepted: true, false or always", value);
    free(value);
}

/* Where a stream begins that has no cursor. A bad value is refused with a cursor as well, so that a
 * page's fault shows at once and not with a later stream. */
static void read_start(const struct params *params, struct request *r)
{
    char why[START_WHY_MAX];
    if (r->kind != REQUEST_STREAM)
        return;

    switch (start_read(params, &r->start, why)) {
    case START_READ:
        break;
    case START_REPEATED:
        request_refuse(r, 400, "repeated_parameter", "%s", why);
        break;
    case START_BAD:
        request_refuse(r, 400, "bad_parameter", "%s", why);
        break;
    }
    if (r->last_id)
        r->start = (struct start){0};
}

bool request_is_stream(const struct params *params)
{
    return method_kind(params_get(params, "REQUEST_METHOD")) == REQUEST_STREAM;
}

bool request_is_judged(const struct params *params)
{
    enum request_kind kind = method_kind(params_get(params, "REQUEST_METHOD"));
    return kind == REQUEST_STREAM || kind == REQUEST_HEAD;
}

int request_read_stream(const struct params *params, const struct request_rules *rules,
                        const struct token *token, struct request *out)
{
    *out = (struct request){.kind = REQUEST_STREAM};
    out->origin = request_origin(params, rules->cors_origins);

    read_session(params, rules, token, out);
    int err = out->kind == REQUEST_STREAM ? read_channels(params, rules, token, out) : 0;
    check_channels(out, token);
    if (!err)
        err = take_grants(out, token);
    if (!err)
        err = source_read_meta(params, token, rules->meta, &out->meta, &out->meta_len);
    read_cursor(params, out);
    out->padding = query_says_true(params, "padding");
    request_read_checkpoints(params, out);
    read_start(params, out);
    return err;
}

int request_read(const struct params *params, const struct request_rules *rules,
                 const struct token *token, struct request *out)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    enum request_kind kind = method_kind(method);
    if (request_is_judged(params)) {
        int err = request_read_stream(params, rules, token, out);
        if (out->kind == REQUEST_STREAM)
            out->kind = kind;
        return err;
    }

    *out = (struct request){.kind = kind};
    out->origin = request_origin(params, rules->cors_origins);
    if (kind == REQUEST_REFUSED)
        request_refuse(out, 405, "method_not_allowed",
                       "%.20s is not accepted here; accepted: " REQUEST_METHODS,
                       method ? method : "no method");
    return 0;
}

void request_release(struct request *r)
{
    free(r->session);
    free(r->channels);
    free(r->channel_text);
    free(r->last_id);
    free(r->other_id);
    free(r->origin);
    free(r->meta);
    selectors_free(&r->grants);
    buf_release(&r->subscriptions);
    selectors_free(&r->patterns);
    free(r->told_cursor);
    *r = (struct request){0};
}
