/* Why this exists beside jansson: building and freeing the tree of a payload that nobody looks into was more than half of what a
 * publish cost. */
#include "json_abridge.h"

#include "json_scan.h"
#include "name.h"

#define DEPTH_MAX 32u  /* of a payload that is checked here */
#define FIELDS_MAX 16u /* of one object in it: each name is compared with those before it */
#define KEY "\"data\""
#define KEY_LEN (sizeof KEY - 1)
#define MARK_LEN 2u

static const char mark[] = "0 "; /* the space keeps what follows from joining the number */

/* Each of these takes one thing at p and gives what is behind it; NULL: it is wrong, or unusual. */
static const char *value(const char *p, const char *end, unsigned depth);

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* \uXXXX but for surrogates, which come in pairs. */
static const char *unicode_escape(const char *p, const char *end)
{
    if (end - p < 6 || !is_hex(p[2]) || !is_hex(p[3]) || !is_hex(p[4]) || !is_hex(p[5]))
        return NULL;
    return (p[2] | 0x20) == 'd' ? NULL : p + 6;
}

static const char *escape(const char *p, const char *end)
{
    if (end - p < 2)
        return NULL;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return unicode_escape(p, end);
    default:
        return NULL;
    }
}

static const char *character(const char *p, const char *end)
{
    if (*p == '\\')
        return escape(p, end);
    if ((unsigned char)*p < 0x20)
        return NULL;
    size_t len = utf8_sequence((struct slice){p, (size_t)(end - p)});
    return len ? p + len : NULL;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

static const char *string(const char *p, const char *end)
{
    for (p++; p && p < end;) {
        if (is_plain(*p))
            p++;
        else if (*p == '"')
            return p + 1;
        else
            p = character(p, end);
    }
    return NULL;
}

static const char *word(const char *p, const char *end, struct slice word)
{
    return (size_t)(end - p) >= word.len && memcmp(p, word.data, word.len) == 0 ? p + word.len : NULL;
}

static const char *list(const char *p, const char *end, unsigned depth)
{
    p = skip_space(p + 1, end);
    if (p < end && *p == ']')
        return p + 1;
    while ((p = value(p, end, depth))) {
        p = skip_space(p, end);
        if (p >= end || (*p != ',' && *p != ']'))
            return NULL;
        if (*p++ == ']')
            return p;
        p = skip_space(p, end);
    }
    return NULL;
}

/* A field's name, not among the `count` names before it, which it joins. */
static const char *name(const char *p, const char *end, struct slice *names, size_t count)
{
    const char *after = p < end && *p == '"' && count < FIELDS_MAX ? string(p, end) : NULL;
    if (!after)
        return NULL;
    names[count] = (struct slice){p, (size_t)(after - p)};
    if (memchr(p, '\\', names[count].len))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (slice_equal(names[i], names[count]))
            return NULL;
    return after;
}

static const char *colon(const char *p, const char *end)
{
    p = skip_space(p, end);
    return p < end && *p == ':' ? skip_space(p + 1, end) : NULL;
}

static const char *object(const char *p, const char *end, unsigned depth)
{
    struct slice names[FIELDS_MAX];
    p = skip_space(p + 1, end);
    if (p < end && *p == '}')
        return p + 1;
    for (size_t count = 0; (p = name(p, end, names, count)); count++) {
        p = colon(p, end);
        if (!p || !(p = value(p, end, depth)))
            return NULL;
        p = skip_space(p, end);
        if (p >= end || (*p != ',' && *p != '}'))
            return NULL;
        if (*p++ == '}')
            return p;
        p = skip_space(p, end);
    }
    return NULL;
}

static const char *number(const char *p, const char *end)
{
    const char *after = json_skip_number(p, end);
    return after > p ? after : NULL;
}

static const char *value(const char *p, const char *end, unsigned depth)
{
    if (p >= end || depth == 0)
        return NULL;
    switch (*p) {
    case '"':
        return string(p, end);
    case '{':
        return object(p, end, depth - 1);
    case '[':
        return list(p, end, depth - 1);
    case 't':
        return word(p, end, slice_of("true"));
    case 'f':
        return word(p, end, slice_of("false"));
    case 'n':
        return word(p, end, slice_of("null"));
    default:
        return number(p, end);
    }
}

size_t json_abridged_max(struct slice text)
{
    return text.len + text.len / KEY_LEN * MARK_LEN;
}

/* The payload behind the string at p, when that is the name of one; else NULL. */
static const char *payload_of(const char *p, const char *after, const char *end)
{
    if ((size_t)(after - p) != KEY_LEN || memcmp(p, KEY, KEY_LEN) != 0)
        return NULL;
    return colon(after, end);
}

static char *copy(char *out, const char *from, const char *to)
{
    memcpy(out, from, (size_t)(to - from));
    return out + (to - from);
}

size_t json_abridge(struct slice text, char *out)
{
    const char *p = text.data, *end = p + text.len, *copied = p;
    char *to = out;
    while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
        const char *after = json_skip_string(p, end), *payload = payload_of(p, after, end);
        p = after;
        if (!payload)
            continue;
        to = copy(to, copied, payload);
        to = copy(to, mark, mark + MARK_LEN);
        copied = p = value(payload, end, DEPTH_MAX);
        if (!p)
            return 0;
    }
    return (size_t)(copy(to, copied, end) - out);
}
