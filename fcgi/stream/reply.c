#include "stream/reply.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/must.h"
#include "base/name.h"
#include "stream/mercure.h"

/* A text being written; short_reply_finish() turns it into an event. */
struct text {
    char *data;
    size_t len;
    FILE *file;
    bool failed;
};

static bool short_reply_begin(struct text *t)
{
    *t = (struct text){0};
    t->file = open_memstream(&t->data, &t->len);
    return t->file != NULL;
}

static struct event *short_reply_finish(struct text *t)
{
    bool failed = fclose(t->file) != 0 || t->failed;
    struct event *e = failed ? NULL : event_text((struct slice){t->data, t->len});
    free(t->data);
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

static void put_cors(FILE *out, const struct reply_rules *rules, const char *origin)
{
    if (origin)
        fprintf(out, "Access-Control-Allow-Origin: %s\r\n", origin);
    if (origin && strcmp(origin, "*") != 0)
        fputs("Access-Control-Allow-Credentials: true\r\n", out);
    if (depends_on_origin(rules->cors_origins))
        fputs("Vary: Origin\r\n", out);
}

static void put_common(FILE *out, const struct reply_rules *rules, const char *origin)
{
    put_cors(out, rules, origin);
    for (size_t i = 0; i < rules->headers->count; i++)
        fprintf(out, "%s\r\n", rules->headers->items[i]);
}

static void put_stream_head(FILE *out, const struct reply_rules *rules, const struct request *r, const char *connection)
{
    fprintf(out,
            "Status: 200 OK\r\n"
            "Content-Type: text/event-stream\r\n"
            "Cache-Control: %sno-cache, no-transform\r\n"
            "X-Accel-Buffering: no\r\n",
            r->hub == HUB_NONE ? "" : "private, ");
    if (connection)
        fprintf(out, "Ssecast-Connection: %s\r\n", connection);
    const char *cursor = r->hub == HUB_1_0 ? "Mercure-Last-Event-ID" : "Last-Event-ID";
    if (r->told_cursor)
        fprintf(out, "%s: %s\r\n", cursor, r->told_cursor);
    put_common(out, rules, r->origin);
    if (connection && r->origin)
        fprintf(out, "Access-Control-Expose-Headers: Ssecast-Connection%s%s\r\n", r->told_cursor ? ", " : "",
                r->told_cursor ? cursor : "");
    fputs("\r\n", out);
}

struct event *reply_stream(const struct reply_rules *rules, const struct request *r, const char *connection)
{
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    put_stream_head(t.file, rules, r, connection);
    return short_reply_finish(&t);
}

struct event *reply_come_back(const struct reply_rules *rules, const struct request *r, uint32_t retry_ms)
{
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    put_stream_head(t.file, rules, r, NULL);
    fprintf(t.file, "retry: %" PRIu32 "\n\n", retry_ms);
    return short_reply_finish(&t);
}

char *reply_head_parameters(const struct reply_rules *rules, const struct request *r, const char *connection)
{
    const char *vary = depends_on_origin(rules->cors_origins) ? "origin" : "";
    const char *origin = r->origin ? r->origin : "";
    char *text;

    MUST(!strpbrk(origin, "&?# \r\n"));
    return asprintf(&text, "connection=%s&vary=%s&origin=%s", connection, vary, origin) < 0 ? NULL : text;
}

struct event *reply_redirect(const char *path, const char *parameters, const char *query)
{
    struct text t;
    bool has_query = query && *query;
    if (!short_reply_begin(&t))
        return NULL;

