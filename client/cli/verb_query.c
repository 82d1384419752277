/* The queries: each sends its flags as fields of the same names and shows the reply. */
#include <limits.h>

#include "cli/verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SEQ_MAX INT64_MAX

struct query_flags {
    const char *session, *channel, *connection, *prefix, *after;
    struct flag_count since, limit;
};

#define TEXT(flag, field, value, text)                                                             \
    {                                                                                              \
        .name = (flag), .arg = (value), .help = (text), .type = OPTION_TEXT,                       \
        .offset = offsetof(struct query_flags, field)                                              \
    }
#define NUMBER(flag, field, value, text)                                                           \
    {                                                                                              \
        .name = (flag), .arg = (value), .help = (text), .type = OPTION_COUNT,                      \
        .offset = offsetof(struct query_flags, field), .max = SEQ_MAX                              \
    }
#define LIMIT NUMBER("limit", limit, "N", "list at most N")

static void put_flag(struct buf *out, const struct option_row *row, const char *values)
{
    if (row->type == OPTION_TEXT) {
        const char *text = *(const char *const *)(const void *)(values + row->offset);
        if (text)
            json_put_text(out, row->name, slice_of(text));
        return;
    }
    const struct flag_count *count = (const void *)(values + row->offset);
    if (count->given)
        json_put_count(out, row->name, count->value);
}

static int query(const struct verb_call *call)
{
    struct buf request = {0};
    const struct flags *flags = &call->verb->flags;
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of(call->verb->name));
    if (call->count > 0)
        json_put_text(&request, "session", slice_of(call->args[0]));
    for (size_t i = 0; i < flags->count; i++)
        put_flag(&request, &flags->rows[i], call->flags);
    json_end_object(&request);
    return round_trip(call, &request);
}

const struct verb verb_online = {
    .name = "online",
    .args = "SESSION",
    .summary = "show whether a session is connected",
    .more = "The exit status shows whether the broker answered, not what it answered.\n",
    .min_args = 1,
    .max_args = 1,
    .run = query,
};

const struct verb verb_ping = {
    .name = "ping", .args = "", .summary = "check whether the broker answers", .run = query};

/* ---- stats ---- */

struct stats_flags {
    bool prometheus;
};

static const struct option_row stats_flags[] = {
    {.name = "prometheus",
     .help = "print metrics for Prometheus",
     .type = OPTION_FLAG,
     .offset = offsetof(struct stats_flags, prometheus)},
};

/* The form of its reply. */
static const struct verb prometheus = {.name = "stats", .view = {.text = "text"}};

static int stats(const struct verb_call *call)
{
    const struct stats_flags *flags = call->flags;
    struct verb_call shown = *call;
    struct buf request = {0};
    shown.verb = flags->prometheus ? &prometheus : call->verb;
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of(flags->prometheus ? "metrics" : "stats"));
    json_end_object(&request);
    return round_trip(&shown, &request);
}

const struct verb verb_stats = {
    .name = "stats",
    .args = "",
    .summary = "show the counters of the broker and its workers",
    .more = "--prometheus writes what GET .../metrics of a worker answers: "
            "for a file that a collector reads, or to look at.\n",
    .flags = {.rows = stats_flags, .count = COUNT(stats_flags)},
    .flags_size = sizeof(struct stats_flags),
    .run = stats,
};

/* ---- log level ---- */

static const struct option_row log_level_flags[] = {
    {.name = "workers", .help = "the workers' logs too", .type = OPTION_FLAG, .offset = 0},
};

static int log_level(const struct verb_call *call)
{
    struct buf request = {0};
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of("log"));
    if (call->count > 0)
        json_put_text(&request, "level", slice_of(call->args[0]));
    if (*(const bool *)call->flags)
        json_put_flag(&request, "workers", true);
    json_end_object(&request);
    return round_trip(call, &request);
}

const struct verb verb_log_level = {
    .name = "log-level",
    .args = "[LEVEL]",
    .summary = "show or change the broker's log level",
    .more = "LEVEL is error, warn, info or debug, until the program is restarted. "
            "SIGUSR1 sets a worker's (or the broker's) to debug, and back.\n",
    .flags = {.rows = log_level_flags, .count = COUNT(log_level_flags)},
    .flags_size = sizeof(bool),
    .max_args = 1,
    .run = log_level,
};

