/* Ends streams; the browsers of the sessions named are told not to come back for a while. */
#include "verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct shutdown_flags {
    struct flag_list sessions, channels, connections;
    const char *reason;
    struct flag_count block;
};

#define AT(field) .offset = offsetof(struct shutdown_flags, field)

static const struct flag_row rows[] = {
    {.name = "session", .arg = "SESSION", .help = "end the streams of this session", .type = FLAG_LIST, AT(sessions)},
    {.name = "channel", .arg = "CHANNEL", .help = "end the streams in this channel", .type = FLAG_LIST, AT(channels)},
    {.name = "connection", .arg = "CONNECTION", .help = "end this stream", .type = FLAG_LIST, AT(connections)},
    {.name = "reason", .arg = "TEXT", .help = "what the page is told", .type = FLAG_TEXT, AT(reason)},
    {.name = "block",
     .arg = "SECONDS",
     .help = "how long the sessions named are turned away (60)",
     .type = FLAG_COUNT,
     AT(block),
     .max = UINT32_MAX},
};

static void put_list(struct json_out *out, const char *name, const struct flag_list *list)
{
    json_begin_list(out, name);
    for (size_t i = 0; i < list->count; i++)
        json_put_text(out, NULL, slice_of(list->items[i]));
    json_end_list(out);
}

static int run(const struct call *call)
{
    const struct shutdown_flags *f = call->flags;
    struct json_out request = {0};
    if (f->sessions.count + f->channels.count + f->connections.count == 0)
        return complain(call, STATUS_USAGE, "say whose streams: --session, --channel or --connection");
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of("shutdown"));
    put_list(&request, "sessions", &f->sessions);
    put_list(&request, "channels", &f->channels);
    put_list(&request, "connections", &f->connections);
    if (f->reason)
        json_put_text(&request, "reason", slice_of(f->reason));
    if (f->block.given)
        json_put_count(&request, "block", f->block.value);
    json_end_object(&request);
    return exchange(call, &request, NULL);
}

const struct verb verb_shutdown = {
    .name = "shutdown",
    .args = "",
    .summary = "end streams",
    .more =
        "Each stream gets an event ssecast.shutdown with the reason, then ends. A session named with --session that\n"
        "reconnects within --block seconds is told to stop for good; 0 lets it back at once.\n",
    .flags = {rows, COUNT(rows)},
    .flags_size = sizeof(struct shutdown_flags),
    .run = run,
};
