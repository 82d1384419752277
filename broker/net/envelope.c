#include "net/envelope.h"

#include <string.h>

#include "base/must.h"

void envelope_begin(struct envelope *e)
{
    e->len = e->frames = 0;
}

bool envelope_add(struct envelope *e, struct slice frame)
{
    if (e->frames >= ENVELOPE_FRAMES || frame.len > ENVELOPE_FRAME_MAX)
        return false;
    MUST(e->len + 1 + frame.len < ENVELOPE_MAX);
    e->bytes[e->len++] = (char)frame.len;
    if (frame.len)
        memcpy(e->bytes + e->len, frame.data, frame.len);
    e->len += frame.len;
    e->frames++;
    return true;
}

struct slice envelope_end(struct envelope *e)
{
    MUST(e->len < ENVELOPE_MAX);
    e->bytes[e->len++] = 0;
    return (struct slice){e->bytes, e->len};
}

bool envelope_next(struct slice *rest, struct slice *frame)
{
    if (!rest->len)
        return false;
    size_t len = (unsigned char)rest->data[0];
    MUST(1 + len <= rest->len);
    *frame = (struct slice){rest->data + 1, len};
    *rest = (struct slice){rest->data + 1 + len, rest->len - 1 - len};
    return true;
}
