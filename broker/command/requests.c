#include "command/requests.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"

static size_t cost(const struct pending_request *r)
{
    return r->peer.len + r->envelope.len + r->user.len + r->frames[0].len + r->frames[1].len;
}

static int reserve(struct requests *r)
{
    struct pending_request **items =
        array_reserve(r->items, &r->cap, r->count + 1, sizeof(struct pending_request *));
    if (!items)
        return -ENOMEM;

    r->items = items;
    return 0;
}

static char *keep(char *p, struct slice *s)
{
    if (s->len)
        memcpy(p, s->data, s->len);
    s->data = p;
    return p + s->len;
}

int requests_put(struct requests *r, const struct pending_request *request)
{
    struct pending_request *copy = reserve(r) == 0 ? malloc(sizeof *copy + cost(request)) : NULL;
    if (!copy)
        return -ENOMEM;
    *copy = *request;
    char *p = keep((char *)(copy + 1), &copy->peer);
    p = keep(p, &copy->envelope);
    p = keep(p, &copy->user);
    p = keep(p, &copy->frames[0]);
    keep(p, &copy->frames[1]);
    r->items[r->count++] = copy;
    r->bytes += cost(copy);
    return 0;
}

void requests_drop(struct requests *r, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        r->bytes -= cost(r->items[i]);
        free(r->items[i]);
    }
    r->count -= count;
    if (count)
        memmove(r->items, r->items + count, r->count * sizeof(struct pending_request *));
}

void requests_release(struct requests *r)
{
    requests_drop(r, r->count);
    free(r->items);
    *r = (struct requests){0};
}