    fprintf(t.file, "Status: 200 OK\r\nLocation: %s", path);
    if (parameters || has_query)
        fputc('?', t.file);
    if (parameters)
        fprintf(t.file, "%s&", parameters);
    if (has_query)
        fputs(query, t.file);
    fputs("\r\n\r\n", t.file);
    return short_reply_finish(&t);
}

struct event *reply_no_content(const struct reply_rules *rules, const struct request *r)
{
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    fputs("Status: 204 No Content\r\nCache-Control: no-store\r\n", t.file);
    put_common(t.file, rules, r->origin);
    fputs("\r\n", t.file);
    return short_reply_finish(&t);
}

struct event *reply_preflight(const struct reply_rules *rules, const char *origin, const char *methods,
                              const char *headers)
{
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    fprintf(t.file, "Status: 204 No Content\r\nAllow: %s\r\n", methods);
    if (origin)
        fprintf(t.file,
                "Access-Control-Allow-Methods: %s\r\n"
                "Access-Control-Allow-Headers: %s\r\n"
                "Access-Control-Max-Age: 86400\r\n",
                methods, headers);
    put_common(t.file, rules, origin);
    fputs("\r\n", t.file);
    return short_reply_finish(&t);
}

static void put_json_text(struct text *t, struct slice text)
{
    struct buf json = {0};
    json_put_text(&json, NULL, text);
    fwrite(json.data, 1, json.len, t->file);
    t->failed = t->failed || json.failed;
    buf_release(&json);
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
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    fprintf(t.file, "Status: %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n", r->status,
            reason_of(r->status));
    if (r->status == 405)
        fprintf(t.file, "Allow: %s\r\n", r->hub ? MERCURE_METHODS : REQUEST_METHODS);
    if (r->challenge)
        fprintf(t.file, "WWW-Authenticate: %s\r\n", r->challenge);
    put_common(t.file, rules, r->origin);
    fprintf(t.file, "\r\n{\"error\":\"%s\",\"message\":", r->error);
    put_json_text(&t, slice_of(r->message));
    fputs("}\n", t.file);
    return short_reply_finish(&t);
}

struct event *reply_answer(const struct reply_rules *rules, const struct answer *a)
{
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    fprintf(t.file, "Status: %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s",
            a->status, reason_of(a->status), a->type, a->body.len, a->headers);
    if (a->allow)
        fprintf(t.file, "Allow: %s\r\n", a->allow);
    put_common(t.file, rules, a->origin);
    fputs("\r\n", t.file);
    fwrite(a->body.data, 1, a->body.len, t.file);
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

static void put_checkpoint_data(FILE *out, const struct block *b)
{
    fputs("data: {", out);
    if (b->connection)
        fprintf(out, "\"connection\":\"%s\",\"heartbeat\":%" PRIu64, b->connection, b->heartbeat_ms);
    if (b->connection && b->owner[0])
        fprintf(out, ",\"owner\":\"%s\"", b->owner);
    fputs("}\n", out);
}

struct event *reply_block(const struct block *b)
{
    struct text t;
    bool checkpoint = b->checkpoint && b->id.len;
    if (!short_reply_begin(&t))
        return NULL;

    if (b->padding)
        fprintf(t.file, ":%2048s\n", "");
    if (b->has_retry)
        fprintf(t.file, "retry: %" PRIu32 "\n", b->retry);
    if (checkpoint)
        fputs("event: ssecast.checkpoint\n", t.file);
    if (b->id.len)
        fprintf(t.file, "id: %.*s\n", (int)b->id.len, b->id.data);
    if (checkpoint)
        put_checkpoint_data(t.file, b);
    fputs("\n", t.file);
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
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    fputs("event: ssecast.gap\ndata: {\"last\":", t.file);
    bool number = all_digits(last) && (last.data[0] != '0' || last.len == 1) && last.len <= 20;
    if (number)
        fprintf(t.file, "%.*s", (int)last.len, last.data);
    else
        put_json_text(&t, (struct slice){last.data, last.len < NAME_BYTES_MAX ? last.len : NAME_BYTES_MAX});
    fprintf(t.file, ",\"oldest\":%" PRIu64 "}\n\n", oldest);
    return short_reply_finish(&t);
}

struct event *reply_replaced(uint32_t retry_ms)
{
    struct text t;
    if (!short_reply_begin(&t))
        return NULL;
    fprintf(t.file, "retry: %" PRIu32 "\nevent: ssecast.replaced\ndata: {\"reason\":\"max-per-session\"}\n\n",
            retry_ms);
    return short_reply_finish(&t);
}

struct event *reply_expired(void)
{
    return event_text(slice_of("event: ssecast.expired\ndata: {\"reason\":\"expired\"}\n\n"));
}
