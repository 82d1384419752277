/* libfcgi must not accept, block, close slowly or write here. So it gets a request without a
 * listening socket and a descriptor that holds all bytes it reads. That is the socket itself
 * when it contains a whole request. Otherwise it is a file in memory with the collected head,
 * and the body is extracted from its records without libfcgi. */
#include "http/intake.h"

#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/scgi.h"
#include "ops/log.h"

/* --- memory --- */

/* The share of the common room that a request of this size uses. The first bytes are free, so
 * that large requests cannot keep out a usual one. */
static size_t charge(size_t size)
{
    return size > INTAKE_OWN_ROOM ? size - INTAKE_OWN_ROOM : 0;
}

/* Make room for at least one more byte, and for no more than max in all. 0, -ENOMEM, -ENOBUFS
 * when others hold too much, or -EMSGSIZE. */
static int make_room(struct intakes *set, struct intake *in, size_t max)
{
    if (in->len < in->size)
        return 0;
    size_t size = in->size ? in->size * 2 : INTAKE_OWN_ROOM;
    size = size < max ? size : max;
    if (size <= in->size)
        return -EMSGSIZE;
    size_t more = charge(size) - charge(in->size);
    if (more > set->room - set->held)
        return -ENOBUFS;
    char *data = realloc(in->data, size);
    if (!data)
        return -ENOMEM;
    set->held += more;
    in->data = data;
    in->size = size;
    return 0;
}

static void drop_data(struct intakes *set, struct intake *in)
{
    free(in->data); // NOLINT(clang-analyzer-unix.Malloc): it is what realloc() gave
    set->held -= charge(in->size);
    in->data = NULL;
    in->len = in->size = 0;
}

void intake_release(struct intakes *set, struct intake *in)
{
    drop_data(set, in);
    params_release(&in->params);
}

/* --- libfcgi --- */

int intake_init(void)
{
    return FCGX_Init() == 0 ? 0 : -1;
}

/* The body ended after len bytes. */
static void body_ends(struct params *params, size_t len, size_t max)
{
    params->body_state = len > max ? BODY_TOO_LARGE : BODY_WHOLE;
    params->body_len = len > max ? 0 : len;
    if (len <= max)
        return;
    free(params->body);
    params->body = NULL;
}

/* Read the body, which is complete in the descriptor: at most at_most bytes, records included. */
static int read_body(const struct intakes *set, FCGX_Stream *in, size_t at_most,
                     struct params *params)
{
    char rest[4096];
    size_t max = set->body_max(set->context, params);
    size_t room = max < at_most ? max + 1 : at_most;
    int len = 0;
    if (max) {
        params->body = malloc(room);
        if (!params->body)
            return -ENOMEM;
        len = FCGX_GetStr(params->body, (int)room, in);
        body_ends(params, len > 0 ? (size_t)len : 0, max);
    }
    while (FCGX_GetStr(rest, sizeof rest, in) > 0)
        ;
    return 0;
}

/* Let libfcgi read the request in fd, which has peeked bytes; 0: its head only. 0 (fd is the
 * caller's), or -errno (fd is closed). */
static int intake_parse(const struct intakes *set, int fd, size_t peeked, struct params *out)
{
    FCGX_Request r;
    FCGX_InitRequest(&r, -1, 0);
    r.ipcFd = fd;
    r.keepConnection = 1; /* else its first step would be to close fd */
    FCGX_Detach(&r);      /* on an error, close at once */
    if (FCGX_Accept_r(&r) < 0)
        return -EPROTO;
    int err = params_copy(out, r.envp);
    out->request = (uint16_t)r.requestId;
    if (!err && peeked)
        err = read_body(set, r.in, peeked, out);
    r.ipcFd = -1;
    FCGX_Free(&r, 0);
    if (err)
        close(fd);
    return err;
}

/* The same with a collected head. */
static int parse_head(const struct intakes *set, struct slice head, struct params *out)
{
    int fd = memfd_create("request", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, head.data, head.len) != (ssize_t)head.len || lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -ENOSPC;
    }
    int err = intake_parse(set, fd, 0, out);
    if (!err)
        close(fd);
    return err;
}

/* --- a complete request --- */

