/* token.c - a token from its text to its verdict: its signature first, then its claims. Nothing of
 * a token is looked at before a key of ours has signed it. */
#include "auth/token.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/claims.h"
#include "auth/jws.h"
#include "auth/key_files.h"
#include "auth/publisher_id.h"
#include "auth/signature.h"
#include "auth/token_source.h"
#include "base/must.h"
#include "ops/log.h"

struct tokens {
    struct token_rules rules;
    struct key_files *keys;
};

int tokens_check(const struct token_rules *rules, char *why, size_t size)
{
    return key_files_check(rules->secret_file, rules->key_file, why, size);
}

void tokens_warn(const struct token_rules *rules)
{
    key_files_warn(rules->secret_file);
}

struct tokens *tokens_new(const struct token_rules *rules)
{
    struct key_files *keys = key_files_new(rules->secret_file, rules->key_file);
    if (!keys)
        return NULL;

    struct tokens *t = malloc(sizeof *t);
    if (!t) {
        log_error("cannot start: out of memory");
        key_files_free(&keys);
        return NULL;
    }

    *t = (struct tokens){.rules = *rules, .keys = keys};
    return t;
}

void tokens_free(struct tokens **t)
{
    if (!*t)
        return;
    key_files_free(&(*t)->keys);
    free(*t);
    *t = NULL;
}

void tokens_reload(struct tokens *t)
{
    key_files_reload(t->keys);
}

/* Why a token is refused, for the log. */
static void set_fault(struct token *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set_fault(struct token *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->fault, sizeof out->fault, format, args);
    va_end(args);
}

static bool is_signed(const struct tokens *t, const struct jws *token, struct token *out)
{
    static const enum jwks_kind kinds[] = {JWKS_SECRETS, JWKS_PUBLIC};
    enum signature best = ALGORITHM_UNKNOWN;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && best != SIGNATURE_GOOD; i++) {
        enum signature found = signature_find(key_files_keys(t->keys, kinds[i]), token);
        if (found > best)
            best = found;
    }

    if (best != SIGNATURE_GOOD)
        signature_fault(best, token, out->fault, sizeof out->fault);
    return best == SIGNATURE_GOOD;
}

/* The claims of a token that one of our keys signed; NULL with the fault. Access tokens are for the
 * hub only, which takes both. */
static struct json_in *signed_claims(const struct tokens *t, const char *text, bool mercure,
                                     struct token *out)
{
    struct jws jws;
    const char *fault = jws_read(text, &jws);
    if (!fault && jws.access && !mercure)
        fault = "it is an access token (typ at+jwt), which is for the hub only";
    if (fault) {
        set_fault(out, "%s", fault);
        return NULL;
    }
    if (!is_signed(t, &jws, out))
        return NULL;

    struct json_in *claims = jws_claims(&jws);
    if (!claims)
        set_fault(out, "its claims cannot be read");
    out->access = jws.access;
    return claims;
}

/* Set the publisher to the bearer of a token with this grant. False when out of memory. */
static bool set_publisher(struct token *out, const struct grant *publish)
{
    out->publisher = publisher_id(json_in_member(out->claims, "iss"), out->sub, publish);
    if (out->publisher)
        out->publish.publisher = slice_of(out->publisher);
    return out->publisher != NULL;
}

/* Who publishes at the hub, when no claim of ours says so:
 * what may be published counts as channels. */
static bool set_mercure_publisher(struct token *out)
{
    const struct selectors *publish = &out->mercure.publish;
    if (out->publisher || !publish->count)
        return true;

    struct slice *names = calloc(publish->count, sizeof *names);
    if (!names)
        return false;

    for (size_t i = 0; i < publish->count; i++)
        names[i] = publish->items[i].text;
    out->publish = (struct grant){.limited = true};
    bool good =
        set_publisher(out, &(struct grant){.limited = true, .channels = {names, publish->count}});
    free(names);
    return good;
}

/* Read what the claims give. hub: what its host is, when the token is for the hub; else NULL.
 * False with the fault. */
static bool read_claims(const struct tokens *t, int64_t now_ms, const struct slice *hub,
                        struct token *out)
{
    const char *fault = claims_judge(&t->rules, now_ms, out);
    if (!fault && out->may_publish && !set_publisher(out, &out->publish))
        fault = "out of memory";
    if (fault) {
        set_fault(out, "%s", fault);
        return false;
    }

    if (!hub)
        return true;
    if (!mercure_rights_read(out->claims, out->access, *hub, &out->mercure, out->fault,
                             sizeof out->fault))
        return false;
    if (set_mercure_publisher(out))
        return true;
    set_fault(out, "out of memory");
    return false;
}

