/* Prints a stream through the library's EventSource. Unlike that it fails when the first attempt
 * finds no server, because a mistyped address is likelier than a server that starts later. It
 * reconnects exactly after the server's reconnection time, so that people see the server's
 * behaviour. */
#include <errno.h>
#include <stdlib.h>

#include "cli/show.h"
#include "cli/verb.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID_MAX 255u /* bytes */
#define START_MAX 64

struct tail_flags {
    const char *last_event_id, *from, *since;
    struct flag_count last;
    struct flag_list headers, events;
    struct flag_count count;
};

static const struct option_row rows[] = {
    {.name = "event",
     .arg = "EVENT",
     .help = "print events of this name only",
     .type = OPTION_LINES,
     .offset = offsetof(struct tail_flags, events)},
    {.name = "last-event-id",
     .arg = "ID",
     .help = "resume after this event",
     .type = OPTION_TEXT,
     .offset = offsetof(struct tail_flags, last_event_id)},
    {.name = "from",
     .arg = "earliest",
     .help = "begin with the oldest event retained",
     .type = OPTION_TEXT,
     .offset = offsetof(struct tail_flags, from)},
    {.name = "last",
     .arg = "N",
     .help = "begin with the newest N events (1 to 1000)",
     .type = OPTION_COUNT,
     .offset = offsetof(struct tail_flags, last),
     .max = 1000},
    {.name = "since",
     .arg = "TIME",
     .help = "begin at TIME (unix ms or RFC 3339)",
     .type = OPTION_TEXT,
     .offset = offsetof(struct tail_flags, since)},
    {.name = "header",
     .arg = "'NAME: VALUE'",
     .help = "send this request header",
     .type = OPTION_LINES,
     .offset = offsetof(struct tail_flags, headers)},
    {.name = "count",
     .arg = "N",
     .help = "stop after N events",
     .type = OPTION_COUNT,
     .offset = offsetof(struct tail_flags, count),
     .max = INT64_MAX},
};

struct tail {
    const struct verb_call *call;
    const struct tail_flags *flags;
    struct ssecast_source *source;
    struct buf line;
    uint64_t seen; /* events printed */
    bool opened;   /* there was a stream once */
    int status;    /* the exit status, should it end now */
};

static void print_json(struct tail *t, struct slice id, struct slice type, struct slice data)
{
    t->line.len = 0;
    json_begin_object(&t->line, NULL);
    json_put_text(&t->line, "id", id);
    json_put_text(&t->line, "event", type);
    json_put_text(&t->line, "data", data);
    json_end_object(&t->line);
    if (!t->line.failed)
        fwrite(t->line.data, 1, t->line.len, stdout);
}

static void print_text(struct slice id, struct slice type, struct slice data)
{
    show_text(stdout, id.len > 0 ? id : slice_of("-"));
    fputs("  ", stdout);
    show_text(stdout, type);
    fputs("  ", stdout);
    show_text(stdout, data);
}

static void tail_stop(struct tail *t, int status)
{
    t->status = status;
    ssecast_source_close(t->source);
}

static void tail_on_message(void *context, const struct ssecast_message *m)
{
    struct tail *t = context;
    struct slice id = {m->id, m->id_len}, type = {m->type, m->type_len},
                 data = {m->data, m->data_len};
    if (t->call->settings->json)
        print_json(t, id, type, data);
    else
        print_text(id, type, data);
    fputc('\n', stdout);
    t->seen++;
    if (fflush(stdout) || t->line.failed)
        tail_stop(
            t, complain(t->call, STATUS_FAILED, "%s", strerror(t->line.failed ? ENOMEM : errno)));
    else if (t->flags->count.given && t->seen >= t->flags->count.value)
        tail_stop(t, STATUS_OK);
}

static void on_open(void *context)
{
    struct tail *t = context;
    t->opened = true;
}

static int status_of(const struct ssecast_source_error *error)
{

    if (error->end == SSECAST_NO_CONTENT)
        return STATUS_OK;
    return error->end == SSECAST_BAD_URL ? STATUS_USAGE : STATUS_FAILED;
}

static void on_error(void *context, const struct ssecast_source_error *error)
{
    struct tail *t = context;
    const char *bad_url = error->end == SSECAST_BAD_URL ? "cannot use this URL: " : "";
    if (error->state == SSECAST_CONNECTING && (t->opened || error->end != SSECAST_UNREACHABLE))
        complain(t->call, STATUS_OK, "%s; reconnecting in %g s", error->message,
                 (double)error->wait_ms / 1000);
    else
        tail_stop(t, complain(t->call, status_of(error), "%s%s", bad_url, error->message));
}

