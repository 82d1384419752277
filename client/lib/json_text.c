#include "lib/json_text.h"

#include "base/name.h"
#include "codec/surrogate.h"

struct json_text_scan {
    const char *p, *end;
    int depth;
};

static bool value(struct json_text_scan *s);

static int peek(const struct json_text_scan *s)
{
    return s->p < s->end ? (unsigned char)*s->p : -1;
}

static bool take(struct json_text_scan *s, char c)
{
    if (peek(s) != (unsigned char)c)
        return false;
    s->p++;
    return true;
}

static void space(struct json_text_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool word(struct json_text_scan *s, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
        return false;
    s->p += len;
    return true;
}

static bool digits(struct json_text_scan *s)
{
    const char *start = s->p;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->p++;
    return s->p > start;
}

static bool number(struct json_text_scan *s)
{
    take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (!take(s, 'e') && !take(s, 'E'))
        return true;
    if (!take(s, '+'))
        take(s, '-');
    return digits(s);
}

/* What follows a backslash. */
static bool escape(struct json_text_scan *s)
{
    int c = peek(s);
    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return false;
    s->p++;
    if (c != 'u')
        return true;

    size_t len;
    if (surrogate_read(s->p, s->end, &len) < 0)
        return false;
    s->p += len;
    return true;
}

/* What follows the opening quote, with the closing one. */
static bool string(struct json_text_scan *s)
{
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p;
        size_t len = c < 0x80 ? 1 : utf8_sequence((struct slice){s->p, (size_t)(s->end - s->p)});
        if (len == 0 || c < 0x20)
            return false;
        s->p += len;
        if (c == '"')
            return true;
        if (c == '\\' && !escape(s))
            return false;
    }
    return false;
}

static bool member(struct json_text_scan *s)
{
    space(s);
    if (!take(s, '"') || !string(s))
        return false;
    space(s);
    return take(s, ':') && value(s);
}

/* What follows the opening bracket, up to the closing one. */
static bool items(struct json_text_scan *s, bool (*item)(struct json_text_scan *s), char closing)
{
    space(s);
    if (take(s, closing))
        return true;
    if (++s->depth > JSON_TEXT_DEPTH)
        return false;
    do
        if (!item(s))
            return false;
    while (take(s, ','));
    s->depth--;
    return take(s, closing);
}

static bool value(struct json_text_scan *s)
{
    space(s);
    bool good = take(s, '{')   ? items(s, member, '}')
                : take(s, '[') ? items(s, value, ']')
                : take(s, '"') ? string(s)
                               : word(s, "true") || word(s, "false") || word(s, "null") || number(s);
    space(s);
    return good;
}

bool json_text_valid(struct slice text)
{
    struct json_text_scan s = {.p = text.data, .end = text.data + text.len};
    return text.len > 0 && value(&s) && s.p == s.end;
}

bool utf8_valid(struct slice text)
{
    while (text.len > 0) {
        size_t len = utf8_sequence(text);
        if (len == 0)
            return false;
        text = (struct slice){text.data + len, text.len - len};
    }
    return true;
}
