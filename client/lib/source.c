/* The rules of EventSource. http_stream.c opens the URL once and decoder.c decodes the stream.
 * This decides whether, when and from which id to reconnect, as in section 9.2.3 of the
 * standard. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/buf.h"
#include "base/clock.h"
#include "lib/decoder.h"
#include "lib/http_stream.h"

#define RETRY_MS 3000u
#define RETRY_MAX_MS 86400000u /* limit for the server's `retry`: a day */
#define BACKOFF_MAX_MS 60000u
#define JITTER_PERCENT 25u
#define CONNECT_MS 30000u
#define START_BYTES_MAX 64u

struct listener {
    char *type; /* NULL: every type */
    void (*message)(void *context, const struct ssecast_message *message);
    void *context;
};

struct ssecast_source {
    struct ssecast_source_options options; /* with copies of the texts */
    char *start_url;                       /* while there is no id; NULL: the same */
    char **headers;
    struct ssecast_decoder *decoder;
    struct listener *listeners;
    size_t listener_count;
    struct backoff backoff;
    atomic_int state;
    atomic_bool closing;
    bool expired; /* the stream sent ssecast.expired */
    int stop_fd;  /* readable: closing */
};

/* ---- making one ---- */

static bool good_header(const char *line)
{
    const char *colon = line ? strchr(line, ':') : NULL;
    return colon && colon > line && !strpbrk(line, "\r\n");
}

static int copy_text(const char **text)
{
    if (!*text)
        return 0;
    *text = strdup(*text);
    return *text ? 0 : -ENOMEM;
}

static int copy_headers(struct ssecast_source *s, const struct ssecast_source_options *o)
{
    s->headers = calloc(o->header_count + 1, sizeof(char *));
    if (!s->headers)
        return -ENOMEM;
    for (size_t i = 0; i < o->header_count; i++) {
        if (!good_header(o->headers[i]))
            return -EINVAL;
        s->headers[i] = strdup(o->headers[i]);
        if (!s->headers[i])
            return -ENOMEM;
    }
    return 0;
}

static int copy_texts(struct ssecast_source *s, const struct ssecast_source_options *o)
{
    int err = copy_text(&s->options.url);
    if (err)
        s->options.ca_file = NULL; /* not copied yet */
    if (!err)
        err = copy_text(&s->options.ca_file);
    return err ? err : copy_headers(s, o);
}

static bool good_start(const char *start)
{
    static const char *const names[] = {"from=", "last=", "since="};
    bool known = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        known = known || strncmp(start, names[i], strlen(names[i])) == 0;
    return known && strlen(start) <= START_BYTES_MAX && !strpbrk(start, "&#% \t\r\n");
}

/* The URL with the start at the end of its query, before a fragment. A `+` stands for a blank in a
 * query. */
static int make_start_url(struct ssecast_source *s)
{
    const char *url = s->options.url, *start = s->options.start;
    if (!start)
        return 0;
    if (!good_start(start))
        return -EINVAL;

    struct buf b = {0};
    size_t path = strcspn(url, "#");
    buf_put(&b, url, path);
    buf_put(&b, memchr(url, '?', path) ? "&" : "?", 1);
    for (const char *at = start; *at; at++)
        buf_put(&b, *at == '+' ? "%2B" : at, *at == '+' ? 3 : 1);
    buf_put(&b, "", 1);
    s->start_url = b.failed ? NULL : b.data;
    return s->start_url ? 0 : -ENOMEM;
}

static uint32_t or_default(uint32_t value, uint32_t usual)
{
    return value ? value : usual;
}

static void set_defaults(struct ssecast_source *s)
{
    struct ssecast_source_options *o = &s->options;
    o->connect_timeout_ms = or_default(o->connect_timeout_ms, CONNECT_MS);
    s->backoff.retry_ms = or_default(o->retry_ms, RETRY_MS);
    s->backoff.max_ms = or_default(o->backoff_max_ms, BACKOFF_MAX_MS);
    s->backoff.jitter_percent =
        o->jitter_percent == SSECAST_NO_JITTER ? 0 : or_default(o->jitter_percent, JITTER_PERCENT);
}

static bool closing(const struct ssecast_source *s)
{
    return atomic_load(&s->closing);
}

