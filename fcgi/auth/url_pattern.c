#include "auth/url_pattern.h"

#include "auth/url.h"
#include "base/must.h"

/* --- tokens --- */

enum url_token_kind {
    URL_CHAR,
    URL_ESCAPED,
    URL_NAME,
    URL_STAR,
    URL_MODIFIER,
    URL_OPEN,
    URL_CLOSE,
    URL_END
};

/* A character has len 1, and stands for itself; a name is with its colon. */
struct url_token {
    uint8_t kind;
    uint16_t at, len;
};

/* What is read, and where. */
struct url_reader {
    struct slice text;
    struct program *program;
    struct url_token tokens[PATTERN_BYTES_MAX + 1];
    size_t count; /* URL_END included */
    const char *fault;
    size_t fault_at;
};

static void fail(struct url_reader *r, size_t token, const char *fault)
{
    if (r->fault)
        return;
    r->fault = fault;
    r->fault_at = r->tokens[token < r->count ? token : r->count - 1].at;
}

static bool is_name_char(char c, bool first)
{
    bool letter =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || (c & 0x80);
    return letter || (!first && c >= '0' && c <= '9');
}

static size_t name_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len && is_name_char(text.data[len], len == 0))
        len++;
    return len;
}

/* The token at the beginning of rest; its place is filled in later. */
static struct url_token next_token(struct slice rest)
{
    size_t name;
    switch (rest.data[0]) {
    case '*':
        return (struct url_token){URL_STAR, 0, 1};
    case '?':
    case '+':
        return (struct url_token){URL_MODIFIER, 0, 1};
    case '{':
        return (struct url_token){URL_OPEN, 0, 1};
    case '}':
        return (struct url_token){URL_CLOSE, 0, 1};
    case '\\':
        return (struct url_token){URL_ESCAPED, 1, 1};
    case ':':
        name = name_length((struct slice){rest.data + 1, rest.len - 1});
        return (struct url_token){name ? URL_NAME : URL_CHAR, 0, (uint16_t)(1 + name)};
    default:
        return (struct url_token){URL_CHAR, 0, 1};
    }
}

static void read_tokens(struct url_reader *r)
{
    size_t at = 0;
    while (at < r->text.len && !r->fault) {
        struct url_token t = next_token((struct slice){r->text.data + at, r->text.len - at});
        bool escape = t.kind == URL_ESCAPED;
        if (escape && at + 1 == r->text.len) {
            r->fault = "a \\ escapes nothing";
            r->fault_at = at;
            break;
        }

        MUST(r->count < PATTERN_BYTES_MAX);
        t.at = (uint16_t)(at + escape);
        r->tokens[r->count++] = t;
        if (t.kind == URL_CHAR && r->text.data[at] == '(')
            fail(r, r->count - 1, "regular expressions are not supported");
        at += escape + (size_t)t.len;
        MUST(at <= r->text.len);
    }
    r->tokens[r->count++] = (struct url_token){URL_END, (uint16_t)r->text.len, 0};
}

static uint8_t kind_of(const struct url_reader *r, size_t token)
{
    return r->tokens[token].kind;
}

static struct slice text_of(const struct url_reader *r, size_t token)
{
    return (struct slice){r->text.data + r->tokens[token].at, r->tokens[token].len};
}

/* Is it this character, with no other meaning? */
static bool is_char(const struct url_reader *r, size_t token, char c)
{
    uint8_t kind = kind_of(r, token);
    return (kind == URL_CHAR || kind == URL_ESCAPED) && text_of(r, token).data[0] == c;
}

/* A ? begins the search, unless it modifies what is before it. */
static bool begins_search(const struct url_reader *r, size_t token)
{
    if (is_char(r, token, '?'))
        return true;
    if (kind_of(r, token) != URL_MODIFIER || text_of(r, token).data[0] != '?')
        return false;
    uint8_t before = token ? kind_of(r, token - 1) : URL_CHAR;
    return before != URL_NAME && before != URL_CLOSE && before != URL_STAR;
}

/* The first token from `from` on, outside of braces, for which `is` is true; the end when there is
 * none. */
