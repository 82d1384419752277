#include "request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "name.h"

/* --- where values come from --- */

static char *from_param(const struct params *params, const char *name)
{
    const char *value = params_get(params, name);
    return value ? strdup(value) : NULL;
}

static char *from_remote_user(const struct params *params, const char *name)
{
    (void)name;
    return from_param(params, "REMOTE_USER");
}

static const struct source_row {
    const char *prefix;
    bool named;
    char *(*value)(const struct params *params, const char *name);
} source_rows[] = {
    {"query:", true, params_query}, {"cookie:", true, params_cookie},         {"header:", true, params_header},
    {"env:", true, from_param},     {"remote-user", false, from_remote_user},
};

static const struct source_row *source_row(const char *source)
{
    for (size_t i = 0; i < sizeof source_rows / sizeof source_rows[0]; i++) {
        const struct source_row *row = &source_rows[i];
        size_t len = strlen(row->prefix);
        if (strncmp(source, row->prefix, len) == 0 && (source[len] != '\0') == row->named)
            return row;
    }
    return NULL;
}

const char *request_check_source(const char *value)
{
    const struct source_row *row = source_row(value);
    return row && strlen(value) < 256 ? NULL : "query:NAME, cookie:NAME, header:NAME, env:VAR or remote-user";
}

/* value, or NULL (freed) when it is empty. */
static char *unless_empty(char *value)
{
    if (value && *value)
        return value;
    free(value);
    return NULL;
}

/* The first value that is there and not empty; NULL when none is. */
static char *from_sources(const struct params *params, const struct option_list *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        const struct source_row *row = source_row(sources->items[i]);
        char *value = row ? unless_empty(row->value(params, sources->items[i] + strlen(row->prefix))) : NULL;
        if (value)
            return value;
    }
    return NULL;
}

/* --- what the request says --- */

static void refuse(struct request *r, int status, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void refuse(struct request *r, int status, const char *error, const char *format, ...)
{
    va_list args;
    r->kind = REQUEST_REFUSED;
    r->status = status;
    r->error = error;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
}

static void read_session(const struct params *params, const struct option_list *sources, struct request *r)
{
    r->session = from_sources(params, sources);
    if (!r->session)
        refuse(r, 400, "missing_session", "the request names no session; this worker looks in: %s%s",
               sources->count > 0 ? sources->items[0] : "nothing", sources->count > 1 ? " and other places" : "");
    else if (!name_valid(slice_of(r->session)))
        refuse(r, 400, "missing_session", "the session's name is not valid; accepted: " NAME_RULE);
}

static bool has_channel(const struct request *r, struct slice name)
{
    for (size_t i = 0; i < r->channel_count; i++)
        if (slice_equal(r->channels[i], name))
            return true;
    return false;
}

static void add_channel(struct request *r, struct slice name)
{
    if (!name_valid(name))
        refuse(r, 400, "bad_channels", "channel %zu has no valid name; accepted: " NAME_RULE, r->channel_count + 1);
    else if (r->channel_count == REQUEST_CHANNELS_MAX)
        refuse(r, 400, "bad_channels", "too many channels; accepted: at most %u", REQUEST_CHANNELS_MAX);
    else
        r->channels[r->channel_count++] = name;
}

static int read_channels(const struct params *params, const struct option_list *sources, struct request *r)
{
    r->channel_text = from_sources(params, sources);
    if (!r->channel_text)
        return 0;
    r->channels = calloc(REQUEST_CHANNELS_MAX, sizeof *r->channels);
    if (!r->channels)
        return -ENOMEM;
    for (const char *at = r->channel_text; r->kind == REQUEST_STREAM;) {
        struct slice name = {at, strcspn(at, ",")};
        if (name.len && !has_channel(r, name))
            add_channel(r, name);
        if (!at[name.len])
            break;
        at += name.len + 1;
    }
    return 0;
}

static void read_cursor(const struct params *params, struct request *r)
{
    r->last_id = unless_empty(params_header(params, "Last-Event-ID"));
    if (!r->last_id)
        r->last_id = unless_empty(params_query(params, "lastEventId"));
}

/* An origin that is named goes before *, which comes without credentials. */
char *request_origin(const struct params *params, const struct option_list *allowed)
{
    const char *origin = params_get(params, "HTTP_ORIGIN"), *answer = NULL;
    for (size_t i = 0; origin && i < allowed->count; i++)
        if (strcasecmp(allowed->items[i], origin) == 0)
            answer = origin;
        else if (strcmp(allowed->items[i], "*") == 0 && !answer)
            answer = "*";
    return answer ? strdup(answer) : NULL;
}

const char *request_check_origin(const char *value)
{
    const char *host = strstr(value, "://");
    bool origin = host && host != value && host[3] && !strchr(host + 3, '/') && strlen(value) < 256 &&
                  !strpbrk(value, " \t\r\n,");
    return origin || strcmp(value, "*") == 0 ? NULL
                                             : "SCHEME://HOST, with :PORT where it is not the scheme's own, or *";
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

int request_read(const struct params *params, const struct request_rules *rules, struct request *out)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    *out = (struct request){.kind = method_kind(method)};
    out->origin = request_origin(params, rules->cors_origins);
    if (out->kind == REQUEST_REFUSED)
        refuse(out, 405, "method_not_allowed", "%.20s is not accepted here; accepted: " REQUEST_METHODS,
               method ? method : "no method");
    if (out->kind != REQUEST_STREAM)
        return 0;
    read_session(params, rules->session_from, out);
    int err = read_channels(params, rules->channels_from, out);
    read_cursor(params, out);
    out->padding = query_says_true(params, "padding");
    out->checkpoints = query_says_true(params, "checkpoints");
    return err;
}

void request_release(struct request *r)
{
    free(r->session);
    free(r->channels);
    free(r->channel_text);
    free(r->last_id);
    free(r->origin);
    *r = (struct request){0};
}
