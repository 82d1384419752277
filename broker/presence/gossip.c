#include "presence/gossip.h"

#include <errno.h>

#include "base/bytes.h"

#define FORMAT 1

static const char magic[4] = {'S', 'S', 'C', 'G'};

/* --- writing --- */

static void put_head(char *p, const struct gossip *m, unsigned part, unsigned parts)
{
    memset(p, 0, GOSSIP_HEAD_LEN);
    memcpy(p, magic, sizeof magic);
    p[4] = FORMAT;
    p[5] = (char)m->type;
    put_u16(p + 6, (uint16_t)part);
    put_u64(p + 8, m->epoch);
    put_u64(p + 16, m->number);
    put_u16(p + 24, (uint16_t)m->name.len);
    put_u16(p + 26, (uint16_t)parts);
}

unsigned gossip_put(struct buf *b, const struct gossip *m, unsigned part, size_t max)
{
    size_t head = GOSSIP_HEAD_LEN + m->name.len, room = max - head;
    size_t parts = m->body.len ? (m->body.len + room - 1) / room : 1;
    size_t from = part * room, left = m->body.len - from, len = left < room ? left : room;
    char fixed[GOSSIP_HEAD_LEN];
    b->len = 0;
    if (parts > GOSSIP_PARTS_MAX || m->body.len > GOSSIP_BYTES_MAX)
        return 0;
    put_head(fixed, m, part, (unsigned)parts);
    wire_add_bytes(b, (struct slice){fixed, sizeof fixed});
    wire_add_bytes(b, m->name);
    if (len)
        wire_add_bytes(b, (struct slice){m->body.data + from, len});
    return (unsigned)parts;
}

/* --- reading --- */

struct part {
    struct gossip m; /* its body: of this part */
    unsigned index, count;
};

static int read_part(struct slice bytes, struct part *p)
{
    const char *at = bytes.data;
    if (bytes.len < GOSSIP_HEAD_LEN || memcmp(at, magic, sizeof magic) != 0 || at[4] != FORMAT)
        return -EPROTO;
    size_t name = get_u16(at + 24), head = GOSSIP_HEAD_LEN + name;
    *p = (struct part){
        .m = {.type = (enum gossip_type)at[5],
              .epoch = get_u64(at + 8),
              .number = get_u64(at + 16)},
        .index = get_u16(at + 6),
        .count = get_u16(at + 26),
    };
    bool sound = p->m.type >= GOSSIP_HERE && p->m.type <= GOSSIP_BYE && name <= NAME_BYTES_MAX &&
                 head <= bytes.len && p->index < p->count && p->count <= GOSSIP_PARTS_MAX &&
                 p->m.epoch && !get_u32(at + 28);
    if (!sound)
        return -EPROTO;
    p->m.name = (struct slice){at + GOSSIP_HEAD_LEN, name};
    p->m.body = (struct slice){at + head, bytes.len - head};
    return 0;
}

int gossip_sender(struct slice part, uint64_t *epoch)
{
    struct part p;
    int err = read_part(part, &p);
    *epoch = err ? 0 : p.m.epoch;
    return err;
}

static int append(struct buf *b, struct slice bytes)
{
    if (b->len + bytes.len > GOSSIP_BYTES_MAX)
        return -EPROTO;
    wire_add_bytes(b, bytes);
    return b->failed ? -ENOMEM : 0;
}

int gossip_join(struct gossip_whole *w, struct slice bytes, struct gossip *m)
{
    struct part p;
    int err = read_part(bytes, &p);
    if (err)
        return err;
    if (p.index == 0) {
        buf_release(&w->body);
        w->number = p.m.number;
        w->next = 0;
    }
    if (p.m.number != w->number || p.index != w->next)
        return -EAGAIN; /* an earlier part was lost */
    *m = p.m;
    if (p.count == 1)
        return 0;
    w->next++;
    err = append(&w->body, p.m.body);
    if (err || w->next < p.count) {
        w->number = err ? 0 : w->number;
        return err ? err : -EAGAIN;
    }
    m->body = (struct slice){w->body.data, w->body.len};
    return 0;
}
