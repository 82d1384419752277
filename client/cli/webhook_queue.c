/* The folder has three files. `queue` has a line for each message, and is emptied when all are
 * taken. `taken` has the number of the last message that was taken. A line is written before its
 * message is posted, and the disk has it before: no number is given out twice. `lock` is held by
 * the process that uses the folder; the others are replaced by rename, so a lock on them would be
 * lost. */
#include "cli/webhook_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"

#define BATCH_BYTES ((size_t)256 << 10)
/* The file grows by this before another attempt to write it again. */
#define RETRY_BYTES (WEBHOOK_QUEUE_BYTES / 4)
#define NUMBER_FIELD "{\"number\":"

struct message {
    TAILQ_ENTRY(message) next;
    uint64_t number;
    size_t len;
    char text[]; /* with its line feed */
};

struct webhook_queue {
    TAILQ_HEAD(messages, message) messages;
    size_t bytes;           /* of the messages */
    uint64_t last;          /* number */
    uint64_t taken;         /* number: what the folder says */
    int folder, lock, file; /* -1: none */
    size_t file_bytes;      /* of whole lines */
    size_t rewrite_at;      /* file_bytes */
    bool torn;              /* the file may have half a line behind file_bytes */
};

/* --- messages --- */

static int put_message(struct webhook_queue *q, uint64_t number, struct slice line)
{
    MUST(line.data && line.len && number > q->last);
    struct message *m = malloc(sizeof *m + line.len);
    if (!m)
        return -ENOMEM;

    m->number = number;
    m->len = line.len;
    memcpy(m->text, line.data, line.len);
    TAILQ_INSERT_TAIL(&q->messages, m, next);
    q->bytes += m->len;
    q->last = number;
    return 0;
}

static void drop_first(struct webhook_queue *q)
{
    struct message *m = TAILQ_FIRST(&q->messages);
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a message is unlinked before it is freed
    MUST(m && q->bytes >= m->len);
    TAILQ_REMOVE(&q->messages, m, next);
    q->bytes -= m->len;
    free(m);
}

bool webhook_queue_is_empty(const struct webhook_queue *q)
{
    return TAILQ_EMPTY(&q->messages);
}

