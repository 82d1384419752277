#include "lib/http_stream.h"

#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"

#define STREAM_TYPE "text/event-stream"
#define REDIRECTS_MAX 20L
#define KEEPALIVE_S 30L /* a peer that vanished without a word is noticed after about this long */

struct transfer {
    const struct http_stream_request *request;
    CURL *curl;
    bool opened;   /* it is an event stream */
    bool answered; /* all headers of a response are here */
    bool silent;   /* nothing came for too long */
    bool enough;
    int64_t heard_at;  /* ms: when something came last */
    char refusal[160]; /* how the body of another answer begins; its reason, with luck */
};

static long status_of(CURL *curl)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* The type may be followed by parameters. */
static bool is_stream(CURL *curl)
{
    const char *type = NULL;
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    size_t len = strlen(STREAM_TYPE);
    return type && !strncasecmp(type, STREAM_TYPE, len) && (type[len] == 0 || strchr("; \t", type[len]));
}

static void on_headers_end(struct transfer *t)
{
    t->answered = true;
    if (t->opened || status_of(t->curl) != 200 || !is_stream(t->curl))
        return;
    t->opened = true;
    t->request->opened(t->request->context);
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    t->heard_at = clock_ms();
    if (size * count <= 2 && (*data == '\r' || *data == '\n'))
        on_headers_end(t);
    return size * count;
}

static size_t on_bytes(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    t->heard_at = clock_ms();
    if (!t->opened) {
        snprintf(t->refusal, sizeof t->refusal, "%.*s", (int)(size * count < INT_MAX ? size * count : INT_MAX), data);
        return 0; /* ends the transfer; why is judged afterwards */
    }
    t->enough = t->request->bytes(t->request->context, (struct slice){data, size * count}) != 0;
    return t->enough ? 0 : size * count;
}

/* The list so far, or NULL when there is no memory for one more. */
static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    if (!longer)
        curl_slist_free_all(list);
    return longer;
}

/* Ids of other servers may be of any length. */
static struct curl_slist *add_last_event_id(struct curl_slist *list, const char *id)
{
    char *line = NULL;
    if (!list || !*id)
        return list;
    if (asprintf(&line, "Last-Event-ID: %s", id) < 0) {
        curl_slist_free_all(list);
        return NULL;
    }
    list = add_header(list, line);
    free(line);
    return list;
}

static struct curl_slist *headers_of(const struct http_stream_request *r)
{
    struct curl_slist *list = add_header(NULL, "Accept: " STREAM_TYPE);
    if (list)
        list = add_header(list, "Cache-Control: no-cache");
    list = add_last_event_id(list, r->last_event_id);
    for (size_t i = 0; list && i < r->header_count; i++)
        list = add_header(list, r->headers[i]);
    return list;
}

static void prepare(struct transfer *t, struct curl_slist *headers, char *error)
{
    const struct http_stream_request *r = t->request;
    curl_easy_setopt(t->curl, CURLOPT_URL, r->url);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(t->curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_ms);
    curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "ssecast/" SSECAST_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, error);
    if (r->ca_file)
        curl_easy_setopt(t->curl, CURLOPT_CAINFO, r->ca_file);
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
}

/* ---- how it ended ---- */

static void http_stream_set(struct http_stream_outcome *o, enum ssecast_end end, const char *message)
{
    o->end = end;
    snprintf(o->message, sizeof o->message, "%s", message);
}

static void refused(struct http_stream_outcome *o, const struct transfer *t)
{
    const char *type = NULL;
    o->end = SSECAST_REFUSED;
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type);
    if (o->status != 200)
        snprintf(o->message, sizeof o->message, "the server answered with status %d%s%s", o->status,
                 *t->refusal ? ": " : "", t->refusal);
    else
        snprintf(o->message, sizeof o->message, "this is no event stream but %s", type ? type : "without a type");
}

/* A redirection to a server that cannot be reached leaves its own status behind. */
static bool led_nowhere(int status, CURLcode result)
{
    return status / 100 == 3 && result != CURLE_OK && result != CURLE_TOO_MANY_REDIRECTS && result != CURLE_WRITE_ERROR;
}

static void judge(const struct transfer *t, CURLcode result, const char *error, struct http_stream_outcome *o)
{
    const char *why = *error ? error : curl_easy_strerror(result);
    o->status = (int)status_of(t->curl);
    o->enough = t->enough;
    if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL)
        http_stream_set(o, SSECAST_BAD_URL, why);
    else if (o->status == 204)
        http_stream_set(o, SSECAST_NO_CONTENT, "the server asked not to come back");
    else if (o->status == 0 || led_nowhere(o->status, result))
        http_stream_set(o, SSECAST_UNREACHABLE, why);
    else if (!t->opened)
        refused(o, t);
    else if (t->silent)
        http_stream_set(o, SSECAST_ENDED, "nothing came for too long");
    else
        http_stream_set(o, SSECAST_ENDED, result == CURLE_OK ? "the stream ended" : why);
}

/* ---- the transfer ---- */

/* How long it may be silent yet, ms; -1: for ever. A refusal whose body does not come must not
 * hold us up either. */
static int patience(const struct transfer *t)
{
    uint32_t allowed = t->answered ? t->request->connect_ms : 0;
    if (t->opened)
        allowed = t->request->idle_ms;
    if (!allowed)
        return -1;

    int64_t rest = t->heard_at + allowed - clock_ms();
    if (rest < 0)
        return 0;
    return rest > INT_MAX ? INT_MAX : (int)rest;
}

static CURLcode result_of(CURLM *multi)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    return message && message->msg == CURLMSG_DONE ? message->data.result : CURLE_OK;
}

static CURLcode drive(struct transfer *t, CURLM *multi)
{
    int running = 0;
    while (curl_multi_perform(multi, &running) == CURLM_OK && running && !t->silent && !t->enough) {
        struct curl_waitfd stop = {.fd = t->request->stop_fd, .events = CURL_WAIT_POLLIN};
        int left = patience(t);
        if (left == 0)
            t->silent = true;
        else if (curl_multi_poll(multi, &stop, 1, left < 0 ? INT_MAX : left, NULL) != CURLM_OK)
            break;
        t->enough = t->enough || stop.revents;
    }
    return result_of(multi);
}

static void perform(struct transfer *t, CURLM *multi, struct http_stream_outcome *outcome)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = headers_of(t->request);
    if (!headers) {
        http_stream_set(outcome, SSECAST_NO_MEMORY, "out of memory");
        return;
    }
    prepare(t, headers, error);
    curl_multi_add_handle(multi, t->curl);
    CURLcode result = drive(t, multi);
    judge(t, result, error, outcome);
    curl_multi_remove_handle(multi, t->curl);
    curl_slist_free_all(headers);
}

static void begin_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_stream_open(const struct http_stream_request *request, struct http_stream_outcome *outcome)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin_curl);
    struct transfer t = {.request = request, .curl = curl_easy_init()};
    CURLM *multi = curl_multi_init();
    *outcome = (struct http_stream_outcome){0};
    if (t.curl && multi)
        perform(&t, multi, outcome);
    else
        http_stream_set(outcome, SSECAST_NO_MEMORY, "out of memory");
    curl_easy_cleanup(t.curl);
    curl_multi_cleanup(multi);
}
