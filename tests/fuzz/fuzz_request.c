/* A request's parameters, as web servers pass them on from anybody: what is accepted is valid, what
 * is refused says why, and a session that is written into a query string or a cookie is read from
 * it.
 *
 * Input: a first byte that chooses among the rules, then parameters NAME=value separated by
 * PART. */
#include <ctype.h>

#include "auth/origin.h"
#include "base/name.h"
#include "fuzz.h"
#include "http/route.h"
#include "stream/mercure.h"
#include "stream/request.h"

#define LIST_MAX 200
#define CHANNELS_MAX 64u

static char *queries[] = {"query:session"},
            *others[] = {"cookie:sid", "header:X-Session", "env:SESSION", "remote-user"},
            *all[] = {"cookie:sid", "query:session", "header:X-Session", "env:SESSION",
                      "remote-user"},
            *jwts[] = {"jwt"}, *queries_or_jwt[] = {"query:channels", "jwt"},
            *channel_queries[] = {"query:channels"},
            *channel_headers[] = {"header:Channels", "query:ch"},
            *origins[] = {"https://example.org", "*"};
static const struct option_list sessions_from[] = {{queries, 1}, {others, 4}, {all, 5}, {jwts, 1}},
                                channels_from[] = {{channel_queries, 1},
                                                   {channel_headers, 2},
                                                   {jwts, 1},
                                                   {queries_or_jwt, 2}},
                                cors[] = {{NULL, 0}, {origins, 1}, {origins, 2}, {origins + 1, 1}};

static struct request_rules rules_of(uint8_t choice)
{
    return (struct request_rules){.session_from = &sessions_from[choice & 3],
                                  .channels_from = &channels_from[choice >> 2 & 3],
                                  .cors_origins = &cors[choice >> 4 & 3],
                                  .max_channels = CHANNELS_MAX,
                                  .max_name_bytes = NAME_BYTES_MAX};
}

static struct params params_of(char **list)
{
    struct params params = {0};
    must(params_copy(&params, list) == 0);
    return params;
}

/* What tokens may say; the first is that there is none. */
static struct token token_of(uint8_t choice)
{
    static const struct slice patterns[] = {{"a", 1}, {"room:*", 6}};
    struct token token = {.verdict = TOKEN_MISSING};
    if (choice & 0x80)
        token = (struct token){.verdict = TOKEN_GOOD,
                               .sub = slice_of(choice & 0x40 ? "anna" : NULL),
                               .has_channels = choice & 1,
                               .channels = {patterns, choice & 1 ? 2 : 0},
                               .expires_ms = 1763710000000};
    else if (choice & 0x40)
        token.verdict = choice & 1 ? TOKEN_EXPIRED : TOKEN_INVALID;
    return token;
}

/* --- what must hold of any request that was read --- */

static void channels_are_valid(const struct request *r)
{
    must(r->channel_count <= CHANNELS_MAX);
    for (size_t i = 0; i < r->channel_count; i++) {
        must(name_valid(r->channels[i]));
        for (size_t j = 0; j < i; j++)
            must(!slice_equal(r->channels[i], r->channels[j]));
    }
}

static void is_consistent(const struct request *r, const struct params *params)
{
    const char *method = params_get(params, "REQUEST_METHOD"),
               *origin = params_get(params, "HTTP_ORIGIN");
    must(!r->origin || strcmp(r->origin, "*") == 0 || (origin && strcmp(r->origin, origin) == 0));
    must(!r->origin || origin);
    must(!r->last_id || *r->last_id);
    must(!r->other_id || (*r->other_id && r->last_id));
    if (r->kind == REQUEST_REFUSED) {
        must((r->status >= 400 && r->status < 500) && r->error && *r->error && *r->message);
        return;
    }
    must(method && *method);
    if (r->kind == REQUEST_STREAM) {
        must(strcmp(method, "GET") == 0 && r->session && name_valid(slice_of(r->session)));
        channels_are_valid(r);
    }
}

/* A token that does not count opens nothing, and one that does opens no more than it says. */
static void is_allowed(const struct request *r, const struct request_rules *rules,
                       const struct token *token)
{
    bool needed = rules->session_from->items == jwts, believed = token->verdict == TOKEN_GOOD;
    if (r->kind != REQUEST_STREAM)
        return;
    must(r->bound ? believed : !r->expires_ms);
    must(!needed || (r->bound && slice_equal(slice_of(r->session), token->sub)));
    if (!r->bound)
        return;
    must(!r->expires_ms || r->expires_ms == token->expires_ms);
    for (size_t i = 0; token->has_channels && i < r->channel_count; i++)
        must(patterns_match(&token->channels, r->channels[i]) &&
             selectors_match(r->grants, r->channels[i]));
}

