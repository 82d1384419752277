/* The encoder makes one pass to count and one to write; the decoder is the standard's line
 * machine, fed any way. */
#include "codec/sse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/must.h"

/* The first LF or CR in bytes, or NULL. It looks in windows: where all
 * lines are short and end with one of the two, the other one is not searched to the far end each
 * time. */
static const char *line_end(struct slice bytes)
{
    const size_t window = 256;
    for (size_t at = 0; at < bytes.len; at += window) {
        size_t len = bytes.len - at < window ? bytes.len - at : window;
        const char *lf = memchr(bytes.data + at, '\n', len);
        const char *cr = memchr(bytes.data + at, '\r', lf ? (size_t)(lf - bytes.data) - at : len);
        if (cr || lf)
            return cr ? cr : lf;
    }
    return NULL;
}

/* The length of the first line of rest; *next is where the line after it begins (LF, CR or CRLF
 * between them), or NULL when there is none. */
static size_t line_length(struct slice rest, const char **next)
{
    const char *end = line_end(rest);
    *next = NULL;
    if (!end)
        return rest.len;
    size_t len = (size_t)(end - rest.data);
    bool crlf = *end == '\r' && len + 1 < rest.len && end[1] == '\n';
    *next = end + (crlf ? 2 : 1);
    return len;
}

static inline char *sse_put(char *out, const char *bytes, size_t len)
{
    if (len)
        memcpy(out, bytes, len);
    return out + len;
}

static inline char *put_field(char *out, const char *name, struct slice value)
{
    out = sse_put(out, name, strlen(name));
    out = sse_put(out, value.data, value.len);
    *out++ = '\n';
    return out;
}

/* Call for each line of data: out NULL only counts. Returns the bytes of all data: lines. */
static size_t put_data(struct slice data, char *out)
{
    size_t size = 0;
    const char *next = data.data ? data.data : "", *end = next + data.len;
    do {
        struct slice rest = {next, (size_t)(end - next)};
        struct slice line = {rest.data, line_length(rest, &next)};
        if (out)
            out = put_field(out, "data: ", line);
        size += strlen("data: \n") + line.len;
    } while (next);
    return size;
}

static size_t retry_digits(uint32_t retry, char digits[16])
{
    return (size_t)snprintf(digits, 16, "%u", retry);
}

size_t sse_encoded_size(const struct sse_block *b)
{
    char digits[16];
    size_t size = 1;
    if (b->id.len)
        size += strlen("id: \n") + b->id.len;
    if (b->event.len)
        size += strlen("event: \n") + b->event.len;
    if (b->has_retry)
        size += strlen("retry: \n") + retry_digits(b->retry, digits);
    if (b->has_data)
        size += put_data(b->data, NULL);
    return size;
}

size_t sse_encode(const struct sse_block *b, char *out)
{
    char digits[16];
    char *start = out;
    if (b->id.len)
        out = put_field(out, "id: ", b->id);
    if (b->event.len)
        out = put_field(out, "event: ", b->event);
    if (b->has_retry)
        out = put_field(out, "retry: ", (struct slice){digits, retry_digits(b->retry, digits)});
    if (b->has_data)
        out += put_data(b->data, out);
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): room for sse_encoded_size() bytes
    *out++ = '\n';
    return (size_t)(out - start);
}

static bool one_line(struct slice value)
{
    return value.len <= 255 && (value.len == 0 || (!memchr(value.data, '\0', value.len) &&
                                                   !memchr(value.data, '\n', value.len) &&
                                                   !memchr(value.data, '\r', value.len)));
}

bool sse_valid_id(struct slice value)
{
    return value.len > 0 && one_line(value);
}

bool sse_valid_event(struct slice value)
{
    return one_line(value);
}

/* --- decoder --- */

struct sse_decoder {
    struct sse_handler handler;
    struct buf line;  /* the line being received */
    struct buf data;  /* the data buffer: each line with its LF */
    struct buf type;  /* the event type buffer */
    struct buf id;    /* the last event id buffer */
    bool id_moved;    /* this block had an id: field */
    bool has_data;    /* this block had a data: field */
    bool after_cr;    /* the last byte ended a line with CR: a LF that follows belongs to it */
    bool bom_checked; /* the first line has been looked at for a byte order mark */
    size_t max;       /* bytes of the four texts together; 0: no limit */
    int failed;       /* -errno: why it is unusable */
};

/* A NUL follows, which len does not count. */
static int text_add(struct buf *t, const char *bytes, size_t len)
{
    buf_put(t, bytes, len);
    buf_terminate(t);
    return t->failed ? -ENOMEM : 0;
}

static int text_set(struct buf *t, struct slice value)
{
    t->len = 0;
    return text_add(t, value.data, value.len);
}

