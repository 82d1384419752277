#include "codec/sse.h"

#include <string.h>

#include "support.h"

/* --- what the decoder reports, as one text: E[type|data|id] K[id] R[ms] C[comment] --- */

struct transcript {
    char text[65536];
    size_t len;
};

static void note(struct transcript *t, const char *mark, struct slice value)
{
    size_t mark_len = strlen(mark);
    ck_assert_uint_le(t->len + mark_len + value.len, sizeof t->text);
    memcpy(t->text + t->len, mark, mark_len);
    if (value.len)
        memcpy(t->text + t->len + mark_len, value.data, value.len);
    t->len += mark_len + value.len;
}

static void on_event(void *context, const struct sse_event *e)
{
    if (e->has_data) {
        note(context, "E[", e->type);
        note(context, "|", e->data);
        note(context, "|", e->id);
    } else {
        note(context, "K[", e->id);
    }
    note(context, "]", (struct slice){0});
}

static void on_retry(void *context, uint64_t ms)
{
    char text[32];
    snprintf(text, sizeof text, "R[%" PRIu64 "]", ms);
    note(context, text, (struct slice){0});
}

static void on_comment(void *context, struct slice text)
{
    note(context, "C[", text);
    note(context, "]", (struct slice){0});
}

static struct sse_decoder *decoder(struct transcript *t)
{
    const struct sse_handler handler = {on_event, on_retry, on_comment, t};
    t->len = 0;
    struct sse_decoder *d = sse_decoder_new(&handler);
    ck_assert_ptr_nonnull(d);
    return d;
}

/* Each piece from memory of its own size, so that a sanitizer sees a read past its end. */
static void feed(struct sse_decoder *d, const char *bytes, size_t len)
{
    char *copy = malloc(len + !len);
    if (len)
        memcpy(copy, bytes, len);
    ck_assert_int_eq(sse_decoder_feed(d, copy, len), 0);
    free(copy);
}

static struct transcript transcript;

static struct slice decode(struct slice stream, size_t first, size_t step)
{
    struct sse_decoder *d = decoder(&transcript);
    for (size_t at = 0, len = first; at < stream.len; at += len, len = step) {
        if (len > stream.len - at)
            len = stream.len - at;
        feed(d, stream.data + at, len);
    }
    sse_decoder_free(&d);
    ck_assert_ptr_null(d);
    return (struct slice){transcript.text, transcript.len};
}

/* The same however it is cut: in two at each place, and in pieces of each size. */
static void assert_decodes(struct slice stream, struct slice should)
{
    for (size_t first = 1; first <= stream.len; first++)
        assert_slice(decode(stream, first, stream.len), should);
    for (size_t step = 1; step < 5; step++)
        assert_slice(decode(stream, step, step), should);
}

