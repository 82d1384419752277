/* codecs - calls one of the hot codecs many times, to be counted by callgrind.
 *
 *     codecs              names them
 *     codecs NAME TIMES
 *
 * The input is what the other measurements use: an event for everyone with 128 bytes of data,
 * records of 16 KiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/event.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "codec/wire.h"
#include "http/record.h"

#define DATA                                                                                       \
    "{\"n\":1000000001,\"t\":1000000123456789012,\"p\":"                                           \
    "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"
#define REQUEST "{\"op\":\"publish\",\"event\":\"m\",\"data\":" DATA "}"

static volatile size_t sink; /* what was computed was wanted */

static struct slice slice(const char *text)
{
    return (struct slice){(char *)text, strlen(text)};
}

static struct event *some_event(void)
{
    return event_new(&(struct event_spec){.seq = 1700000000000001,
                                          .time_ms = 1700000000000,
                                          .event = slice("m"),
                                          .data = slice(DATA)});
}

static void record_header(unsigned long times)
{
    char head[RECORD_HEADER_LEN];
    for (unsigned long i = 0; i < times; i++) {
        record_stdout(head, 1, (uint16_t)i);
        sink += (size_t)head[5];
    }
}

/* A request of 1 KiB of parameters, 32 of them, as a web server sends it. */
static void record_request(unsigned long times)
{
    static char bytes[16 + 8 + 1024 + 8 + 8] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1};
    char *at = bytes + 16;
    memcpy(at, "\1\4\0\1\4\0\0\0", 8);
    for (size_t i = 0; i < 1024; i += 32)
        memcpy(at + 8 + i, "\014\022", 2); /* a name of 12 bytes, a value of 18 */
    memcpy(at + 8 + 1024, "\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0", 16);
    for (unsigned long i = 0; i < times; i++)
        sink += record_scan(&(struct record_scan){0}, (struct slice){bytes, sizeof bytes});
}

static void sse_block(unsigned long times)
{
    struct sse_block block = {.id = slice("1700000000000001"),
                              .event = slice("m"),
                              .data = slice(DATA),
                              .has_data = true};
    char out[1024];
    for (unsigned long i = 0; i < times; i++)
        sink += sse_encoded_size(&block) + sse_encode(&block, out);
}

static void ignore_event(void *context, const struct sse_event *event)
{
    (void)context;
    sink += event->data.len;
}

static void sse_decode(unsigned long times)
{
    static const char text[] = "id: 1700000000000001\nevent: m\ndata: " DATA "\n\n";
    struct sse_decoder *d = sse_decoder_new(&(struct sse_handler){.event = ignore_event});
    for (unsigned long i = 0; d && i < times; i++)
        sse_decoder_feed(d, text, sizeof text - 1);
    sse_decoder_free(&d);
}

static void event_make(unsigned long times)
{
    for (unsigned long i = 0; i < times; i++) {
        struct event *e = some_event();
        sink += e ? e->text.len : 0;
        event_unref(&e);
    }
}

static void event_read(unsigned long times)
{
    struct event *e = some_event();
    for (unsigned long i = 0; e && i < times; i++) {
        size_t used;
        struct event *read = event_parse(e->entry, &used);
        sink += used;
        event_unref(&read);
    }
    event_unref(&e);
}

static void wire_batch_write(unsigned long times)
{
    struct event *e = some_event();
    for (unsigned long i = 0; e && i < times; i++) {
        struct buf b = {0};
        wire_put_batch(&b, 1, 1);
        wire_add_entry(&b, e);
        sink += b.len;
        buf_release(&b);
    }
    event_unref(&e);
}

static void wire_batch_read(unsigned long times)
{
    struct event *e = some_event();
    struct buf b = {0};
    wire_put_batch(&b, 1, 1);
    if (e)
        wire_add_entry(&b, e);
    for (unsigned long i = 0; i < times; i++) {
        struct wire_batch batch;
        sink += wire_get_batch((struct slice){b.data, b.len}, &batch) == 0 ? batch.entries.len : 0;
    }
    buf_release(&b);
    event_unref(&e);
}

static void publish_parse(unsigned long times)
{
    static const char *const fields[] = {"op", "ref", "event", "data", NULL};
    for (unsigned long i = 0; i < times; i++) {
        struct json_fault fault;
        struct json *j = json_parse(slice(REQUEST), &fault);
        struct slice event = {0};
        if (j && json_check_fields(json_root(j), fields, &fault) == 0 &&
            json_get_text(json_root(j), "event", &event, &fault) == 0)
            sink += event.len + json_raw(json_root(j), "data").len;
        json_free(&j);
    }
}

static void publish_reply(unsigned long times)
{
    for (unsigned long i = 0; i < times; i++) {
        struct buf out = {0};
        json_reply_begin(&out);
        json_put_count(&out, "seq", 1700000000000001);
        json_put_count(&out, "online", 1000);
        json_reply_end(&out, (struct slice){0});
        sink += out.len;
        buf_release(&out);
    }
}

static const struct {
    const char *name;
    void (*run)(unsigned long times);
} rows[] = {
    {"record_header", record_header},
    {"record_request", record_request},
    {"sse_encode", sse_block},
    {"sse_decode", sse_decode},
    {"event_new", event_make},
    {"event_parse", event_read},
    {"wire_batch_write", wire_batch_write},
    {"wire_batch_read", wire_batch_read},
    {"publish_parse", publish_parse},
    {"publish_reply", publish_reply},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (argc < 3)
            puts(rows[i].name);
        else if (strcmp(argv[1], rows[i].name) == 0)
            rows[i].run(strtoul(argv[2], NULL, 10));
    }
    return 0;
}
