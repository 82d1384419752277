#include "outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "bytes.h"

/* Each reply: u8 peer length, u8 flags, u64 ref length, u64 body length, u64 request, then peer, ref, body. */
#define HEAD_LEN 26u
#define DELIMITER 1
#define PROVISIONAL 2
#define TO_WORKER 4
#define KEEP_BYTES ((size_t)4 << 20) /* a larger buffer is given back after the turn */

void outbox_release(struct outbox *o)
{
    free(o->data);
    *o = (struct outbox){0};
}

void outbox_cut(struct outbox *o, size_t len)
{
    o->len = len;
}

static int reserve(struct outbox *o, size_t len)
{
    if (o->cap - o->len >= len)
        return 0;
    size_t cap = (o->len + len) * 2;
    char *data = realloc(o->data, cap);
    if (!data)
        return -ENOMEM;
    o->data = data;
    o->cap = cap;
    return 0;
}

static char *put_slice(char *p, struct slice s)
{
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

int outbox_put(struct outbox *o, const struct outbox_reply *reply)
{
    size_t len = HEAD_LEN + reply->peer.len + reply->ref.len + reply->body.len;
    if (reserve(o, len) != 0)
        return -ENOMEM;
    char *p = o->data + o->len;
    p[0] = (char)reply->peer.len;
    p[1] = (char)((reply->delimiter ? DELIMITER : 0) | (reply->provisional ? PROVISIONAL : 0) |
                  (reply->to_worker ? TO_WORKER : 0));
    put_u64(p + 2, reply->ref.len);
    put_u64(p + 10, reply->body.len);
    put_u64(p + 18, reply->request);
    put_slice(put_slice(put_slice(p + HEAD_LEN, reply->peer), reply->ref), reply->body);
    o->len += len;
    return 0;
}

bool outbox_next(struct outbox *o, struct outbox_reply *reply)
{
    if (o->read == o->len) {
        o->read = o->len = 0;
        if (o->cap > KEEP_BYTES)
            outbox_release(o);
        return false;
    }
    const char *p = o->data + o->read;
    reply->peer = (struct slice){p + HEAD_LEN, (uint8_t)p[0]};
    reply->delimiter = (p[1] & DELIMITER) != 0;
    reply->provisional = (p[1] & PROVISIONAL) != 0;
    reply->to_worker = (p[1] & TO_WORKER) != 0;
    reply->request = get_u64(p + 18);
    reply->ref = (struct slice){reply->peer.data + reply->peer.len, (size_t)get_u64(p + 2)};
    reply->body = (struct slice){reply->ref.data + reply->ref.len, (size_t)get_u64(p + 10)};
    o->read += HEAD_LEN + reply->peer.len + reply->ref.len + reply->body.len;
    return true;
}
