#include "lib/http_stream.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "ops/libcurl.h"

#define STREAM_TYPE "text/event-stream"
#define REDIRECTS_MAX 20L
#define KEEPALIVE_S 30L /* a peer that vanished without a word is noticed after about this long */

struct transfer {
    const struct http_stream_request *request;
    const struct libcurl *lib;
    CURL *curl;
    bool opened;   /* it is an event stream */
    bool asked;    /* the server is connected */
    bool complete; /* all headers of the last response are here; else it is no response */
    bool silent;   /* nothing came for too long */
    bool enough;
    int64_t since;     /* ms: when the server was asked; of an open stream: the last bytes */
    char refusal[160]; /* how the body of another answer begins; its reason, with luck */
};

static long status_of(const struct transfer *t)
{
    long status = 0;
    t->lib->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* The type may be followed by parameters. */
static bool is_stream(const struct transfer *t)
{
    const char *type = NULL;
    t->lib->easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type);
    size_t len = strlen(STREAM_TYPE);
    return type && !strncasecmp(type, STREAM_TYPE, len) &&
           (type[len] == 0 || strchr("; \t", type[len]));
}

static void note_asked(struct transfer *t)
{
    t->asked = true;
    t->since = clock_ms();
}

/* libcurl's: a connection is there, and the request follows.
 * After a redirection it is called again. */
static int on_connected(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    note_asked(context);
    return CURL_PREREQFUNC_OK;
}

static void on_headers_end(struct transfer *t)
{
    t->complete = true;
    if (t->opened || status_of(t) != 200 || !is_stream(t))
        return;
    t->opened = true;
    t->since = clock_ms();
    t->request->opened(t->request->context);
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    if (!t->asked)
        note_asked(t);       /* a libcurl before 7.80 has no on_connected() */
    t->complete = t->opened; /* a next response begins, unless it is a trailer of the stream */
    if (size * count <= 2 && (*data == '\r' || *data == '\n'))
        on_headers_end(t);
    return size * count;
}

static size_t on_bytes(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    t->since = clock_ms();
    if (!t->opened) {
        snprintf(t->refusal, sizeof t->refusal, "%.*s",
                 (int)(size * count < INT_MAX ? size * count : INT_MAX), data);
        return 0; /* ends the transfer; why is judged afterwards */
    }
    t->enough = t->request->bytes(t->request->context, (struct slice){data, size * count}) != 0;
    return t->enough ? 0 : size * count;
}

/* The list so far, or NULL when there is no memory for one more. */
static struct curl_slist *add_header(const struct libcurl *lib, struct curl_slist *list,
                                     const char *line)
{
    struct curl_slist *longer = lib->slist_append(list, line);
    if (!longer)
        lib->slist_free_all(list);
    return longer;
}

/* Ids of other servers may be of any length. */
static struct curl_slist *add_last_event_id(const struct libcurl *lib, struct curl_slist *list,
                                            const char *id)
{
    char *line = NULL;
    if (!list || !*id)
        return list;
    if (asprintf(&line, "Last-Event-ID: %s", id) < 0) {
        lib->slist_free_all(list);
        return NULL;
    }
    list = add_header(lib, list, line);
    free(line);
    return list;
}

static struct curl_slist *headers_of(const struct libcurl *lib, const struct http_stream_request *r)
{
    struct curl_slist *list = add_header(lib, NULL, "Accept: " STREAM_TYPE);
    if (list)
        list = add_header(lib, list, "Cache-Control: no-cache");
    list = add_last_event_id(lib, list, r->last_event_id);
    for (size_t i = 0; list && i < r->header_count; i++)
        list = add_header(lib, list, r->headers[i]);
    return list;
}

static void prepare(struct transfer *t, struct curl_slist *headers, char *error)
{
    const struct http_stream_request *r = t->request;
    t->lib->easy_setopt(t->curl, CURLOPT_URL, r->url);
    t->lib->easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    t->lib->easy_setopt(t->curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    t->lib->easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 1L);
    t->lib->easy_setopt(t->curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    t->lib->easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_ms);
    t->lib->easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    t->lib->easy_setopt(t->curl, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    t->lib->easy_setopt(t->curl, CURLOPT_USERAGENT, "ssecast/" SSECAST_VERSION);
    t->lib->easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    t->lib->easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    t->lib->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, error);
    if (r->ca_file)
        t->lib->easy_setopt(t->curl, CURLOPT_CAINFO, r->ca_file);
    t->lib->easy_setopt(t->curl, CURLOPT_PREREQFUNCTION, on_connected);
    t->lib->easy_setopt(t->curl, CURLOPT_PREREQDATA, t);
    t->lib->easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
    t->lib->easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    t->lib->easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    t->lib->easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
}

/* ---- how it ended ---- */

static void http_stream_set(struct http_stream_outcome *o, enum ssecast_end end,
                            const char *message)
{
    o->end = end;
    snprintf(o->message, sizeof o->message, "%s", message);
}

