#include "base/json_out.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/digits.h"
#include "base/name.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void put_string(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text));
}

/* The comma and the name that come before a value. */
static void put_name(struct buf *out, const char *name)
{
    char last = out->len > 0 ? out->data[out->len - 1] : '[';
    if (last != '{' && last != '[')
        buf_put(out, ",", 1);
    if (!name)
        return;

    struct slice text = slice_of(name);
    char *p = buf_extend(out, text.len + 3);
    if (!p)
        return;
    *p++ = '"';
    memcpy(p, text.data, text.len);
    p[text.len] = '"';
    p[text.len + 1] = ':';
}

void json_begin_object(struct buf *out, const char *name)
{
    put_name(out, name);
    buf_put(out, "{", 1);
}

void json_end_object(struct buf *out)
{
    buf_put(out, "}", 1);
}

void json_begin_list(struct buf *out, const char *name)
{
    put_name(out, name);
    buf_put(out, "[", 1);
}

void json_end_list(struct buf *out)
{
    buf_put(out, "]", 1);
}

static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_run(struct slice text)
{
    size_t n = 0;
    while (n < text.len && plain((unsigned char)text.data[n]))
        n++;
    return n;
}

static void put_ascii(struct buf *out, char c)
{
    char escape[7];
    if (c == '"' || c == '\\')
        snprintf(escape, sizeof escape, "\\%c", c);
    else if (c == '\n')
        snprintf(escape, sizeof escape, "\\n");
    else
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
    put_string(out, escape);
}

/* The number of bytes at the start of text (no valid character) that one U+FFFD replaces: the
 * longest truncated sequence. The Encoding Standard, and so browsers, do the same. */
static size_t broken_run(struct slice text)
{
    for (size_t n = text.len < 3 ? text.len : 3; n > 1; n--) {
        char completed[] = "\x80\x80\x80\x80";
        memcpy(completed, text.data, n);
        if (utf8_sequence((struct slice){completed, 4}) > n)
            return n;
    }
    return 1;
}

/* Write the first character of text, which is not plain. Returns the number of bytes consumed. */
static size_t put_special(struct buf *out, struct slice text)
{
    size_t n = utf8_sequence(text);
    if (n == 1)
        put_ascii(out, text.data[0]);
    else if (n == 0)
        put_string(out, REPLACEMENT);
    else
        buf_put(out, text.data, n);
    return n > 0 ? n : broken_run(text);
}

void json_put_text(struct buf *out, const char *name, struct slice text)
{
    put_name(out, name);
    buf_put(out, "\"", 1);
    while (text.len > 0) {
        size_t n = plain_run(text);
        buf_put(out, text.data, n);
        if (n < text.len)
            n += put_special(out, (struct slice){text.data + n, text.len - n});
        text = (struct slice){text.data + n, text.len - n};
    }
    buf_put(out, "\"", 1);
}

static void put_digits(struct buf *out, uint64_t value)
{
    char digits[DIGITS_MAX];
    buf_put_slice(out, digits_plain(value, digits));
}

void json_put_count(struct buf *out, const char *name, uint64_t value)
{
    put_name(out, name);
    put_digits(out, value);
}

void json_put_int(struct buf *out, const char *name, int64_t value)
{
    put_name(out, name);
    if (value < 0)
        buf_put(out, "-", 1);
    put_digits(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_put_flag(struct buf *out, const char *name, bool value)
{
    put_name(out, name);
    put_string(out, value ? "true" : "false");
}

void json_put_null(struct buf *out, const char *name)
{
    put_name(out, name);
    put_string(out, "null");
}

void json_put_raw(struct buf *out, const char *name, struct slice json)
{
    put_name(out, name);
    buf_put(out, json.data, json.len);
}