static const struct {
    struct slice stream, events;
} decoded[] = {
    /* The standard's examples. */
    {S_INIT("data: YHOO\ndata: +2\ndata: 10\n\n"), S_INIT("E[message|YHOO\n+2\n10|]")},
    {S_INIT(": test stream\n\ndata: first event\n"
            "id: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"),
     S_INIT("C[ test stream]E[message|first "
            "event|1]E[message|second event|]E[message| third event|]")},
    {S_INIT("data\n\ndata\ndata\n\ndata:"), S_INIT("E[message||]E[message|\n|]")},
    {S_INIT("data:test\n\ndata: test\n\n"), S_INIT("E[message|test|]E[message|test|]")},
    {S_INIT(
         "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n"),
     S_INIT("E[add|73857293|]E[remove|2153|]E[add|113411|]")},
    /* Line ends, mixed. */
    {S_INIT("data: a\r\rdata: b\n\r\n"), S_INIT("E[message|a|]E[message|b|]")},
    {S_INIT("data: a\r\n\r\ndata: b\r\n\r\n"), S_INIT("E[message|a|]E[message|b|]")},
    {S_INIT("data: a\n\rdata: b\r\r"), S_INIT("E[message|a|]E[message|b|]")},
    {S_INIT("data: a\rdata: b\r\ndata: c\n\r"), S_INIT("E[message|a\nb\nc|]")},
    {S_INIT("\r\n\r\n\n\r\r\n"), S_INIT("")},
    /* The byte order mark: one, at the very beginning. */
    {S_INIT("\xef\xbb\xbf"
            "data: a\n\n"),
     S_INIT("E[message|a|]")},
    {S_INIT("\xef\xbb\xbf\n"
            "data: a\n\n"),
     S_INIT("E[message|a|]")},
    {S_INIT("\xef\xbb\xbf\xef\xbb\xbf"
            "data: a\n\n"),
     S_INIT("")},
    {S_INIT("\n\xef\xbb\xbf"
            "data: a\n\n"),
     S_INIT("")},
    {S_INIT("\xef\xbb"
            "data: a\n\n"),
     S_INIT("")},
    /* Ids: they outlive their block; with NUL they are none; alone they are a checkpoint. */
    {S_INIT("id: 1\n\ndata: a\n\n"), S_INIT("K[1]E[message|a|1]")},
    {S_INIT("id: 1\n\nid: a\0b\ndata: x\n\n"), S_INIT("K[1]E[message|x|1]")},
    {S_INIT("id: 1\n\nid: a\0b\n\n"), S_INIT("K[1]")},
    {S_INIT("id: 1\nid: 2\ndata: x\n\nid\n\ndata: y\n\n"),
     S_INIT("E[message|x|2]K[]E[message|y|]")},
    {S_INIT("id: not yet\n"), S_INIT("")},
    /* Types are of one block. */
    {S_INIT("event: a\n\ndata: x\n\n"), S_INIT("E[message|x|]")},
    {S_INIT("event: a\nevent\ndata: x\n\n"), S_INIT("E[message|x|]")},
    {S_INIT("event: a\nevent: b\ndata: x\n\n"), S_INIT("E[b|x|]")},
    {S_INIT("event: a\nid: 7\n\ndata: x\n\n"), S_INIT("K[7]E[message|x|7]")},
    /* Retry: digits only. */
    {S_INIT("retry: 10\nretry:20\n"), S_INIT("R[10]R[20]")},
    {S_INIT("retry: 1a\nretry:\nretry\nretry: -1\nretry:  5\nretry: 1.5\nretry: 0\n"),
     S_INIT("R[0]")},
    /* Fields. */
    {S_INIT("DATA: x\ndata : x\n data: x\ndatax: y\nnothing\n\n"), S_INIT("")},
    {S_INIT("data: a:b: c\n\n"), S_INIT("E[message|a:b: c|]")},
    {S_INIT("data:\ta \n\n"), S_INIT("E[message|\ta |]")},
    {S_INIT("data: a\0b\n\n"), S_INIT("E[message|a\0b|]")},
    {S_INIT(":\n::x\n:  y\n"), S_INIT("C[]C[:x]C[  y]")},
    {S_INIT("data: lost"), S_INIT("")},
    {S_INIT("data: lost\n"), S_INIT("")},
    {S_INIT(""), S_INIT("")},
};

START_TEST(streams_are_read_as_the_standard_says)
{
    assert_decodes(decoded[_i].stream, decoded[_i].events);
}
END_TEST

static struct slice with_line_ends(struct slice stream, const char *end, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < stream.len; i++)
        if (stream.data[i] == '\n')
            len += (size_t)sprintf(out + len, "%s", end);
        else
            out[len++] = stream.data[i];
    return (struct slice){out, len};
}

START_TEST(cr_lf_and_crlf_mean_the_same)
{
    char copy[1024];
    if (memchr(decoded[_i].stream.data, '\r', decoded[_i].stream.len))
        return;
    assert_decodes(with_line_ends(decoded[_i].stream, "\r", copy), decoded[_i].events);
    assert_decodes(with_line_ends(decoded[_i].stream, "\r\n", copy), decoded[_i].events);
}
END_TEST

