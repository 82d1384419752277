#include "http/scgi.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#define LENGTH_DIGITS_MAX 7u /* of the length of the headers */

/* Take the text before the next NUL off rest. False without a NUL. */
static bool take_text(struct slice *rest, struct slice *text)
{
    const char *end = rest->len ? memchr(rest->data, '\0', rest->len) : NULL;
    if (!end)
        return false;

    *text = (struct slice){rest->data, (size_t)(end - rest->data)};
    *rest = (struct slice){end + 1, rest->len - text->len - 1};
    return true;
}

static bool take_pair(struct slice *rest, struct slice *name, struct slice *value)
{
    return take_text(rest, name) && take_text(rest, value);
}

/* --- judging --- */

/* The length that begins the request: digits and a colon. *len is the number of bytes it takes. */
static enum scgi_progress read_length(struct slice bytes, size_t *length, size_t *len)
{
    size_t at = 0;

    *length = 0;
    while (at < bytes.len && at < LENGTH_DIGITS_MAX && isdigit((unsigned char)bytes.data[at]))
        *length = *length * 10 + (size_t)(bytes.data[at++] - '0');
    if (at == bytes.len && at < LENGTH_DIGITS_MAX)
        return SCGI_PARTIAL;

    bool leading_zero = at && bytes.data[0] == '0';
    if (at == 0 || leading_zero || (at < bytes.len && bytes.data[at] != ':'))
        return SCGI_BAD;
    *len = at + 1;
    return at < bytes.len ? SCGI_COMPLETE : SCGI_PARTIAL;
}

static bool read_body_length(struct slice text, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit((unsigned char)text.data[i]) || *length > UINT64_MAX / 10 - 1)
            return false;
        *length = *length * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0;
}

/* A value may be anything: Apache's SERVER_SIGNATURE ends with a newline. */
static bool name_good(struct slice name)
{
    return name.len && !memchr(name.data, '=', name.len);
}

/* Are these the headers of an SCGI request? */
static bool pairs_valid(struct slice rest, uint64_t *body_len)
{
    struct slice name, value;
    bool says_scgi = false;

    if (!take_pair(&rest, &name, &value) || !slice_equal(name, slice_of("CONTENT_LENGTH")) ||
        !read_body_length(value, body_len))
        return false;

    while (rest.len) {
        if (!take_pair(&rest, &name, &value) || !name_good(name) ||
            slice_equal(name, slice_of("CONTENT_LENGTH")))
            return false;
        says_scgi =
            says_scgi || (slice_equal(name, slice_of("SCGI")) && slice_equal(value, slice_of("1")));
    }
    return says_scgi;
}

enum scgi_progress scgi_scan(struct slice bytes, size_t max, struct scgi_head *out)
{
    size_t length, at;
    enum scgi_progress progress = read_length(bytes, &length, &at);
    if (progress != SCGI_COMPLETE)
        return progress;
    if (length > max)
        return SCGI_BAD;
    if (bytes.len - at <= length)
        return SCGI_PARTIAL;

    *out = (struct scgi_head){.pairs = {bytes.data + at, length}, .len = at + length + 1};
    MUST(out->len <= bytes.len);
    bool ends = bytes.data[out->len - 1] == ',';
    return ends && pairs_valid(out->pairs, &out->body_len) ? SCGI_COMPLETE : SCGI_BAD;
}

/* --- parameters --- */

int scgi_params(const struct scgi_head *head, struct params *p)
{
    struct slice rest = head->pairs, name, value;
    char *text = malloc(rest.len + 1), *out = text;
    if (!text)
        return -ENOMEM;

    while (take_pair(&rest, &name, &value)) {
        memcpy(out, name.data, name.len);
        out += name.len;
        *out++ = '=';
        memcpy(out, value.data, value.len + 1); /* its NUL, too */
        out += value.len + 1;
    }
    *out = '\0';
    MUST((size_t)(out - text) == head->pairs.len);
    return params_take(p, text);
}
