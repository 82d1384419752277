#include "codec/json_lex.h"

#include <endian.h>
#include <stdint.h>

#include "base/name.h"
#include "codec/surrogate.h"

static bool wrong(struct json_lexer *l, const char *what)
{
    l->what = what;
    return false;
}

/* --- strings --- */

/* l->p is behind a backslash. */
static bool skip_escape(struct json_lexer *l, bool halves)
{
    size_t len;
    if (l->p == l->end || !*l->p || !strchr("\"\\/bfnrtu", *l->p))
        return wrong(l, "no such escape");
    if (*l->p++ != 'u')
        return true;

    int32_t c = surrogate_read(l->p, l->end, &len);
    if (c < 0 || (surrogate_half(c) && !halves))
        return wrong(l, "no character has this \\u escape");
    l->p += len;
    return true;
}

/* Bytes of a string that are taken as they are: all of ASCII but quotes, backslashes and control
 * characters. */
static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* How many of 8 bytes come before the first one that is not plain. That byte has its highest bit
 * set in one of the sums; so may those behind it have, because of the carry. */
static size_t plain_of_8(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highest = ones * 0x80;
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    bytes = le64toh(bytes);
    uint64_t quotes = (bytes ^ ones * '"') - ones, backslashes = (bytes ^ ones * '\\') - ones;
    uint64_t others = (bytes | (bytes - ones * 0x20) | quotes | backslashes) & highest;
    return others ? (size_t)__builtin_ctzll(others) / 8 : 8;
}

static void skip_plain(struct json_lexer *l)
{
    for (size_t n = 8; n == 8 && l->end - l->p >= 8; l->p += n)
        n = plain_of_8(l->p);
    while (l->p < l->end && is_plain(*l->p))
        l->p++;
}

static bool skip_other(struct json_lexer *l)
{
    if ((unsigned char)*l->p < 0x80)
        return wrong(l, "a control character in a string");

    size_t len = utf8_sequence((struct slice){l->p, (size_t)(l->end - l->p)});
    if (!len)
        return wrong(l, "invalid UTF-8");
    l->p += len;
    return true;
}

bool json_lex_string(struct json_lexer *l, bool halves, struct slice *inside, bool *escaped)
{
    const char *start = ++l->p;
    *escaped = false;
    for (bool good = true; good;) {
        skip_plain(l);
        if (l->p == l->end)
            return wrong(l, "it ends too early");
        if (*l->p == '"') {
            *inside = (struct slice){start, (size_t)(l->p - start)};
            l->p++;
            return true;
        }
        if (*l->p != '\\') {
            good = skip_other(l);
            continue;
        }
        *escaped = true;
        l->p++;
        good = skip_escape(l, halves);
    }
    return false;
}

/* --- others --- */

static bool skip_digits(struct json_lexer *l)
{
    const char *start = l->p;
    while (l->p < l->end && *l->p >= '0' && *l->p <= '9')
        l->p++;
    return l->p > start;
}

bool json_lex_number(struct json_lexer *l)
{
    json_lex_take(l, '-');
    if (!json_lex_take(l, '0') && !skip_digits(l))
        return wrong(l, "a value is expected");
    if (json_lex_take(l, '.') && !skip_digits(l))
        return wrong(l, "a digit is expected");
    if (!json_lex_take(l, 'e') && !json_lex_take(l, 'E'))
        return true;
    if (!json_lex_take(l, '+'))
        json_lex_take(l, '-');
    return skip_digits(l) || wrong(l, "a digit is expected");
}

bool json_lex_scalar(struct json_lexer *l)
{
    static const char *const words[] = {"true", "false", "null"};
    if (l->p < l->end && *l->p <= '9')
        return json_lex_number(l);

    size_t left = (size_t)(l->end - l->p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (left >= len && memcmp(l->p, words[i], len) == 0) {
            l->p += len;
            return true;
        }
    }
    return json_lex_number(l);
}