struct sse_decoder *sse_decoder_new(const struct sse_handler *handler)
{
    struct sse_decoder *d = calloc(1, sizeof *d);
    if (d)
        d->handler = *handler;
    return d;
}

void sse_decoder_free(struct sse_decoder **d)
{
    if (!*d)
        return;
    buf_release(&(*d)->line);
    buf_release(&(*d)->data);
    buf_release(&(*d)->type);
    buf_release(&(*d)->id);
    free(*d);
    *d = NULL;
}

void sse_decoder_limit(struct sse_decoder *d, size_t max)
{
    d->max = max;
}

int sse_decoder_set_id(struct sse_decoder *d, struct slice id)
{
    return text_set(&d->id, id);
}

static void dispatch(struct sse_decoder *d)
{
    struct sse_event event = {
        .type = d->type.len ? buf_slice(&d->type) : slice_of("message"),
        .data = buf_slice(&d->data),
        .id = buf_slice(&d->id),
        .has_data = d->has_data,
    };
    if (d->has_data)
        d->data.data[--event.data.len] = 0; /* the last line's LF */
    if (d->has_data || d->id_moved)
        d->handler.event(d->handler.context, &event);
    d->data.len = d->type.len = 0;
    d->has_data = d->id_moved = false;
}

static void retry_field(struct sse_decoder *d, struct slice value)
{
    uint64_t ms = 0;
    if (!value.len || !d->handler.retry)
        return;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return;
        if (ms < UINT64_MAX / 10 - 9)
            ms = ms * 10 + (uint64_t)(value.data[i] - '0');
    }
    d->handler.retry(d->handler.context, ms);
}

static int data_field(struct sse_decoder *d, struct slice value)
{
    d->has_data = true;
    int err = text_add(&d->data, value.data, value.len);
    return err ? err : text_add(&d->data, "\n", 1);
}

static int id_field(struct sse_decoder *d, struct slice value)
{
    if (value.len && memchr(value.data, '\0', value.len))
        return 0;
    d->id_moved = true;
    return text_set(&d->id, value);
}

static int field(struct sse_decoder *d, struct slice name, struct slice value)
{
    if (slice_equal(name, slice_of("data")))
        return data_field(d, value);
    if (slice_equal(name, slice_of("event")))
        return text_set(&d->type, value);
    if (slice_equal(name, slice_of("id")))
        return id_field(d, value);
    if (slice_equal(name, slice_of("retry")))
        retry_field(d, value);
    return 0;
}

static int whole_line(struct sse_decoder *d, struct slice line)
{
    MUST(line.data || !line.len);
    if (!d->bom_checked) {
        d->bom_checked = true;
        if (line.len >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0)
            line = (struct slice){line.data + 3, line.len - 3};
    }
    if (line.len == 0) {
        dispatch(d);
        return 0;
    }
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == line.data) {
        if (d->handler.comment)
            d->handler.comment(d->handler.context, (struct slice){line.data + 1, line.len - 1});
        return 0;
    }
    if (!colon)
        return field(d, line, (struct slice){0});
    struct slice value = {colon + 1, (size_t)(line.data + line.len - colon - 1)};
    if (value.len && value.data[0] == ' ')
        value = (struct slice){value.data + 1, value.len - 1};
    return field(d, (struct slice){line.data, (size_t)(colon - line.data)}, value);
}

/* Would more bytes of a line be too many? */
static bool too_large(const struct sse_decoder *d, size_t more)
{
    return d->max && d->line.len + d->data.len + d->type.len + d->id.len + more > d->max;
}

/* A line that ends at end, possibly begun in an earlier feed. */
static int end_line(struct sse_decoder *d, struct slice tail)
{
    if (too_large(d, tail.len))
        return -EMSGSIZE;
    if (d->line.len == 0)
        return whole_line(d, tail);
    int err = text_add(&d->line, tail.data, tail.len);
    if (!err)
        err = whole_line(d, buf_slice(&d->line));
    d->line.len = 0;
    return err;
}

int sse_decoder_feed(struct sse_decoder *d, const char *bytes, size_t len)
{
    int err = d->failed;
    while (!err && len) {
        if (d->after_cr && *bytes == '\n') {
            bytes++;
            len--;
        }
        d->after_cr = false;
        if (!len)
            break;
        const char *next;
        size_t line = line_length((struct slice){bytes, len}, &next);
        if (!next) {
            err = too_large(d, len) ? -EMSGSIZE : text_add(&d->line, bytes, len);
            break;
        }
        d->after_cr = bytes[line] == '\r' && next == bytes + len && next[-1] == '\r';
        err = end_line(d, (struct slice){bytes, line});
        len -= (size_t)(next - bytes);
        bytes = next;
    }
    d->failed = err;
    return err;
}