uint64_t webhook_queue_batch(const struct webhook_queue *q, struct buf *body)
{
    static const char begin[] = "{\"messages\":[", end[] = "]}";
    const struct message *m;
    uint64_t last = 0;
    size_t count = 0;

    body->len = 0;
    buf_put(body, begin, sizeof begin - 1);
    TAILQ_FOREACH (m, &q->messages, next) {
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

/* --- replacing a file --- */

static int write_all(int fd, const char *text, size_t len)
{
    for (ssize_t n; len; text += n, len -= (size_t)n)
        if ((n = write(fd, text, len)) < 0)
            return -errno;
    return 0;
}

/* Open an empty file to write. The descriptor or -errno. */
static int create_file(const struct webhook_queue *q, const char *name)
{
    int fd = openat(q->folder, name, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

/* Put a file that was written in the place of another, once the disk has its bytes. */
static int put_in_place(const struct webhook_queue *q, int fd, const char *from, const char *to)
{
    return fsync(fd) != 0 || renameat(q->folder, from, q->folder, to) != 0 ? -errno : 0;
}

/* The disk has the new names. */
static int sync_folder(const struct webhook_queue *q)
{
    return fsync(q->folder) == 0 ? 0 : -errno;
}

static int write_taken(const struct webhook_queue *q, uint64_t number)
{
    char digits[32];
    int fd = create_file(q, "taken.new");
    if (fd < 0)
        return fd;
    int err =
        write_all(fd, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64 "\n", number));
    err = err ? err : put_in_place(q, fd, "taken.new", "taken");
    close(fd);
    return err ? err : sync_folder(q);
}

/* The messages that a post has may be cleared before it ends: the number only grows. */
static int note_taken(struct webhook_queue *q, uint64_t number)
{
    if (q->folder < 0 || number <= q->taken)
        return 0;

    int err = write_taken(q, number);
    if (!err)
        q->taken = number;
    return err;
}

/* --- a shorter queue --- */

static int empty_file(struct webhook_queue *q)
{
    if (ftruncate(q->file, 0) != 0)
        return -errno;
    q->file_bytes = 0;
    q->rewrite_at = WEBHOOK_FILE_BYTES;
    q->torn = false;
    return 0;
}

static int write_messages(const struct webhook_queue *q, int fd)
{
    const struct message *m;
    int err = 0;
    TAILQ_FOREACH (m, &q->messages, next)
        if (!err)
            err = write_all(fd, m->text, m->len);
    return err;
}

/* Write the messages to another file, and put it in the place of the queue. The old one stays valid
 * until then. */
static int rewrite_file(struct webhook_queue *q)
{
    q->rewrite_at = q->file_bytes + RETRY_BYTES; /* unless it becomes shorter */
    int fd = create_file(q, "queue.new");
    if (fd < 0)
        return fd;

    int err = write_messages(q, fd);
    err = err ? err : put_in_place(q, fd, "queue.new", "queue");
    if (err) {
        close(fd);
        unlinkat(q->folder, "queue.new", 0);
        return err;
    }

    /* The old file has no name any more: this one counts, whatever follows. */
    close(q->file);
    q->file = fd;
    q->file_bytes = q->bytes;
    q->torn = false;
    if (q->file_bytes < WEBHOOK_FILE_BYTES)
        q->rewrite_at = WEBHOOK_FILE_BYTES;
    return sync_folder(q);
}

/* The numbers in `taken` say what is no longer needed in the queue. */
static int shorten_file(struct webhook_queue *q)
{
    if (q->file < 0)
        return 0;
    if (webhook_queue_is_empty(q))
        return empty_file(q);
    return q->file_bytes < q->rewrite_at ? 0 : rewrite_file(q);
}

int webhook_queue_forget(struct webhook_queue *q, uint64_t number)
{
    MUST(number <= q->last);
    int err = note_taken(q, number);
    while (!webhook_queue_is_empty(q) && TAILQ_FIRST(&q->messages)->number <= number)
        drop_first(q);
    return err ? err : shorten_file(q);
}

int webhook_queue_clear(struct webhook_queue *q)
{
    while (!webhook_queue_is_empty(q))
        drop_first(q);
    int err = note_taken(q, q->last);
    return err ? err : shorten_file(q);
}

/* --- adding --- */

/* {"number":N, and the fields of the object. */
static void put_line(struct buf *line, uint64_t number, struct slice object)
{
    char head[40];
    MUST(object.len > 2 && object.data[0] == '{');
    buf_put(line, head, (size_t)snprintf(head, sizeof head, NUMBER_FIELD "%" PRIu64 ",", number));
    buf_put(line, object.data + 1, object.len - 1);
    buf_put(line, "\n", 1);
}

/* Cut off what is behind the whole lines.
 * When that fails, nothing is appended until it succeeds. */
static int mend_file(struct webhook_queue *q)
{
    q->torn = ftruncate(q->file, (off_t)q->file_bytes) != 0;
    return q->torn ? -errno : 0;
}

static int append_line(struct webhook_queue *q, struct slice line)
{
    if (q->file < 0)
        return 0;
    int err = q->torn ? mend_file(q) : 0;
    if (err)
        return err;

    err = write_all(q->file, line.data, line.len);
    if (err)
        mend_file(q);
    else
        q->file_bytes += line.len;
    return err;
}

/* The line of a message that could not be kept: its number will be used for another one. */
static void take_back_line(struct webhook_queue *q, size_t len)
{
    if (q->file < 0)
        return;
    MUST(q->file_bytes >= len);
    q->file_bytes -= len;
    mend_file(q);
}

int webhook_queue_add(struct webhook_queue *q, struct slice object)
{
    struct buf line = {0};
    put_line(&line, q->last + 1, object);
    int err = line.failed ? -ENOMEM : 0;
    if (!err && q->bytes + line.len > WEBHOOK_QUEUE_BYTES)
        err = -ENOSPC;
    if (!err)
        err = append_line(q, buf_slice(&line));
    if (!err && (err = put_message(q, q->last + 1, buf_slice(&line))) != 0)
        take_back_line(q, line.len);
    buf_release(&line);
    return err;
}

int webhook_queue_sync(struct webhook_queue *q)
{
    return q->file < 0 || fdatasync(q->file) == 0 ? 0 : -errno;
}

/* --- opening --- */

static uint64_t read_taken(const struct webhook_queue *q)
{
    char text[32] = "";
    int fd = openat(q->folder, "taken", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    return len > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Read the lines of the queue. The last one may be incomplete: its message was never posted. */
static int load_lines(struct webhook_queue *q, FILE *file)
{
    char *line = NULL;
    size_t size = 0, whole = 0;
    int err = 0;

    for (ssize_t len; !err && (len = getline(&line, &size, file)) > 0 && line[len - 1] == '\n';
         whole += (size_t)len) {
        size_t head = strlen(NUMBER_FIELD);
        uint64_t number =
            strncmp(line, NUMBER_FIELD, head) == 0 ? strtoull(line + head, NULL, 10) : 0;
        if (number > q->last)
            err = put_message(q, number, (struct slice){line, (size_t)len});
    }
    /* No memory for a line, or a read error: more lines may follow. */
    if (!err && !feof(file))
        err = errno ? -errno : -EIO;
    free(line);
    q->file_bytes = whole;
    return err;
}

static int load_file(struct webhook_queue *q)
{
    int copy = dup(q->file);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (!file)
        return -errno;

    q->last = q->taken = read_taken(q);
    int err = load_lines(q, file);
    fclose(file);
    return err ? err : mend_file(q);
}

static int open_lock(struct webhook_queue *q, const char *path, char why[WEBHOOK_QUEUE_WHY])
{
    q->lock = openat(q->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (q->lock < 0) {
        int err = -errno;
        snprintf(why, WEBHOOK_QUEUE_WHY, "%s/lock: %s", path, strerror(-err));
        return err;
    }
    if (flock(q->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    snprintf(why, WEBHOOK_QUEUE_WHY, "%s: another process uses this directory", path);
    return -EBUSY;
}

/* What a crash left of a file that was being written is removed. */
static int open_queue(struct webhook_queue *q, const char *path, char why[WEBHOOK_QUEUE_WHY])
{
    unlinkat(q->folder, "queue.new", 0);
    unlinkat(q->folder, "taken.new", 0);
    q->file = openat(q->folder, "queue", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int err = q->file < 0 ? -errno : load_file(q);
    err = err ? err : sync_folder(q);
    if (err)
        snprintf(why, WEBHOOK_QUEUE_WHY, "%s/queue: %s", path, strerror(-err));
    return err;
}

static int open_folder(struct webhook_queue *q, const char *path, char why[WEBHOOK_QUEUE_WHY])
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int err = -errno;
        snprintf(why, WEBHOOK_QUEUE_WHY, "%s: cannot be created: %s", path, strerror(-err));
        return err;
    }

    q->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->folder < 0) {
        int err = -errno;
        snprintf(why, WEBHOOK_QUEUE_WHY, "%s: not an accessible directory", path);
        return err;
    }

    int err = open_lock(q, path, why);
    return err ? err : open_queue(q, path, why);
}

int webhook_queue_open(const char *folder, struct webhook_queue **out, char why[WEBHOOK_QUEUE_WHY])
{
    struct webhook_queue *q = *out = calloc(1, sizeof *q);
    snprintf(why, WEBHOOK_QUEUE_WHY, "out of memory");
    if (!q)
        return -ENOMEM;

    q->folder = q->lock = q->file = -1;
    q->rewrite_at = WEBHOOK_FILE_BYTES;
    TAILQ_INIT(&q->messages);
    int err = folder ? open_folder(q, folder, why) : 0;
    if (err)
        webhook_queue_free(out);
    return err;
}

void webhook_queue_free(struct webhook_queue **q)
{
    if (!*q)
        return;

    while (!webhook_queue_is_empty(*q))
        drop_first(*q);
    const int fds[] = {(*q)->file, (*q)->lock, (*q)->folder};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(*q);
    *q = NULL;
}