static size_t find(const struct url_reader *r, size_t from,
                   bool (*is)(const struct url_reader *r, size_t token))
{
    bool inside = false;
    size_t i = from;
    for (; kind_of(r, i) != URL_END; i++) {
        if (kind_of(r, i) == URL_OPEN)
            inside = true;
        else if (kind_of(r, i) == URL_CLOSE)
            inside = false;
        else if (!inside && is(r, i))
            break;
    }
    return i;
}

/* --- components --- */

struct component {
    const char *forbidden;     /* characters that would be of another component */
    enum char_class all, name; /* what * and :name pass */
    char prefix;               /* what belongs to a :name behind it */
    bool lower;                /* the case does not matter */
    const char *fault;         /* why a forbidden character is refused */
};

static const struct component scheme_component = {.forbidden = "/?#@:",
                                                  .all = CLASS_SCHEME,
                                                  .name = CLASS_SCHEME,
                                                  .lower = true,
                                                  .fault = "this is no scheme"};
static const struct component host_component = {.forbidden = "/?#@:",
                                                .all = CLASS_HOST,
                                                .name = CLASS_LABEL,
                                                .lower = true,
                                                .fault =
                                                    "this is no host (users are not supported)"};
static const struct component port_component = {
    .forbidden = "/?#@:", .all = CLASS_PORT, .name = CLASS_PORT, .fault = "this is no port"};
static const struct component path_component = {.forbidden = "?#",
                                                .all = CLASS_PATH,
                                                .name = CLASS_SEGMENT,
                                                .prefix = '/',
                                                .fault = "? and # are not supported in braces"};
static const struct component opaque_component = {.forbidden = "?#",
                                                  .all = CLASS_PATH,
                                                  .name = CLASS_PATH,
                                                  .fault = "? and # are not supported in braces"};
static const struct component search_component = {.forbidden = "#",
                                                  .all = CLASS_SEARCH,
                                                  .name = CLASS_SEARCH,
                                                  .fault = "# is not supported in braces"};
static const struct component hash_component = {
    .forbidden = "", .all = CLASS_ANY, .name = CLASS_ANY};

static void put_char(struct url_reader *r, const struct component *c, size_t token)
{
    char byte = text_of(r, token).data[0];
    if (strchr(c->forbidden, byte))
        fail(r, token, c->fault);
    if (c->lower && byte >= 'A' && byte <= 'Z')
        byte = (char)(byte - 'A' + 'a');
    program_put_text(r->program, (struct slice){&byte, 1});
}

/* Characters from *at on. False: there are none. */
static bool put_chars(struct url_reader *r, const struct component *c, size_t *at, size_t end)
{
    size_t begin = *at;
    for (; *at < end && (kind_of(r, *at) == URL_CHAR || kind_of(r, *at) == URL_ESCAPED); ++*at)
        put_char(r, c, *at);
    return *at > begin;
}

/* A name or a star at *at. */
static bool put_wildcard(struct url_reader *r, const struct component *c, size_t *at, size_t end)
{
    if (*at == end || (kind_of(r, *at) != URL_NAME && kind_of(r, *at) != URL_STAR))
        return false;

    if (kind_of(r, *at) == URL_NAME)
        program_put_some(r->program, c->name);
    else
        program_put_any(r->program, c->all);
    ++*at;
    return true;
}

/* A modifier at *at, which moves on. */
static enum repeat take_modifier(const struct url_reader *r, size_t *at, size_t end)
{
    if (*at == end || (kind_of(r, *at) != URL_MODIFIER && kind_of(r, *at) != URL_STAR))
        return ONCE;

    switch (text_of(r, (*at)++).data[0]) {
    case '?':
        return AT_MOST_ONCE;
    case '+':
        return AT_LEAST_ONCE;
    default:
        return ANY_NUMBER;
    }
}

/* Text, at most one wildcard, text. */
static void put_braces(struct url_reader *r, const struct component *c, size_t *at, size_t end)
{
    size_t open = *at, place = program_open(r->program, (struct step){.kind = STEP_GROUP});
    ++*at;
    bool some = put_chars(r, c, at, end);
    some |= put_wildcard(r, c, at, end);
    some |= put_chars(r, c, at, end);

    if (*at == end || kind_of(r, *at) != URL_CLOSE)
        fail(r, *at == end ? open : *at, "braces have text, at most one :name or *, and text");
    else if (!some)
        fail(r, open, "braces are empty");
    else
        ++*at;
    program_close(r->program, place);
    if (!r->program->overflowed)
        r->program->steps[place].repeat = (uint8_t)take_modifier(r, at, end);
}

