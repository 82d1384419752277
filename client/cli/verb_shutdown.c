/* Ends streams, and bans the named sessions for a while. */
#include "cli/verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct shutdown_flags {
    struct flag_list sessions, channels, connections;
    const char *reason;
    struct flag_count block;
};

#define AT(field) .offset = offsetof(struct shutdown_flags, field)

static const struct option_row rows[] = {
    {.name = "session",
     .arg = "SESSION",
     .help = "end the streams of this session",
     .type = OPTION_LINES,
     AT(sessions)},
    {.name = "channel",
     .arg = "CHANNEL",
     .help = "end the streams in this channel",
     .type = OPTION_LINES,
     AT(channels)},
    {.name = "connection",
     .arg = "CONNECTION",
     .help = "end this stream",
     .type = OPTION_LINES,
     AT(connections)},
    {.name = "reason",
     .arg = "TEXT",
     .help = "send this reason to the page",
     .type = OPTION_TEXT,
     AT(reason)},
    {.name = "block",
     .arg = "SECONDS",
     .help = "ban the named sessions this long (60)",
     .type = OPTION_COUNT,
     AT(block),
     .max = UINT32_MAX},
};

static struct ssecast_names names(const struct flag_list *list)
{
    return (struct ssecast_names){list->items, list->count};
}

static int run_shutdown(const struct verb_call *call)
{
    const struct shutdown_flags *f = call->flags;
    const struct ssecast_shutdown shutdown = {
        .whose = {names(&f->sessions), names(&f->channels), names(&f->connections)},
        .reason = f->reason,
        .has_block = f->block.given,
        .block_s = (uint32_t)f->block.value,
    };
    struct ssecast_publisher *publisher;
    struct ssecast_reply *reply;
    if (f->sessions.count + f->channels.count + f->connections.count == 0)
        return complain(call, STATUS_USAGE, "missing --session, --channel or --connection");
    int status = open_publisher(call, &publisher);
    if (status != STATUS_OK)
        return status;
    int err = ssecast_shutdown(publisher, &shutdown, &reply);
    return close_publisher(call, &publisher, err, &reply);
}

const struct verb verb_shutdown = {
    .name = "shutdown",
    .args = "",
    .summary = "end streams",
    .more = "Each stream gets an event ssecast.shutdown with the reason, then ends. "
            "A session named with --session that reconnects within "
            "--block seconds is answered 204; 0 lets it back at once, and lifts an earlier ban.\n"
            "The command bans lists banned sessions, unban lifts them.\n",
    .flags = {.rows = rows, .count = COUNT(rows)},
    .flags_size = sizeof(struct shutdown_flags),
    .run = run_shutdown,
};
