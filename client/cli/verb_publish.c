/* The payload is never decoded, so that browsers get it as typed. JSON is put into the request
 * unchanged; text is sent as bytes in a second frame. */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "cli/http.h"
#include "cli/verb.h"
#include "ops/secret_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define READ_STEP 65536u /* bytes */
#define TOKEN_MAX 65536u /* bytes; more than any worker takes */
#define TTL_MAX 2592000u /* seconds: 30 days, as the broker accepts */

struct publish_flags {
    struct flag_list sessions, channels, connections, except_sessions, except_channels,
        except_connections;
    const char *id, *key, *url, *token_file;
    struct flag_count retry, ttl;
    bool text, remove, is_private;
};

#define LIST(flag, field, value, text)                                                             \
    {                                                                                              \
        .name = (flag), .arg = (value), .help = (text), .type = OPTION_LINES,                      \
        .offset = offsetof(struct publish_flags, field)                                            \
    }

static const struct option_row rows[] = {
    LIST("session", sessions, "SESSION", "send to this session"),
    LIST("channel", channels, "CHANNEL", "send to this channel"),
    LIST("connection", connections, "CONNECTION", "send to this connection"),
    LIST("except-session", except_sessions, "SESSION", "exclude this session"),
    LIST("except-channel", except_channels, "CHANNEL", "exclude this channel"),
    LIST("except-connection", except_connections, "CONNECTION", "exclude this connection"),
    {.name = "text",
     .help = "send DATA as text, not as JSON",
     .type = OPTION_FLAG,
     .offset = offsetof(struct publish_flags, text)},
    {.name = "id",
     .arg = "ID",
     .help = "set your own id; it is published once",
     .type = OPTION_TEXT,
     .offset = offsetof(struct publish_flags, id)},
    {.name = "key",
     .arg = "NAME",
     .help = "replace the earlier event with this key",
     .type = OPTION_TEXT,
     .offset = offsetof(struct publish_flags, key)},
    {.name = "remove",
     .help = "with --key: forget the key",
     .type = OPTION_FLAG,
     .offset = offsetof(struct publish_flags, remove)},
    {.name = "ttl",
     .arg = "TIME",
     .help = "stop delivering the event after this time",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct publish_flags, ttl),
     .min = 1000,
     .max = TTL_MAX * 1000},
    {.name = "private",
     .help = "send through channels to granted streams only",
     .type = OPTION_FLAG,
     .offset = offsetof(struct publish_flags, is_private)},
    {.name = "url",
     .arg = "URL",
     .help = "publish over HTTP: https://example.org/sse/publish",
     .type = OPTION_TEXT,
     .offset = offsetof(struct publish_flags, url)},
    {.name = "token-file",
     .arg = "FILE",
     .help = "with --url: read the token from FILE",
     .type = OPTION_TEXT,
     .offset = offsetof(struct publish_flags, token_file)},
    {.name = "retry",
     .arg = "MS",
     .help = "set the browsers' reconnection time",
     .type = OPTION_COUNT,
     .offset = offsetof(struct publish_flags, retry),
     .max = UINT32_MAX},
};

static struct ssecast_target target(const struct flag_list *sessions,
                                    const struct flag_list *channels,
                                    const struct flag_list *connections)
{
    return (struct ssecast_target){{sessions->items, sessions->count},
                                   {channels->items, channels->count},
                                   {connections->items, connections->count}};
}

static bool names_somebody(const struct ssecast_target *t)
{
    return t->sessions.count + t->channels.count + t->connections.count > 0;
}

/* Read to the end and put a NUL behind it. 0 or -errno; the caller releases out either way. */
static int read_all(FILE *in, struct buf *out)
{
    size_t got = READ_STEP;
    while (got > 0) {
        char *step = buf_extend(out, READ_STEP);
        if (!step)
            return -ENOMEM;
        got = fread(step, 1, READ_STEP, in);
        out->len -= READ_STEP - got;
    }
    if (ferror(in))
        return -errno;

    buf_terminate(out);
    return out->failed ? -ENOMEM : 0;
}

/* --- over HTTP --- */