/* Without the line break that a body ends with. */
static int refusal_length(const char *text)
{
    size_t len = strlen(text);
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    return (int)len;
}

static void refused(struct http_stream_outcome *o, const struct transfer *t)
{
    const char *type = NULL;
    int shown = refusal_length(t->refusal);

    o->end = SSECAST_REFUSED;
    t->lib->easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type);
    if (o->status != 200)
        snprintf(o->message, sizeof o->message, "the server answered with status %d%s%.*s",
                 o->status, shown ? ": " : "", shown, t->refusal);
    else
        snprintf(o->message, sizeof o->message, "this is no event stream but %s",
                 type ? type : "without a type");
}

/* A redirection to a server that cannot be reached, or does not answer, leaves its own status
 * behind. So does an interim response (1xx). */
static bool lacks_final_status(const struct transfer *t, int status, CURLcode result)
{
    if (status / 100 <= 1)
        return true;
    if (status / 100 != 3)
        return false;
    if (result == CURLE_OK)
        return t->silent;
    return result != CURLE_TOO_MANY_REDIRECTS && result != CURLE_WRITE_ERROR;
}

static void judge(const struct transfer *t, CURLcode result, const char *error,
                  struct http_stream_outcome *o)
{
    const char *why = *error ? error : t->lib->easy_strerror(result);
    if (t->silent)
        why = t->opened ? "nothing came for too long" : "the server did not respond in time";
    o->status = t->complete ? (int)status_of(t) : 0;
    o->enough = t->enough;
    if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL)
        http_stream_set(o, SSECAST_BAD_URL, why);
    else if (o->status == 204)
        http_stream_set(o, SSECAST_NO_CONTENT, "the server asked not to come back");
    else if (lacks_final_status(t, o->status, result))
        http_stream_set(o, SSECAST_UNREACHABLE, why);
    else if (!t->opened)
        refused(o, t);
    else if (result == CURLE_OK && !t->silent)
        http_stream_set(o, SSECAST_ENDED, "the stream ended");
    else
        http_stream_set(o, SSECAST_ENDED, why);
}

/* ---- the transfer ---- */

/* How long it may be silent yet, ms; -1: for ever. libcurl bounds connecting. Then all headers must
 * come in time: neither a server that trickles them nor a refusal without its body must hold us
 * up. */
static int patience(const struct transfer *t)
{
    uint32_t allowed = t->asked ? t->request->connect_ms : 0;
    if (t->opened)
        allowed = t->request->idle_ms;
    if (!allowed)
        return -1;

    int64_t rest = t->since + allowed - clock_ms();
    if (rest < 0)
        return 0;
    return rest > INT_MAX ? INT_MAX : (int)rest;
}

static CURLcode result_of(const struct transfer *t, CURLM *multi)
{
    int left;
    const CURLMsg *message = t->lib->multi_info_read(multi, &left);
    return message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_OK;
}

static CURLcode drive(struct transfer *t, CURLM *multi)
{
    int running = 0;
    while (t->lib->multi_perform(multi, &running) == CURLM_OK && running && !t->silent &&
           !t->enough) {
        struct curl_waitfd stop = {.fd = t->request->stop_fd, .events = CURL_WAIT_POLLIN};
        int left = patience(t);
        if (left == 0)
            t->silent = true;
        else if (t->lib->multi_poll(multi, &stop, 1, left < 0 ? INT_MAX : left, NULL) != CURLM_OK)
            break;
        t->enough = t->enough || stop.revents;
    }
    return result_of(t, multi);
}

static void perform(struct transfer *t, CURLM *multi, struct http_stream_outcome *outcome)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = headers_of(t->lib, t->request);
    if (!headers) {
        http_stream_set(outcome, SSECAST_NO_MEMORY, "out of memory");
        return;
    }
    prepare(t, headers, error);
    t->lib->multi_add_handle(multi, t->curl);
    CURLcode result = drive(t, multi);
    judge(t, result, error, outcome);
    t->lib->multi_remove_handle(multi, t->curl);
    /* Otherwise it is used until the handle is freed. */
    t->lib->easy_setopt(t->curl, CURLOPT_ERRORBUFFER, (char *)NULL);
    t->lib->slist_free_all(headers);
}

void http_stream_open(const struct http_stream_request *request,
                      struct http_stream_outcome *outcome)
{
    const char *problem;
    const struct libcurl *lib = libcurl_load(&problem);
    *outcome = (struct http_stream_outcome){0};
    if (!lib) {
        http_stream_set(outcome, SSECAST_NO_LIBCURL, problem);
        return;
    }

    struct transfer t = {.request = request, .lib = lib, .curl = lib->easy_init()};
    CURLM *multi = lib->multi_init();
    if (t.curl && multi)
        perform(&t, multi, outcome);
    else
        http_stream_set(outcome, SSECAST_NO_MEMORY, "out of memory");
    lib->easy_cleanup(t.curl);
    lib->multi_cleanup(multi);
}
