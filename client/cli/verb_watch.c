/* Prints presence changes that the library reports. Messages about the watch itself go to
 * stderr, so that pipes receive changes only. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/json_out.h"
#include "cli/show.h"
#include "cli/verb.h"
#include "cli/webhook.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct watch_flags {
    bool no_snapshot;
    const char *session;
    struct flag_count count;
    const char *webhook, *secret_file, *state;
    struct flag_count webhook_timeout, webhook_retry; /* seconds */
};

/* Of a webhook, in seconds. */
#define TIMEOUT_S 10
#define RETRY_S 30
#define SHORTEST_MS 1000
#define LONGEST_MS 3600000

static uint64_t milliseconds(const struct flag_count *seconds, uint64_t otherwise)
{
    return (seconds->given ? seconds->value : otherwise) * 1000;
}

static const struct option_row rows[] = {
    {.name = "no-snapshot",
     .help = "print changes only, without snapshots",
     .type = OPTION_FLAG,
     .offset = offsetof(struct watch_flags, no_snapshot)},
    {.name = "session",
     .arg = "SESSION",
     .help = "print changes of this session only",
     .type = OPTION_TEXT,
     .offset = offsetof(struct watch_flags, session)},
    {.name = "count",
     .arg = "N",
     .help = "stop after N lines",
     .type = OPTION_COUNT,
     .offset = offsetof(struct watch_flags, count),
     .max = INT64_MAX},
    {.name = "webhook",
     .arg = "URL",
     .help = "post the changes there, and print nothing",
     .type = OPTION_TEXT,
     .offset = offsetof(struct watch_flags, webhook)},
    {.name = "secret-file",
     .arg = "FILE",
     .help = "sign what is posted with the secret in FILE",
     .type = OPTION_TEXT,
     .offset = offsetof(struct watch_flags, secret_file)},
    {.name = "state",
     .arg = "DIR",
     .help = "keep what was not posted in DIR",
     .type = OPTION_TEXT,
     .offset = offsetof(struct watch_flags, state)},
    {.name = "webhook-timeout",
     .arg = "TIME",
     .help = "post again after this long without an answer",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct watch_flags, webhook_timeout),
     .min = SHORTEST_MS,
     .max = LONGEST_MS},
    {.name = "webhook-retry",
     .arg = "TIME",
     .help = "wait this long at most before a retry",
     .type = OPTION_SECONDS,
     .offset = offsetof(struct watch_flags, webhook_retry),
     .min = SHORTEST_MS,
     .max = LONGEST_MS},
};

struct watching {
    const struct verb_call *call;
    const struct watch_flags *flags;
    struct ssecast_presence *presence;
    struct webhook *webhook; /* NULL: print */
    bool full;               /* the webhook takes no more: begin again */
    uint64_t seen;           /* lines printed */
    int status;              /* the exit status, should it end now */
};

static const char *what(const struct ssecast_presence_event *e)
{
    static const char *const names[] = {"connected", "disconnected", "session_online",
                                        "session_offline"};
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

    if (*e->cause)
        printf("  (%s)", e->cause);
    else if (e->present || e->inferred)
        printf("  (%s)", e->present ? "already" : "missed");
}

static void watch_stop(struct watching *w, int status)
{
    w->status = status;
    ssecast_presence_close(w->presence);
}

static void count_line(struct watching *w)
{
    w->seen++;
    if (w->flags->count.given && w->seen >= w->flags->count.value)
        watch_stop(w, STATUS_OK);
}

/* When too much waits, all of it is dropped, and the watch begins again. */
static void post(struct watching *w, struct slice object)
{
    int err = webhook_add(w->webhook, object);
    if (!err) {
        count_line(w);
        return;
    }
    w->full = err == -ENOSPC;
    watch_stop(w, w->full ? STATUS_OK
                          : complain(w->call, STATUS_FAILED, "--state: %s", strerror(-err)));
}

static void watch_on_event(void *context, const struct ssecast_presence_event *e)
{
    struct watching *w = context;
    if (w->flags->session && strcmp(w->flags->session, e->session) != 0)
        return;
    if (w->webhook) {
        post(w, (struct slice){e->json, e->json_len});
        return;
    }
    if (w->call->settings->json)
        fwrite(e->json, 1, e->json_len, stdout);
    else
        print_text(e);
    putchar('\n');
    if (fflush(stdout))
        watch_stop(
            w, complain(w->call, STATUS_FAILED, "cannot write the output: %s", strerror(errno)));
    else
        count_line(w);
}

