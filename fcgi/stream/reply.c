#include "stream/reply.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json_out.h"
#include "base/must.h"
#include "base/name.h"
#include "stream/mercure.h"

/* --- texts --- */

/* Not with open_memstream(), which clears 8 KB for each text. */
static void put_text(struct buf *out, const char *text)
{
    buf_put_slice(out, slice_of(text));
}

/* Format the text behind the others, if that leaves room for its NUL. The length of the text. */
static size_t format_into(struct buf *out, const char *format, va_list values)
{
    int len = vsnprintf(out->data + out->len, out->cap - out->len, format, values);

    MUST(len >= 0);
    return (size_t)len;
}

#define USUAL_TEXT 128u /* bytes */

__attribute__((format(printf, 2, 3))) static void put_format(struct buf *out, const char *format,
                                                             ...)
{
    va_list values, again;
    if (out->failed || (out->cap - out->len < USUAL_TEXT && !buf_grow(out, USUAL_TEXT)))
        return;

    va_start(values, format);
    va_copy(again, values);
    size_t len = format_into(out, format, values);
    bool cut = len >= out->cap - out->len;
    if (cut && buf_grow(out, len + 1))
        format_into(out, format, again);
    va_end(again);
    va_end(values);

    if (!out->failed)
        out->len += len;
}

/* The text as an event; NULL when out of memory. */
static struct event *short_reply_finish(struct buf *t)
{
    struct event *e = t->failed ? NULL : event_text(buf_slice(t));
    buf_release(t);
    return e;
}

/* --- heads --- */

static bool depends_on_origin(const struct option_list *origins)
{
    for (size_t i = 0; i < origins->count; i++)
        if (strcmp(origins->items[i], "*") != 0)
            return true;
    return false;
}

static void put_cors(struct buf *out, const struct reply_rules *rules, const char *origin)
{
    if (origin)
        put_format(out, "Access-Control-Allow-Origin: %s\r\n", origin);
    if (origin && strcmp(origin, "*") != 0)
        put_text(out, "Access-Control-Allow-Credentials: true\r\n");
    if (depends_on_origin(rules->cors_origins))
        put_text(out, "Vary: Origin\r\n");
}

static void put_common(struct buf *out, const struct reply_rules *rules, const char *origin)
{
    put_cors(out, rules, origin);
    for (size_t i = 0; i < rules->headers->count; i++)
        put_format(out, "%s\r\n", rules->headers->items[i]);
}

static void put_stream_head(struct buf *out, const struct reply_rules *rules,
                            const struct request *r, const char *connection)
{
    put_format(out,
               "Status: 200 OK\r\n"
               "Content-Type: text/event-stream\r\n"
               "Cache-Control: %sno-cache, no-transform\r\n"
               "X-Accel-Buffering: no\r\n",
               r->hub == HUB_NONE ? "" : "private, ");
    if (connection)
        put_format(out, "Ssecast-Connection: %s\r\n", connection);
    const char *cursor = r->hub == HUB_1_0 ? "Mercure-Last-Event-ID" : "Last-Event-ID";
    if (r->told_cursor)
        put_format(out, "%s: %s\r\n", cursor, r->told_cursor);
    put_common(out, rules, r->origin);
    if (r->origin && (connection || r->told_cursor))
        put_format(out, "Access-Control-Expose-Headers: %s%s%s\r\n",
                   connection ? "Ssecast-Connection" : "", connection && r->told_cursor ? ", " : "",
                   r->told_cursor ? cursor : "");
    put_text(out, "\r\n");
}

struct event *reply_stream(const struct reply_rules *rules, const struct request *r,
                           const char *connection)
{
    struct buf t = {0};

    put_stream_head(&t, rules, r, connection);
    return short_reply_finish(&t);
}

struct event *reply_come_back(const struct reply_rules *rules, const struct request *r,
                              uint32_t retry_ms)
{
    struct buf t = {0};

    put_stream_head(&t, rules, r, NULL);
    put_format(&t, "retry: %" PRIu32 "\n\n", retry_ms);
    return short_reply_finish(&t);
}

char *reply_head_parameters(const struct reply_rules *rules, const struct request *r,
                            const char *connection)
{
    const char *vary = depends_on_origin(rules->cors_origins) ? "origin" : "";
    const char *origin = r->origin ? r->origin : "";
    char *text;

    MUST(!strpbrk(origin, "&?# \r\n"));
    return asprintf(&text, "connection=%s&vary=%s&origin=%s", connection, vary, origin) < 0 ? NULL
                                                                                            : text;
}

struct event *reply_redirect(const char *path, const char *parameters, const char *query)
{
    struct buf t = {0};
    bool has_query = query && *query;

    put_format(&t, "Status: 200 OK\r\nLocation: %s", path);
    if (parameters || has_query)
        put_text(&t, "?");
    if (parameters)
        put_format(&t, "%s&", parameters);
    if (has_query)
        put_text(&t, query);
    put_text(&t, "\r\n\r\n");
    return short_reply_finish(&t);
}

struct event *reply_no_content(const struct reply_rules *rules, const struct request *r)
{
    struct buf t = {0};

    put_text(&t, "Status: 204 No Content\r\nCache-Control: no-store\r\n");
    put_common(&t, rules, r->origin);
    put_text(&t, "\r\n");
    return short_reply_finish(&t);
}