static void source_on_message(void *context, const struct ssecast_message *m)
{
    struct ssecast_source *s = context;
    struct slice type = {m->type, m->type_len};
    bool checkpoint = slice_equal(slice_of(CHECKPOINT), type);
    s->expired = s->expired || slice_equal(slice_of("ssecast.expired"), type);

    for (size_t i = 0; i < s->listener_count && !closing(s); i++) {
        struct listener l = s->listeners[i]; /* a callback may add more */
        bool wanted = l.type ? slice_equal(slice_of(l.type), type) : !checkpoint;
        if (wanted)
            l.message(l.context, m);
    }
}

static void on_retry(void *context, uint64_t ms)
{
    struct ssecast_source *s = context;
    s->backoff.retry_ms = ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static int prepare(struct ssecast_source *s, const struct ssecast_source_options *o)
{
    const struct ssecast_decoder_handler handler = {
        .message = source_on_message, .retry = on_retry, .context = s};
    s->options = *o;
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int err = copy_texts(s, o);
    if (!err)
        err = make_start_url(s);
    set_defaults(s);
    if (!err && s->stop_fd < 0)
        err = -EMFILE;
    if (!err)
        err = ssecast_decoder_new(&s->decoder, &handler, o->max_event_bytes);
    if (err)
        return err;
    decoder_stop_on(s->decoder, &s->closing);
    decoder_tell_checkpoints(s->decoder);
    return o->last_event_id ? ssecast_decoder_set_last_id(s->decoder, o->last_event_id) : 0;
}

int ssecast_source_new(struct ssecast_source **source, const struct ssecast_source_options *options)
{
    *source = NULL;
    if (!options->url)
        return -EINVAL;
    struct ssecast_source *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    atomic_init(&s->state, SSECAST_CLOSED);
    atomic_init(&s->closing, false);
    int err = prepare(s, options);
    if (err)
        ssecast_source_free(&s);
    *source = s;
    return err;
}

void ssecast_source_free(struct ssecast_source **source)
{
    struct ssecast_source *s = *source;
    if (!s)
        return;
    for (size_t i = 0; i < s->listener_count; i++)
        free(s->listeners[i].type);
    free(s->listeners);
    for (char **line = s->headers; line && *line; line++)
        free(*line);
    free(s->headers);
    ssecast_decoder_free(&s->decoder);
    if (s->stop_fd >= 0)
        close(s->stop_fd);
    free((char *)s->options.url);
    free(s->start_url);
    free((char *)s->options.ca_file);
    free(s);
    *source = NULL;
}

int ssecast_source_on(struct ssecast_source *s, const char *type,
                      void (*message)(void *context, const struct ssecast_message *message),
                      void *context)
{
    struct listener *grown = realloc(s->listeners, (s->listener_count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    s->listeners = grown;
    char *copy = type ? strdup(type) : NULL;
    if (type && !copy)
        return -ENOMEM;
    s->listeners[s->listener_count++] = (struct listener){copy, message, context};
    return 0;
}

/* ---- running ---- */

static void on_opened(void *context)
{
    struct ssecast_source *s = context;
    s->backoff.failures = 0;
    if (closing(s))
        return;
    atomic_store(&s->state, SSECAST_OPEN);
    if (s->options.open)
        s->options.open(s->options.context);
}

static int on_bytes(void *context, struct slice bytes)
{
    struct ssecast_source *s = context;
    return closing(s) || ssecast_decoder_feed(s->decoder, bytes.data, bytes.len) != 0;
}

/* Open the stream once. 0, or the decoder's error. */
static int open_once(struct ssecast_source *s, struct http_stream_outcome *outcome)
{
    const char *id = ssecast_decoder_last_id(s->decoder);
    const struct http_stream_request request = {
        .url = s->start_url && !*id ? s->start_url : s->options.url,
        .last_event_id = id,
        .headers = (const char *const *)s->headers,
        .header_count = s->options.header_count,
        .ca_file = s->options.ca_file,
        .connect_ms = s->options.connect_timeout_ms,
        .idle_ms = s->options.idle_timeout_ms,
        .stop_fd = s->stop_fd,
        .opened = on_opened,
        .bytes = on_bytes,
        .context = s,
    };
    atomic_store(&s->state, SSECAST_CONNECTING);
    s->expired = false;
    ssecast_decoder_reset(s->decoder);
    http_stream_open(&request, outcome);
    return ssecast_decoder_feed(s->decoder, NULL, 0);
}

static void source_tell(struct ssecast_source *s, enum ssecast_state state,
                        const struct http_stream_outcome *outcome, uint64_t wait_ms)
{
    const struct ssecast_source_error error = {state, outcome->end, outcome->status,
                                               outcome->message, wait_ms};
    atomic_store(&s->state, state);
    if (s->options.error)
        s->options.error(s->options.context, &error);
}

/* A close between two runs leaves the descriptor readable. The caller that clears it checks
 * closing() afterwards. */
static void take_sign(const struct ssecast_source *s)
{
    eventfd_t count;
    eventfd_read(s->stop_fd, &count);
}

/* Wait for this time, or until the source is closed. */
static void wait_ms(const struct ssecast_source *s, uint64_t ms)
{
    struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};
    int64_t until = clock_ms() + (int64_t)ms;
    for (int64_t rest = (int64_t)ms; rest > 0 && !closing(s); rest = until - clock_ms())
        if (poll(&stop, 1, rest < INT_MAX ? (int)rest : INT_MAX) > 0)
            take_sign(s);
}

static void come_back(struct ssecast_source *s, const struct http_stream_outcome *outcome)
{
    uint32_t random = 0;
    if (outcome->end == SSECAST_UNREACHABLE && s->backoff.failures < UINT32_MAX)
        s->backoff.failures++;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = 0;
    uint64_t ms = backoff_wait(&s->backoff, random);
    source_tell(s, SSECAST_CONNECTING, outcome, ms);
    wait_ms(s, ms);
}

static int result_of(enum ssecast_end end)
{
    switch (end) {
    case SSECAST_NO_CONTENT:
        return 0;
    case SSECAST_BAD_URL:
        return -EINVAL;
    case SSECAST_TOO_LARGE:
        return -EMSGSIZE;
    case SSECAST_NO_MEMORY:
        return -ENOMEM;
    case SSECAST_EXPIRED:
        return -EKEYEXPIRED;
    case SSECAST_NO_LIBCURL:
        return -ELIBACC;
    default:
        return -EPROTO;
    }
}

/* An error of the decoder or the stream takes precedence over the result of the transfer. */
static void judge(const struct ssecast_source *s, struct http_stream_outcome *outcome, int err)
{
    const char *message = "out of memory";
    if (!err && !s->expired)
        return;

    outcome->end = SSECAST_NO_MEMORY;
    if (!err) {
        outcome->end = SSECAST_EXPIRED;
        message = "the token with which the stream was opened has expired";
    } else if (err == -EMSGSIZE) {
        outcome->end = SSECAST_TOO_LARGE;
        message = "an event is larger than allowed";
    }
    snprintf(outcome->message, sizeof outcome->message, "%s", message);
}

/* Repeat until the source is closed or fails for good. */
static int follow(struct ssecast_source *s)
{
    while (!closing(s)) {
        struct http_stream_outcome outcome;
        int err = open_once(s, &outcome);
        if (closing(s))
            break;
        if (outcome.enough && !err) {
            take_sign(s);
            continue;
        }
        judge(s, &outcome, err);
        if (outcome.end != SSECAST_ENDED && outcome.end != SSECAST_UNREACHABLE) {
            source_tell(s, SSECAST_CLOSED, &outcome, 0);
            return result_of(outcome.end);
        }
        come_back(s, &outcome);
    }
    return 0;
}

int ssecast_source_run(struct ssecast_source *s)
{
    int err = follow(s);
    atomic_store(&s->state, SSECAST_CLOSED);
    if (atomic_exchange(&s->closing, false))
        take_sign(s);
    return err;
}

void ssecast_source_close(struct ssecast_source *s)
{
    int saved = errno;
    atomic_store(&s->closing, true);
    eventfd_write(s->stop_fd, 1);
    errno = saved;
}

enum ssecast_state ssecast_source_state(const struct ssecast_source *s)
{
    return (enum ssecast_state)atomic_load(&s->state);
}

const char *ssecast_source_last_event_id(const struct ssecast_source *s)
{
    return ssecast_decoder_last_id(s->decoder);
}