static void on_state(void *context, enum ssecast_presence_state state, uint64_t missed,
                     const char *message)
{
    struct watching *w = context;
    (void)missed;
    bool made_up = !w->flags->no_snapshot &&
                   (state == SSECAST_PRESENCE_MISSED || state == SSECAST_PRESENCE_RESTARTED);
    if (state != SSECAST_PRESENCE_COMPLETE)
        complain(w->call, STATUS_OK, "%s%s", message, made_up ? "; the differences follow" : "");
}

/* Watch until something stops it. */
static int watch(struct watching *w)
{
    const struct verb_call *call = w->call;
    struct ssecast_presence_options options = {.no_snapshot = w->flags->no_snapshot,
                                               .event = watch_on_event,
                                               .state = on_state,
                                               .context = w};
    int status = open_presence(call, &options, &w->presence);
    if (status != STATUS_OK)
        return status;

    int err = ssecast_presence_run(w->presence);
    ssecast_presence_free(&w->presence);
    if (err == -EREMOTEIO)
        return STATUS_FAILED;
    return err ? complain(call, STATUS_FAILED, "%s", strerror(-err)) : w->status;
}

/* ---- webhook ---- */

/* Called by the thread of the webhook. */
static void on_note(void *context, const char *message)
{
    const struct watching *w = context;
    complain(w->call, STATUS_OK, "--webhook: %s", message);
}

/* The receiver forgets what it knew: the open connections follow. */
static int put_reset(struct watching *w)
{
    char text[64];
    int len = snprintf(text, sizeof text, "{\"type\":\"reset\",\"at\":%lld}",
                       (long long)time(NULL) * 1000);
    int err = webhook_add(w->webhook, (struct slice){text, (size_t)len});
    if (err == -ENOSPC)
        err = webhook_clear(w->webhook)
                  ? -EIO
                  : webhook_add(w->webhook, (struct slice){text, (size_t)len});
    return err ? complain(w->call, STATUS_FAILED, "--state: %s", strerror(-err)) : STATUS_OK;
}

static int watch_for_webhook(struct watching *w)
{
    int status;
    do {
        if (w->full)
            complain(w->call, STATUS_OK,
                     "--webhook: too much waits; it is dropped, and the watch begins again");
        w->full = false;
        status = put_reset(w);
        if (status == STATUS_OK)
            status = watch(w);
        if (w->full && webhook_clear(w->webhook) != 0)
            return complain(w->call, STATUS_FAILED, "--state cannot be written");
    } while (w->full);
    return status;
}

static int run_webhook(struct watching *w)
{
    char why[WEBHOOK_WHY];
    struct webhook_config config = {.url = w->flags->webhook,
                                    .secret_file = w->flags->secret_file,
                                    .folder = w->flags->state,
                                    .timeout_ms =
                                        milliseconds(&w->flags->webhook_timeout, TIMEOUT_S),
                                    .retry_ms = milliseconds(&w->flags->webhook_retry, RETRY_S),
                                    .note = on_note,
                                    .context = w};
    if (!config.secret_file)
        return complain(w->call, STATUS_USAGE, "--webhook needs --secret-file");
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of writing, like a full disk */
    int err = webhook_open(&config, &w->webhook, why);
    if (err)
        return complain(w->call, err == -EINVAL ? STATUS_USAGE : STATUS_FAILED, "%s", why);

    int status = watch_for_webhook(w);
    if (status == STATUS_OK)
        webhook_close(&w->webhook);
    return status;
}

static int run_watch(const struct verb_call *call)
{
    static struct watching w; /* the thread of a webhook outlives a failure */
    w = (struct watching){.call = call, .flags = call->flags};
    if (!w.flags->webhook && (w.flags->secret_file || w.flags->state))
        return complain(call, STATUS_USAGE, "--secret-file and --state need --webhook");
    if (!w.flags->webhook && (w.flags->webhook_timeout.given || w.flags->webhook_retry.given))
        return complain(call, STATUS_USAGE, "--webhook-timeout and --webhook-retry need --webhook");
    if (w.flags->count.given && w.flags->count.value == 0)
        return STATUS_OK;
    return w.flags->webhook ? run_webhook(&w) : watch(&w);
}

const struct verb verb_watch = {
    .name = "watch",
    .args = "",
    .summary = "print presence changes",
    .more = "Each change is one line: when, what, the session, the connection and its channels, "
            "why it ended. A session comes online with its first connection and "
            "goes offline with its last. When the broker is restarted, or changes were missed, "
            "it says so on stderr, finds out what is different and prints that.\n",
    .flags = {.rows = rows, .count = COUNT(rows)},
    .flags_size = sizeof(struct watch_flags),
    .max_args = 0,
    .run = run_watch,
};
