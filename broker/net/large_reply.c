#include "net/large_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* libzmq frees it after sending. */
struct large_reply {
    atomic_size_t *waiting;
    size_t len;
    char bytes[];
};

static void free_large(void *bytes, void *hint)
{
    struct large_reply *l = hint;
    (void)bytes;
    unread_release(l->waiting, l->len);
    free(l);
}

int large_reply_make(struct unread *unread, struct slice peer, struct slice body, zmq_msg_t *out)
{
    struct large_reply *l = malloc(sizeof *l + body.len);
    if (!l)
        return -ENOMEM;

    atomic_size_t *waiting = unread_reserve(unread, peer, body.len);
    if (!waiting) {
        free(l);
        return -EAGAIN;
    }

    *l = (struct large_reply){waiting, body.len};
    memcpy(l->bytes, body.data, body.len);
    if (zmq_msg_init_data(out, l->bytes, l->len, free_large, l) == 0)
        return 0;

    free_large(NULL, l);
    return -ENOMEM;
}
