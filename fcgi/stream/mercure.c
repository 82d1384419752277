#include "stream/mercure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "auth/origin.h"
#include "base/must.h"
#include "base/name.h"
#include "codec/subscription.h"
#include "stream/cursor.h"

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

#define INVISIBLE "accepted: text without control or format characters"

const char *mercure_check_topic(const struct mercure_rules *rules, enum hub_dialect dialect,
                                struct slice topic)
{
    static char why[160];
    bool valid = name_valid(topic) && topic.len <= rules->max_topic_bytes;
    if (valid && dialect == HUB_1_0 && !utf8_visible(topic))
        return INVISIBLE;
    if (valid)
        return NULL;

    snprintf(why, sizeof why,
             "accepted: 1 to %zu bytes of UTF-8 without control characters (max-name-bytes)",
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

/* What the query selects. */
struct selection {
    struct request *request;
    const struct params *params;
    const struct mercure_rules *rules;
    struct selector *patterns; /* each once */
    size_t pattern_count;
    char *at;              /* room for the values, one after the other */
    const char *parameter; /* the name of the one that is read, for messages */
    size_t number;         /* its place among those of that name, from 1 */
};

static bool has_pattern(const struct selection *s, const struct pattern *pattern)
{
    for (size_t i = 0; i < s->pattern_count; i++)
        if (slice_equal(pattern_identity(s->patterns[i].pattern), pattern_identity(pattern)))
            return true;
    return false;
}

static size_t selector_count(const struct selection *s)
{
    return s->request->channel_count + s->pattern_count;
}

/* False when there is no room for one more. */
static bool has_room(const struct selection *s)
{
    if (selector_count(s) < s->rules->max_topics)
        return true;

    request_refuse(s->request, 400, "too_many_topics",
                   "too many topics; accepted: at most %zu (max-channels)", s->rules->max_topics);
    return false;
}

static void add_topic(struct selection *s, enum hub_dialect dialect, struct slice topic)
{
    struct request *r = s->request;
    const char *why = mercure_check_topic(s->rules, dialect, topic);
    if (has_channel(r, topic))
        return;
    if (why)
        request_refuse(r, 400, "bad_topic", "%s %zu is not valid; %s", s->parameter, s->number,
                       why);
    else if (has_room(s))
        r->channels[r->channel_count++] = topic;
}

/* The reference of selector goes over. */
static void add_pattern(struct selection *s, enum hub_dialect dialect, struct selector *selector)
{
    bool known = has_pattern(s, selector->pattern);
    if (dialect == HUB_1_0 && !utf8_visible(selector->text)) {
        request_refuse(s->request, 400, "bad_topic", "%s %zu is not valid; " INVISIBLE,
                       s->parameter, s->number);
    } else if (!known && has_room(s)) {
        s->patterns[s->pattern_count++] = *selector;
        return;
    }
    selector_release(selector);
}

/* One selector of the query. 0 or -ENOMEM. */
static int add_selector(struct selection *s, enum hub_dialect dialect, struct selector *selector,
                        const char *why)
{
    switch (selector->kind) {
    case SELECTOR_ALL:
        s->request->every_channel = true;
        break;
    case SELECTOR_INVALID:
        if (!*why)
            return -ENOMEM;
        request_refuse(s->request, 400, "bad_pattern", "%s %zu: %s", s->parameter, s->number, why);
        break;
    case SELECTOR_PATTERN:
        add_pattern(s, dialect, selector);
        break;
    case SELECTOR_EXACT:
    case SELECTOR_PREFIX:
        add_topic(s, dialect, selector->text);
        break;
    }
    return 0;
}

enum selector_syntax { SYNTAX_TOPIC, SYNTAX_EXACT, SYNTAX_URL_PATTERN };

static struct selector read_selector(const struct selection *s, enum selector_syntax syntax,
                                     struct slice text, char why[PATTERN_WHY_MAX])
{
    if (syntax == SYNTAX_TOPIC)
        return selector_of_topic(text, why);
    if (syntax == SYNTAX_URL_PATTERN)
        return selector_of_url_pattern(text, slice_of(params_get(s->params, "HTTP_HOST")), why);
    *why = '\0';
    return selector_of_match(text);
}

/* The parameters. Drafts of dialect 1.0 spell them in two ways. */
static const struct selector_parameter {
    const char *name;
    enum hub_dialect dialect;
    enum selector_syntax syntax;
} parameters[] = {
    {"topic", HUB_0_X, SYNTAX_TOPIC},       {"match", HUB_1_0, SYNTAX_EXACT},
    {"match_exact", HUB_1_0, SYNTAX_EXACT}, {"match_urlpattern", HUB_1_0, SYNTAX_URL_PATTERN},
    {"matchExact", HUB_1_0, SYNTAX_EXACT},  {"matchURLPattern", HUB_1_0, SYNTAX_URL_PATTERN},
};

#define PARAMETERS (sizeof parameters / sizeof parameters[0])

/* The values of one parameter. *count grows with each. 0 or -ENOMEM. */
static int add_selectors(struct selection *s, const struct selector_parameter *parameter,
                         size_t *count)
{
    const char *place = NULL;
    char *text, why[PATTERN_WHY_MAX];
    int err = 0;

    s->parameter = parameter->name;
    s->number = 0;
    while (!err && s->request->kind != REQUEST_REFUSED &&
           (text = params_query_next(s->params, parameter->name, &place))) {
        size_t len = strlen(text);
        struct selector selector = read_selector(
            s, parameter->syntax, (struct slice){memcpy(s->at, text, len + 1), len}, why);
        s->at += len + 1;
        s->number++;
        free(text);
        err = add_selector(s, parameter->dialect, &selector, why);
        ++*count;
    }
    return err;
}

static bool is_selector_name(const char *name)
{
    for (size_t i = 0; i < PARAMETERS; i++)
        if (strcmp(name, parameters[i].name) == 0)
            return true;
    return false;
}

/* Refuse a parameter that begins with `match` and that dialect 1.0 does not have. */
static void check_match_names(struct request *r, const struct params *params)
{
    char name[PARAM_NAME_MAX];
    const char *place = NULL;

    while (r->kind != REQUEST_REFUSED && params_query_name(params, &place, name))
        if (strncasecmp(name, "match", 5) == 0 && !is_selector_name(name))
            request_refuse(
                r, 400, "invalid_request",
                "%.40s is not a parameter; accepted: match, match_exact, match_urlpattern, topic",
                name);
}

static void check_dialect(struct request *r, size_t topics, size_t matches)
{
    r->hub = matches ? HUB_1_0 : HUB_0_X;
    if (r->kind == REQUEST_REFUSED)
        return;
    if (topics && matches)
        request_refuse(
            r, 400, "invalid_request",
            "topic and match cannot be mixed; accepted: topic (protocol 0.x) or match (1.0)");
    else if (!topics && !matches)
        request_refuse(r, 400, "missing_topic",
                       "the request names no topic; accepted: topic=... or match=...");
}

/* Read all of them. 0 or -ENOMEM. */
static int read_all(struct selection *s)
{
    size_t counts[] = {[HUB_NONE] = 0, [HUB_0_X] = 0, [HUB_1_0] = 0};
    int err = 0;
    for (size_t i = 0; !err && i < PARAMETERS; i++)
        err = add_selectors(s, &parameters[i], &counts[parameters[i].dialect]);
    check_dialect(s->request, counts[HUB_0_X], counts[HUB_1_0]);

    struct selectors patterns = {s->patterns, s->pattern_count};
    if (!err && s->pattern_count && !(s->request->patterns = selectors_copy(&patterns)))
        err = -ENOMEM;
    for (size_t i = 0; i < s->pattern_count; i++)
        selector_release(&s->patterns[i]);
    return err;
}

static int read_selectors(struct request *r, const struct params *params,
                          const struct mercure_rules *rules)
{
    const char *query = params_get(params, "QUERY_STRING");
    query = query ? query : "";
    struct selection s = {.request = r, .params = params, .rules = rules};
    /* A decoded value is shorter than its parameter. */
    s.at = r->channel_text = malloc(strlen(query) + 1);
    r->channels = calloc(rules->max_topics + 1, sizeof *r->channels);
    s.patterns = calloc(rules->max_topics + 1, sizeof *s.patterns);
    if (!s.at || !r->channels || !s.patterns) {
        free(s.patterns);
        return -ENOMEM;
    }

    check_match_names(r, params);
    int err = read_all(&s);
    MUST((size_t)(s.at - r->channel_text) <= strlen(query) + 1);
    MUST(selector_count(&s) <= rules->max_topics);
    free(s.patterns);
    return err;
}

/* --- cursors --- */

/* The parameters of the query that carry a cursor. Drafts of 1.0 spell it in two ways; lastEventId
 * is what polyfills append that were not told another name. */
static const char *const *cursor_names(enum hub_dialect dialect)
{
    static const char *const names[][5] = {
        [HUB_0_X] = {"lastEventID", "Last-Event-ID", "last-event-id", "lastEventId", NULL},
        [HUB_1_0] = {"last_event_id", "lastEventID", "lastEventId", NULL}};
    MUST(dialect == HUB_0_X || dialect == HUB_1_0);
    return names[dialect];
}

/* Is there a parameter for a cursor, even an empty one? */
static bool has_cursor_field(const struct params *params, const char *const *names)
{
    size_t place = 0;
    bool found = params_get_next(params, "HTTP_LAST_EVENT_ID", &place);
    for (; !found && *names; names++) {
        char *value = params_query(params, *names);
        found = value != NULL;
        free(value);
    }
    return found;
}

/* A cursor that names an event; NULL for `earliest`. The hub's own ids are `#` and a seq. */
static char *named_event(char *cursor)
{
    if (!cursor)
        return NULL;

    size_t digits = strspn(cursor + 1, "0123456789");
    if (strcmp(cursor, "earliest") == 0) {
        free(cursor);
        return NULL;
    }
    if (cursor[0] == '#' && digits && !cursor[1 + digits])
        memmove(cursor, cursor + 1, digits + 1);
    return cursor;
}

/* The header and the query, as for plain streams: the newer one counts. Any event is newer than
 * `earliest`. */
static void read_cursor(const struct params *params, struct request *r)
{
    const char *const *names = cursor_names(r->hub);
    char *header = cursor_from_header(params, CURSOR_SEQS_OF_HUB),
         *query = cursor_from_query(params, names);
    bool any = header || query;

    r->asks_cursor = any || (r->hub == HUB_1_0 && has_cursor_field(params, names));
    r->last_id = named_event(header);
    r->other_id = named_event(query);
    if (!r->last_id)
        request_swap_cursors(r);
    if (any && !r->last_id)
        r->start = (struct start){.kind = START_EARLIEST};
}

/* --- tokens --- */

/* Topics that are not granted are no fault: only private updates depend on it. */
static int read_token(struct request *r, const struct mercure_rules *rules,
                      const struct token *token)
{
    if (token->verdict == TOKEN_GOOD) {
        r->bound = true;
        r->expires_ms = token->expires_ms;
        r->grants = selectors_copy(&token->mercure.subscribe);
        return r->grants ? 0 : -ENOMEM;
    }

    if (token->verdict != TOKEN_MISSING || !rules->anonymous)
        request_refuse_token(r, token->verdict, READER_HUB);
    return 0;
}

/* --- what others are reported --- */

#define SUBSCRIBER_BEGIN "urn:uuid:"
#define SUBSCRIBER_SIZE (sizeof SUBSCRIBER_BEGIN + 36)

/* A random UUID (version 4). False when there is no random number. */
static bool make_subscriber(char out[SUBSCRIBER_SIZE])
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, GRND_NONBLOCK) != (ssize_t)sizeof b)
        return false;

    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(out, SUBSCRIBER_SIZE,
             SUBSCRIBER_BEGIN
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
    return true;
}

