#include "http/params.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/must.h"
#include "base/slice.h"

static size_t count_items(const char *item)
{
    size_t count = 0;
    for (; *item; item += strlen(item) + 1)
        count++;
    return count;
}

/* A request is asked for some forty names, so where each one ends is looked for once. */
static void index_items(struct params *p)
{
    const char *item = p->text;
    for (size_t len; (len = strlen(item)); item += len + 1) {
        const char *equals = memchr(item, '=', len);
        if (equals)
            p->index[p->count++] =
                (struct param){(uint32_t)(item - p->text), (uint32_t)(equals - item)};
    }
    MUST((size_t)(item - p->text) <= UINT32_MAX);
}

int params_take(struct params *p, char *text)
{
    size_t count = count_items(text);
    struct param *index = malloc((count + 1) * sizeof *index);
    if (!index) {
        free(text);
        return -ENOMEM;
    }

    p->text = text;
    p->index = index;
    p->count = 0;
    index_items(p);
    MUST(p->count <= count);
    return 0;
}

int params_copy(struct params *p, char *const *list)
{
    size_t size = 1;
    for (char *const *item = list; *item; item++)
        size += strlen(*item) + 1;
    char *text = malloc(size), *out = text;
    if (!text)
        return -ENOMEM;

    for (char *const *item = list; *item; item++)
        if (**item)
            out = stpcpy(out, *item) + 1;
    *out = '\0';
    return params_take(p, text);
}

void params_release(struct params *p)
{
    if (p->judgement)
        p->judgement_free(p->judgement);
    free(p->text);
    free(p->index);
    free(p->body);
    *p = (struct params){.request = p->request};
}

const char *params_get_next(const struct params *p, const char *name, size_t *at)
{
    size_t len = strlen(name);
    while (*at < p->count) {
        const struct param *one = &p->index[(*at)++];
        if (one->name_len == len && memcmp(p->text + one->at, name, len) == 0)
            return p->text + one->at + len + 1;
    }
    return NULL;
}

const char *params_get(const struct params *p, const char *name)
{
    size_t at = 0;
    const char *value = params_get_next(p, name, &at);
    return value && params_get_next(p, name, &at) ? NULL : value;
}

bool params_repeated(const struct params *p, const char *name)
{
    size_t at = 0;
    const char *first = params_get_next(p, name, &at);
    return first && params_get_next(p, name, &at);
}

uint64_t params_content_length(const struct params *p)
{
    const char *text = params_get(p, "CONTENT_LENGTH");
    char *end;
    if (!text || !isdigit((unsigned char)*text))
        return UINT64_MAX;
    errno = 0;
    uint64_t length = strtoull(text, &end, 10);
    return *end || errno ? UINT64_MAX : length;
}

/* --- the query string --- */

/* The character at *at, with %XX and + decoded. *at moves behind it. An invalid escape stands for
 * itself; %00 becomes an ASCII SUB, which no name may hold, since C strings cannot carry it. */
static char next_char(const char **at, const char *end)
{
    int escaped = hex_escape(*at, end);
    char c = **at == '+' ? ' ' : **at;
    if (escaped >= 0)
        c = (char)escaped;
    *at += escaped >= 0 ? 3 : 1;
    MUST(*at <= end);
    return c ? c : 0x1a;
}

/* Decode as much as there is room for. */
static void decode_into(struct slice raw, char *out, size_t size)
{
    const char *at = raw.data, *end = raw.data + raw.len;
    MUST(size > 0);
    for (; at < end && size > 1; size--)
        *out++ = next_char(&at, end);
    *out = '\0';
}

static char *decode(struct slice raw)
{
    char *text = malloc(raw.len + 1);
    if (text)
        decode_into(raw, text, raw.len + 1);
    return text;
}

/* Does a parameter's name, once it is decoded, equal this one? */
static bool spells(struct slice raw, const char *name)
{
    const char *at = raw.data, *end = raw.data + raw.len;
    for (; at < end; name++)
        if (!*name || next_char(&at, end) != *name)
            return false;
    return !*name;
}

