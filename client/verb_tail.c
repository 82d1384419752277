/* Prints a stream as a browser's EventSource would receive it: it comes back after the time the server asked for, with the
 * last id, and stops where the standard says to stop. Unlike a browser it gives up at once when the first attempt finds nobody: a
 * mistyped address is more likely than a server that starts a moment later. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "show.h"
#include "sse.h"
#include "stream.h"
#include "verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RETRY_DEFAULT_MS 3000u
#define RETRY_MAX_MS 86400000u

struct tail_flags {
    const char *last_event_id;
    struct flag_list headers;
    struct flag_count count;
};

static const struct flag_row rows[] = {
    {.name = "last-event-id",
     .arg = "ID",
     .help = "begin behind this event",
     .type = FLAG_TEXT,
     .offset = offsetof(struct tail_flags, last_event_id)},
    {.name = "header",
     .letter = 'H',
     .arg = "'NAME: VALUE'",
     .help = "send this request header too",
     .type = FLAG_LIST,
     .offset = offsetof(struct tail_flags, headers)},
    {.name = "count",
     .arg = "N",
     .help = "stop after N events",
     .type = FLAG_COUNT,
     .offset = offsetof(struct tail_flags, count),
     .max = INT64_MAX},
};

struct tail {
    const struct call *call;
    const struct tail_flags *flags;
    struct sse_decoder *decoder;
    char *last_id; /* NULL: none yet */
    struct json_out line;
    uint64_t seen; /* events printed */
    uint64_t retry_ms;
    bool opened; /* there was a stream once */
    int err;
};

static bool had_enough(const struct tail *t)
{
    return t->err || (t->flags->count.given && t->seen >= t->flags->count.value);
}

/* An event without an id of its own leaves the last one in force, a checkpoint sets it, to nothing too. */
static void keep_id(struct tail *t, const struct sse_event *event)
{
    if (event->has_data && event->id.len == 0)
        return;
    char *id = strndup(event->id.data ? event->id.data : "", event->id.len);
    if (!id)
        t->err = -ENOMEM;
    free(t->last_id);
    t->last_id = id;
}

static void print_json(struct tail *t, const struct sse_event *event)
{
    t->line.len = 0;
    json_begin_object(&t->line, NULL);
    json_put_text(&t->line, "id", slice_of(t->last_id));
    json_put_text(&t->line, "event", event->type);
    json_put_text(&t->line, "data", event->data);
    json_end_object(&t->line);
    if (t->line.failed)
        t->err = -ENOMEM;
    else
        fwrite(t->line.data, 1, t->line.len, stdout);
}

static void print_text(const struct tail *t, const struct sse_event *event)
{
    show_text(stdout, t->last_id && *t->last_id ? slice_of(t->last_id) : slice_of("-"));
    fputs("  ", stdout);
    show_text(stdout, event->type);
    fputs("  ", stdout);
    show_text(stdout, event->data);
}

static void on_event(void *context, const struct sse_event *event)
{
    struct tail *t = context;
    if (had_enough(t))
        return;
    keep_id(t, event);
    if (!event->has_data || t->err)
        return;
    if (t->call->settings->json)
        print_json(t, event);
    else
        print_text(t, event);
    fputc('\n', stdout);
    t->seen++;
}

static void on_retry(void *context, uint64_t ms)
{
    struct tail *t = context;
    t->retry_ms = ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static int on_bytes(void *context, struct slice bytes)
{
    struct tail *t = context;
    t->opened = true;
    int err = sse_decoder_feed(t->decoder, bytes.data, bytes.len);
    if (err)
        t->err = err;
    if (fflush(stdout))
        t->err = -errno;
    return had_enough(t);
}

static void open_once(struct tail *t, struct stream_outcome *outcome)
{
    const struct sse_handler handler = {.event = on_event, .retry = on_retry, .context = t};
    struct stream_request request = {.url = t->call->args[0],
                                     .last_event_id = t->last_id,
                                     .headers = t->flags->headers.items,
                                     .header_count = t->flags->headers.count,
                                     .connect_ms = t->call->settings->timeout_ms,
                                     .bytes = on_bytes,
                                     .context = t};
    t->decoder = sse_decoder_new(&handler);
    if (t->decoder)
        stream_open(&request, outcome);
    else
        t->err = -ENOMEM;
    sse_decoder_free(&t->decoder);
}

static void wait_retry(const struct tail *t, const char *why)
{
    struct timespec pause = {(time_t)(t->retry_ms / 1000), (long)(t->retry_ms % 1000) * 1000000};
    complain(t->call, STATUS_OK, "%s; connecting again in %g s", why, (double)t->retry_ms / 1000);
    while (nanosleep(&pause, &pause) && errno == EINTR)
        ;
}

/* -1: come back. */
static int status_after(struct tail *t, const struct stream_outcome *outcome)
{
    if (t->err)
        return complain(t->call, STATUS_FAILED, "%s", strerror(-t->err));
    t->opened = t->opened || outcome->end == STREAM_ENDED;
    switch (outcome->end) {
    case STREAM_ENOUGH:
        return STATUS_OK;
    case STREAM_NO_CONTENT:
        return complain(t->call, STATUS_OK, "%s", outcome->message);
    case STREAM_BAD_URL:
        return complain(t->call, STATUS_USAGE, "cannot use this URL: %s", outcome->message);
    case STREAM_REFUSED:
        return complain(t->call, STATUS_FAILED, "%s", outcome->message);
    case STREAM_UNREACHABLE:
        return t->opened ? -1 : complain(t->call, STATUS_FAILED, "%s", outcome->message);
    case STREAM_ENDED:
        break;
    }
    return -1;
}

static int follow(struct tail *t)
{
    for (;;) {
        struct stream_outcome outcome = {.end = STREAM_UNREACHABLE};
        open_once(t, &outcome);
        int status = status_after(t, &outcome);
        if (status >= 0)
            return status;
        wait_retry(t, outcome.message);
    }
}

static bool good_header(const char *line)
{
    const char *colon = strchr(line, ':');
    return colon && colon > line && !strpbrk(line, "\r\n");
}

static int check(const struct call *call, const struct tail_flags *f)
{
    for (size_t i = 0; i < f->headers.count; i++)
        if (!good_header(f->headers.items[i]))
            return complain(call, STATUS_USAGE, "--header must be 'NAME: VALUE', not '%s'", f->headers.items[i]);
    if (f->last_event_id && !sse_valid_id(slice_of(f->last_event_id)))
        return complain(call, STATUS_USAGE, "--last-event-id must be 1 to 255 bytes in one line");
    return STATUS_OK;
}

static int run(const struct call *call)
{
    struct tail t = {.call = call, .flags = call->flags, .retry_ms = RETRY_DEFAULT_MS};
    int status = check(call, t.flags);
    if (status != STATUS_OK || (t.flags->count.given && t.flags->count.value == 0))
        return status;
    if (t.flags->last_event_id && !(t.last_id = strdup(t.flags->last_event_id)))
        return complain(call, STATUS_FAILED, "out of memory");
    status = follow(&t);
    free(t.last_id);
    json_out_release(&t.line);
    return status;
}

const struct verb verb_tail = {
    .name = "tail",
    .args = "URL",
    .summary = "print a stream, as a browser would receive it",
    .more = "Each event is one line: its id, its name and its data. When the stream ends it is opened again behind the "
            "last\n"
            "id, after the time the server asked for; a status other than 200 ends it, and so does 204.\n"
            "--timeout is how long connecting may take.\n",
    .flags = {rows, COUNT(rows)},
    .flags_size = sizeof(struct tail_flags),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