/* Listen for the wanted events; each name once, or an event would be printed twice. */
static int listen_for(struct tail *t)
{
    const struct flag_list *events = &t->flags->events;
    int err = events->count ? 0 : ssecast_source_on(t->source, NULL, tail_on_message, t);
    for (size_t i = 0; i < events->count && !err; i++) {
        size_t first = 0;
        while (strcmp(events->items[first], events->items[i]) != 0)
            first++;
        if (first == i)
            err = ssecast_source_on(t->source, *events->items[i] ? events->items[i] : "message",
                                    tail_on_message, t);
    }
    return err;
}

/* The start that the flags name, as in a query; NULL: none. */
static const char *start_of(const struct tail_flags *f, char out[START_MAX])
{
    if (f->from)
        snprintf(out, START_MAX, "from=%s", f->from);
    else if (f->last.given)
        snprintf(out, START_MAX, "last=%llu", (unsigned long long)f->last.value);
    else if (f->since)
        snprintf(out, START_MAX, "since=%s", f->since);
    else
        return NULL;
    return out;
}

static int follow(struct tail *t)
{
    const struct tail_flags *f = t->flags;
    char start[START_MAX];
    const struct ssecast_source_options options = {
        .url = t->call->args[0],
        .headers = f->headers.items,
        .header_count = f->headers.count,
        .last_event_id = f->last_event_id,
        .start = start_of(f, start),
        .max_event_bytes = SIZE_MAX,
        .connect_timeout_ms = (uint32_t)t->call->settings->timeout_ms,
        .backoff_max_ms = 1,
        .jitter_percent = SSECAST_NO_JITTER,
        .open = on_open,
        .error = on_error,
        .context = t,
    };
    int err = ssecast_source_new(&t->source, &options);
    if (!err)
        err = listen_for(t);
    if (err)
        t->status = complain(t->call, STATUS_FAILED, "%s", strerror(-err));
    else
        ssecast_source_run(t->source);
    ssecast_source_free(&t->source);
    return t->status;
}

static bool good_header(const char *line)
{
    const char *colon = strchr(line, ':');
    return colon && colon > line && !strpbrk(line, "\r\n");
}

static bool good_id(const char *id)
{
    return *id && strlen(id) <= ID_MAX && !strpbrk(id, "\r\n");
}

/* The server judges a time; here it only has to fit into a query. */
static bool good_time(const char *text)
{
    return *text && strlen(text) < 50 && strspn(text, "0123456789-:.+TtZz") == strlen(text);
}

static int check_start(const struct verb_call *call, const struct tail_flags *f)
{
    int given = (f->from != NULL) + f->last.given + (f->since != NULL) + (f->last_event_id != NULL);
    if (given > 1)
        return complain(call, STATUS_USAGE,
                        "use one of --from, --last, --since and --last-event-id");
    if (f->from && strcmp(f->from, "earliest") != 0)
        return complain(call, STATUS_USAGE, "--from must be earliest, not '%s'", f->from);
    if (f->last.given && f->last.value == 0)
        return complain(call, STATUS_USAGE, "--last must be 1 to 1000");
    if (f->since && !good_time(f->since))
        return complain(call, STATUS_USAGE, "--since must be unix time in ms or RFC 3339, not '%s'",
                        f->since);
    return STATUS_OK;
}

static int check_tail(const struct verb_call *call, const struct tail_flags *f)
{
    for (size_t i = 0; i < f->headers.count; i++)
        if (!good_header(f->headers.items[i]))
            return complain(call, STATUS_USAGE, "--header must be 'NAME: VALUE', not '%s'",
                            f->headers.items[i]);
    if (f->last_event_id && !good_id(f->last_event_id))
        return complain(call, STATUS_USAGE, "--last-event-id must be 1 to 255 bytes in one line");
    return check_start(call, f);
}

static int run_tail(const struct verb_call *call)
{
    struct tail t = {.call = call, .flags = call->flags};
    int status = check_tail(call, t.flags);
    if (status != STATUS_OK || (t.flags->count.given && t.flags->count.value == 0))
        return status;
    status = follow(&t);
    buf_release(&t.line);
    return status;
}

const struct verb verb_tail = {
    .name = "tail",
    .args = "URL",
    .summary = "print a stream as a browser receives it",
    .more =
        "Each event is one line: its id, its name and its data. When the stream ends it is opened "
        "again behind the "
        "last id, after the time the server asked for; a status other than 200 ends the command.\n"
        "Checkpoints are printed with --event ssecast.checkpoint only.\n"
        "--timeout is how long connecting may take, and after that the headers of the response.\n",
    .flags = {.rows = rows, .count = COUNT(rows), .letter = 'H', .lettered = "header"},
    .flags_size = sizeof(struct tail_flags),
    .min_args = 1,
    .max_args = 1,
    .run = run_tail,
};