/* How often the wildcard at this token occurs. */
static enum repeat modifier_behind(const struct url_reader *r, size_t token, size_t end)
{
    size_t at = token + 1;
    return take_modifier(r, &at, end);
}

static bool is_wildcard(const struct url_reader *r, size_t token, size_t end)
{
    return token < end && (kind_of(r, token) == URL_NAME || kind_of(r, token) == URL_STAR);
}

/* A wildcard with its modifier, to which a prefix before it belongs. */
static void put_modified(struct url_reader *r, const struct component *c, size_t *at, size_t end,
                         bool prefix)
{
    size_t wildcard = *at + prefix;
    enum repeat repeat = modifier_behind(r, wildcard, end);
    size_t place =
        program_open(r->program, (struct step){.kind = STEP_GROUP, .repeat = (uint8_t)repeat});
    if (prefix)
        put_char(r, c, *at);
    *at = wildcard;
    put_wildcard(r, c, at, end);
    ++*at;
    program_close(r->program, place);
}

/* One part of a component. */
static void put_part(struct url_reader *r, const struct component *c, size_t *at, size_t end)
{
    bool prefix = c->prefix && kind_of(r, *at) == URL_CHAR && is_char(r, *at, c->prefix) &&
                  is_wildcard(r, *at + 1, end);
    size_t wildcard = *at + prefix;

    if (is_wildcard(r, wildcard, end) && modifier_behind(r, wildcard, end) != ONCE)
        put_modified(r, c, at, end, prefix);
    else if (kind_of(r, *at) == URL_OPEN)
        put_braces(r, c, at, end);
    else if (is_wildcard(r, *at, end))
        put_wildcard(r, c, at, end);
    else if (kind_of(r, *at) == URL_CHAR || kind_of(r, *at) == URL_ESCAPED)
        put_char(r, c, (*at)++);
    else
        fail(r, *at,
             kind_of(r, *at) == URL_CLOSE ? "a } closes nothing" : "a modifier modifies nothing");
}

/* The tokens from `from` to `end` are a component. */
static void put_component(struct url_reader *r, const struct component *c, size_t from, size_t end)
{
    for (size_t at = from; at < end && !r->fault && !r->program->overflowed;)
        put_part(r, c, &at, end);
}

static void put_literal(struct url_reader *r, const char *text)
{
    program_put_text(r->program, slice_of(text));
}

/* A component that was not named, or is a *: with its sign before it, or missing. */
static void put_anything(struct url_reader *r, const char *sign, enum char_class class)
{
    size_t place =
        program_open(r->program, (struct step){.kind = STEP_GROUP, .repeat = AT_MOST_ONCE});
    put_literal(r, sign);
    program_put_any(r->program, class);
    program_close(r->program, place);
}

/* The component behind a sign. An empty one is missing, with its sign. */
static void put_behind(struct url_reader *r, const char *sign, const struct component *c,
                       size_t from, size_t end)
{
    if (end - from == 1 && kind_of(r, from) == URL_STAR) {
        put_anything(r, sign, c->all);
    } else if (end > from) {
        put_literal(r, sign);
        put_component(r, c, from, end);
    }
}

/* --- URLs --- */

static bool ends_scheme(const struct url_reader *r, size_t token)
{
    return is_char(r, token, ':');
}

static bool ends_path(const struct url_reader *r, size_t token)
{
    return begins_search(r, token) || is_char(r, token, '#');
}

static bool ends_host(const struct url_reader *r, size_t token)
{
    return is_char(r, token, '/') || ends_path(r, token);
}

static bool ends_search(const struct url_reader *r, size_t token)
{
    return is_char(r, token, '#');
}

/* From the path on: at is where it begins. The search and the fragment may be anything where the
 * pattern ends before them. */
