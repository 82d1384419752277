#include "stream/request_source.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"

/* --- where values come from --- */

static char *from_query(const struct params *params, const struct token *token, const char *name)
{
    (void)token;
    return params_query(params, name);
}

static char *from_cookie(const struct params *params, const struct token *token, const char *name)
{
    (void)token;
    return params_cookie(params, name, 0);
}

static char *from_header(const struct params *params, const struct token *token, const char *name)
{
    (void)token;
    return params_header(params, name);
}

static char *from_param(const struct params *params, const struct token *token, const char *name)
{
    const char *value = params_get(params, name);
    (void)token;
    return value ? strdup(value) : NULL;
}

static char *from_remote_user(const struct params *params, const struct token *token,
                              const char *name)
{
    (void)name;
    return from_param(params, token, "REMOTE_USER");
}

static char *from_token(const struct params *params, const struct token *token, const char *name)
{
    (void)params;
    (void)name;
    return token->sub.len ? strndup(token->sub.data, token->sub.len) : NULL;
}

static bool is_name(const char *name)
{
    return *name != '\0';
}

static bool is_header(const char *name)
{
    return *name && !name[http_token_len(name)];
}

static bool is_variable(const char *name)
{
    return *name && !strpbrk(name, " \t=");
}

static const struct source_row {
    const char *prefix;
    bool (*good_name)(const char *name); /* NULL: the source has no name */
    char *(*value)(const struct params *params, const struct token *token, const char *name);
} source_rows[] = {
    {"query:", is_name, from_query},         {"cookie:", cookie_name_valid, from_cookie},
    {"header:", is_header, from_header},     {"env:", is_variable, from_param},
    {"remote-user", NULL, from_remote_user}, {"jwt", NULL, from_token},
};

static bool fits(const struct source_row *row, const char *name)
{
    return row->good_name ? row->good_name(name) : *name == '\0';
}

static const struct source_row *source_row(const char *source)
{
    for (size_t i = 0; i < sizeof source_rows / sizeof source_rows[0]; i++) {
        const struct source_row *row = &source_rows[i];
        size_t len = strlen(row->prefix);
        if (strncmp(source, row->prefix, len) == 0 && fits(row, source + len))
            return row;
    }
    return NULL;
}

const char *request_check_source(const char *value)
{
    const struct source_row *row = source_row(value);
    return row && strlen(value) < 256
               ? NULL
               : "query:NAME, cookie:NAME, header:NAME, env:VAR, remote-user or jwt";
}

bool source_is_token(const char *source)
{
    return strcmp(source, "jwt") == 0;
}

bool source_lists_token(const struct option_list *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        if (source_is_token(sources->items[i]))
            return true;
    return false;
}

bool source_is_none(const char *item)
{
    return strcmp(item, "none") == 0;
}

const char *request_check_cookie(const char *value)
{
    return !*value || cookie_name_valid(value) ? NULL : COOKIE_NAME_RULE;
}

const char *request_check_session_source(const char *value)
{
    if (source_is_none(value) || !request_check_source(value))
        return NULL;
    return "query:NAME, cookie:NAME, header:NAME, "
           "env:VAR, remote-user, jwt, or none as the last one";
}

/* The part of [LABEL=]SOURCE behind the label. */
static const char *meta_source(const char *item)
{
    size_t label = strcspn(item, "=:");
    return item[label] == '=' ? item + label + 1 : item;
}

/* A claim of the token, "jwt:NAME": of metadata only, since a session is what `sub` says. */
static bool is_claim(const char *source)
{
    return strncmp(source, "jwt:", 4) == 0 && source[4];
}

bool source_keeps_token(const struct option_list *meta)
{
    for (size_t i = 0; meta && i < meta->count; i++)
        if (source_is_token(meta_source(meta->items[i])) || is_claim(meta_source(meta->items[i])))
            return true;
    return false;
}

/* value, or NULL (freed) when it is empty. */
char *source_unless_empty(char *value)
{
    if (value && *value)
        return value;
    free(value);
    return NULL;
}

char *source_value(const char *source, const struct params *params, const struct token *token)
{
    const struct source_row *row = source_row(source);
    return row ? source_unless_empty(row->value(params, token, source + strlen(row->prefix)))
               : NULL;
}

/* --- what is kept --- */

const char *request_check_meta(const char *value)
{
    const char *source = meta_source(value);
    bool labelled = source != value;
    bool good_label =
        !labelled || meta_label_valid((struct slice){value, (size_t)(source - value) - 1});
    return source_is_none(value) ||
                   (good_label && (is_claim(source) || !request_check_source(source)))
               ? NULL
               : "none, or [LABEL=]SOURCE "
                 "with a SOURCE as of session-from or jwt:CLAIM, and a LABEL of " META_RULE;
}

const char *request_meta_label(const char *item, char out[META_LABEL_MAX + 1])
{
    const char *source = meta_source(item), *colon = strchr(source, ':');
    size_t len = 0;
    if (source != item) {
        snprintf(out, META_LABEL_MAX + 1, "%.*s", (int)(source - item) - 1, item);
        return out;
    }
    for (const char *c = colon ? colon + 1 : source;
         *c && len < META_LABEL_MAX && !source_is_none(item); c++)
        out[len++] = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    out[len] = '\0';
    return out;
}

/* A text, or a number, that the token says. */
static char *claim(const struct token *token, const char *name)
{
    const struct json_in *value =
        token->verdict == TOKEN_GOOD ? json_in_member(token->claims, name) : NULL;
    struct slice text = json_in_text(value);
    char digits[32];
    if (json_in_is_number(value)) {
        snprintf(digits, sizeof digits, "%.15g", json_in_number(value));
        text = slice_of(digits);
    }
    return text.len ? strndup(text.data, text.len) : NULL;
}

static char *meta_value(const char *source, const struct params *params, const struct token *token)
{
    return is_claim(source) ? claim(token, source + 4) : source_value(source, params, token);
}

int source_read_meta(const struct params *params, const struct token *token,
                     const struct option_list *items, char **meta, size_t *meta_len)
{
    size_t count = items ? items->count : 0;
    *meta_len = 0;
    *meta = count ? malloc(count * (META_VALUE_MAX + 1)) : NULL;
    if (count && !*meta)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        char *value = source_is_none(items->items[i])
                          ? NULL
                          : meta_value(meta_source(items->items[i]), params, token);
        if (!source_is_none(items->items[i]))
            *meta_len += meta_pack(slice_of(value), *meta + *meta_len);
        free(value);
    }
    return 0;
}
