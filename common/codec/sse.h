/* sse.h - the text/event-stream format: encoder and decoder.
 *
 * Source: WHATWG HTML Living Standard, section 9.2 "Server-sent events". Pure: bytes in, bytes out,
 * no I/O and no clock.
 */
#ifndef SSECAST_SSE_H
#define SSECAST_SSE_H

#include <stdint.h>

#include "base/slice.h"

/* One block. An empty id or event leaves its line out. */
struct sse_block {
    struct slice id;    /* holds no NUL, CR or LF */
    struct slice event; /* holds no CR or LF */
    struct slice data;  /* any bytes; LF, CR and CRLF each end a line */
    bool has_data;      /* false: no data line, so the browser dispatches nothing */
    bool has_retry;
    uint32_t retry; /* ms */
};

/* Bytes that sse_encode() will write for this block, the closing blank line included. */
size_t sse_encoded_size(const struct sse_block *block);

/* Write the block to out, which has room for sse_encoded_size() bytes. Returns the bytes
 * written. */
size_t sse_encode(const struct sse_block *block, char *out);

/* True when value can stand in an id: line: 1 to 255 bytes, no NUL, CR or LF. */
bool sse_valid_id(struct slice value);

/* True when value can stand in an event: line: no NUL, CR or LF, 255 bytes at most. */
bool sse_valid_event(struct slice value);

/* One decoded event. The slices are valid during the callback only. A NUL byte follows each that
 * is not empty. */
struct sse_event {
    struct slice type; /* "message" where the stream named none */
    struct slice data; /* lines joined by LF */
    struct slice id;   /* the last event id in force: it outlives its block */
    bool has_data;     /* false: only the id moved; a browser dispatches nothing */
};

struct sse_handler {
    void (*event)(void *context, const struct sse_event *event);
    void (*retry)(void *context, uint64_t ms);         /* may be NULL */
    void (*comment)(void *context, struct slice text); /* may be NULL */
    void *context;
};

struct sse_decoder;

/* A decoder that reports to handler (copied). NULL when out of memory. */
struct sse_decoder *sse_decoder_new(const struct sse_handler *handler);

void sse_decoder_free(struct sse_decoder **d);

/* Limit an event: more than max bytes of lines, name, data and id together are -EMSGSIZE. 0: no
 * limit, as at first. */
void sse_decoder_limit(struct sse_decoder *d, size_t max);

/* Set the last event id for the start of the stream; at first it is empty. 0 or -ENOMEM. */
int sse_decoder_set_id(struct sse_decoder *d, struct slice id);

/* Feed bytes, cut anywhere. 0, -EMSGSIZE or -ENOMEM. After an error the decoder is unusable:
 * every further call returns the same. */
int sse_decoder_feed(struct sse_decoder *d, const char *bytes, size_t len);

#endif
