#include "cli/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/libcurl.h"

#define ANSWER_MAX (16u << 20) /* bytes; a reply to 10,000 events has 200 KB */

static const struct libcurl *http_load(char why[HTTP_WHY])
{
    const char *problem;
    const struct libcurl *lib = libcurl_load(&problem);
    if (!lib)
        snprintf(why, HTTP_WHY, "%.*s", HTTP_WHY - 1, problem);
    return lib;
}

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
static struct curl_slist *add_header(const struct libcurl *lib, struct curl_slist *list,
                                     const char *name, const char *value)
{
    char *line = NULL;
    struct curl_slist *longer =
        asprintf(&line, "%s: %s", name, value) < 0 ? NULL : lib->slist_append(list, line);
    free(line);
    if (!longer)
        lib->slist_free_all(list);
    return longer;
}

static struct curl_slist *new_headers(const struct libcurl *lib, const char *header,
                                      const char *value)
{
    struct curl_slist *list = add_header(lib, NULL, "Content-Type", "application/json");
    return list && value ? add_header(lib, list, header, value) : list;
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

static int perform(const struct libcurl *lib, CURL *curl, struct http_answer *out,
                   char why[HTTP_WHY])
{
    char error[CURL_ERROR_SIZE] = "";
    lib->easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    CURLcode code = lib->easy_perform(curl);
    lib->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    snprintf(why, HTTP_WHY, "%.*s", HTTP_WHY - 1, *error ? error : lib->easy_strerror(code));
    /* Otherwise libcurl may use it until the handle is freed. */
    lib->easy_setopt(curl, CURLOPT_ERRORBUFFER, (char *)NULL);
    return errno_of(code);
}

int http_post(const char *url, const char *token, struct slice json, uint64_t timeout_ms,
              struct http_answer *out, char why[HTTP_WHY])
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
    const struct libcurl *lib = http_load(why);
    if (!lib)
        return -ELIBACC;

    CURLU *parts = lib->url();
    char *scheme = NULL;
    bool good = parts && lib->url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                lib->url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

    if (!good)
        snprintf(why, HTTP_WHY, "%.100s: no URL; accepted: http://HOST/PATH or https://HOST/PATH",
                 url);
    lib->free(scheme);
    lib->url_cleanup(parts);
    return good ? 0 : -EINVAL;
}

int http_post_with(const char *url, const char *header, const char *value, struct slice json,
                   uint64_t timeout_ms, struct http_answer *out, char why[HTTP_WHY])
{
    const struct libcurl *lib = http_load(why);
    *out = (struct http_answer){0};
    if (!lib)
        return -ELIBACC;

    CURL *curl = lib->easy_init();
    struct curl_slist *headers = curl ? new_headers(lib, header, value) : NULL;
    int err = -ENOMEM;
    snprintf(why, HTTP_WHY, "out of memory");
    if (headers) {
        lib->easy_setopt(curl, CURLOPT_URL, url);
        lib->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        lib->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        lib->easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
        lib->easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        lib->easy_setopt(curl, CURLOPT_POSTFIELDS, json.data);
        lib->easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.len);
        lib->easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_take);
        lib->easy_setopt(curl, CURLOPT_WRITEDATA, out);
        err = perform(lib, curl, out, why);
    }
    lib->slist_free_all(headers);
    lib->easy_cleanup(curl);
    return err;
}

void http_answer_release(struct http_answer *a)
{
    buf_release(&a->text);
    *a = (struct http_answer){0};
}
