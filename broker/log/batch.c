#include "log/turn.h"

#include <errno.h>

#include "base/bytes.h"

static const char magic[4] = {'S', 'S', 'C', 'L'};

#define FORMAT 1
#define BEGINS 1

bool turn_same_name(const struct turn_name *a, const struct turn_name *b)
{
    return a->broker == b->broker && a->number == b->number;
}

void turn_put_head(char head[TURN_HEAD_LEN], const struct turn *t)
{
    memset(head, 0, TURN_HEAD_LEN);
    memcpy(head, magic, sizeof magic);
    head[4] = FORMAT;
    head[5] = t->begins ? BEGINS : 0;
    put_u64(head + 8, t->name.broker);
    put_u64(head + 16, t->name.number);
    put_u64(head + 24, t->forerunner.broker);
    put_u64(head + 32, t->forerunner.number);
    put_u64(head + 40, t->place);
    put_u64(head + 48, t->position);
    put_u64(head + 56, t->doubted);
}

int turn_get(struct slice message, struct turn *t)
{
    const char *head = message.data;
    if (message.len < TURN_HEAD_LEN || memcmp(head, magic, sizeof magic) != 0 || head[4] != FORMAT)
        return -EPROTO;
    *t = (struct turn){
        .name = {get_u64(head + 8), get_u64(head + 16)},
        .forerunner = {get_u64(head + 24), get_u64(head + 32)},
        .place = get_u64(head + 40),
        .position = get_u64(head + 48),
        .doubted = get_u64(head + 56),
        .begins = (head[5] & BEGINS) != 0,
        .entries = {head + TURN_HEAD_LEN, message.len - TURN_HEAD_LEN},
    };
    return 0;
}
