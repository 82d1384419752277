#include "stream/mercure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "auth/origin.h"
#include "base/must.h"
#include "base/name.h"

/* --- origins --- */

/* The length of the origin that url begins with: a Referer has a path behind it. */
static size_t origin_length(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

/* The host's own pages: over HTTPS only those that came so too. What ends TLS before the web server
 * is not known here. */
static bool is_own_origin(const struct params *params, const char *origin)
{
    const char *host = params_get(params, "HTTP_HOST"), *tls = params_get(params, "HTTPS");
    bool secure = tls && *tls && strcasecmp(tls, "off") != 0;
    const char *rest = strncasecmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
    if (!rest && !secure && strncasecmp(origin, "http://", 7) == 0)
        rest = origin + 7;

    return host && *host && rest && strcasecmp(rest, host) == 0;
}

bool mercure_trusts_origin(const struct params *params, const struct option_list *origins)
{
    const char *said = params_get(params, "HTTP_ORIGIN");
    if (!said)
        said = params_get(params, "HTTP_REFERER");

    size_t len = said ? origin_length(said) : 0;
    char *origin = len ? strndup(said, len) : NULL;
    if (!origin)
        return false;

    bool trusted = is_own_origin(params, origin);
    for (size_t i = 0; !trusted && i < origins->count; i++)
        trusted = strcmp(origins->items[i], "*") != 0 && origin_matches(origins->items[i], origin);
    free(origin);
    return trusted;
}

/* --- topics --- */

static bool is_reserved(struct slice topic)
{
    return memmem(topic.data, topic.len, HUB_RESERVED, strlen(HUB_RESERVED)) != NULL;
}

const char *mercure_check_topic(const struct mercure_rules *rules, struct slice topic)
{
    static char why[160];
    if (name_valid(topic) && topic.len <= rules->max_topic_bytes)
        return NULL;

    snprintf(why, sizeof why, "accepted: 1 to %zu bytes of UTF-8 without control characters (max-name-bytes)",
             rules->max_topic_bytes);
    return why;
}

static bool has_channel(const struct request *r, struct slice name)
{
    for (size_t i = 0; i < r->channel_count; i++)
        if (slice_equal(r->channels[i], name))
            return true;
    return false;
}

/* One selector of the query. */
static void add_selector(struct request *r, const struct mercure_rules *rules, const struct selector *s)
{
    const char *why;
    switch (s->kind) {
    case SELECTOR_ALL:
        r->every_channel = true;
        return;
    case SELECTOR_UNSUPPORTED:
        request_refuse(r, 400, "unsupported_selector",
                       "URI templates and URL patterns are not supported; accepted: exact topics and *");
        return;
    case SELECTOR_EXACT:
    case SELECTOR_PREFIX:
        break;
    }

    if (has_channel(r, s->text))
        return;
    if ((why = mercure_check_topic(rules, s->text)))
        request_refuse(r, 400, "bad_topic", "topic %zu is not valid; %s", r->channel_count + 1, why);
    else if (is_reserved(s->text))
        request_refuse(r, 400, "unsupported_selector", "subscription events are not supported (topic %zu)",
                       r->channel_count + 1);
    else if (r->channel_count == rules->max_topics)
        request_refuse(r, 400, "too_many_topics", "too many topics; accepted: at most %zu (max-channels)",
                       rules->max_topics);
    else
        r->channels[r->channel_count++] = s->text;
}

/* The values of each parameter of this name. *at is room for them. */
static size_t add_selectors(struct request *r, const struct params *params, const struct mercure_rules *rules,
                            const char *name, struct selector (*read)(struct slice text), char **at)
{
    const char *place = NULL;
    char *text;
    size_t count = 0;

    for (; r->kind != REQUEST_REFUSED && (text = params_query_next(params, name, &place)); count++) {
        size_t len = strlen(text);
        struct selector s = read((struct slice){memcpy(*at, text, len + 1), len});
        *at += len + 1;
        add_selector(r, rules, &s);
        free(text);
    }
    return count;
}

static struct selector read_match(struct slice text)
{
    return selector_of_match(text, false);
}

static struct selector read_pattern(struct slice text)
{
    return selector_of_match(text, true);
}

/* Refuse a parameter that begins with `match` and that dialect 1.0 does not have. */
static void check_match_names(struct request *r, const char *query)
{
    static const char *const known[] = {"match", "match_exact", "match_urlpattern"};

    for (const char *at = query; r->kind != REQUEST_REFUSED && *at; at += *at == '&') {
        size_t len = strcspn(at, "=&");
        bool found = strncmp(at, "match", 5) != 0;
        for (size_t i = 0; !found && i < sizeof known / sizeof known[0]; i++)
            found = slice_equal((struct slice){at, len}, slice_of(known[i]));
        if (!found)
            request_refuse(r, 400, "invalid_request", "%.*s is not a parameter; accepted: match, match_exact, topic",
                           (int)(len < 40 ? len : 40), at);
        at += strcspn(at, "&");
    }
}

static int read_selectors(struct request *r, const struct params *params, const struct mercure_rules *rules)
{
    const char *query = params_get(params, "QUERY_STRING");
    query = query ? query : "";
    char *at = r->channel_text = malloc(strlen(query) + 1); /* a decoded value is shorter than its parameter */
    r->channels = calloc(rules->max_topics + 1, sizeof *r->channels);
    if (!at || !r->channels)
        return -ENOMEM;

    check_match_names(r, query);
    size_t topics = add_selectors(r, params, rules, "topic", selector_of_topic, &at);
    size_t matches = add_selectors(r, params, rules, "match", read_match, &at);
    matches += add_selectors(r, params, rules, "match_exact", read_match, &at);
    matches += add_selectors(r, params, rules, "match_urlpattern", read_pattern, &at);
    MUST((size_t)(at - r->channel_text) <= strlen(query) + 1);

    r->hub = matches ? HUB_1_0 : HUB_0_X;
    if (r->kind == REQUEST_REFUSED)
        return 0;
    if (topics && matches)
        request_refuse(r, 400, "invalid_request",
                       "topic and match cannot be mixed; accepted: topic (protocol 0.x) or match (1.0)");
    else if (!topics && !matches)
        request_refuse(r, 400, "missing_topic", "the request names no topic; accepted: topic=... or match=...");
    return 0;
}

/* --- cursors --- */

/* The parameters that carry a cursor, the first that there is. */
static char *query_cursor(const struct params *params, enum hub_dialect dialect)
{
    static const char *const old_names[] = {"lastEventID", "Last-Event-ID", "last-event-id"};
    if (dialect == HUB_1_0)
        return params_query(params, "last_event_id");

    char *found = NULL;
    for (size_t i = 0; !found && i < sizeof old_names / sizeof old_names[0]; i++)
        found = params_query(params, old_names[i]);
    return found;
}

/* The hub's own ids are `#` and a seq. */
static void take_cursor(struct request *r, const char *cursor)
{
    bool own = cursor[0] == '#' && cursor[1] && strspn(cursor + 1, "0123456789") == strlen(cursor + 1);
    if (strcmp(cursor, "earliest") == 0)
        r->start = (struct start){.kind = START_EARLIEST};
    else
        r->last_id = strdup(own ? cursor + 1 : cursor);
}

static int read_cursor(const struct params *params, struct request *r)
{
    char *cursor = params_header(params, "Last-Event-ID");
    if (!cursor)
        cursor = query_cursor(params, r->hub);

    r->asks_cursor = cursor && (*cursor || r->hub == HUB_1_0);
    if (cursor && *cursor)
        take_cursor(r, cursor);
    bool failed = cursor && *cursor && !r->last_id && r->start.kind == START_AFTER;
    free(cursor);
    return failed ? -ENOMEM : 0;
}

/* --- tokens --- */

/* Topics that are not granted are no fault: only private updates depend on it. */
static int read_token(struct request *r, const struct mercure_rules *rules, const struct token *token)
{
    if (token->verdict == TOKEN_GOOD) {
        r->bound = true;
        r->expires_ms = token->expires_ms;
        r->grants = selectors_copy(&token->mercure.subscribe);
        return r->grants ? 0 : -ENOMEM;
    }

    if (token->verdict != TOKEN_MISSING || !rules->anonymous)
        request_refuse_token(r, token->verdict);
    return 0;
}

int mercure_read(const struct params *params, const struct mercure_rules *rules, const struct token *token,
                 struct request *out)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    bool head = method && strcmp(method, "HEAD") == 0;
    *out = (struct request){.kind = head ? REQUEST_HEAD : REQUEST_STREAM, .hub = HUB_0_X};
    out->origin = request_origin(params, rules->cors_origins);
    out->checkpoints = CHECKPOINTS_ON;

    if (!head && (!method || strcmp(method, "GET") != 0)) {
        request_refuse(out, 405, "method_not_allowed", "%.20s is not accepted here; accepted: " MERCURE_METHODS,
                       method ? method : "no method");
        return 0;
    }
    if (params_query_repeated(params, "authorization")) {
        request_refuse(out, 400, "repeated_parameter", "the query names authorization twice; accepted: once");
        return 0;
    }

    int err = read_token(out, rules, token);
    if (!err && out->kind != REQUEST_REFUSED)
        err = read_selectors(out, params, rules);
    if (!err && out->kind == REQUEST_STREAM)
        err = read_cursor(params, out);
    if (out->kind == REQUEST_STREAM)
        request_read_checkpoints(params, out);
    return err;
}
