/* A FastCGI request, as it arrives from whoever connects to a worker: a judgement stands when more comes; and the whole way, socket, acceptor and
 * libfcgi, gives parameters only for what is a request, the very ones that a second reader finds in its records.
 *
 * Input: the bytes of one connection. */
#include <errno.h>
#include <fastcgi.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/accept.h"
#include "fcgi/record.h"
#include "fuzz.h"
#include "log.h"

/* --- the judgement --- */

static bool may_become(enum record_progress before, enum record_progress after)
{
    switch (before) {
    case RECORD_PARTIAL:
        return true;
    case RECORD_PARAMS:
        return after != RECORD_PARTIAL;
    default:
        return after == before;
    }
}

static enum record_progress scan_all_beginnings(struct slice bytes)
{
    enum record_progress before = RECORD_PARTIAL;
    for (size_t len = 0; len <= bytes.len; len++) {
        char *copy = exact_copy((struct slice){bytes.data, len});
        enum record_progress after = record_scan((struct slice){copy, len});
        free(copy);
        must(may_become(before, after));
        before = after;
    }
    return before;
}

/* --- a second reader of the parameters --- */

struct reading {
    char *text; /* NAME=value, each with its NUL */
    size_t len;
    bool odd; /* a length that points beyond, or a NUL within: what libfcgi makes of it is its affair */
};

/* The contents of all FCGI_PARAMS records up to the empty one, in a row. */
static struct slice stream_of_params(struct slice bytes)
{
    char *out = malloc(bytes.len + 1);
    size_t len = 0;
    const unsigned char *p = (const unsigned char *)bytes.data, *end = p + bytes.len;
    must(out);
    while (end - p >= FCGI_HEADER_LEN) {
        size_t content = (size_t)p[4] << 8 | p[5], whole = FCGI_HEADER_LEN + content + p[6];
        if (p[1] == FCGI_PARAMS && content == 0)
            break;
        must((size_t)(end - p) >= whole);
        if (p[1] == FCGI_PARAMS) {
            memcpy(out + len, p + FCGI_HEADER_LEN, content);
            len += content;
        }
        p += whole;
    }
    return (struct slice){out, len};
}

static bool take_length(struct slice *rest, size_t *length)
{
    if (!rest->len)
        return false;
    const unsigned char *p = (const unsigned char *)rest->data;
    size_t width = *p & 0x80 ? 4 : 1;
    if (rest->len < width)
        return false;
    *length = width == 1 ? *p : ((size_t)(*p & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
    *rest = (struct slice){rest->data + width, rest->len - width};
    return true;
}

static struct reading read_params(struct slice bytes)
{
    struct slice stream = stream_of_params(bytes), rest = stream;
    struct reading r = {.text = malloc(2 * stream.len + 2)};
    size_t name, value;
    must(r.text);
    while (rest.len && !r.odd) {
        if (!take_length(&rest, &name) || !take_length(&rest, &value) || name > rest.len || value > rest.len - name) {
            r.odd = true;
            break;
        }
        r.odd = memchr(rest.data, 0, name + value) != NULL || name == 0;
        memcpy(r.text + r.len, rest.data, name);
        r.len += name;
        r.text[r.len++] = '=';
        memcpy(r.text + r.len, rest.data + name, value);
        r.len += value;
        r.text[r.len++] = '\0';
        rest = (struct slice){rest.data + name + value, rest.len - name - value};
    }
    r.text[r.len++] = '\0';
    free((char *)stream.data);
    return r;
}

/* --- the whole way --- */

#define ADDED "FCGI_ROLE=RESPONDER" /* libfcgi's own, in front */

struct arrival {
    struct loop *loop;
    bool arrived;
    struct params params;
};

static void on_request(void *context, int fd, struct params *params)
{
    struct arrival *a = context;
    must(!a->arrived);
    a->arrived = true;
    a->params = *params;
    close(fd);
}

static bool turn_end(void *context)
{
    struct arrival *a = context;
    loop_stop(a->loop);
    return true;
}

static int listen_somewhere(struct sockaddr_un *address, socklen_t *len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    *len = sizeof *address;
    must(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t)) == 0 && listen(fd, 1) == 0);
    must(getsockname(fd, (struct sockaddr *)address, len) == 0);
    return fd;
}

/* All bytes are there and the peer says no more before the worker looks. */
static int send_all(const struct sockaddr_un *address, socklen_t len, struct slice bytes)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, (const struct sockaddr *)address, len) == 0);
    must(send(fd, bytes.data, bytes.len, MSG_NOSIGNAL) == (ssize_t)bytes.len);
    must(shutdown(fd, SHUT_WR) == 0);
    return fd;
}

static void arrive(struct arrival *a, struct slice bytes)
{
    struct sockaddr_un address;
    socklen_t len;
    int listener = listen_somewhere(&address, &len);
    a->loop = loop_new(turn_end, a);
    struct acceptor *acceptor = acceptor_new(a->loop, listener, on_request, a);
    must(a->loop && acceptor);
    int fd = send_all(&address, len, bytes);
    must(loop_run(a->loop) == 0); /* one turn: what is complete is taken at once */
    acceptor_free(&acceptor);
    loop_free(&a->loop);
    close(fd);
}

static void is_what_was_sent(const struct params *params, struct slice bytes)
{
    struct reading should = read_params(bytes);
    must(strcmp(params->text, ADDED) == 0);
    const char *text = params->text + sizeof ADDED;
    size_t len = 0;
    while (text[len])
        len += strlen(text + len) + 1;
    if (!should.odd)
        must(len + 1 == should.len && memcmp(text, should.text, should.len) == 0);
    free(should.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {(const char *)data, size};
    struct arrival a = {0};
    log_open("fuzz", LOG_ERROR);
    enum record_progress progress = scan_all_beginnings(bytes);
    arrive(&a, bytes);
    must(!a.arrived || progress == RECORD_COMPLETE || progress == RECORD_PARAMS);
    if (a.arrived)
        is_what_was_sent(&a.params, bytes);
    params_release(&a.params);
    return 0;
}
