/* The flag O_NONBLOCK belongs to the open file, which other processes share, so stderr itself is
 * left as it is. A socket is written with MSG_DONTWAIT. A pipe or a terminal is opened once more
 * through /proc, for us alone; where that is not allowed (the pipe belongs to another user),
 * poll() says whether it takes PIPE_BUF bytes. */
#include "ops/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "ops/log_line.h"

enum sink_kind { SINK_FILE, SINK_SOCKET, SINK_REOPENED, SINK_POLLED };

static struct {
    enum sink_kind kind;
    int own;      /* SINK_REOPENED: our descriptor of the same pipe or terminal; otherwise -1 */
    dev_t device; /* which file stderr was when we looked last */
    ino_t inode;
    char rest[LOG_LINE_MAX];
    size_t rest_len; /* bytes of the last line that are still to be written */
    uint64_t dropped;
} sink = {.own = -1};

static void choose_kind(mode_t mode)
{
    if (S_ISSOCK(mode)) {
        sink.kind = SINK_SOCKET;
    } else if (S_ISFIFO(mode) || S_ISCHR(mode)) {
        sink.own = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        sink.kind = sink.own < 0 ? SINK_POLLED : SINK_REOPENED;
    } else {
        sink.kind = SINK_FILE;
    }
}

/* stderr may have been replaced since the last line. */
static void look_at_stderr(void)
{
    struct stat s;

    if (fstat(STDERR_FILENO, &s) != 0 || (s.st_dev == sink.device && s.st_ino == sink.inode))
        return;

    if (sink.own >= 0)
        close(sink.own);
    sink.own = -1;
    sink.rest_len = 0;
    sink.device = s.st_dev;
    sink.inode = s.st_ino;
    choose_kind(s.st_mode);
}

/* Up to PIPE_BUF bytes: a write of this size does not block once poll() says that the pipe is
 * writable. */
static ssize_t write_polled(const char *bytes, size_t len)
{
    struct pollfd stderr_ = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (poll(&stderr_, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(STDERR_FILENO, bytes, len < PIPE_BUF ? len : PIPE_BUF);
}

static ssize_t write_some(const char *bytes, size_t len)
{
    switch (sink.kind) {
    case SINK_SOCKET:
        return send(STDERR_FILENO, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    case SINK_REOPENED:
        return write(sink.own, bytes, len);
    case SINK_POLLED:
        return write_polled(bytes, len);
    case SINK_FILE:
        break;
    }
    return write(STDERR_FILENO, bytes, len);
}

/* How many bytes went out; all of them after an error that is not EAGAIN. */
static size_t write_most(const char *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write_some(bytes + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? done : len;
        done += (size_t)n;
    }
    return done;
}

/* True when nothing of an earlier line is left. */
static bool flush_rest(void)
{
    size_t done = write_most(sink.rest, sink.rest_len);

    sink.rest_len -= done;
    memmove(sink.rest, sink.rest + done, sink.rest_len);
    return sink.rest_len == 0;
}

int log_sink_write(const char *line, size_t len)
{
    MUST(len <= LOG_LINE_MAX);
    look_at_stderr();

    size_t done = flush_rest() ? write_most(line, len) : 0;
    if (done == 0 && len > 0) {
        sink.dropped++;
        return -EAGAIN;
    }

    sink.rest_len = len - done;
    memcpy(sink.rest, line + done, sink.rest_len);
    return 0;
}

uint64_t log_sink_dropped(void)
{
    return sink.dropped;
}

void log_sink_forget_dropped(void)
{
    sink.dropped = 0;
}