/* ---- sessions ---- */

static const struct option_row sessions_flags[] = {
    TEXT("prefix", prefix, "TEXT", "list names with this prefix"),
    TEXT("after", after, "SESSION", "list those after this one, in byte order"),
    LIMIT,
};

static const struct column sessions_columns[] = {
    {.field = "session", .heading = "SESSION"},
    {.field = "connections", .heading = "CONNECTIONS"},
};

const struct verb verb_sessions = {
    .name = "sessions",
    .args = "",
    .summary = "list the sessions that are connected",
    .flags = {.rows = sessions_flags, .count = COUNT(sessions_flags)},
    .flags_size = sizeof(struct query_flags),
    .view = {"sessions", sessions_columns, COUNT(sessions_columns),
             "--after the last one, or --limit"},
    .run = query,
};

/* ---- members ---- */

static const struct option_row members_flags[] = {
    TEXT("after", after, "SESSION", "list those after this one, in byte order"),
    LIMIT,
};

static const struct column members_columns[] = {
    {.field = "session", .heading = "SESSION"},
    {.field = "since", .heading = "SINCE", .form = FORM_TIME},
};

static int members(const struct verb_call *call)
{
    struct buf request = {0};
    const struct flags *flags = &call->verb->flags;
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of("members"));
    json_put_text(&request, "channel", slice_of(call->args[0]));
    for (size_t i = 0; i < flags->count; i++)
        put_flag(&request, &flags->rows[i], call->flags);
    json_end_object(&request);
    return round_trip(call, &request);
}

const struct verb verb_members = {
    .name = "members",
    .args = "CHANNEL",
    .summary = "list the members of a channel",
    .more = "The channel is one of the broker's option presence-channels.\n",
    .flags = {.rows = members_flags, .count = COUNT(members_flags)},
    .flags_size = sizeof(struct query_flags),
    .min_args = 1,
    .max_args = 1,
    .view = {"members", members_columns, COUNT(members_columns),
             "--after the last one, or --limit"},
    .run = members,
};

/* ---- bans ---- */

static const struct column bans_columns[] = {
    {.field = "session", .heading = "SESSION"},
    {.field = "until", .heading = "UNTIL", .form = FORM_TIME},
};

const struct verb verb_bans = {
    .name = "bans",
    .args = "",
    .summary = "list the banned sessions",
    .flags = {.rows = sessions_flags, .count = COUNT(sessions_flags)},
    .flags_size = sizeof(struct query_flags),
    .view = {"bans", bans_columns, COUNT(bans_columns), "--after the last one, or --limit"},
    .run = query,
};

static int unban(const struct verb_call *call)
{
    struct buf request = {0};
    json_begin_object(&request, NULL);
    json_put_text(&request, "op", slice_of("unban"));
    json_begin_list(&request, "sessions");
    for (int i = 0; i < call->count; i++)
        json_put_text(&request, NULL, slice_of(call->args[i]));
    json_end_list(&request);
    json_end_object(&request);
    return round_trip(call, &request);
}

const struct verb verb_unban = {
    .name = "unban",
    .args = "SESSION...",
    .summary = "lift bans of sessions",
    .more = "Shows how many of them were banned.\n",
    .min_args = 1,
    .max_args = INT_MAX,
    .run = unban,
};

/* ---- connections ---- */

static const struct option_row connections_flags[] = {
    TEXT("session", session, "SESSION", "list those of this session"),
    TEXT("after", after, "CONNECTION", "list those after this one, in byte order"),
    LIMIT,
};

static const struct column connections_columns[] = {
    {.field = "connection", .heading = "CONNECTION"},
    {.field = "session", .heading = "SESSION"},
    {.field = "since", .heading = "SINCE", .form = FORM_TIME},
    {.field = "worker", .heading = "WORKER"},
    {.field = "queued", .heading = "QUEUED"},
    {.field = "lag", .heading = "LAG"},
    {.field = "meta", .heading = "REQUEST"},
    {.field = "channels", .heading = "CHANNELS"},
};