/* Read from the socket; with MSG_PEEK the bytes stay there. */
static ssize_t intake_receive(int fd, char *bytes, size_t size, int flags)
{
    ssize_t n;
    do
        n = recv(fd, bytes, size, flags | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Did nothing follow the request? Further bytes may be lost in a buffer of libfcgi. */
static bool all_read(int fd, size_t seen, size_t request_len)
{
    char byte;

    return seen == request_len && intake_receive(fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

enum intake_progress intake_at_once(struct intakes *set, int fd, struct params *out)
{
    static char bytes[INTAKE_HEAD_MAX];
    struct record_scan scan = {0};
    if (set->scgi)
        return INTAKE_WAITING;
    ssize_t n = intake_receive(fd, bytes, sizeof bytes, MSG_PEEK);
    if (n < 0 && errno == EAGAIN)
        return INTAKE_WAITING;
    enum record_progress progress =
        n > 0 ? record_scan(&scan, (struct slice){bytes, (size_t)n}) : RECORD_BAD;
    if (progress == RECORD_PARTIAL || progress == RECORD_PARAMS || progress == RECORD_MANAGEMENT ||
        scan.odd_padding)
        return INTAKE_WAITING;
    if (progress == RECORD_BAD) {
        close(fd);
        return INTAKE_BROKEN;
    }
    if (intake_parse(set, fd, (size_t)n, out) == 0) {
        out->keep = scan.keep && all_read(fd, (size_t)n, scan.at);
        return INTAKE_READY;
    }
    params_release(out);
    return INTAKE_BROKEN;
}

/* --- a request in pieces --- */

/* The request is as complete as it will be. */
static enum intake_progress ready(struct intakes *set, struct intake *in, enum params_body state,
                                  struct params *out)
{
    *out = in->params;
    in->params = (struct params){0};
    out->body_state = in->body_max ? state : BODY_NONE;
    if (out->body_state == BODY_WHOLE) {
        out->body = in->data;
        out->body_len = in->len;
        set->held -= charge(in->size);
        in->data = NULL;
        in->len = in->size = 0;
    }
    drop_data(set, in);
    return INTAKE_READY;
}

/* The same as record_unframe() for a body of SCGI, which has no records. */
static enum record_progress count_body(struct intake *in, size_t *len)
{
    if (*len > in->body_left)
        *len = (size_t)in->body_left;
    in->body_left -= *len;
    return in->body_left ? RECORD_PARTIAL : RECORD_COMPLETE;
}

/* Of the last bytes, from `from` on, keep those of the body. */
static enum intake_progress take_body(struct intakes *set, struct intake *in, size_t from,
                                      struct params *out)
{
    size_t len = in->len - from;
    enum record_progress progress =
        set->scgi ? count_body(in, &len) : record_unframe(&in->framing, in->data + from, &len);
    in->len = from + len;
    if (!in->body_max) {
        in->dropped += len;
        in->len = 0;
    }
    if (progress == RECORD_BAD)
        return INTAKE_BROKEN;
    in->params.keep = in->scan.keep && progress == RECORD_COMPLETE && !in->framing.behind;
    if (in->body_max && in->len > in->body_max)
        return ready(set, in, BODY_TOO_LARGE, out);
    if (progress == RECORD_COMPLETE || in->dropped >= INTAKE_SKIP_MAX)
        return ready(set, in, BODY_WHOLE, out);
    return INTAKE_WAITING;
}

/* The parameters are complete, in this many bytes: from here on the body is collected. */
static enum intake_progress begin_body(struct intakes *set, struct intake *in, size_t head,
                                       struct params *out)
{
    in->body_max = set->body_max(set->context, &in->params);
    in->in_body = true;
    uint64_t length = params_content_length(&in->params);
    if (in->body_max && length != UINT64_MAX && length > in->body_max)
        return ready(set, in, BODY_TOO_LARGE, out);
    in->len -= head;
    memmove(in->data, in->data + head, in->len);
    return take_body(set, in, 0, out);
}

/* Answer a management record, and drop it. False when there are too many, or the peer does not
 * take the answer. */
static bool answer_management(const struct intakes *set, struct intake *in, int fd)
{
    char answer[RECORD_ANSWER_MAX];
    size_t used,
        len = record_answer(answer, (struct slice){in->data, in->len}, set->max_requests, &used);

    if (++in->answered > INTAKE_MANAGEMENT_MAX ||
        send(fd, answer, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
        return false;
    in->len -= used;
    memmove(in->data, in->data + used, in->len);
    in->scan = (struct record_scan){0};
    return true;
}

/* The counter tells that there are such connections, the log why. */
static enum intake_progress not_a_request(const char *protocol)
{
    log_warn("connection dropped: expected a request over %s", protocol);
    return INTAKE_BROKEN;
}

static enum intake_progress take_head(struct intakes *set, struct intake *in, int fd,
                                      struct params *out)
{
    switch (record_scan(&in->scan, (struct slice){in->data, in->len})) {
    case RECORD_MANAGEMENT:
        return answer_management(set, in, fd) ? take_head(set, in, fd, out) : INTAKE_BROKEN;
    case RECORD_PARTIAL:
        return INTAKE_WAITING;
    case RECORD_BAD:
        return not_a_request("FastCGI");
    default:
        if (parse_head(set, (struct slice){in->data, record_strip(in->data, in->scan.params_end)},
                       &in->params) != 0)
            return INTAKE_BROKEN;
        in->framing.request = in->scan.request;
        return begin_body(set, in, in->scan.params_end, out);
    }
}

static enum intake_progress take_scgi_head(struct intakes *set, struct intake *in,
                                           struct params *out)
{
    struct scgi_head head;
    enum scgi_progress progress =
        scgi_scan((struct slice){in->data, in->len}, INTAKE_HEAD_MAX, &head);

    if (progress == SCGI_PARTIAL)
        return INTAKE_WAITING;
    if (progress == SCGI_BAD)
        return not_a_request("SCGI");
    if (scgi_params(&head, &in->params) != 0)
        return INTAKE_BROKEN;
    in->body_left = head.body_len;
    return begin_body(set, in, head.len, out);
}

/* Judge the collected bytes, of which those from `from` on are new. */
static enum intake_progress take_bytes(struct intakes *set, struct intake *in, int fd, size_t from,
                                       struct params *out)
{
    if (in->in_body)
        return take_body(set, in, from, out);

    return set->scgi ? take_scgi_head(set, in, out) : take_head(set, in, fd, out);
}

/* There is no room for further bytes. Without a complete head the request is broken; else its
 * body is BODY_NO_ROOM. */
static enum intake_progress no_room(struct intakes *set, struct intake *in, int err,
                                    struct params *out)
{
    if (!in->in_body)
        return INTAKE_BROKEN;
    return ready(set, in, err == -EMSGSIZE ? BODY_TOO_LARGE : BODY_NO_ROOM, out);
}

enum intake_progress intake_more(struct intakes *set, struct intake *in, int fd, struct params *out)
{
    enum intake_progress progress = INTAKE_WAITING;
    while (progress == INTAKE_WAITING) {
        /* a body's last bytes come with their records' headers: some room for those, so that one
         * of body_max bytes ends */
        size_t max = in->in_body ? in->body_max + INTAKE_OWN_ROOM : INTAKE_HEAD_MAX, from = in->len;
        int err = make_room(set, in, max);
        if (err)
            return no_room(set, in, err, out);
        ssize_t n = intake_receive(fd, in->data + from, in->size - from, 0);
        if (n < 0 && errno == EAGAIN) {
            if (!in->in_body && !in->len)
                drop_data(set, in); /* a silent peer costs no memory */
            return INTAKE_WAITING;
        }
        if (n <= 0)
            return INTAKE_BROKEN;
        in->len += (size_t)n;
        progress = take_bytes(set, in, fd, from, out);
    }
    return progress;
}

enum intake_progress intake_give_up(struct intakes *set, struct intake *in, struct params *out)
{
    return in->in_body ? ready(set, in, BODY_PARTIAL, out) : INTAKE_BROKEN;
}

bool intake_wants_body(const struct intake *in)
{
    return in->in_body && in->body_max;
}

/* --- plain CGI --- */

/* Wait for bytes. False at the timeout, and when stop_fd is readable. */
static bool wait_readable(int fd, int stop_fd, int64_t until)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    int64_t left = until - clock_ms();
    return left > 0 && poll(fds, 2, (int)left) > 0 && !fds[1].revents;
}

/* Read at most max bytes. Returns the number of bytes. */
static size_t read_until(int fd, int stop_fd, int64_t until, char *data, size_t max)
{
    size_t len = 0;
    while (len < max && wait_readable(fd, stop_fd, until)) {
        ssize_t n = read(fd, data + len, max - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

/* Some web servers have one socket for both directions: closing it with unread bytes would reset
 * it under the response. */
static void drop_until(int fd, int stop_fd, int64_t until, uint64_t bytes)
{
    char rest[4096];
    for (size_t n = 1; bytes && n; bytes -= n)
        n = read_until(fd, stop_fd, until, rest, bytes < sizeof rest ? (size_t)bytes : sizeof rest);
}

void intake_cgi_body(const struct intakes *set, int fd, int stop_fd, int timeout_ms,
                     struct params *params)
{
    int64_t until = clock_ms() + timeout_ms;
    uint64_t length = params_content_length(params);
    size_t max = set->body_max(set->context, params);
    length = length == UINT64_MAX ? 0 : length; /* CGI has no body without its length */
    params->body_state = length > max ? BODY_TOO_LARGE : BODY_NO_ROOM;
    if (!max)
        params->body_state = BODY_NONE;
    if (length > max || !(params->body = malloc((size_t)length + 1))) {
        drop_until(fd, stop_fd, until, length);
        return;
    }
    params->body_len = read_until(fd, stop_fd, until, params->body, (size_t)length);
    if (max)
        params->body_state = params->body_len < length ? BODY_PARTIAL : BODY_WHOLE;
}
