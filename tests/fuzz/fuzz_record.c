/* A FastCGI request, as it arrives from whoever connects to a worker: a judgement stands when more
 * comes; and the whole way, through a socket and libfcgi, gives parameters only for what is a
 * request, the very ones that a second reader finds in its records, whether they come at once or in
 * pieces.
 *
 * Input: the bytes of one connection. */
#include <fastcgi.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "http/intake.h"
#include "ops/log.h"

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

/* Asked anew for each beginning, and by one who goes on where it was. */
static void scan_all_beginnings(struct slice bytes)
{
    enum record_progress before = RECORD_PARTIAL;
    struct record_scan on = {0};
    for (size_t len = 0; len <= bytes.len; len++) {
        struct slice beginning = {bytes.data, len};
        struct record_scan anew = {0};
        beginning.data = exact_copy(beginning);
        enum record_progress after = record_scan(&anew, beginning);
        must(before == RECORD_BAD || record_scan(&on, beginning) == after);
        must(may_become(before, after));
        must(anew.params_end <= len && anew.at <= len);
        before = after;
        free((char *)beginning.data);
    }
}

/* --- a second reader of the parameters --- */

struct reading {
    char *text; /* NAME=value, each with its NUL */
    size_t len;
    bool beyond; /* a length points beyond the end */
    bool odd;    /* a NUL within, or no name: what libfcgi makes of it is its affair */
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
        bool of_request = p[2] || p[3], params = p[1] == FCGI_PARAMS && of_request;
        if (params && content == 0)
            break;
        must((size_t)(end - p) >= whole);
        if (params) {
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
    *length = width == 1
                  ? *p
                  : ((size_t)(*p & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
    *rest = (struct slice){rest->data + width, rest->len - width};
    return true;
}

static struct reading read_params(struct slice bytes)
{
    struct slice stream = stream_of_params(bytes), rest = stream;
    struct reading r = {.text = malloc(2 * stream.len + 2)};
    size_t name, value;
    must(r.text);
    while (rest.len && !r.beyond) {
        r.beyond = !take_length(&rest, &name) || !take_length(&rest, &value) || name > rest.len ||
                   value > rest.len - name;
        if (r.beyond)
            break;
        r.odd = r.odd || memchr(rest.data, 0, name + value) != NULL || name == 0;
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

/* --- the whole way: through a socket and libfcgi --- */

#define ADDED "FCGI_ROLE=RESPONDER" /* libfcgi's own, in front */
#define BODY_MAX 40u

static bool has_body(const struct params *params)
{
    const char *method = params_get(params, "REQUEST_METHOD");
    return method && strcmp(method, "POST") == 0;
}

static size_t body_max(void *context, struct params *params)
{
    (void)context;
    return has_body(params) ? BODY_MAX : 0;
}

/* Two connected sockets: what is sent on the first arrives on the second. */
static void connect_pair(int pair[2])
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
}

static void send_all(int fd, struct slice bytes)
{
    must(!bytes.len || send(fd, bytes.data, bytes.len, MSG_NOSIGNAL) == (ssize_t)bytes.len);
}

/* A request that is there when it is looked at. */
static bool at_once(struct intakes *set, struct slice bytes, struct params *out)
{
    int pair[2];
    connect_pair(pair);
    send_all(pair[0], bytes);
    enum intake_progress progress = bytes.len ? intake_at_once(set, pair[1], out) : INTAKE_WAITING;
    close(pair[0]);
    if (progress != INTAKE_BROKEN)
        must(close(pair[1]) == 0);
    must(set->held == 0);
    return progress == INTAKE_READY;
}

/* The same in pieces. */
static bool in_pieces(struct intakes *set, struct slice bytes, size_t piece, struct params *out)
{
    int pair[2];
    struct intake in = {0};
    enum intake_progress progress = INTAKE_WAITING;
    connect_pair(pair);
    for (size_t at = 0; at < bytes.len && progress == INTAKE_WAITING; at += piece) {
        send_all(pair[0],
                 (struct slice){bytes.data + at, bytes.len - at < piece ? bytes.len - at : piece});
        progress = intake_more(set, &in, pair[1], out);
        must(set->held <= in.size && set->held <= set->room); /* the first bytes of each are free */
    }
    if (progress == INTAKE_WAITING)
        progress = intake_give_up(set, &in, out);
    must(progress != INTAKE_WAITING);
    intake_release(set, &in);
    must(set->held == 0);
    close(pair[0]);
    close(pair[1]);
    return progress == INTAKE_READY;
}

static size_t length_of(const char *text)
{
    size_t len = 0;
    while (text[len])
        len += strlen(text + len) + 1;
    return len + 1;
}

static void is_what_was_sent(const struct params *params, struct slice bytes)
{
    struct reading should = read_params(bytes);
    must(!should.beyond && strcmp(params->text, ADDED) == 0);
    const char *text = params->text + sizeof ADDED;
    if (!should.odd)
        must(length_of(text) == should.len && memcmp(text, should.text, should.len) == 0);
    must(params->body_len <= BODY_MAX && (params->body_state == BODY_NONE || has_body(params)));
    free(should.text);
}

static void are_the_same(const struct params *a, const struct params *b)
{
    must(length_of(a->text) == length_of(b->text) &&
         memcmp(a->text, b->text, length_of(a->text)) == 0);
    must(a->request == b->request);
    if (a->body_state == BODY_WHOLE && b->body_state == BODY_WHOLE)
        must(a->body_len == b->body_len &&
             (!a->body_len || memcmp(a->body, b->body, a->body_len) == 0));
}

static void arrive(struct slice bytes)
{
    struct intakes set = {.body_max = body_max, .room = 16384};
    struct params once = {0}, pieces = {0};
    bool first = at_once(&set, bytes, &once),
         second = in_pieces(&set, bytes, 1 + bytes.len / 5, &pieces);
    if (first)
        is_what_was_sent(&once, bytes);
    if (second)
        is_what_was_sent(&pieces, bytes);
    if (first && second)
        are_the_same(&once, &pieces);
    params_release(&once);
    params_release(&pieces);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_open("fuzz", LOG_ERROR);
    return intake_init();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {(const char *)data, size};
    scan_all_beginnings(bytes);
    arrive(bytes);
    return 0;
}
