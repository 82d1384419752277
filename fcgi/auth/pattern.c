#include "auth/pattern.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/uri_template.h"
#include "auth/url.h"
#include "auth/url_pattern.h"
#include "base/bytes.h"
#include "base/must.h"

/* Behind the steps: the text of the steps, then the identity: the kind, what the hub is for it, and
 * the text that it was made of. */
struct pattern {
    uint32_t refs;
    enum pattern_kind kind;
    bool relative;          /* URL: it also matches paths of the hub's host */
    struct url_parts parts; /* URL */
    uint16_t count, identity_len, text_len;
    const char *literals, *identity;
    struct step steps[];
};

/* --- life --- */

static struct pattern *allocate(enum pattern_kind kind, const struct program *program,
                                struct slice text, struct slice hub)
{
    size_t steps = program->count * sizeof(struct step), identity = 1 + hub.len + 1 + text.len;
    struct pattern *p = malloc(sizeof *p + steps + program->text_len + identity);
    if (!p)
        return NULL;

    char *literals = (char *)p + sizeof *p + steps;
    char *at = put_slice(literals, (struct slice){program->text, program->text_len});
    *p = (struct pattern){.refs = 1,
                          .kind = kind,
                          .count = program->count,
                          .identity_len = (uint16_t)identity,
                          .text_len = (uint16_t)text.len,
                          .literals = literals,
                          .identity = at};
    memcpy(p->steps, program->steps, steps);
    *at++ = kind == PATTERN_URL ? 'U' : 'T';
    at = put_slice(at, hub);
    *at++ = ' ';
    put_slice(at, text);
    return p;
}

/* The host in lower case; empty when it cannot be one. */
static struct slice tidy_hub(struct slice hub, char out[PATTERN_HUB_MAX])
{
    if (hub.len > PATTERN_HUB_MAX)
        return (struct slice){0};
    for (size_t i = 0; i < hub.len; i++) {
        unsigned char c = (unsigned char)hub.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#@\\", c))
            return (struct slice){0};
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : (char)c;
    }
    return (struct slice){out, hub.len};
}

/* Does a URL pattern match the origin of the hub, so that paths are of that host? */
static bool matches_origin(const struct program *program, const struct url_parts *parts,
                           struct slice hub)
{
    static const char *const schemes[] = {"http://", "https://"};
    struct text_view v;
    bool found = false;
    if (!parts->has_origin)
        return true;

    for (size_t i = 0; !found && hub.len && i < sizeof schemes / sizeof schemes[0]; i++) {
        char url[NAME_BYTES_MAX + 16], tidy[NAME_BYTES_MAX + 16];
        size_t scheme,
            len = (size_t)snprintf(url, sizeof url, "%s%.*s", schemes[i], (int)hub.len, hub.data);
        len = url_tidy((struct slice){url, len}, tidy, sizeof tidy, &scheme);
        if (!len || len - 1 > NAME_BYTES_MAX)
            continue;
        text_view_make(&v, (struct slice){tidy, len - 1}); /* without the path */
        found = text_view_matches(&v, program->steps, 0, parts->path, program->text);
    }
    return found;
}

static const char *const accepted[] = {URI_TEMPLATE_ACCEPTED, URL_PATTERN_ACCEPTED};

static const char *read_program(enum pattern_kind kind, struct slice text, struct slice hub,
                                struct program *program, struct url_parts *parts, size_t *at)
{
    const char *fault;
    *at = 0;
    if (!text.len)
        return "it is empty";
    if (kind == PATTERN_TEMPLATE)
        fault = uri_template_read(text, program, at);
    else
        fault = url_pattern_read(text, hub, program, parts, at);

    return fault || !program->overflowed
               ? fault
               : "it has too many parts; at most 128 and 800 bytes of text";
}

struct pattern *pattern_new(enum pattern_kind kind, struct slice text, struct slice hub,
                            char why[PATTERN_WHY_MAX])
{
    struct program program;
    struct url_parts parts = {0};
    char host[PATTERN_HUB_MAX];
    size_t at = 0;

    why[0] = '\0';
    if (text.len > PATTERN_BYTES_MAX) {
        snprintf(why, PATTERN_WHY_MAX, "it has %zu bytes; accepted: at most %u", text.len,
                 PATTERN_BYTES_MAX);
        return NULL;
    }

    memset(&program, 0, sizeof program);
    hub = kind == PATTERN_URL ? tidy_hub(hub, host) : (struct slice){0};
    const char *fault = read_program(kind, text, hub, &program, &parts, &at);
    if (fault) {
        snprintf(why, PATTERN_WHY_MAX, "%s (byte %zu); %s", fault, at + 1, accepted[kind]);
        return NULL;
    }

    bool relative = kind == PATTERN_URL && (!parts.has_origin || parts.has_host) &&
                    matches_origin(&program, &parts, hub);
    struct pattern *p = allocate(kind, &program, text, relative ? hub : (struct slice){0});
    if (!p)
        return NULL;
    p->parts = parts;
    p->relative = relative;
    return p;
}

