#include "record.h"

#include <fastcgi.h>

static void header(char *out, uint8_t type, uint16_t request, uint16_t len)
{
    out[0] = FCGI_VERSION_1;
    out[1] = (char)type;
    out[2] = (char)(request >> 8);
    out[3] = (char)(request & 0xff);
    out[4] = (char)(len >> 8);
    out[5] = (char)(len & 0xff);
    out[6] = 0; /* padding */
    out[7] = 0;
}

void record_stdout(char out[RECORD_HEADER_LEN], uint16_t request, uint16_t len)
{
    header(out, FCGI_STDOUT, request, len);
}

void record_end(char out[RECORD_END_LEN], uint16_t request)
{
    header(out, FCGI_STDOUT, request, 0);
    header(out + 8, FCGI_END_REQUEST, request, 8);
    memset(out + 16, 0, 8); /* appStatus 0, FCGI_REQUEST_COMPLETE 0, reserved */
}

struct scan {
    bool begun, params_done, body_done;
    unsigned request;
};

/* The whole FCGI_BEGIN_REQUEST record at p. */
static bool begin_request(struct scan *s, const unsigned char *p, size_t content)
{
    bool first = !s->begun;
    s->begun = true;
    s->request = (unsigned)p[2] << 8 | p[3];
    return first && content == 8 && p[FCGI_HEADER_LEN] == 0 && p[FCGI_HEADER_LEN + 1] == FCGI_RESPONDER;
}

/* Take account of the record at p; false when it does not belong here. */
static bool step(struct scan *s, const unsigned char *p, size_t content)
{
    if (p[1] == FCGI_BEGIN_REQUEST)
        return begin_request(s, p, content);
    if (!s->begun || ((unsigned)p[2] << 8 | p[3]) != s->request)
        return false;
    switch (p[1]) {
    case FCGI_PARAMS:
        if (s->params_done)
            return false;
        s->params_done = content == 0;
        return true;
    case FCGI_STDIN:
        s->body_done = content == 0;
        return s->params_done;
    default:
        return false;
    }
}

enum record_progress record_scan(struct slice bytes)
{
    struct scan s = {0};
    const unsigned char *p = (const unsigned char *)bytes.data, *end = p + bytes.len;
    while (p < end && !s.body_done) {
        if (p[0] != FCGI_VERSION_1)
            return RECORD_BAD;
        if (end - p < FCGI_HEADER_LEN)
            break;
        size_t content = (size_t)p[4] << 8 | p[5];
        size_t len = FCGI_HEADER_LEN + content + p[6];
        if ((size_t)(end - p) < len && (p[1] != FCGI_STDIN || content == 0))
            break;
        if (!step(&s, p, content))
            return RECORD_BAD;
        if ((size_t)(end - p) < len)
            break;
        p += len;
    }
    return s.body_done ? RECORD_COMPLETE : s.params_done ? RECORD_PARAMS : RECORD_PARTIAL;
}
