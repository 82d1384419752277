#include "codec/json_scan.h"

#include <stddef.h>

#include "codec/json_lex.h"

#define LONG_NUMBER 18u /* digits that always fit an int64_t */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && json_is_space(*p))
        p++;
    return p;
}

/* True when the quote at p is escaped: an odd number of backslashes precedes it, back to start. */
static bool is_escaped(const char *p, const char *start)
{
    size_t backslashes = 0;
    while (p - backslashes > start && p[-1 - (ptrdiff_t)backslashes] == '\\')
        backslashes++;
    return backslashes % 2;
}

/* p is at the opening quote; the result is behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    const char *start = ++p;
    while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
        if (!is_escaped(p, start))
            return p + 1;
        p++;
    }
    return end;
}

static const char *skip_scalar(const char *p, const char *end)
{
    while (p < end && *p != ',' && *p != ']' && *p != '}' && !json_is_space(*p))
        p++;
    return p;
}

static const char *skip_nested(const char *p, const char *end)
{
    size_t depth = 0;
    do {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        p++;
    } while (depth > 0 && p < end);
    return p;
}

static const char *skip_value(const char *p, const char *end)
{
    if (p >= end)
        return end;
    if (*p == '"')
        return skip_string(p, end);
    return *p == '{' || *p == '[' ? skip_nested(p, end) : skip_scalar(p, end);
}

struct slice json_inside(struct slice text)
{
    return text.len < 2 ? (struct slice){NULL, 0} : (struct slice){text.data + 1, text.len - 2};
}

/* Take the next value; what is behind it, and behind one of the separators if it is there, is
 * left in rest. */
static bool json_scan_take(struct slice *rest, char separator, struct slice *value)
{
    const char *end = rest->data + rest->len;
    const char *start = skip_space(rest->data, end);
    const char *after = skip_value(start, end);
    if (after == start)
        return false;
    *value = (struct slice){start, (size_t)(after - start)};
    after = skip_space(after, end);
    if (after < end && *after == separator)
        after++;
    *rest = (struct slice){after, (size_t)(end - after)};
    return true;
}

bool json_next_field(struct slice *rest, struct slice *key, struct slice *value)
{
    return rest->len > 0 && json_scan_take(rest, ':', key) && rest->len > 0 &&
           json_scan_take(rest, ',', value);
}

/* True for what JSON's grammar calls a number, from the first to the last byte. */
static bool is_number(const char *p, const char *end)
{
    struct json_lexer lex = {.p = p, .end = end};
    return json_lex_number(&lex) && lex.p == end;
}

/* True when jansson holds this number exactly: it has no exponent and is short or fits an
 * int64_t. */
static bool is_held(const char *number, size_t len)
{
    bool negative = *number == '-';
    if (memchr(number, 'e', len) || memchr(number, 'E', len))
        return false;
    if (len <= LONG_NUMBER)
        return true;
    return len - negative == LONG_NUMBER + 1 && !memchr(number, '.', len) &&
           memcmp(number + negative, negative ? "9223372036854775808" : "9223372036854775807",
                  LONG_NUMBER + 1) <= 0;
}

/* Write a zero over a number that jansson cannot hold: "0.000". */
static void soften_number(char *number, size_t len)
{
    if (len < 3 || is_held(number, len))
        return;
    memset(number, '0', len);
    number[1] = '.';
}

/* Behind what could be one token; a single structural character is one. */
static char *skip_token(char *p, const char *end)
{
    char *after = p;
    while (after < end && !json_is_space(*after) && !strchr("{}[]:,\"", *after))
        after++;
    return after > p ? after : p + 1;
}

/* NUL escapes in a key become U+FFFE, which is not a character. */
static void soften_key(char *key, const char *end)
{
    for (char *p = key; p + 6 <= end; p++) {
        if (*p != '\\')
            continue;
        if (memcmp(p, "\\u0000", 6) == 0)
            memcpy(p, "\\ufffe", 6);
        p++;
    }
}

static char *soften_string(char *p, const char *end)
{
    char *after = p + (skip_string(p, end) - p);
    const char *next = skip_space(after, end);
    if (next < end && *next == ':')
        soften_key(p, after);
    return after;
}

void json_soften(char *text, size_t len)
{
    const char *end = text + len;
    for (char *p = text, *after; p < end; p = after) {
        if (*p == '"') {
            after = soften_string(p, end);
            continue;
        }
        after = skip_token(p, end);
        if (is_number(p, after))
            soften_number(p, (size_t)(after - p));
    }
}
