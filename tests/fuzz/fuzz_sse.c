/* The event stream, read: cut anywhere it says the same, and says what a reader written down from
 * the standard line by line says; the library's decoder keeps the id that counts. And written: what
 * is encoded is decoded to itself.
 *
 * Input: a stream; or, after a first byte `=`, an id, an event name and data, separated by UNIT, to
 * be encoded. */
#include "codec/sse.h"
#include "fuzz.h"
#include "lib/ssecast.h"

#include <errno.h>

/* What a reader is told, as text. */
struct diary {
    char *text;
    size_t len, cap;
};

static void note(struct diary *d, const char *mark, struct slice s)
{
    size_t need = d->len + strlen(mark) + s.len + 2;
    if (need > d->cap) {
        d->cap = need * 2;
        d->text = realloc(d->text, d->cap);
    }
    must(d->text);
    memcpy(d->text + d->len, mark, strlen(mark));
    d->len += strlen(mark);
    if (s.len)
        memcpy(d->text + d->len, s.data, s.len);
    d->len += s.len;
    d->text[d->len++] = '\0';
}

static void on_event(void *context, const struct sse_event *event)
{
    must(event->has_data || event->data.len == 0);
    must(event->type.len && event->type.data[event->type.len] == '\0');
    must(!event->data.len || event->data.data[event->data.len] == '\0');
    if (event->has_data) {
        note(context, "type ", event->type);
        note(context, "data ", event->data);
    }
    note(context, "id ", event->id);
}

static void on_retry(void *context, uint64_t ms)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)ms);
    note(context, "retry ", slice_of(digits));
}

static void on_comment(void *context, struct slice text)
{
    note(context, "comment ", text);
}

static struct diary told(struct slice stream, size_t piece)
{
    struct diary diary = {0};
    struct sse_decoder *d =
        sse_decoder_new(&(struct sse_handler){on_event, on_retry, on_comment, &diary});
    must(d);
    for (size_t at = 0; at < stream.len; at += piece) {
        size_t len = stream.len - at < piece ? stream.len - at : piece;
        char *copy = exact_copy((struct slice){stream.data + at, len});
        must(sse_decoder_feed(d, copy, len) == 0);
        free(copy);
    }
    sse_decoder_free(&d);
    return diary;
}

/* --- the standard, section 9.2.6, word for word and slowly --- */

struct reader {
    struct diary diary;
    struct diary data, type, id; /* the buffers; a diary is a text that grows */
    bool has_data, id_moved;
};

static void set(struct diary *buffer, struct slice value)
{
    buffer->len = 0;
    note(buffer, "", value);
    buffer->len--; /* the NUL */
}

static struct slice text_of(const struct diary *buffer)
{
    return (struct slice){buffer->text, buffer->len};
}

static void reader_dispatch(struct reader *r)
{
    if (r->has_data) {
        r->data.len--;
        note(&r->diary, "type ", r->type.len ? text_of(&r->type) : slice_of("message"));
        note(&r->diary, "data ", text_of(&r->data));
    }
    if (r->has_data || r->id_moved)
        note(&r->diary, "id ", text_of(&r->id));
    r->has_data = r->id_moved = false;
    r->data.len = r->type.len = 0;
}

static void reader_retry(struct reader *r, struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < '0' || value.data[i] > '9')
            return;
    char *digits = string_copy(value);
    if (value.len && value.len < 19)
        on_retry(&r->diary, strtoull(digits, NULL, 10));
    else if (value.len)
        note(&r->diary, "retry ", slice_of("?"));
    free(digits);
}

static void reader_field(struct reader *r, struct slice name, struct slice value)
{
    if (slice_equal(name, slice_of("event"))) {
        set(&r->type, value);
    } else if (slice_equal(name, slice_of("data"))) {
        r->has_data = true;
        note(&r->data, "", value);
        r->data.text[r->data.len - 1] = '\n';
    } else if (slice_equal(name, slice_of("id")) &&
               !(value.len && memchr(value.data, 0, value.len))) {
        r->id_moved = true;
        set(&r->id, value);
    } else if (slice_equal(name, slice_of("retry"))) {
        reader_retry(r, value);
    }
}

static void reader_line(struct reader *r, struct slice line)
{
    const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
    if (!line.len) {
        reader_dispatch(r);
    } else if (colon == line.data) {
        note(&r->diary, "comment ", (struct slice){line.data + 1, line.len - 1});
    } else if (!colon) {
        reader_field(r, line, (struct slice){"", 0});
    } else {
        struct slice value = {colon + 1, (size_t)(line.data + line.len - colon - 1)};
        bool blank = value.len && value.data[0] == ' ';
        reader_field(r, (struct slice){line.data, (size_t)(colon - line.data)},
                     (struct slice){value.data + blank, value.len - blank});
    }
}