struct event *reply_preflight(const struct reply_rules *rules, const char *origin,
                              const char *methods, const char *headers)
{
    struct buf t = {0};

    put_format(&t, "Status: 204 No Content\r\nAllow: %s\r\n", methods);
    if (origin)
        put_format(&t,
                   "Access-Control-Allow-Methods: %s\r\n"
                   "Access-Control-Allow-Headers: %s\r\n"
                   "Access-Control-Max-Age: 86400\r\n",
                   methods, headers);
    put_common(&t, rules, origin);
    put_text(&t, "\r\n");
    return short_reply_finish(&t);
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {{200, "OK"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {413, "Content Too Large"},
                {414, "URI Too Long"},
                {415, "Unsupported Media Type"},
                {429, "Too Many Requests"},
                {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "Error";
}

struct event *reply_refused(const struct reply_rules *rules, const struct request *r)
{
    struct buf t = {0};

    put_format(&t, "Status: %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n",
               r->status, reason_of(r->status));
    if (r->status == 405)
        put_format(&t, "Allow: %s\r\n", r->hub ? MERCURE_METHODS : REQUEST_METHODS);
    if (r->challenge)
        put_format(&t, "WWW-Authenticate: %s\r\n", r->challenge);
    put_common(&t, rules, r->origin);
    put_text(&t, "\r\n{");
    json_put_text(&t, "error", slice_of(r->error));
    json_put_text(&t, "message", slice_of(r->message));
    put_text(&t, "}\n");
    return short_reply_finish(&t);
}

struct event *reply_answer(const struct reply_rules *rules, const struct answer *a)
{
    struct buf t = {0};

    put_format(
        &t,
        "Status: %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s",
        a->status, reason_of(a->status), a->type, a->body.len, a->headers);
    if (a->allow)
        put_format(&t, "Allow: %s\r\n", a->allow);
    put_common(&t, rules, a->origin);
    put_text(&t, "\r\n");
    if (!a->head)
        buf_put_slice(&t, a->body);
    return short_reply_finish(&t);
}

const char *reply_check_header(const char *value)
{
    static const char ours[][20] = {"status",        "content-type",      "content-length",
                                    "cache-control", "transfer-encoding", "connection"};
    static const char accepted[] =
        "Name: value, on one line, and not one of the headers that make the stream "
        "(Status, Content-Type, Content-Length, Cache-Control, Transfer-Encoding, Connection)";
    size_t len = http_token_len(value);
    if (len == 0 || value[len] != ':' || strpbrk(value, "\r\n"))
        return accepted;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strlen(ours[i]) == len && strncasecmp(ours[i], value, len) == 0)
            return accepted;
    return NULL;
}

/* --- blocks --- */

static void put_checkpoint_data(struct buf *out, const struct block *b)
{
    put_text(out, "data: {");
    if (b->connection)
        put_format(out, "\"connection\":\"%s\",\"heartbeat\":%" PRIu64, b->connection,
                   b->heartbeat_ms);
    if (b->connection && b->owner[0])
        put_format(out, ",\"owner\":\"%s\"", b->owner);
    put_text(out, "}\n");
}

struct event *reply_block(const struct block *b)
{
    struct buf t = {0};
    bool checkpoint = b->checkpoint && b->id.len;

    if (b->padding)
        put_format(&t, ":%2048s\n", "");
    if (b->has_retry)
        put_format(&t, "retry: %" PRIu32 "\n", b->retry);
    if (checkpoint)
        put_text(&t, "event: ssecast.checkpoint\n");
    if (b->id.len)
        put_format(&t, "id: %.*s\n", (int)b->id.len, b->id.data);
    if (checkpoint)
        put_checkpoint_data(&t, b);
    put_text(&t, "\n");
    return short_reply_finish(&t);
}

struct event *reply_keep_alive(void)
{
    return event_text(slice_of(": keep-alive\n"));
}

struct event *reply_beat(void)
{
    return event_text(slice_of("event: ssecast.checkpoint\ndata: {}\n\n"));
}

static bool all_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isdigit((unsigned char)text.data[i]))
            return false;
    return text.len > 0;
}

struct event *reply_gap(struct slice last, uint64_t oldest)
{
    struct buf t = {0};

    put_text(&t, "event: ssecast.gap\ndata: {");
    bool number = all_digits(last) && (last.data[0] != '0' || last.len == 1) && last.len <= 20;
    if (number)
        json_put_raw(&t, "last", last);
    else
        json_put_text(
            &t, "last",
            (struct slice){last.data, last.len < NAME_BYTES_MAX ? last.len : NAME_BYTES_MAX});
    json_put_count(&t, "oldest", oldest);
    put_text(&t, "}\n\n");
    return short_reply_finish(&t);
}

struct event *reply_replaced(uint32_t retry_ms)
{
    struct buf t = {0};

    put_format(&t,
               "retry: %" PRIu32
               "\nevent: ssecast.replaced\ndata: {\"reason\":\"max-per-session\"}\n\n",
               retry_ms);
    return short_reply_finish(&t);
}

struct event *reply_expired(void)
{
    return event_text(slice_of("event: ssecast.expired\ndata: {\"reason\":\"expired\"}\n\n"));
}