static void put_path(struct url_reader *r, const struct component *c, size_t at)
{
    size_t end = find(r, at, ends_path);
    bool empty = end == at && c != &opaque_component,
         only_host = empty && kind_of(r, at) == URL_END;
    if (only_host)
        program_put_any(r->program, CLASS_PATH);
    else if (empty)
        put_literal(r, "/");
    put_component(r, c, at, end);

    if (kind_of(r, end) == URL_END) {
        put_anything(r, "?", CLASS_SEARCH);
    } else if (begins_search(r, end)) {
        at = end + 1;
        end = find(r, at, ends_search);
        put_behind(r, "?", &search_component, at, end);
    }
    if (kind_of(r, end) == URL_END)
        put_anything(r, "#", CLASS_ANY);
    else
        put_behind(r, "#", &hash_component, end + 1, r->count - 1);
}

/* Does the scheme that the program has so far match one whose URLs have a host? */
static bool is_special(const struct url_reader *r)
{
    static const char *const names[] = {"http:", "https:", "ws:", "wss:", "ftp:", "file:"};
    struct text_view v;
    bool found = false;
    for (size_t i = 0; !found && i < sizeof names / sizeof names[0]; i++) {
        text_view_make(&v, slice_of(names[i]));
        found = text_view_matches(&v, r->program->steps, 0, r->program->count, r->program->text);
    }
    return found;
}

/* The port that the scheme has anyway is no part of a URL. */
static bool is_default_port(const struct url_reader *r, const struct url_parts *parts, size_t from,
                            size_t end)
{
    const struct slice port = {r->text.data + r->tokens[from].at,
                               r->tokens[end].at - (size_t)r->tokens[from].at};
    struct slice scheme = program_prefix(r->program->steps, 0, parts->host, r->program->text);
    return url_default_port(scheme, port);
}

/* The host and its port, from `at` on. */
static void put_host(struct url_reader *r, const struct url_parts *parts, size_t at, size_t end)
{
    size_t colon = at;
    while (colon < end && !(is_char(r, colon, ':')))
        colon++;

    put_component(r, &host_component, at, colon);
    if (colon < end && !is_default_port(r, parts, colon + 1, end))
        put_behind(r, ":", &port_component, colon + 1, end);
}

/* A path of the hub's host. */
static void read_relative(struct url_reader *r, struct slice hub, struct url_parts *parts)
{
    if (!is_char(r, 0, '/') || is_char(r, 1, '/')) {
        fail(r, 0, "neither a URL nor a path");
        return;
    }

    parts->has_origin = hub.len > 0;
    if (parts->has_origin) {
        put_literal(r, "http");
        size_t place =
            program_open(r->program, (struct step){.kind = STEP_GROUP, .repeat = AT_MOST_ONCE});
        put_literal(r, "s");
        program_close(r->program, place);
        put_literal(r, ":");
        parts->host = (uint16_t)program_mark(r->program);
        put_literal(r, "//");
        program_put_text(r->program, hub);
        parts->has_host = true;
    }
    parts->path = (uint16_t)program_mark(r->program);
    put_path(r, &path_component, 0);
}

static void read_absolute(struct url_reader *r, size_t colon, struct url_parts *parts)
{
    put_component(r, &scheme_component, 0, colon);
    put_literal(r, ":");
    parts->has_origin = true;
    parts->host = parts->path = (uint16_t)program_mark(r->program);
    if (r->fault || r->program->overflowed)
        return;

    parts->has_host = is_char(r, colon + 1, '/') && is_char(r, colon + 2, '/');
    if (!parts->has_host && is_special(r)) {
        fail(r, colon, "the scheme is not followed by //");
        return;
    }
    if (!parts->has_host) {
        put_path(r, &opaque_component, colon + 1);
        return;
    }

    size_t end = find(r, colon + 3, ends_host);
    put_literal(r, "//");
    put_host(r, parts, colon + 3, end);
    parts->path = (uint16_t)program_mark(r->program);
    put_path(r, &path_component, end);
}

const char *url_pattern_read(struct slice text, struct slice hub, struct program *p,
                             struct url_parts *parts, size_t *at)
{
    struct url_reader r = {.text = text, .program = p};
    *parts = (struct url_parts){0};
    read_tokens(&r);
    if (!r.fault) {
        size_t colon = find(&r, 0, ends_scheme);
        if (kind_of(&r, colon) == URL_END)
            read_relative(&r, hub, parts);
        else
            read_absolute(&r, colon, parts);
    }
    *at = r.fault_at;
    return r.fault;
}
