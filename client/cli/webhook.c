/* The folder has two files. `queue` has a line for each message, and is emptied when all are taken.
 * `taken` has the number of the last message that was taken. A line is written before its message
 * is posted, and the disk has it before: no number is given out twice. */
#include "cli/webhook.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/must.h"
#include "cli/http.h"
#include "ops/secret_file.h"

#define BATCH_BYTES ((size_t)256 << 10)
#define FILE_BYTES (2 * WEBHOOK_QUEUE_BYTES) /* a queue that is never empty is written again at this size */
#define FIRST_WAIT_MS 500
#define SECRET_MAX 4096
#define NUMBER_FIELD "{\"number\":"

struct message {
    TAILQ_ENTRY(message) next;
    uint64_t number;
    size_t len;
    char text[]; /* with its line feed */
};

struct webhook {
    struct webhook_config config;
    unsigned char secret[SECRET_MAX];
    size_t secret_len;
    int folder, file; /* -1: none */
    size_t file_bytes;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows, and of the file */
    pthread_cond_t changed;
    TAILQ_HEAD(queue, message) queue;
    size_t bytes;
    uint64_t last; /* number */
    bool closing;
};

/* --- the folder --- */

static void drop_first(struct webhook *w)
{
    struct message *m = TAILQ_FIRST(&w->queue);
    MUST(m && w->bytes >= m->len); // NOLINT(clang-analyzer-unix.Malloc): a message is unlinked before it is freed
    TAILQ_REMOVE(&w->queue, m, next);
    w->bytes -= m->len;
    free(m);
}

static int write_all(int fd, const char *text, size_t len)
{
    for (ssize_t n; len; text += n, len -= (size_t)n)
        if ((n = write(fd, text, len)) < 0)
            return -errno;
    return 0;
}

/* Replace the file in the folder. 0 or -errno. */
static int replace_file(const struct webhook *w, const char *name, const struct buf *text)
{
    int fd = openat(w->folder, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int err = fd < 0 ? -errno : write_all(fd, text->data, text->len);
    if (!err && fsync(fd) != 0)
        err = -errno;
    if (fd >= 0)
        close(fd);
    if (!err && renameat(w->folder, "new", w->folder, name) != 0)
        err = -errno;
    return err;
}

static int note_taken(const struct webhook *w, uint64_t number)
{
    char digits[32];
    struct buf text = {0};
    if (w->folder < 0)
        return 0;

    buf_put(&text, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64 "\n", number));
    int err = text.failed ? -ENOMEM : replace_file(w, "taken", &text);
    buf_release(&text);
    return err;
}

/* The numbers in `taken` say what is no longer needed in the queue. */
static int shorten_file(struct webhook *w)
{
    bool empty = TAILQ_EMPTY(&w->queue);
    if (w->file < 0 || (!empty && w->file_bytes < FILE_BYTES))
        return 0;

    if (ftruncate(w->file, 0) != 0)
        return -errno;
    w->file_bytes = 0;
    struct message *m;
    TAILQ_FOREACH (m, &w->queue, next) {
        int err = write_all(w->file, m->text, m->len);
        if (err)
            return err;
        w->file_bytes += m->len;
    }
    return 0;
}

/* --- loading --- */

static int put_message(struct webhook *w, uint64_t number, struct slice line)
{
    MUST(line.data && line.len);
    struct message *m = malloc(sizeof *m + line.len);
    if (!m)
        return -ENOMEM;

    m->number = number;
    m->len = line.len;
    memcpy(m->text, line.data, line.len);
    TAILQ_INSERT_TAIL(&w->queue, m, next);
    w->bytes += m->len;
    w->last = number;
    return 0;
}

static uint64_t read_taken(const struct webhook *w)
{
    char text[32] = "";
    int fd = openat(w->folder, "taken", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    return len > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Read the lines of the queue. The last one may be incomplete: its message was never posted. */
static int load_lines(struct webhook *w, FILE *file, uint64_t taken)
{
    char *line = NULL;
    size_t size = 0, whole = 0;
    int err = 0;
    w->last = taken;

    for (ssize_t len; !err && (len = getline(&line, &size, file)) > 0 && line[len - 1] == '\n'; whole += (size_t)len) {
        size_t head = strlen(NUMBER_FIELD);
        uint64_t number = strncmp(line, NUMBER_FIELD, head) == 0 ? strtoull(line + head, NULL, 10) : 0;
        if (number > w->last)
            err = put_message(w, number, (struct slice){line, (size_t)len});
    }
    free(line);
    w->file_bytes = whole;
    return err;
}

static int open_folder(struct webhook *w, const char *path, char why[WEBHOOK_WHY])
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int err = -errno;
        snprintf(why, WEBHOOK_WHY, "%s: cannot be created: %s", path, strerror(-err));
        return err;
    }

    snprintf(why, WEBHOOK_WHY, "%s: not an accessible directory", path);
    w->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->folder < 0)
        return -errno;

    w->file = openat(w->folder, "queue", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    snprintf(why, WEBHOOK_WHY, "%s/queue: %s", path, strerror(errno));
    if (w->file < 0)
        return -errno;
    if (flock(w->file, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why, WEBHOOK_WHY, "%s: another process uses this directory", path);
        return -EBUSY;
    }

    int copy = dup(w->file);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    int err = file ? load_lines(w, file, read_taken(w)) : -errno;
    if (file)
        fclose(file);
    if (!err && ftruncate(w->file, (off_t)w->file_bytes) != 0)
        err = -errno;
    if (err)
        snprintf(why, WEBHOOK_WHY, "%s/queue: %s", path, strerror(-err));
    return err;
}

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
        snprintf(why, WEBHOOK_WHY, "%s: %s", path, detail);
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

