/* Prints presence changes that the library reports. Messages about the watch itself go to
 * stderr, so that pipes receive changes only. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cli/show.h"
#include "cli/verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct watch_flags {
    bool no_snapshot;
    const char *session;
    struct flag_count count;
};

static const struct flag_row rows[] = {
    {.name = "no-snapshot",
     .help = "print changes only, without snapshots",
     .type = FLAG_SWITCH,
     .offset = offsetof(struct watch_flags, no_snapshot)},
    {.name = "session",
     .arg = "SESSION",
     .help = "print changes of this session only",
     .type = FLAG_TEXT,
     .offset = offsetof(struct watch_flags, session)},
    {.name = "count",
     .arg = "N",
     .help = "stop after N lines",
     .type = FLAG_COUNT,
     .offset = offsetof(struct watch_flags, count),
     .max = INT64_MAX},
};

struct watching {
    const struct verb_call *call;
    const struct watch_flags *flags;
    struct ssecast_presence *presence;
    uint64_t seen; /* lines printed */
    int status;    /* the exit status, should it end now */
};

static const char *what(const struct ssecast_presence_event *e)
{
    static const char *const names[] = {"connected", "disconnected", "session_online", "session_offline"};
    return names[e->type];
}

static void print_time(int64_t at)
{
    char text[32];
    time_t seconds = (time_t)(at / 1000);
    struct tm local;
    if (!localtime_r(&seconds, &local) || !strftime(text, sizeof text, "%F %T", &local))
        snprintf(text, sizeof text, "?");
    printf("%s", text);
}

/* 2026-11-21 10:15:02  disconnected     anna  8f...-1  room:7  (client) */
static void print_text(const struct ssecast_presence_event *e)
{
    print_time(e->at);
    printf("  %-15s  ", what(e));
    show_text(stdout, slice_of(*e->session ? e->session : "-"));
    if (e->type == SSECAST_CONNECTED || e->type == SSECAST_DISCONNECTED) {
        fputs("  ", stdout);
        show_text(stdout, slice_of(e->connection));
        for (size_t i = 0; i < e->channel_count; i++) {
            fputs(i ? "," : "  ", stdout);
            show_text(stdout, slice_of(e->channels[i]));
        }
    }
    if (*e->cause || e->present || e->inferred)
        printf("  (%s)", *e->cause ? e->cause : e->present ? "already" : "missed");
}

static void stop(struct watching *w, int status)
{
    w->status = status;
    ssecast_presence_close(w->presence);
}

static void on_event(void *context, const struct ssecast_presence_event *e)
{
    struct watching *w = context;
    if (w->flags->session && strcmp(w->flags->session, e->session) != 0)
        return;
    if (w->call->settings->json)
        fwrite(e->json, 1, e->json_len, stdout);
    else
        print_text(e);
    putchar('\n');
    w->seen++;
    if (fflush(stdout))
        stop(w, complain(w->call, STATUS_FAILED, "cannot write the output: %s", strerror(errno)));
    else if (w->flags->count.given && w->seen >= w->flags->count.value)
        stop(w, STATUS_OK);
}

static void on_state(void *context, enum ssecast_presence_state state, uint64_t missed, const char *message)
{
    struct watching *w = context;
    (void)missed;
    bool made_up = !w->flags->no_snapshot && (state == SSECAST_PRESENCE_MISSED || state == SSECAST_PRESENCE_RESTARTED);
    if (state != SSECAST_PRESENCE_COMPLETE)
        complain(w->call, STATUS_OK, "%s%s", message, made_up ? "; the differences follow" : "");
}

static int run(const struct verb_call *call)
{
    struct watching w = {.call = call, .flags = call->flags};
    struct ssecast_presence_options options = {
        .no_snapshot = w.flags->no_snapshot, .event = on_event, .state = on_state, .context = &w};
    if (w.flags->count.given && w.flags->count.value == 0)
        return STATUS_OK;
    int status = open_presence(call, &options, &w.presence);
    if (status != STATUS_OK)
        return status;
    int err = ssecast_presence_run(w.presence);
    ssecast_presence_free(&w.presence);
    if (err == -EREMOTEIO)
        return STATUS_FAILED;
    return err ? complain(call, STATUS_FAILED, "%s", strerror(-err)) : w.status;
}

const struct verb verb_watch = {
    .name = "watch",
    .args = "",
    .summary = "print presence changes",
    .more = "Each change is one line: when, what, the session, the connection and its channels, why it ended. A "
            "session comes\n"
            "online with its first connection and goes offline with its last. When the broker is restarted, or changes "
            "were\n"
            "missed, it says so on stderr, finds out what is different and prints that.\n",
    .flags = {rows, COUNT(rows)},
    .flags_size = sizeof(struct watch_flags),
    .max_args = 0,
    .run = run,
};