/* Whose subscriptions are packed, and what the token says of each. */
struct telling {
    struct request *request;
    const struct token *token;
    struct slice hub, subscriber;
};

static void mercure_tell(const struct telling *t, enum subscription_form form, struct slice match)
{
    struct request *r = t->request;
    char *payload = t->token->verdict == TOKEN_GOOD
                        ? mercure_rights_payload(t->token->claims, t->token->access, t->hub, match)
                        : NULL;
    struct subscription s = {.form = r->hub == HUB_0_X ? SUBSCRIPTION_0_X : form,
                             .subscriber = t->subscriber,
                             .match = match,
                             .payload = slice_of(payload ? payload : "")};
    subscription_pack(&r->subscriptions, &s);
    free(payload);
}

/* 0 or -ENOMEM. */
static int tell_all(struct request *r, const struct params *params, const struct token *token)
{
    char subscriber[SUBSCRIBER_SIZE];
    if (!make_subscriber(subscriber))
        return 0;

    struct telling t = {r, token, slice_of(params_get(params, "HTTP_HOST")), slice_of(subscriber)};
    for (size_t i = 0; i < r->channel_count; i++)
        mercure_tell(&t, SUBSCRIPTION_EXACT, r->channels[i]);
    for (size_t i = 0; r->patterns && i < r->patterns->count; i++)
        mercure_tell(&t, SUBSCRIPTION_URL_PATTERN, r->patterns->items[i].text);
    if (r->every_channel)
        mercure_tell(&t, SUBSCRIPTION_EXACT, slice_of("*"));
    return r->subscriptions.failed ? -ENOMEM : 0;
}