const struct verb verb_connections = {
    .name = "connections",
    .args = "",
    .summary = "list the connections",
    .flags = {.rows = connections_flags, .count = COUNT(connections_flags)},
    .flags_size = sizeof(struct query_flags),
    .view = {"connections", connections_columns, COUNT(connections_columns),
             "--after the last one, or --limit"},
    .run = query,
};

/* ---- workers ---- */

static const struct option_row workers_flags[] = {
    TEXT("after", after, "WORKER", "list those after this one, in byte order"),
    LIMIT,
};

static const struct column workers_columns[] = {
    {.field = "worker", .heading = "WORKER"},
    {.field = "connections", .heading = "CONNECTIONS"},
    {.field = "lag_events", .heading = "LAG"},
    {.field = "queued_bytes", .heading = "QUEUED"},
    {.field = "queued_readers", .heading = "SLOW"},
    {.field = "deliveries", .heading = "DELIVERIES"},
    {.field = "ends_slow", .heading = "CUT"},
    {.field = "silent_ms", .heading = "HEARD", .form = FORM_HEARD},
    {.field = "started_ms", .heading = "STARTED", .form = FORM_TIME},
};

const struct verb verb_workers = {
    .name = "workers",
    .args = "",
    .summary = "list the workers and their state",
    .more = "LAG: events that it has not received yet. SLOW: streams whose reader takes nothing; "
            "QUEUED: bytes that wait for these readers. CUT: streams that ended because "
            "their reader was too slow. HEARD: when it last reported. --json shows all numbers.\n",
    .flags = {.rows = workers_flags, .count = COUNT(workers_flags)},
    .flags_size = sizeof(struct query_flags),
    .view = {"workers", workers_columns, COUNT(workers_columns),
             "--after the last one, or --limit"},
    .run = query,
};

/* ---- history ---- */

static const struct option_row history_flags[] = {
    NUMBER("since", since, "SEQ", "list events after this seq"),
    TEXT("session", session, "SESSION", "list events for this session"),
    TEXT("channel", channel, "CHANNEL", "list events for this channel"),
    TEXT("connection", connection, "CONNECTION", "list events for this connection"),
    LIMIT,
};

static const struct column history_columns[] = {
    {.field = "seq", .heading = "SEQ"},
    {.field = "at", .heading = "TIME", .form = FORM_TIME},
    {.field = "id", .heading = "ID"},
    {.field = "event", .heading = "EVENT"},
    {.field = "key", .heading = "KEY"},
    {.field = "to", .heading = "TO", .missing = "everyone"},
    {.field = "except", .heading = "EXCEPT"},
    {.field = "private", .heading = "PRIVATE"},
    {.field = "data", .heading = "DATA"},
};

const struct verb verb_history = {
    .name = "history",
    .args = "",
    .summary = "list the retained events, oldest first",
    .flags = {.rows = history_flags, .count = COUNT(history_flags)},
    .flags_size = sizeof(struct query_flags),
    .view = {"events", history_columns, COUNT(history_columns), "--since the last one, or --limit"},
    .run = query,
};

/* ---- state ---- */

static const struct option_row state_flags[] = {
    TEXT("prefix", prefix, "TEXT", "list keys with this prefix"),
    TEXT("channel", channel, "CHANNEL", "list keys of this channel"),
    TEXT("after", after, "NAME", "list those after this one, in byte order"),
    LIMIT,
};

static const struct column state_columns[] = {
    {.field = "key", .heading = "KEY"},
    {.field = "to", .heading = "TO", .missing = "everyone"},
    {.field = "private", .heading = "PRIVATE"},
    {.field = "seq", .heading = "SEQ"},
    {.field = "at", .heading = "AGE", .form = FORM_AGE},
    {.field = "ttl", .heading = "TTL LEFT", .form = FORM_LEFT},
    {.field = "event", .heading = "EVENT"},
    {.field = "data", .heading = "DATA"},
};

const struct verb verb_state = {
    .name = "state",
    .args = "",
    .summary = "list the newest event of each key",
    .flags = {.rows = state_flags, .count = COUNT(state_flags)},
    .flags_size = sizeof(struct query_flags),
    .view = {"keys", state_columns, COUNT(state_columns), NULL},
    .run = query,
};