START_TEST(retry_never_wraps_around)
{
    struct slice events = decode(S("retry: 99999999999999999999999999\n"), 1, 100);
    uint64_t ms = 0;
    ck_assert_int_eq(sscanf(events.data, "R[%" SCNu64 "]", &ms), 1);
    ck_assert_uint_ge(ms, UINT64_MAX / 100);
}
END_TEST

START_TEST(handlers_may_be_left_out)
{
    const struct sse_handler handler = {.event = on_event, .context = &transcript};
    struct sse_decoder *d = sse_decoder_new(&handler);
    transcript.len = 0;
    feed(d, "retry: 1\n: comment\ndata: x\n\n", 28);
    assert_slice(((struct slice){transcript.text, transcript.len}), S("E[message|x|]"));
    sse_decoder_free(&d);
    sse_decoder_free(&d);
}
END_TEST

/* --- the encoder --- */

static const struct {
    struct sse_block block;
    struct slice text;
} encoded[] = {
    {{.id = S_INIT("42"), .event = S_INIT("m"), .data = S_INIT("hi"), .has_data = true},
     S_INIT("id: 42\nevent: m\ndata: hi\n\n")},
    {{.data = S_INIT("hi"), .has_data = true}, S_INIT("data: hi\n\n")},
    {{.has_data = true}, S_INIT("data: \n\n")},
    {{.id = S_INIT("7")}, S_INIT("id: 7\n\n")},
    {{.has_retry = true, .retry = 0}, S_INIT("retry: 0\n\n")},
    {{.id = S_INIT("7"),
      .has_retry = true,
      .retry = UINT32_MAX,
      .has_data = true,
      .data = S_INIT("x")},
     S_INIT("id: 7\nretry: 4294967295\ndata: x\n\n")},
    {{.has_data = true, .data = S_INIT("a\nb")}, S_INIT("data: a\ndata: b\n\n")},
    {{.has_data = true, .data = S_INIT("a\rb\r\nc\n\rd")},
     S_INIT("data: a\ndata: b\ndata: c\ndata: \ndata: d\n\n")},
    {{.has_data = true, .data = S_INIT("a\n")}, S_INIT("data: a\ndata: \n\n")},
    {{.has_data = true, .data = S_INIT("\n")}, S_INIT("data: \ndata: \n\n")},
    {{.has_data = true, .data = S_INIT("\r\n")}, S_INIT("data: \ndata: \n\n")},
    {{.has_data = true, .data = S_INIT("\r")}, S_INIT("data: \ndata: \n\n")},
    {{.has_data = true, .data = S_INIT(" a")}, S_INIT("data:  a\n\n")},
    {{.has_data = true, .data = S_INIT("a\0b")}, S_INIT("data: a\0b\n\n")},
    {{.has_data = false}, S_INIT("\n")},
};

static struct slice encode(const struct sse_block *block)
{
    static char *text;
    size_t size = sse_encoded_size(block);
    free(text);
    text = malloc(size);
    ck_assert_uint_eq(sse_encode(block, text), size);
    return (struct slice){text, size};
}

START_TEST(blocks_are_written_field_by_field)
{
    assert_slice(encode(&encoded[_i].block), encoded[_i].text);
}
END_TEST

/* What a browser makes of data: each line end becomes LF. */
static struct slice normalized(struct slice data, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < data.len; i++)
        if (data.data[i] == '\r') {
            out[len++] = '\n';
            i += i + 1 < data.len && data.data[i + 1] == '\n';
        } else {
            out[len++] = data.data[i];
        }
    return (struct slice){out, len};
}

