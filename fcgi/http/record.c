#include "http/record.h"

#include <fastcgi.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/must.h"

static void header(char *out, uint8_t type, uint16_t request, uint16_t len)
{
    out[0] = FCGI_VERSION_1;
    out[1] = (char)type;
    out[2] = (char)(request >> 8);
    out[3] = (char)(request & 0xff);
    out[4] = (char)(len >> 8);
    out[5] = (char)(len & 0xff);
    out[6] = 0; /* padding */
    out[7] = 0;
}

void record_stdout(char out[RECORD_HEADER_LEN], uint16_t request, uint16_t len)
{
    header(out, FCGI_STDOUT, request, len);
}

void record_end(char out[RECORD_END_LEN], uint16_t request)
{
    header(out, FCGI_STDOUT, request, 0);
    header(out + 8, FCGI_END_REQUEST, request, 8);
    memset(out + 16, 0, 8); /* appStatus 0, FCGI_REQUEST_COMPLETE 0, reserved */
}

/* --- parameters --- */

/* Take the next byte of a length. */
static void length_byte(struct record_pairs *s, unsigned char byte)
{
    bool first = s->bytes == 0, is_long = first && byte & 0x80;
    s->reading = s->reading << 8 | (is_long ? byte & 0x7fu : byte);
    if (is_long)
        s->bytes = 3;
    else
        s->bytes = first ? 0 : s->bytes - 1;
    if (s->bytes)
        return;
    s->length += s->reading;
    s->reading = 0;
    if (++s->known < 2)
        return;
    s->skip = s->length;
    s->length = s->known = 0;
}

static void scan_pairs(struct record_pairs *s, const unsigned char *p, size_t len)
{
    while (len) {
        size_t n = s->skip ? s->skip : 1;
        n = n < len ? n : len;
        if (s->skip)
            s->skip -= n;
        else
            length_byte(s, *p);
        p += n;
        len -= n;
    }
}

/* The last pair is whole: no length points beyond the end. libfcgi would allocate what it says
 * (CVE-2025-23016). */
static bool pairs_end(const struct record_pairs *s)
{
    return !s->skip && !s->known && !s->bytes;
}

/* --- management records --- */

/* One before a request, as HAProxy sends it to learn what the application can do. */
static bool is_management(const struct record_scan *s, const unsigned char *p)
{
    bool of_no_request = p[2] == 0 && p[3] == FCGI_NULL_REQUEST_ID;

    return !s->begun && of_no_request && p[1] != FCGI_BEGIN_REQUEST;
}

/* Read a length of one or four bytes at *at. False when it does not fit. */
static bool read_length(struct slice content, size_t *at, size_t *length)
{
    const unsigned char *p = (const unsigned char *)content.data + *at;
    size_t left = content.len - *at, size = left && p[0] & 0x80 ? 4 : 1;

    if (left < size)
        return false;
    *length = p[0];
    if (size == 4)
        *length = (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    *at += size;
    return true;
}

/* The next name that is asked for. False at the end. */
static bool next_name(struct slice content, size_t *at, struct slice *name)
{
    size_t name_len, value_len;

    if (!read_length(content, at, &name_len) || !read_length(content, at, &value_len))
        return false;
    if (name_len > content.len - *at || value_len > content.len - *at - name_len)
        return false;
    *name = (struct slice){content.data + *at, name_len};
    *at += name_len + value_len;
    return true;
}

static bool asks_for(struct slice content, const char *wanted)
{
    struct slice name;

    for (size_t at = 0; next_name(content, &at, &name);)
        if (slice_equal(name, slice_of(wanted)))
            return true;
    return false;
}

static void put_value(char *out, size_t *len, const char *name, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, value);
    size_t name_len = strlen(name);

    MUST(*len + 2 + name_len + (size_t)n <= RECORD_ANSWER_MAX);
    out[(*len)++] = (char)name_len;
    out[(*len)++] = (char)n;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): FastCGI counts */
    memcpy(out + *len, name, name_len);
    memcpy(out + *len + name_len, digits, (size_t)n);
    *len += name_len + (size_t)n;
}

size_t record_answer(char out[RECORD_ANSWER_MAX], struct slice bytes, uint64_t max_requests,
                     size_t *used)
{
    const unsigned char *p = (const unsigned char *)bytes.data;
    struct slice content = {bytes.data + FCGI_HEADER_LEN, (size_t)p[4] << 8 | p[5]};
    size_t len = FCGI_HEADER_LEN;

    *used = FCGI_HEADER_LEN + content.len + p[6];
    MUST(*used <= bytes.len);

    if (p[1] != FCGI_GET_VALUES) {
        header(out, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, 8);
        memset(out + len, 0, 8);
        out[len] = (char)p[1];
        return len + 8;
    }

    if (asks_for(content, FCGI_MAX_CONNS))
        put_value(out, &len, FCGI_MAX_CONNS, max_requests);
    if (asks_for(content, FCGI_MAX_REQS))
        put_value(out, &len, FCGI_MAX_REQS, max_requests);
    if (asks_for(content, FCGI_MPXS_CONNS))
        put_value(out, &len, FCGI_MPXS_CONNS, 0);
    header(out, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID, (uint16_t)(len - FCGI_HEADER_LEN));
    return len;
}

