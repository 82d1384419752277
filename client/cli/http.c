#include "cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (16u << 20) /* bytes; a reply to 10,000 events has 200 KB */

/* libcurl's: fewer bytes than it gave end the transfer. */
static size_t http_take(char *data, size_t size, size_t count, void *context)
{
    struct buf *text = &((struct http_answer *)context)->text;
    size_t len = size * count;
    if (len >= ANSWER_MAX - text->len)
        return 0;

    buf_put(text, data, len);
    buf_terminate(text);
    return text->failed ? 0 : len;
}

/* list is freed when it cannot grow. */
static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    char *line = NULL;
    struct curl_slist *longer = asprintf(&line, "%s: %s", name, value) < 0 ? NULL : curl_slist_append(list, line);
    free(line);
    if (!longer)
        curl_slist_free_all(list);
    return longer;
}

static struct curl_slist *new_headers(const char *header, const char *value)
{
    struct curl_slist *list = add_header(NULL, "Content-Type", "application/json");
    return list && value ? add_header(list, header, value) : list;
}

static int errno_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EHOSTUNREACH;
    }
}

static int perform(CURL *curl, struct http_answer *out, char why[HTTP_WHY])
{
    char error[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    snprintf(why, HTTP_WHY, "%.*s", HTTP_WHY - 1, *error ? error : curl_easy_strerror(code));
    return errno_of(code);
}

int http_post(const char *url, const char *token, struct slice json, uint64_t timeout_ms, struct http_answer *out,
              char why[HTTP_WHY])
{
    char *bearer = NULL;
    *out = (struct http_answer){0};
    snprintf(why, HTTP_WHY, "out of memory");
    if (token && asprintf(&bearer, "Bearer %s", token) < 0)
        return -ENOMEM;

    int err = http_post_with(url, "Authorization", bearer, json, timeout_ms, out, why);
    free(bearer);
    return err;
}

int http_check_url(const char *url, char why[HTTP_WHY])
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    bool good = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

    if (!good)
        snprintf(why, HTTP_WHY, "%.100s: no URL; accepted: http://HOST/PATH or https://HOST/PATH", url);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return good ? 0 : -EINVAL;
}

int http_post_with(const char *url, const char *header, const char *value, struct slice json, uint64_t timeout_ms,
                   struct http_answer *out, char why[HTTP_WHY])
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl ? new_headers(header, value) : NULL;
    int err = -ENOMEM;
    *out = (struct http_answer){0};
    snprintf(why, HTTP_WHY, "out of memory");
    if (headers) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json.data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.len);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_take);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
        err = perform(curl, out, why);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return err;
}

void http_answer_release(struct http_answer *a)
{
    buf_release(&a->text);
    *a = (struct http_answer){0};
}
