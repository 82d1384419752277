/* wire_frame.c - pure: bytes in, bytes out. */
#include "codec/wire_frame.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define HEADER_LEN 8u

void wire_add_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void wire_add_u16(struct buf *b, uint16_t v)
{
    char *p = buf_extend(b, 2);
    if (p)
        put_u16(p, v);
}

void wire_add_u32(struct buf *b, uint32_t v)
{
    char *p = buf_extend(b, 4);
    if (p)
        put_u32(p, v);
}

void wire_add_u64(struct buf *b, uint64_t v)
{
    char *p = buf_extend(b, 8);
    if (p)
        put_u64(p, v);
}

void wire_add_name(struct buf *b, struct slice name)
{
    wire_add_u16(b, (uint16_t)name.len);
    buf_put(b, name.data, name.len);
}

void wire_add_names(struct buf *b, const struct names *names)
{
    wire_add_u16(b, (uint16_t)names->count);
    for (size_t i = 0; i < names->count; i++)
        wire_add_name(b, names->items[i]);
}

void wire_begin(struct buf *b, enum wire_type type)
{
    b->len = 0;
    buf_put(b, WIRE_PREFIX, WIRE_PREFIX_LEN);
    wire_add_u32(b, (uint32_t)type);
}

const char *wire_take(struct wire_reader *r, size_t len)
{
    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        return NULL;
    }
    r->at += len;
    return r->at - len;
}

uint8_t wire_take_u8(struct wire_reader *r)
{
    const char *p = wire_take(r, 1);
    return p ? (uint8_t)*p : 0;
}

uint16_t wire_take_u16(struct wire_reader *r)
{
    const char *p = wire_take(r, 2);
    return p ? get_u16(p) : 0;
}

uint32_t wire_take_u32(struct wire_reader *r)
{
    const char *p = wire_take(r, 4);
    return p ? get_u32(p) : 0;
}

uint64_t wire_take_u64(struct wire_reader *r)
{
    const char *p = wire_take(r, 8);
    return p ? get_u64(p) : 0;
}

struct slice wire_take_name(struct wire_reader *r)
{
    size_t len = wire_take_u16(r);
    const char *p = wire_take(r, len);
    if (len > NAME_BYTES_MAX)
        r->failed = true;
    return p ? (struct slice){p, len} : (struct slice){0};
}

struct slice wire_take_names(struct wire_reader *r)
{
    uint16_t count = wire_take_u16(r);
    const char *start = r->at;
    while (count-- && !r->failed)
        wire_take_name(r);
    return (struct slice){start, (size_t)(r->at - start)};
}

struct slice wire_take_rest(struct wire_reader *r)
{
    struct slice rest = {r->at, (size_t)(r->end - r->at)};
    r->at = r->end;
    return rest;
}

struct wire_reader wire_reader_of(struct slice bytes)
{
    return (struct wire_reader){bytes.data, bytes.data ? bytes.data + bytes.len : NULL, false};
}

int wire_type(struct slice message)
{
    if (message.len < HEADER_LEN || memcmp(message.data, WIRE_PREFIX, WIRE_PREFIX_LEN) != 0)
        return -EPROTO;
    uint32_t type = get_u32(message.data + WIRE_PREFIX_LEN);
    return type >= WIRE_BATCH && type < WIRE_TYPES_END ? (int)type : -EPROTO;
}

struct wire_reader wire_open(struct slice message, enum wire_type type)
{
    if (wire_type(message) != (int)type)
        return (struct wire_reader){.failed = true};
    return wire_reader_of((struct slice){message.data + HEADER_LEN, message.len - HEADER_LEN});
}

int wire_verdict(const struct wire_reader *r)
{
    return r->failed || r->at != r->end ? -EPROTO : 0;
}

bool wire_step(struct wire_reader *r, struct slice *rest)
{
    rest->data = r->failed ? NULL : r->at;
    rest->len = r->failed ? 0 : (size_t)(r->end - r->at);
    return !r->failed;
}

bool wire_next_name(struct slice *rest, struct slice *name)
{
    struct wire_reader r = wire_reader_of(*rest);
    *name = wire_take_name(&r);
    return wire_step(&r, rest);
}
