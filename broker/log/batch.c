#include "log/batch.h"

#include <errno.h>

#include "base/bytes.h"

static const char magic[4] = {'S', 'S', 'C', 'L'};

#define FORMAT 1
#define BEGINS 1

bool batch_same_name(const struct batch_name *a, const struct batch_name *b)
{
    return a->broker == b->broker && a->number == b->number;
}

void batch_put_header(char head[BATCH_HEADER_LEN], const struct batch *t)
{
    memset(head, 0, BATCH_HEADER_LEN);
    memcpy(head, magic, sizeof magic);
    head[4] = FORMAT;
    head[5] = t->begins ? BEGINS : 0;
    put_u64(head + 8, t->name.broker);
    put_u64(head + 16, t->name.number);
    put_u64(head + 24, t->predecessor.broker);
    put_u64(head + 32, t->predecessor.number);
    put_u64(head + 40, t->offset);
    put_u64(head + 48, t->position);
    put_u64(head + 56, t->incomplete);
}

int batch_get(struct slice message, struct batch *t)
{
    const char *head = message.data;
    if (message.len < BATCH_HEADER_LEN || memcmp(head, magic, sizeof magic) != 0 ||
        head[4] != FORMAT)
        return -EPROTO;
    *t = (struct batch){
        .name = {get_u64(head + 8), get_u64(head + 16)},
        .predecessor = {get_u64(head + 24), get_u64(head + 32)},
        .offset = get_u64(head + 40),
        .position = get_u64(head + 48),
        .incomplete = get_u64(head + 56),
        .begins = (head[5] & BEGINS) != 0,
        .entries = {head + BATCH_HEADER_LEN, message.len - BATCH_HEADER_LEN},
    };
    return 0;
}