/* The first messages as a body. The number of the last one. */
static uint64_t put_batch(const struct webhook *w, struct buf *body)
{
    static const char begin[] = "{\"messages\":[", end[] = "]}";
    const struct message *m;
    uint64_t last = 0;
    size_t count = 0;

    body->len = 0;
    buf_put(body, begin, sizeof begin - 1);
    TAILQ_FOREACH (m, &w->queue, next) {
        if (count && (count == WEBHOOK_BATCH || body->len + m->len > BATCH_BYTES))
            break;
        if (count++)
            buf_put(body, ",", 1);
        buf_put(body, m->text, m->len - 1);
        last = m->number;
    }
    buf_put(body, end, sizeof end - 1);
    return last;
}

static bool is_taken(const struct webhook *w, const struct buf *body, char why[HTTP_WHY])
{
    char signature[80];
    struct http_answer answer;
    sign(w, (struct slice){body->data, body->len}, signature);
    int err = http_post_with(w->config.url, "X-Ssecast-Signature", signature, (struct slice){body->data, body->len},
                             w->config.timeout_ms, &answer, why);
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

/* The messages up to this number are taken. */
static void webhook_forget(struct webhook *w, uint64_t number)
{
    int err = note_taken(w, number);
    while (!TAILQ_EMPTY(&w->queue) && TAILQ_FIRST(&w->queue)->number <= number)
        drop_first(w);
    err = err ? err : shorten_file(w);
    if (err)
        w->config.note(w->config.context, strerror(-err));
}

static void *work(void *context)
{
    struct webhook *w = context;
    struct buf body = {0};

    pthread_mutex_lock(&w->lock);
    while (!w->closing || !TAILQ_EMPTY(&w->queue)) {
        if (TAILQ_EMPTY(&w->queue)) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        uint64_t last = put_batch(w, &body);
        bool stored = w->file < 0 || fdatasync(w->file) == 0;
        pthread_mutex_unlock(&w->lock);

        if (stored && !body.failed)
            post(w, &body);
        else
            nanosleep(&(struct timespec){1, 0}, NULL);

        pthread_mutex_lock(&w->lock);
        if (stored && !body.failed)
            webhook_forget(w, last);
        else
            buf_release(&body);
    }
    pthread_mutex_unlock(&w->lock);
    buf_release(&body);
    return NULL;
}

/* --- messages --- */

/* {"number":N, and the fields of the object. */
static void put_line(struct buf *line, uint64_t number, struct slice object)
{
    char head[40];
    MUST(object.len > 2 && object.data[0] == '{');
    buf_put(line, head, (size_t)snprintf(head, sizeof head, NUMBER_FIELD "%" PRIu64 ",", number));
    buf_put(line, object.data + 1, object.len - 1);
    buf_put(line, "\n", 1);
}

static int append_line(struct webhook *w, const struct buf *line)
{
    int err = w->file < 0 ? 0 : write_all(w->file, line->data, line->len);
    if (!err) {
        w->file_bytes += line->len;
        return 0;
    }
    if (ftruncate(w->file, (off_t)w->file_bytes) != 0) /* half a line */
        return -errno;
    return err;
}

static int add_locked(struct webhook *w, struct slice object)
{
    struct buf line = {0};
    put_line(&line, w->last + 1, object);
    int err = line.failed ? -ENOMEM : 0;
    if (!err && w->bytes + line.len > WEBHOOK_QUEUE_BYTES)
        err = -ENOSPC;
    err = err ? err : append_line(w, &line);
    err = err ? err : put_message(w, w->last + 1, (struct slice){line.data, line.len});
    buf_release(&line);
    return err;
}

int webhook_add(struct webhook *w, struct slice object)
{
    pthread_mutex_lock(&w->lock);
    int err = add_locked(w, object);
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return err;
}

int webhook_clear(struct webhook *w)
{
    pthread_mutex_lock(&w->lock);
    while (!TAILQ_EMPTY(&w->queue))
        drop_first(w);
    int err = note_taken(w, w->last);
    err = err ? err : shorten_file(w);
    pthread_mutex_unlock(&w->lock);
    return err;
}

/* --- life --- */

static void webhook_release(struct webhook **w)
{
    while (!TAILQ_EMPTY(&(*w)->queue))
        drop_first(*w);
    if ((*w)->file >= 0)
        close((*w)->file);
    if ((*w)->folder >= 0)
        close((*w)->folder);
    sodium_memzero((*w)->secret, sizeof(*w)->secret);
    pthread_cond_destroy(&(*w)->changed);
    pthread_mutex_destroy(&(*w)->lock);
    free(*w);
    *w = NULL;
}

int webhook_open(const struct webhook_config *config, struct webhook **out, char why[WEBHOOK_WHY])
{
    MUST(config->timeout_ms > 0 && config->retry_ms > 0);

    struct webhook *w = *out = calloc(1, sizeof *w);
    snprintf(why, WEBHOOK_WHY, "out of memory");
    if (!w)
        return -ENOMEM;

    w->config = *config;
    w->folder = w->file = -1;
    TAILQ_INIT(&w->queue);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    int err = http_check_url(config->url, why);
    if (!err)
        err = read_secret(w, config->secret_file, why);
    if (!err && config->folder)
        err = open_folder(w, config->folder, why);
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
