/* token_source.c - the header wins over the cookie, and the cookie over the query. */
#include "auth/token_source.h"

#include <stdlib.h>
#include <string.h>

/* What stands behind "Bearer " (in any case). */
static char *bearer(const struct params *params)
{
    static const char scheme[] = "Bearer ";
    const char *value = params_get(params, "HTTP_AUTHORIZATION");
    if (!value || strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return NULL;
    value += sizeof scheme - 1;
    return strdup(value + strspn(value, " "));
}

/* value, or NULL (freed) when it is empty. */
static char *unless_empty(char *value)
{
    if (value && *value)
        return value;
    free(value);
    return NULL;
}

char *token_source_stream(const struct params *params, const char *cookie, size_t index)
{
    char *text = unless_empty(bearer(params));
    if (!text && cookie && (text = unless_empty(params_cookie(params, cookie, index))))
        return text;
    if (!text)
        text = unless_empty(params_query(params, "token"));
    if (index == 0)
        return text;

    token_source_wipe(&text);
    return NULL;
}

char *token_source_mercure(const struct params *params, enum mercure_place place, size_t index)
{
    char *text = NULL;
    switch (place) {
    case PLACE_HEADER:
        text = index == 0 ? bearer(params) : NULL;
        break;
    case PLACE_QUERY:
        text = index == 0 ? params_query(params, "authorization") : NULL;
        break;
    case PLACE_COOKIE:
        text = params_cookie(params, "mercureAuthorization", index);
        break;
    case PLACE_ACCESS_COOKIE:
        text = params_cookie(params, "__Secure-mercure_access_token", index);
        break;
    case PLACES:
        break;
    }
    return unless_empty(text);
}

void token_source_wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}