static struct diary should_be_told(struct slice stream)
{
    struct reader r = {0};
    size_t start = stream.len >= 3 && memcmp(stream.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t at = start; at < stream.len; at++) {
        if (stream.data[at] != '\n' && stream.data[at] != '\r')
            continue;
        reader_line(&r, (struct slice){stream.data + start, at - start});
        if (stream.data[at] == '\r' && at + 1 < stream.len && stream.data[at + 1] == '\n')
            at++;
        start = at + 1;
    }
    free(r.data.text);
    free(r.type.text);
    free(r.id.text);
    return r.diary;
}

static bool has_long_retry(const struct diary *d)
{
    return d->len && memmem(d->text, d->len, "retry ?", 8);
}

static void same(const struct diary *a, const struct diary *b)
{
    must(a->len == b->len && (a->len == 0 || memcmp(a->text, b->text, a->len) == 0));
}

static void is_read_the_same_way(struct slice stream)
{
    struct diary whole = told(stream, stream.len + 1), bytes = told(stream, 1),
                 sevens = told(stream, 7);
    struct diary should = should_be_told(stream);
    same(&whole, &bytes);
    same(&whole, &sevens);
    if (!has_long_retry(&should))
        same(&whole, &should);
    free(whole.text);
    free(bytes.text);
    free(sevens.text);
    free(should.text);
}

/* --- the library's decoder --- */

static void on_message(void *context, const struct ssecast_message *m)
{
    must(strlen(m->type) <= m->type_len && m->id[m->id_len] == '\0' && strlen(m->id) == m->id_len);
    set(context, (struct slice){m->id, m->id_len});
}

static void on_id(void *context, const char *id, size_t len)
{
    must(strlen(id) == len);
    set(context, (struct slice){id, len});
}

static void library_keeps_the_id(struct slice stream)
{
    struct diary last = {0};
    struct ssecast_decoder *d;
    const struct ssecast_decoder_handler handler = {
        .message = on_message, .id = on_id, .context = &last};
    const size_t max_event_bytes = 256;
    must(ssecast_decoder_new(&d, &handler, max_event_bytes) == 0);
    int err = ssecast_decoder_feed(d, stream.data, stream.len);
    must(slice_equal(slice_of(ssecast_decoder_last_id(d)), text_of(&last)));
    must(ssecast_decoder_feed(d, "", 0) == err);
    ssecast_decoder_reset(d);
    must(slice_equal(slice_of(ssecast_decoder_last_id(d)), text_of(&last)));
    /* The id in force is part of the next event, so a long one leaves it no room. */
    bool fits = last.len + strlen("data") <= max_event_bytes;
    must(ssecast_decoder_feed(d, "data\n\n", 6) == (fits ? 0 : -EMSGSIZE));
    ssecast_decoder_free(&d);
    free(last.text);
}

/* --- written and read --- */

/* What a browser gives a page of data that was sent: each line end is a LF. */
static struct slice normal(struct slice data, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < data.len; i++) {
        bool crlf = data.data[i] == '\r' && i + 1 < data.len && data.data[i + 1] == '\n';
        out[len++] = data.data[i] == '\r' ? '\n' : data.data[i];
        i += crlf;
    }
    return (struct slice){out, len};
}

static void comes_back(struct slice parts)
{
    struct sse_block block = {
        .has_data = true, .has_retry = parts.len % 2, .retry = (uint32_t)(parts.len * 77777)};
    struct diary should = {0};
    next_part(&parts, UNIT, &block.id);
    next_part(&parts, UNIT, &block.event);
    block.data = parts;
    if ((block.id.len && !sse_valid_id(block.id)) || !sse_valid_event(block.event))
        return;
    size_t size = sse_encoded_size(&block);
    char *out = malloc(size), *data = malloc(parts.len + 1);
    must(out && data && sse_encode(&block, out) == size);
    if (block.has_retry)
        on_retry(&should, block.retry);
    note(&should, "type ", block.event.len ? block.event : slice_of("message"));
    note(&should, "data ", normal(block.data, data));
    note(&should, "id ", block.id);
    struct diary is = told((struct slice){out, size}, size);
    same(&is, &should);
    free(is.text);
    free(should.text);
    free(out);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    if (size && data[0] == '=') {
        comes_back((struct slice){input.data + 1, size - 1});
        return 0;
    }
    is_read_the_same_way(input);
    library_keeps_the_id(input);
    return 0;
}