static void put_names(struct buf *out, const char *name, const struct flag_list *names)
{
    if (!names->count)
        return;
    json_begin_list(out, name);
    for (size_t i = 0; i < names->count; i++)
        json_put_text(out, NULL, slice_of(names->items[i]));
    json_end_list(out);
}

static void put_target(struct buf *out, const char *name, const struct flag_list *sessions,
                       const struct flag_list *channels, const struct flag_list *connections)
{
    if (!sessions->count && !channels->count && !connections->count)
        return;
    json_begin_object(out, name);
    put_names(out, "sessions", sessions);
    put_names(out, "channels", channels);
    put_names(out, "connections", connections);
    json_end_object(out);
}

static void put_event(struct buf *out, const struct verb_call *call, struct slice data)
{
    const struct publish_flags *f = call->flags;
    json_begin_object(out, NULL);
    json_put_text(out, "event", slice_of(call->args[0]));
    if (f->text)
        json_put_text(out, "text", data);
    else
        json_put_raw(out, "data", data);
    put_target(out, "to", &f->sessions, &f->channels, &f->connections);
    put_target(out, "except", &f->except_sessions, &f->except_channels, &f->except_connections);
    if (f->id)
        json_put_text(out, "id", slice_of(f->id));
    if (f->retry.given)
        json_put_count(out, "retry", f->retry.value);
    if (f->key)
        json_put_text(out, "key", slice_of(f->key));
    if (f->remove)
        json_put_flag(out, "remove", true);
    if (f->ttl.given)
        json_put_count(out, "ttl", f->ttl.value);
    if (f->is_private)
        json_put_flag(out, "private", true);
    json_end_object(out);
}

/* The token in the file. NULL without a file, or after an error in *status. */
static char *read_token(const struct verb_call *call, int *status)
{
    const char *name = ((const struct publish_flags *)call->flags)->token_file;
    char *token = NULL, why[SECRET_FILE_WHY];
    if (name && secret_file_read_text(name, TOKEN_MAX, &token, why) != 0)
        *status = complain(call, STATUS_USAGE, "--token-file %s: %s", name, why);
    return token;
}

/* An event without receivers is no error, but often a misspelt name. */
static void note_nobody(const struct verb_call *call, struct slice reply)
{
    struct tree *t = tree_parse(reply);
    bool nobody = tree_flag(t, "ok") && tree_at(t, "online") && !tree_number(t, "online") &&
                  !tree_flag(t, "duplicate");
    if (nobody && !call->settings->json)
        fprintf(stderr,
                "(no stream is known that gets it now; it is kept for streams that resume)\n");
    tree_free(&t);
}

/* Why it was refused, without the line break at the end. */
static int complain_of(const struct verb_call *call, const struct http_answer *answer)
{
    const struct publish_flags *f = call->flags;
    struct slice text = buf_slice(&answer->text);

    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    if (!text.len)
        text = slice_of("nothing more");
    return complain(call, STATUS_FAILED, "%s answered %ld: %.*s", f->url, answer->status,
                    (int)text.len, text.data);
}

static int post(const struct verb_call *call, const char *token, struct slice json)
{
    const struct publish_flags *f = call->flags;
    struct http_answer answer;
    char why[HTTP_WHY];
    int status, err = http_post(f->url, token, json, call->settings->timeout_ms, &answer, why);
    if (err)
        status =
            complain(call, err == -EINVAL ? STATUS_USAGE : STATUS_FAILED, "%s: %s", f->url, why);
    else if (answer.status != 200)
        status = complain_of(call, &answer);
    else
        status = show_answer(call, buf_slice(&answer.text));
    if (!err && answer.status == 200 && status == STATUS_OK)
        note_nobody(call, buf_slice(&answer.text));
    http_answer_release(&answer);
    return status;
}

static int publish_over_http(const struct verb_call *call, struct slice data)
{
    struct buf json = {0};
    int status = STATUS_OK;
    char *token = read_token(call, &status);
    if (status == STATUS_OK) {
        put_event(&json, call, data);
        status = json.failed ? complain(call, STATUS_FAILED, "out of memory")
                             : post(call, token, (struct slice){json.data, json.len});
    }
    buf_release(&json);
    free(token);
    return status;
}