static enum token_verdict token_judge(struct tokens *t, const char *text, int64_t now_ms,
                                      const struct slice *hub, struct token *out)
{
    key_files_look(t->keys, now_ms);
    out->claims = signed_claims(t, text, hub != NULL, out);
    if (!out->claims || !read_claims(t, now_ms, hub, out))
        return TOKEN_INVALID;

    if (out->expires_ms)
        out->expires_ms += t->rules.leeway_ms;
    if (!out->expires_ms || out->expires_ms > now_ms)
        return TOKEN_GOOD;
    set_fault(out, "it has expired");
    return TOKEN_EXPIRED;
}

static enum token_verdict token_verify(struct tokens *t, const char *text, int64_t now_ms,
                                       const struct slice *hub, struct token *out)
{
    *out = (struct token){0};
    enum token_verdict v = text ? token_judge(t, text, now_ms, hub, out) : TOKEN_MISSING;
    if (v != TOKEN_GOOD) {
        char fault[TOKEN_FAULT_MAX];
        memcpy(fault, out->fault, sizeof fault);
        token_release(out);
        memcpy(out->fault, fault, sizeof fault);
    }
    MUST(v == TOKEN_GOOD || (!out->claims && !out->may_publish && !out->sub.len));
    return out->verdict = v;
}

enum token_verdict tokens_verify(struct tokens *t, const char *text, int64_t now_ms,
                                 struct token *out)
{
    return token_verify(t, text, now_ms, NULL, out);
}

void token_release(struct token *token)
{
    mercure_rights_release(&token->mercure);
    json_in_free(&token->claims);
    free(token->names);
    free(token->publisher);
    *token = (struct token){0};
}

/* --- requests --- */

bool token_is_brought(const struct tokens *t, const struct params *params)
{
    char *text = token_source_stream(params, t->rules.cookie, 0);
    bool brought = text != NULL;
    token_source_wipe(&text);
    return brought;
}

static void log_refusal(const struct token *token, const struct params *params)
{
    const char *client = params_get(params, "REMOTE_ADDR"),
               *port = params_get(params, "REMOTE_PORT");
    if (token->verdict != TOKEN_GOOD && token->verdict != TOKEN_MISSING)
        log_event(LOG_DEBUG, "token refused", log_name("reason", token->fault),
                  log_name("client", client ? client : "unknown"),
                  log_name("port", port ? port : "unknown"));
}

/* Browsers send several cookies of one name, of several paths or domains: a stale one does
 * not make a request with a good one fail. */
enum token_verdict tokens_verify_request(struct tokens *t, const struct params *params,
                                         int64_t now_ms, struct token *out)
{
    enum token_verdict first = TOKEN_MISSING;
    for (size_t i = 0; i < TOKEN_COOKIES_MAX; i++) {
        char *text = token_source_stream(params, t->rules.cookie, i);
        if (i && !text)
            break;
        enum token_verdict v = tokens_verify(t, text, now_ms, out);
        token_source_wipe(&text);
        log_refusal(out, params);
        if (v == TOKEN_GOOD || v == TOKEN_MISSING)
            return v;
        if (first != TOKEN_EXPIRED)
            first = v;
    }
    return out->verdict = first;
}

/* --- requests to the hub --- */

bool token_is_brought_to_mercure(const struct params *params)
{
    bool brought = false;
    for (enum mercure_place place = PLACE_HEADER; !brought && place < PLACES; place++) {
        char *text = token_source_mercure(params, place, 0);
        brought = text != NULL;
        token_source_wipe(&text);
    }
    return brought;
}

/* A token in a URL ends up in logs: dialect 1.0 forbids it. */
static void refuse_place(struct token *out, enum mercure_place place)
{
    if (out->verdict != TOKEN_GOOD || place != PLACE_QUERY || !out->access)
        return;

    token_release(out);
    out->verdict = TOKEN_INVALID;
    set_fault(out, "an access token came in the query");
}

enum token_verdict tokens_verify_mercure(struct tokens *t, const struct params *params,
                                         int64_t now_ms, struct token *out)
{
    enum token_verdict first = TOKEN_MISSING;
    struct slice hub = slice_of(params_get(params, "HTTP_HOST"));
    *out = (struct token){0};

    for (enum mercure_place place = PLACE_HEADER; place < PLACES; place++) {
        char *text;
        for (size_t i = 0; i < TOKEN_COOKIES_MAX && (text = token_source_mercure(params, place, i));
             i++) {
            token_verify(t, text, now_ms, &hub, out);
            token_source_wipe(&text);
            refuse_place(out, place);
            log_refusal(out, params);
            out->from_cookie = place >= PLACE_COOKIE;
            if (out->verdict == TOKEN_GOOD)
                return TOKEN_GOOD;
            if (first != TOKEN_EXPIRED)
                first = out->verdict;
        }
        if (first != TOKEN_MISSING && place < PLACE_COOKIE)
            break; /* an explicit token counts, whatever cookies there are */
    }
    return out->verdict = first;
}