/* Nobody is identified by what came twice, and no service has more than one segment. */
static void is_said_once(const struct params *params, const struct request_rules *rules)
{
    struct request r = {0};
    struct route route =
        route_find(&(struct route_rules){.cgi = rules->max_name_bytes & 1}, params);
    must(!memchr(route.name.len ? route.name.data : "", '/', route.name.len));
    if (request_refuse_repeated(params, rules, &r)) {
        must(r.kind == REQUEST_REFUSED && r.status == 400 && *r.message);
        return;
    }
    must(!params_repeated(params, "HTTP_COOKIE") && !params_repeated(params, "REMOTE_ADDR"));
    must(rules->session_from->items != others || !params_repeated(params, "HTTP_X_SESSION"));
    must(rules->session_from->items != queries || !params_query_repeated(params, "session"));
}

/* The hub reads the same parameters. */
static void is_read_by_the_hub(const struct params *params,
                               const struct request_rules *request_rules, bool anonymous)
{
    struct request r;
    struct mercure_rules rules = {.anonymous = anonymous,
                                  .max_topics = request_rules->max_channels,
                                  .max_topic_bytes = request_rules->max_name_bytes,
                                  .cors_origins = request_rules->cors_origins};
    must(mercure_read(params, &rules, &(struct token){0}, &r) == 0);
    size_t patterns = r.patterns ? r.patterns->count : 0;
    must(!r.session && !r.grants && !r.expires_ms &&
         r.channel_count + patterns <= rules.max_topics);
    must(r.kind == REQUEST_REFUSED ? r.status && *r.message
                                   : anonymous && (r.every_channel || r.channel_count || patterns));
    /* Maybe both were mixed. */
    enum hub_dialect dialect = r.kind == REQUEST_REFUSED ? HUB_0_X : r.hub;
    for (size_t i = 0; i < r.channel_count; i++)
        must(!mercure_check_topic(&rules, dialect, r.channels[i]));
    mercure_trusts_origin(params, rules.cors_origins);
    request_release(&r);
}

static void read_one(char **list, struct request_rules rules, struct token token)
{
    struct request r;
    struct params params = params_of(list);
    is_said_once(&params, &rules);
    bool wanted = request_wants_token(&rules);
    must(request_read(&params, &rules, wanted ? &token : &(struct token){0}, &r) == 0);
    is_consistent(&r, &params);
    if (wanted)
        is_allowed(&r, &rules, &token);
    must(wanted || !r.expires_ms);
    is_read_by_the_hub(&params, &rules, wanted);
    params_release(&params); /* the request keeps nothing of it */
    request_release(&r);
    request_release(&r);
}

/* --- what was written is read --- */

static char *escaped(const char *prefix, struct slice s)
{
    char *out = malloc(strlen(prefix) + 3 * s.len + 1), *at = out;
    must(out);
    at = stpcpy(at, prefix);
    for (size_t i = 0; i < s.len; i++)
        at += isalnum((unsigned char)s.data[i]) ? sprintf(at, "%c", s.data[i])
                                                : sprintf(at, "%%%02X", (unsigned char)s.data[i]);
    *at = '\0';
    return out;
}

static void is_read_back(struct slice name)
{
    char *query = escaped("QUERY_STRING=a=b&session=", name);
    char *list[] = {"REQUEST_METHOD=GET", query, NULL};
    struct params params = params_of(list);
    struct request_rules rules = rules_of(0);
    struct request r;
    must(request_read(&params, &rules, &(struct token){0}, &r) == 0);
    must((r.kind == REQUEST_STREAM) == name_valid(name));
    must(r.kind != REQUEST_STREAM || slice_equal(slice_of(r.session), name));
    request_release(&r);
    params_release(&params);
    free(query);
}

/* The values of options are read by the same module. */
static void checks_are_exact(const char *text)
{
    if (!request_check_source(text))
        must(strlen(text) < 256);
    if (!origin_check(text))
        must(strlen(text) < 256 && !strchr(text, ',') &&
             origin_matches(text, text) == !strstr(text, "://*"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *list[LIST_MAX + 1];
    size_t count = 0;
    struct slice rest = {(const char *)data, size}, part;
    uint8_t choice = next_byte(&rest);
    is_read_back(rest);
    while (count < LIST_MAX && next_part(&rest, PART, &part))
        list[count++] = string_copy(part);
    list[count] = NULL;
    read_one(list, rules_of(choice), token_of((uint8_t)(choice ^ 0x80 ^ size)));
    if (count)
        checks_are_exact(list[0]);
    while (count)
        free(list[--count]);
    return 0;
}
