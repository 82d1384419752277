/* wire_frame.h - what all messages between broker and worker are made of: the header, numbers,
 * names.
 *
 * For the files that write and read messages. It knows no message (wire.h).
 *
 * A reader that has failed stays so and gives zeros: a decoder looks once, at its end.
 *
 * Ownership: buffers and bytes are the caller's; slices point into the message.
 */
#ifndef SSECAST_WIRE_FRAME_H
#define SSECAST_WIRE_FRAME_H

#include "codec/wire.h"

/* Begin a message in the buffer, whose old content is dropped. */
void wire_begin(struct buf *b, enum wire_type type);

void wire_add_u8(struct buf *b, uint8_t v);
void wire_add_u16(struct buf *b, uint16_t v);
void wire_add_u32(struct buf *b, uint32_t v);
void wire_add_u64(struct buf *b, uint64_t v);
void wire_add_name(struct buf *b, struct slice name);
void wire_add_names(struct buf *b, const struct names *names); /* with their count */

struct wire_reader {
    const char *at, *end;
    bool failed;
};

/* Read the fields of a message. It has failed when the message is not of this type. */
struct wire_reader wire_open(struct slice message, enum wire_type type);

struct wire_reader wire_reader_of(struct slice bytes);

/* The next len bytes, or NULL with failed set. */
const char *wire_take(struct wire_reader *r, size_t len);

uint8_t wire_take_u8(struct wire_reader *r);
uint16_t wire_take_u16(struct wire_reader *r);
uint32_t wire_take_u32(struct wire_reader *r);
uint64_t wire_take_u64(struct wire_reader *r);

/* A name of NAME_BYTES_MAX bytes at most; may be empty. */
struct slice wire_take_name(struct wire_reader *r);

/* Skip a counted list of names. The result can be walked with wire_next_name(). */
struct slice wire_take_names(struct wire_reader *r);

/* Everything that is left. */
struct slice wire_take_rest(struct wire_reader *r);

/* 0 when the message was complete and had no further bytes, else -EPROTO. */
int wire_verdict(const struct wire_reader *r);

/* Leave in rest what r has not read; false when it ran out or failed. */
bool wire_step(struct wire_reader *r, struct slice *rest);

#endif