static void assert_arrives(struct slice data)
{
    static char copy[8192];
    struct sse_block block = {.id = S("1"), .event = S("m"), .data = data, .has_data = true};
    struct transcript *should = malloc(sizeof *should);
    should->len = 0;
    on_event(should, &(struct sse_event){S("m"), normalized(data, copy), S("1"), true});
    struct slice text = encode(&block);
    assert_slice(decode(text, text.len, text.len), ((struct slice){should->text, should->len}));
    free(should);
}

static const struct slice forgeries[] = {
    S_INIT("\n\nevent: ssecast.shutdown\ndata: {}\n\n"),
    S_INIT("\r\revent: x\rdata: y\r\r"),
    S_INIT("x\r\n\r\nid: 99\r\n\r\n"),
    S_INIT("\nid: 99\n"),
    S_INIT("\nretry: 0\n"),
    S_INIT("\n: comment"),
    S_INIT("data: x"),
    S_INIT("\xef\xbb\xbf\n\n"),
    S_INIT("\n\r\n\r\ndata: x\n\r\r\n"),
};

START_TEST(no_data_can_forge_a_field_or_an_event)
{
    assert_arrives(forgeries[_i]);
}
END_TEST

START_TEST(random_data_comes_back_unchanged)
{
    static char data[2048];
    struct dice dice = dice_new();
    printf("sse: SEED=%" PRIu64 "\n", dice.state);
    for (int round = 0; round < 2000; round++) {
        size_t len = roll(&dice, round % 10 ? 40 : sizeof data), rare = 1 + roll(&dice, 300);
        for (size_t i = 0; i < len; i++)
            data[i] = roll(&dice, rare) ? (char)roll(&dice, 256) : "\r\n\r\n: "[roll(&dice, 6)];
        assert_arrives((struct slice){data, len});
    }
}
END_TEST

START_TEST(line_ends_are_found_at_every_distance)
{
    static char data[1100];
    for (size_t at = 0; at < 1030; at++) {
        memset(data, 'x', sizeof data);
        data[at] = '\r';
        data[at + 1 + at % 3] = '\n';
        assert_arrives((struct slice){data, sizeof data - at % 7});
    }
}
END_TEST

START_TEST(ids_and_event_names_are_one_line)
{
    char text[256];
    memset(text, 'x', sizeof text);
    ck_assert(sse_valid_id(S("order-17")));
    ck_assert(sse_valid_id((struct slice){text, 255}));
    ck_assert(!sse_valid_id((struct slice){text, 256}));
    ck_assert(!sse_valid_id((struct slice){0}));
    ck_assert(!sse_valid_id(S("a\nb")));
    ck_assert(!sse_valid_id(S("a\r")));
    ck_assert(!sse_valid_id(S("\0")));
    ck_assert(sse_valid_event((struct slice){0}));
    ck_assert(sse_valid_event(S("m")));
    ck_assert(!sse_valid_event((struct slice){text, 256}));
    ck_assert(!sse_valid_event(S("\nx")));
    ck_assert(!sse_valid_event(S("x\r")));
    ck_assert(!sse_valid_event(S("x\0y")));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("sse");
    TCase *decoding = one_case(suite, "decoding"), *encoding = one_case(suite, "encoding");
    tcase_add_loop_test(decoding, streams_are_read_as_the_standard_says, 0, COUNT(decoded));
    tcase_add_loop_test(decoding, cr_lf_and_crlf_mean_the_same, 0, COUNT(decoded));
    tcase_add_test(decoding, retry_never_wraps_around);
    tcase_add_test(decoding, handlers_may_be_left_out);
    tcase_add_loop_test(encoding, blocks_are_written_field_by_field, 0, COUNT(encoded));
    tcase_add_loop_test(encoding, no_data_can_forge_a_field_or_an_event, 0, COUNT(forgeries));
    tcase_add_test(encoding, random_data_comes_back_unchanged);
    tcase_add_test(encoding, line_ends_are_found_at_every_distance);
    tcase_add_test(encoding, ids_and_event_names_are_one_line);
    return run_suite(suite);
}
