#include "cli/webhook.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/must.h"
#include "cli/http.h"
#include "ops/secret_file.h"

#define FIRST_WAIT_MS 500
#define SECRET_MAX 4096

struct webhook {
    struct webhook_config config;
    unsigned char secret[SECRET_MAX];
    size_t secret_len;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    struct webhook_queue *queue;
    bool closing;
};

/* --- the secret --- */

/* Who sees one post can try secrets. A short one still works: other senders may use it, too. */
static void warn_of_short(const struct webhook *w, const char *path)
{
    char message[WEBHOOK_WHY];
    if (w->secret_len >= WEBHOOK_SECRET_SHORT)
        return;

    snprintf(message, sizeof message, "%s: the secret is short; use %u random bytes or more", path,
             WEBHOOK_SECRET_SHORT);
    w->config.note(w->config.context, message);
}

static int read_secret(struct webhook *w, const char *path, char why[WEBHOOK_WHY])
{
    char *secret = NULL, detail[SECRET_FILE_WHY];
    int err = secret_file_read(path, SECRET_MAX, &secret, &w->secret_len, detail);
    if (err) {
        snprintf(why, WEBHOOK_WHY, "--secret-file %s: %s", path, detail);
        return err;
    }

    MUST(w->secret_len > 0 && w->secret_len <= sizeof w->secret);
    memcpy(w->secret, secret, w->secret_len);
    sodium_memzero(secret, w->secret_len);
    free(secret);
    warn_of_short(w, path);
    return 0;
}

/* "sha256=..." */
static void sign(const struct webhook *w, struct slice body, char out[80])
{
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char hex[2 * sizeof mac + 1];
    crypto_auth_hmacsha256_init(&state, w->secret, w->secret_len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.data, body.len);
    crypto_auth_hmacsha256_final(&state, mac);
    snprintf(out, 80, "sha256=%s", sodium_bin2hex(hex, sizeof hex, mac, sizeof mac));
}

/* --- the thread --- */

static bool is_taken(const struct webhook *w, const struct buf *body, char why[HTTP_WHY])
{
    char signature[80];
    struct http_answer answer;
    sign(w, (struct slice){body->data, body->len}, signature);
    int err =
        http_post_with(w->config.url, "X-Ssecast-Signature", signature,
                       (struct slice){body->data, body->len}, w->config.timeout_ms, &answer, why);
    bool taken = !err && answer.status >= 200 && answer.status <= 299;
    if (!err && !taken)
        snprintf(why, HTTP_WHY, "the answer is %ld", answer.status);
    http_answer_release(&answer);
    return taken;
}

/* Post until it is taken. The lock is not held. */
static void post(const struct webhook *w, const struct buf *body)
{
    char why[HTTP_WHY], message[WEBHOOK_WHY];
    bool said = false;
    const int64_t last_ms = (int64_t)w->config.retry_ms;
    for (int64_t wait_ms = FIRST_WAIT_MS; !is_taken(w, body, why); wait_ms *= 2) {
        wait_ms = wait_ms < last_ms ? wait_ms : last_ms;
        snprintf(message, sizeof message, "%s; retrying", why);
        if (!said)
            w->config.note(w->config.context, message);
        said = true;
        nanosleep(&(struct timespec){wait_ms / 1000, wait_ms % 1000 * 1000000}, NULL);
    }
    if (said)
        w->config.note(w->config.context, "messages are taken again");
}

static void taken(struct webhook *w, uint64_t number)
{
    int err = webhook_queue_forget(w->queue, number);
    if (err)
        w->config.note(w->config.context, strerror(-err));
}

static void *work(void *context)
{
    struct webhook *w = context;
    struct buf body = {0};

    pthread_mutex_lock(&w->lock);
    while (!w->closing || !webhook_queue_is_empty(w->queue)) {
        if (webhook_queue_is_empty(w->queue)) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        uint64_t last = webhook_queue_batch(w->queue, &body);
        bool stored = webhook_queue_sync(w->queue) == 0;
        pthread_mutex_unlock(&w->lock);

        if (stored && !body.failed)
            post(w, &body);
        else
            nanosleep(&(struct timespec){1, 0}, NULL);

        pthread_mutex_lock(&w->lock);
        if (stored && !body.failed)
            taken(w, last);
        else
            buf_release(&body);
    }
    pthread_mutex_unlock(&w->lock);
    buf_release(&body);
    return NULL;
}

/* --- messages --- */

int webhook_add(struct webhook *w, struct slice object)
{
    pthread_mutex_lock(&w->lock);
    int err = webhook_queue_add(w->queue, object);
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return err;
}

int webhook_clear(struct webhook *w)
{
    pthread_mutex_lock(&w->lock);
    int err = webhook_queue_clear(w->queue);
    pthread_mutex_unlock(&w->lock);
    return err;
}

/* --- life --- */

static void webhook_release(struct webhook **w)
{
    webhook_queue_free(&(*w)->queue);
    sodium_memzero((*w)->secret, sizeof(*w)->secret);
    pthread_cond_destroy(&(*w)->changed);
    pthread_mutex_destroy(&(*w)->lock);
    free(*w);
    *w = NULL;
}

static int check_url(const char *url, char why[WEBHOOK_WHY])
{
    char detail[HTTP_WHY];
    int err = http_check_url(url, detail);
    if (err)
        snprintf(why, WEBHOOK_WHY, "--webhook %s", detail);
    return err;
}

static int open_state(struct webhook *w, char why[WEBHOOK_WHY])
{
    char detail[WEBHOOK_QUEUE_WHY];
    int err = webhook_queue_open(w->config.folder, &w->queue, detail);
    if (err)
        snprintf(why, WEBHOOK_WHY, "--state %s", detail);
    return err;
}

int webhook_open(const struct webhook_config *config, struct webhook **out, char why[WEBHOOK_WHY])
{
    MUST(config->timeout_ms > 0 && config->retry_ms > 0);

    struct webhook *w = *out = calloc(1, sizeof *w);
    snprintf(why, WEBHOOK_WHY, "out of memory");
    if (!w)
        return -ENOMEM;

    w->config = *config;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    int err = check_url(config->url, why);
    if (!err)
        err = read_secret(w, config->secret_file, why);
    if (!err)
        err = open_state(w, why);
    if (!err && (err = -pthread_create(&w->thread, NULL, work, w)) != 0)
        snprintf(why, WEBHOOK_WHY, "%s", strerror(-err));
    if (err)
        webhook_release(out);
    return err;
}

void webhook_close(struct webhook **w)
{
    if (!*w)
        return;

    pthread_mutex_lock(&(*w)->lock);
    (*w)->closing = true;
    pthread_cond_signal(&(*w)->changed);
    pthread_mutex_unlock(&(*w)->lock);
    pthread_join((*w)->thread, NULL);
    webhook_release(w);
}
