#include "command/outbox.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/must.h"

/* Each reply: u8 peer length, u8 flags, u64 ref length, u64 body length, u64 request, u16 envelope
 * length, then peer, envelope, ref, body. */
#define HEAD_LEN 28u
#define PROVISIONAL 1
#define TO_WORKER 2
#define KEEP_BYTES ((size_t)4 << 20) /* a larger buffer is freed once it is empty */

void outbox_release(struct outbox *o)
{
    free(o->data);
    *o = (struct outbox){0};
}

void outbox_cut(struct outbox *o, size_t len)
{
    o->len = len;
}

size_t outbox_waiting(const struct outbox *o)
{
    MUST(o->read <= o->len && o->len <= o->cap);
    return o->len - o->read;
}

/* Move waiting replies to the front when more than half was read. So an outbox that is never empty
 * does not grow. */
static void pack(struct outbox *o)
{
    if (o->read <= o->len / 2)
        return;
    memmove(o->data, o->data + o->read, outbox_waiting(o));
    o->len -= o->read;
    o->read = 0;
}

static int reserve(struct outbox *o, size_t len)
{
    if (o->cap - o->len < len)
        pack(o);
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

int outbox_put(struct outbox *o, const struct outbox_reply *reply)
{
    MUST(reply->peer.len <= UINT8_MAX && reply->envelope.len <= UINT16_MAX);
    size_t len =
        HEAD_LEN + reply->peer.len + reply->envelope.len + reply->ref.len + reply->body.len;
    if (reserve(o, len) != 0)
        return -ENOMEM;
    char *p = o->data + o->len;
    p[0] = (char)reply->peer.len;
    p[1] = 0;
    if (reply->provisional)
        p[1] |= PROVISIONAL;
    if (reply->to_worker)
        p[1] |= TO_WORKER;
    put_u64(p + 2, reply->ref.len);
    put_u64(p + 10, reply->body.len);
    put_u64(p + 18, reply->request);
    put_u16(p + 26, (uint16_t)reply->envelope.len);
    p = put_slice(put_slice(p + HEAD_LEN, reply->peer), reply->envelope);
    put_slice(put_slice(p, reply->ref), reply->body);
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
    reply->provisional = (p[1] & PROVISIONAL) != 0;
    reply->to_worker = (p[1] & TO_WORKER) != 0;
    reply->request = get_u64(p + 18);
    reply->envelope = (struct slice){reply->peer.data + reply->peer.len, get_u16(p + 26)};
    reply->ref = (struct slice){reply->envelope.data + reply->envelope.len, (size_t)get_u64(p + 2)};
    reply->body = (struct slice){reply->ref.data + reply->ref.len, (size_t)get_u64(p + 10)};
    o->read = (size_t)(reply->body.data + reply->body.len - o->data);
    return true;
}