/* --- records --- */

/* The whole FCGI_BEGIN_REQUEST record at p. */
static bool begin_request(struct record_scan *s, const unsigned char *p, size_t content)
{
    bool first = !s->begun;
    s->begun = true;
    s->odd_padding = p[6] > 0;
    s->request = (unsigned)p[2] << 8 | p[3];
    s->keep = content == 8 && p[FCGI_HEADER_LEN + 2] & FCGI_KEEP_CONN;
    return first && content == 8 && p[FCGI_HEADER_LEN] == 0 &&
           p[FCGI_HEADER_LEN + 1] == FCGI_RESPONDER;
}

/* Take account of the record at p; false when it does not belong here. */
static bool record_step(struct record_scan *s, const unsigned char *p, size_t content)
{
    if (p[1] == FCGI_BEGIN_REQUEST)
        return begin_request(s, p, content);
    if (!s->begun || ((unsigned)p[2] << 8 | p[3]) != s->request)
        return false;
    switch (p[1]) {
    case FCGI_PARAMS:
        if (s->params_done)
            return false;
        s->params_done = content == 0;
        s->odd_padding = s->odd_padding || (s->params_done && p[6] > 0);
        scan_pairs(&s->pairs, p + FCGI_HEADER_LEN, content);
        return !s->params_done || pairs_end(&s->pairs);
    case FCGI_STDIN:
        s->body_done = content == 0;
        return s->params_done;
    default:
        return false;
    }
}

enum record_progress record_scan(struct record_scan *s, struct slice bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.data + s->at,
                        *end = (const unsigned char *)bytes.data + bytes.len;
    while (p < end && !s->body_done) {
        if (p[0] != FCGI_VERSION_1)
            return RECORD_BAD;
        if (end - p < FCGI_HEADER_LEN)
            break;
        size_t content = (size_t)p[4] << 8 | p[5];
        size_t len = FCGI_HEADER_LEN + content + p[6];
        bool whole = (size_t)(end - p) >= len, management = is_management(s, p);
        if (!whole && (management || p[1] != FCGI_STDIN || content == 0))
            break;
        if (management)
            return RECORD_MANAGEMENT;
        if (!record_step(s, p, content))
            return RECORD_BAD;
        if ((size_t)(end - p) < len)
            break;
        p += len;
        s->at += len;
        if (s->params_done && !s->params_end)
            s->params_end = s->at;
    }
    if (s->body_done)
        return RECORD_COMPLETE;
    return s->params_done ? RECORD_PARAMS : RECORD_PARTIAL;
}

size_t record_strip(char *bytes, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        const unsigned char *p = (const unsigned char *)bytes + at;
        size_t record = FCGI_HEADER_LEN + ((size_t)p[4] << 8 | p[5]), padding = p[6];
        MUST(len - at >= record + padding);
        memmove(bytes + kept, bytes + at, record);
        bytes[kept + 6] = 0;
        kept += record;
        at += record + padding;
    }
    return kept;
}

/* --- a body --- */

/* The header of a record is complete: does it belong to the body? */
static bool begin_piece(struct record_body *b)
{
    const unsigned char *h = b->header;
    b->content_left = (size_t)h[4] << 8 | h[5];
    b->padding_left = h[6];
    b->last = b->content_left == 0;
    return h[0] == FCGI_VERSION_1 && h[1] == FCGI_STDIN &&
           ((unsigned)h[2] << 8 | h[3]) == b->request;
}

/* min(*left, max), taken off *left. */
static size_t record_take(size_t *left, size_t max)
{
    size_t taken = *left < max ? *left : max;
    *left -= taken;
    return taken;
}

/* Up to max bytes of a header. False when it is complete and no header of ours. */
static bool take_header(struct record_body *b, const char *bytes, size_t max, size_t *taken)
{
    size_t left = RECORD_HEADER_LEN - b->header_len;
    *taken = record_take(&left, max);
    memcpy(b->header + b->header_len, bytes, *taken);
    b->header_len += *taken;
    return left || begin_piece(b);
}

/* Up to max bytes of what follows a header: *content of them are the body's. */
static void take_piece(struct record_body *b, size_t max, size_t *content, size_t *taken)
{
    *content = record_take(&b->content_left, max);
    *taken = *content + record_take(&b->padding_left, max - *content);
}

static bool piece_done(const struct record_body *b)
{
    return b->header_len == RECORD_HEADER_LEN && !b->content_left && !b->padding_left;
}

enum record_progress record_unframe(struct record_body *b, char *bytes, size_t *len)
{
    size_t at = 0, out = 0, max = *len, taken, content;
    *len = 0;
    while (at < max) {
        if (b->header_len < RECORD_HEADER_LEN) {
            if (!take_header(b, bytes + at, max - at, &taken))
                return RECORD_BAD;
        } else {
            take_piece(b, max - at, &content, &taken);
            memmove(bytes + out, bytes + at, content);
            *len = out += content;
        }
        at += taken;
        if (piece_done(b) && b->last) {
            b->behind = max - at;
            return RECORD_COMPLETE;
        }
        if (piece_done(b))
            b->header_len = 0;
    }
    return RECORD_PARTIAL;
}
