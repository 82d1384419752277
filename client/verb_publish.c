/* Why the payload is never decoded here: what was typed is what the browser gets, digits and all. JSON stands in the request as it
 * is, text travels beside it as bytes. */
#include <errno.h>
#include <stdlib.h>

#include "verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define READ_STEP 65536u /* bytes */

struct publish_flags {
    struct flag_list sessions, channels, connections, except_sessions, except_channels, except_connections;
    const char *id;
    struct flag_count retry;
    bool text;
};

#define LIST(flag, field, value, text)                                                                                 \
    {                                                                                                                  \
        .name = (flag), .arg = (value), .help = (text), .type = FLAG_LIST,                                             \
        .offset = offsetof(struct publish_flags, field)                                                                \
    }

static const struct flag_row rows[] = {
    LIST("session", sessions, "SESSION", "to this session"),
    LIST("channel", channels, "CHANNEL", "to those in this channel"),
    LIST("connection", connections, "CONNECTION", "to this connection"),
    LIST("except-session", except_sessions, "SESSION", "but not to this session"),
    LIST("except-channel", except_channels, "CHANNEL", "but not to those in this channel"),
    LIST("except-connection", except_connections, "CONNECTION", "but not to this connection"),
    {.name = "text",
     .help = "DATA is text, sent as it is",
     .type = FLAG_SWITCH,
     .offset = offsetof(struct publish_flags, text)},
    {.name = "id",
     .arg = "ID",
     .help = "your own id of the event: published once, however often it is tried",
     .type = FLAG_TEXT,
     .offset = offsetof(struct publish_flags, id)},
    {.name = "retry",
     .arg = "MS",
     .help = "how long browsers wait before they reconnect, from now on",
     .type = FLAG_COUNT,
     .offset = offsetof(struct publish_flags, retry),
     .max = UINT32_MAX},
};

static struct ssecast_target target(const struct flag_list *sessions, const struct flag_list *channels,
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

/* data ends with a NUL that len does not count. */
static int publish(const struct call *call, struct slice data)
{
    const struct publish_flags *f = call->flags;
    const struct ssecast_target to = target(&f->sessions, &f->channels, &f->connections);
    const struct ssecast_target except = target(&f->except_sessions, &f->except_channels, &f->except_connections);
    const struct ssecast_event event = {.event = call->args[0],
                                        .json = f->text ? NULL : data.data,
                                        .bytes = f->text ? data.data : NULL,
                                        .bytes_len = data.len,
                                        .to = names_somebody(&to) ? &to : NULL,
                                        .except = names_somebody(&except) ? &except : NULL,
                                        .id = f->id,
                                        .has_retry = f->retry.given,
                                        .retry_ms = (uint32_t)f->retry.value};
    struct ssecast_publisher *publisher;
    struct ssecast_reply *reply;
    char problem[256] = "it holds a NUL byte";
    if (!f->text && (!is_json(data, problem, sizeof problem) || strlen(data.data) != data.len))
        return complain(call, STATUS_USAGE, "DATA is not JSON (%s); with --text it is sent as text", problem);
    int status = open_publisher(call, &publisher);
    if (status != STATUS_OK)
        return status;
    int err = ssecast_publish(publisher, &event, &reply);
    if (err != -EINVAL)
        return close_publisher(call, &publisher, err, &reply);
    ssecast_publisher_free(&publisher);
    return complain(call, STATUS_USAGE, "DATA is not JSON; with --text it is sent as text");
}

/* Read to the end, and put a NUL behind it. 0, or -errno; *out is the caller's to free either way. */
static int read_all(FILE *in, char **out, size_t *len)
{
    size_t cap = 0, got;
    do {
        if (cap - *len < READ_STEP) {
            char *grown = realloc(*out, (cap = cap * 2 + READ_STEP) + 1);
            if (!grown)
                return -ENOMEM;
            *out = grown;
        }
        got = fread(*out + *len, 1, cap - *len, in);
        *len += got;
    } while (got > 0);
    if (ferror(in))
        return -errno;
    (*out)[*len] = 0;
    return 0;
}

static int publish_input(const struct call *call)
{
    char *data = NULL;
    size_t len = 0;
    int err = read_all(stdin, &data, &len);
    int status = err ? complain(call, STATUS_FAILED, "cannot read standard input: %s", strerror(-err))
                     : publish(call, (struct slice){data, len});
    free(data);
    return status;
}

static int run(const struct call *call)
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
    .more =
        "EVENT is the name that pages listen for; '' sends an event without one, which they get as \"message\".\n"
        "DATA is a JSON value and arrives as it was typed; - reads it from standard input. Without DATA it is null\n"
        "(with --text: empty). Without --session, --channel and --connection the event is for everyone; with several\n"
        "of them for all of those.\n",
    .flags = {rows, COUNT(rows)},
    .flags_size = sizeof(struct publish_flags),
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