/* --- over ZeroMQ --- */

static int publish_to_broker(const struct verb_call *call, struct slice data)
{
    const struct publish_flags *f = call->flags;
    const struct ssecast_target to = target(&f->sessions, &f->channels, &f->connections);
    const struct ssecast_target except =
        target(&f->except_sessions, &f->except_channels, &f->except_connections);
    const struct ssecast_event event = {.event = call->args[0],
                                        .json = f->text ? NULL : data.data,
                                        .bytes = f->text ? data.data : NULL,
                                        .bytes_len = data.len,
                                        .to = names_somebody(&to) ? &to : NULL,
                                        .except = names_somebody(&except) ? &except : NULL,
                                        .id = f->id,
                                        .has_retry = f->retry.given,
                                        .retry_ms = (uint32_t)f->retry.value,
                                        .key = f->key,
                                        .remove = f->remove,
                                        .is_private = f->is_private,
                                        .ttl_s = (uint32_t)f->ttl.value};
    struct ssecast_publisher *publisher;
    struct ssecast_reply *reply;
    int status = open_publisher(call, &publisher);
    if (status != STATUS_OK)
        return status;
    int err = ssecast_publish(publisher, &event, &reply);
    if (!err) {
        struct slice text;
        text.data = ssecast_reply_json(reply, &text.len);
        note_nobody(call, text);
    }
    if (err != -EINVAL)
        return close_publisher(call, &publisher, err, &reply);
    ssecast_publisher_free(&publisher);
    return complain(call, STATUS_USAGE, "DATA is not JSON; with --text it is sent as text");
}

/* data ends with a NUL that len does not count. */
static int publish(const struct verb_call *call, struct slice data)
{
    const struct publish_flags *f = call->flags;
    char problem[256] = "it holds a NUL byte";
    MUST(data.data);
    if (!f->text && (!is_json(data, problem, sizeof problem) || strlen(data.data) != data.len))
        return complain(call, STATUS_USAGE, "DATA is not JSON (%s); with --text it is sent as text",
                        problem);
    if (f->token_file && !f->url)
        return complain(call, STATUS_USAGE, "--token-file needs --url");
    if (f->remove && !f->key)
        return complain(call, STATUS_USAGE, "--remove needs --key");
    if (f->is_private && !f->sessions.count && !f->channels.count && !f->connections.count)
        return complain(call, STATUS_USAGE, "--private needs --channel, --session or --connection");
    return f->url ? publish_over_http(call, data) : publish_to_broker(call, data);
}

static int publish_input(const struct verb_call *call)
{
    struct buf input = {0};
    int err = read_all(stdin, &input);
    int status =
        err ? complain(call, STATUS_FAILED, "cannot read standard input: %s", strerror(-err))
            : publish(call, buf_slice(&input));
    buf_release(&input);
    return status;
}

static int run_publish(const struct verb_call *call)
{
    const struct publish_flags *f = call->flags;
    if (call->count < 2)
        return publish(call, slice_of(f->text ? "" : "null"));
    if (!strcmp(call->args[1], "-"))
        return publish_input(call);
    return publish(call, slice_of(call->args[1]));
}

const struct verb verb_publish = {
    .name = "publish",
    .args = "EVENT [DATA|-]",
    .summary = "publish an event",
    .more = "EVENT is the name that pages listen for; "
            "'' sends an event without one, which they get as \"message\".\n"
            "DATA is a JSON value and arrives as it was typed; "
            "- reads it from standard input. Without DATA it is null (with --text: empty).\n"
            "Without --session, --channel and --connection the event is for everyone; "
            "with several of them for all of those.\n"
            "With --key the event is current state: "
            "pages that open a stream get the newest event of each key first. "
            "It is for everyone, one session or one channel. The command state lists the keys.\n",
    .flags = {.rows = rows, .count = COUNT(rows)},
    .flags_size = sizeof(struct publish_flags),
    .min_args = 1,
    .max_args = 2,
    .run = run_publish,
};