struct pattern *pattern_ref(struct pattern *p)
{
    p->refs++;
    return p;
}

void pattern_unref(struct pattern **p)
{
    if (*p) {
        MUST((*p)->refs > 0);
        if (--(*p)->refs == 0)
            free(*p);
    }
    *p = NULL;
}

enum pattern_kind pattern_kind(const struct pattern *p)
{
    return p->kind;
}

struct slice pattern_text(const struct pattern *p)
{
    return (struct slice){p->identity + p->identity_len - p->text_len, p->text_len};
}

struct slice pattern_identity(const struct pattern *p)
{
    return (struct slice){p->identity, p->identity_len};
}

/* --- topics --- */

void topic_begin(struct topic *t, struct slice text)
{
    t->text = name_valid(text) ? text : (struct slice){0};
    t->read = t->viewed[PATTERN_TEMPLATE] = t->viewed[PATTERN_URL] = false;
}

/* A path that begins with // would be a host. */
static void read_url(struct topic *t)
{
    size_t scheme = 0;
    if (t->read)
        return;

    t->read = true;
    t->is_path = slice_begins(t->text, slice_of("/")) && !slice_begins(t->text, slice_of("//"));
    t->url_len = (uint16_t)url_tidy(t->text, t->url, sizeof t->url, &scheme);
    t->scheme_len = (uint16_t)scheme;
    t->is_url = t->url_len > 0;
    MUST(!t->is_url || !t->is_path);
}

bool topic_form(struct topic *t, enum topic_form form, struct slice *text)
{
    *text = t->text;
    if (form == TOPIC_TEXT)
        return t->text.len > 0;

    read_url(t);
    if (form == TOPIC_PATH)
        return t->is_path;
    if (t->is_url)
        *text = (struct slice){t->url + t->scheme_len, (size_t)(t->url_len - t->scheme_len)};
    return t->is_url;
}

static const struct text_view *view_of(struct topic *t, enum pattern_kind kind)
{
    bool url = kind == PATTERN_URL && t->is_url;
    if (!t->viewed[kind])
        text_view_make(&t->views[kind], url ? (struct slice){t->url, t->url_len} : t->text);
    t->viewed[kind] = true;
    return &t->views[kind];
}

/* --- matching --- */

/* The step from which p matches a topic in this form, and the one from which its prefix is; false:
 * not at all. */
static bool steps_for(const struct pattern *p, enum topic_form form, size_t *from, size_t *prefix)
{
    switch (form) {
    case TOPIC_TEXT:
        *from = *prefix = 0;
        return p->kind == PATTERN_TEMPLATE;
    case TOPIC_URL:
        *from = 0;
        *prefix = p->parts.host;
        return p->kind == PATTERN_URL && p->parts.has_origin;
    case TOPIC_PATH:
        *from = *prefix = p->parts.path;
        return p->kind == PATTERN_URL && p->relative;
    case TOPIC_FORMS:
        break;
    }
    return false;
}

bool pattern_prefix(const struct pattern *p, enum topic_form form, struct slice *prefix)
{
    size_t from, begin;
    if (!steps_for(p, form, &from, &begin))
        return false;
    *prefix = program_prefix(p->steps, begin, p->count, p->literals);
    return true;
}

#define WEIGHT_STEPS 24u /* a pattern with fewer has the weight 1 */
#define WEIGHT_BYTES 8u  /* of literal text that cost as much as a step */
_Static_assert((PROGRAM_STEPS_MAX + PROGRAM_TEXT_MAX / WEIGHT_BYTES) / WEIGHT_STEPS + 1 ==
                   PATTERN_WEIGHT_MAX,
               "no pattern is heavier");

unsigned pattern_weight(const struct pattern *p)
{
    size_t text = (size_t)(p->identity - p->literals), steps = p->count + text / WEIGHT_BYTES;
    return 1 + (unsigned)(steps / WEIGHT_STEPS);
}

/* What is literal at the beginning is compared as it is. */
static bool matches(const struct pattern *p, struct topic *t, enum topic_form form)
{
    size_t from, begin;
    struct slice text;
    if (!topic_form(t, form, &text) || !steps_for(p, form, &from, &begin))
        return false;

    if (form == TOPIC_URL)
        text = (struct slice){t->url, t->url_len};
    struct slice literal = program_prefix(p->steps, from, p->count, p->literals);
    if (!slice_begins(text, literal))
        return false;
    while (from < p->count && p->steps[from].kind == STEP_TEXT)
        from++;
    return text_view_matches_from(view_of(t, p->kind), literal.len, p->steps, from, p->count,
                                  p->literals);
}

bool pattern_matches_topic(const struct pattern *p, struct topic *t)
{
    if (p->kind == PATTERN_TEMPLATE)
        return t->text.len && (slice_equal(pattern_text(p), t->text) || matches(p, t, TOPIC_TEXT));

    read_url(t);
    return matches(p, t, t->is_url ? TOPIC_URL : TOPIC_PATH);
}