/* A parameter as it stands in the query string. Without a `=` its value is empty. */
struct query_parameter {
    struct slice name, value;
};

/* The next parameter of a query string; blanks before its name are ignored.
 * *list moves behind it. */
static bool next_parameter(const char **list, struct query_parameter *out)
{
    if (!*list)
        return false;

    const char *at = *list + strspn(*list, "& ");
    size_t len = strcspn(at, "&"), name_len = strcspn(at, "&=");
    size_t value_at = name_len < len ? name_len + 1 : len;
    MUST(name_len <= len);

    *list = at + len;
    out->name = (struct slice){at, name_len};
    out->value = (struct slice){at + value_at, len - value_at};
    return len > 0;
}

/* The next value of `name`. */
static bool next_value(const char **list, const char *name, struct slice *value)
{
    struct query_parameter parameter;
    while (next_parameter(list, &parameter))
        if (spells(parameter.name, name)) {
            *value = parameter.value;
            return true;
        }
    return false;
}

char *params_query(const struct params *params, const char *name)
{
    const char *at = NULL;
    return params_query_next(params, name, &at);
}

char *params_query_next(const struct params *params, const char *name, const char **at)
{
    struct slice value;
    if (!*at)
        *at = params_get(params, "QUERY_STRING");
    return next_value(at, name, &value) ? decode(value) : NULL;
}

bool params_query_repeated(const struct params *params, const char *name)
{
    struct slice value;
    const char *list = params_get(params, "QUERY_STRING");
    if (!next_value(&list, name, &value))
        return false;
    return next_value(&list, name, &value);
}

bool params_query_name(const struct params *params, const char **at, char name[PARAM_NAME_MAX])
{
    struct query_parameter parameter;
    if (!*at)
        *at = params_get(params, "QUERY_STRING");
    if (!next_parameter(at, &parameter))
        return false;
    decode_into(parameter.name, name, PARAM_NAME_MAX);
    return true;
}

/* --- cookies and headers --- */

/* The next cookie of this name, blanks around cookies ignored. *list moves behind it. */
static bool next_cookie(const char **list, const char *name, struct slice *value)
{
    size_t name_len = strlen(name);
    for (const char *at = *list; at && *at;) {
        const char *end = strchrnul(at, ';');
        at += strspn(at, " ");
        bool found = at < end && strncmp(at, name, name_len) == 0 && at[name_len] == '=';
        if (found)
            *value = (struct slice){at + name_len + 1, (size_t)(end - at) - name_len - 1};
        at = *list = *end ? end + 1 : end;
        if (found)
            return true;
    }
    return false;
}

/* Less blanks behind it and quotes around it. */
static struct slice trim_cookie(struct slice value)
{
    while (value.len && value.data[value.len - 1] == ' ')
        value.len--;
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
        value = (struct slice){value.data + 1, value.len - 2};
    return value;
}

/* Cookies are taken as they are, less quotes around them: no standard says that they are
 * %-encoded. */
char *params_cookie(const struct params *params, const char *name, size_t index)
{
    struct slice value;
    const char *list = params_get(params, "HTTP_COOKIE");
    while (next_cookie(&list, name, &value)) {
        value = trim_cookie(value);
        if (value.len && index-- == 0)
            return strndup(value.data, value.len);
    }
    return NULL;
}

void params_header_name(const char *name, char out[PARAM_NAME_MAX])
{
    static const char prefix[] = "HTTP_";
    size_t len = sizeof prefix - 1;
    memcpy(out, prefix, sizeof prefix);
    for (; *name && len + 1 < PARAM_NAME_MAX; name++)
        out[len++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    out[len] = '\0';
}

char *params_header(const struct params *params, const char *name)
{
    char param[PARAM_NAME_MAX];
    params_header_name(name, param);
    const char *value = params_get(params, param);
    return value ? strdup(value) : NULL;
}
