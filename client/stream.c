#include "stream.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define STREAM_TYPE "text/event-stream"
#define REDIRECTS_MAX 20L
#define KEEPALIVE_S 30L /* a peer that vanished without a word is noticed after about this long */

struct transfer {
    const struct stream_request *request;
    CURL *curl;
    bool enough;
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

static size_t on_bytes(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    if (status_of(t->curl) != 200 || !is_stream(t->curl)) {
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
    if (!list || !id || !*id)
        return list;
    if (asprintf(&line, "Last-Event-ID: %s", id) < 0) {
        curl_slist_free_all(list);
        return NULL;
    }
    list = add_header(list, line);
    free(line);
    return list;
}

static struct curl_slist *headers_of(const struct stream_request *r)
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
    const struct stream_request *r = t->request;
    curl_easy_setopt(t->curl, CURLOPT_URL, r->url);
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(t->curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_ms);
    curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->curl, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "ssecast/" SSECAST_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
}

static void set(struct stream_outcome *o, enum stream_end end, const char *message)
{
    o->end = end;
    snprintf(o->message, sizeof o->message, "%s", message);
}

static void refused(struct stream_outcome *o, const struct transfer *t)
{
    const char *type = NULL;
    o->end = STREAM_REFUSED;
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_TYPE, &type);
    if (status_of(t->curl) != 200)
        snprintf(o->message, sizeof o->message, "the server answered with status %ld%s%s", status_of(t->curl),
                 *t->refusal ? ": " : "", t->refusal);
    else
        snprintf(o->message, sizeof o->message, "this is no event stream but %s", type ? type : "without a type");
}

static void judge(const struct transfer *t, CURLcode result, const char *error, struct stream_outcome *o)
{
    long status = status_of(t->curl);
    const char *why = *error ? error : curl_easy_strerror(result);
    if (t->enough)
        set(o, STREAM_ENOUGH, "");
    else if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL)
        set(o, STREAM_BAD_URL, why);
    else if (status == 204)
        set(o, STREAM_NO_CONTENT, "the server asked not to come back");
    else if (status == 0)
        set(o, STREAM_UNREACHABLE, why);
    else if (status != 200 || !is_stream(t->curl))
        refused(o, t);
    else
        set(o, STREAM_ENDED, result == CURLE_OK ? "the stream ended" : why);
}

static void perform(struct transfer *t, struct stream_outcome *outcome)
{
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = headers_of(t->request);
    if (!headers) {
        set(outcome, STREAM_BAD_URL, "out of memory");
        return;
    }
    prepare(t, headers, error);
    CURLcode result = curl_easy_perform(t->curl);
    judge(t, result, error, outcome);
    curl_slist_free_all(headers);
}

void stream_open(const struct stream_request *request, struct stream_outcome *outcome)
{
    struct transfer t = {.request = request, .curl = curl_easy_init()};
    if (t.curl)
        perform(&t, outcome);
    else
        set(outcome, STREAM_BAD_URL, "out of memory");
    curl_easy_cleanup(t.curl);
}