int mercure_read(const struct params *params, const struct mercure_rules *rules,
                 const struct token *token, struct request *out)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    bool head = method && strcmp(method, "HEAD") == 0;
    *out = (struct request){.kind = head ? REQUEST_HEAD : REQUEST_STREAM, .hub = HUB_0_X};
    out->origin = request_origin(params, rules->cors_origins);
    out->checkpoints = CHECKPOINTS_ON;

    if (!head && (!method || strcmp(method, "GET") != 0)) {
        request_refuse(out, 405, "method_not_allowed",
                       "%.20s is not accepted here; accepted: " MERCURE_METHODS,
                       method ? method : "no method");
        return 0;
    }
    if (params_query_repeated(params, "authorization")) {
        request_refuse(out, 400, "repeated_parameter",
                       "the query names authorization twice; accepted: once");
        return 0;
    }

    int err = read_token(out, rules, token);
    if (!err && out->kind != REQUEST_REFUSED)
        err = read_selectors(out, params, rules);
    if (!err && out->kind != REQUEST_REFUSED)
        read_cursor(params, out);
    if (!err && out->kind == REQUEST_STREAM && rules->subscriptions)
        err = tell_all(out, params, token);
    if (out->kind == REQUEST_STREAM)
        request_read_checkpoints(params, out);
    return err;
}
