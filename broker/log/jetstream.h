/* jetstream.h - what is said to JetStream and what it says: requests, replies and acknowledgements. Pure text.
 *
 * JetStream is asked by messages to subjects of its own (`$JS.API...`), in JSON. Only what the journal needs is here: look for a stream, make
 * one, read it from a place on, look at one message, and append to it.
 */
#ifndef SSECAST_JETSTREAM_H
#define SSECAST_JETSTREAM_H

#include <stdint.h>

#include "base/json_out.h"

/* Error codes of JetStream that mean something to us. */
#define JETSTREAM_STREAM_NOT_FOUND 10059u
#define JETSTREAM_WRONG_LAST_SEQUENCE 10071u
#define JETSTREAM_NAME_IN_USE 10058u
#define JETSTREAM_NO_MESSAGE 10037u

#define JETSTREAM_WHY_MAX 256u
#define JETSTREAM_TIME_MAX 48u
#define JETSTREAM_BEGIN_LEN 64u

/* A stream as it is made. */
struct jetstream_stream {
    const char *name; /* also its one subject */
    uint64_t replicas;
    uint64_t max_messages, max_bytes, max_age_ms;
};

void jetstream_put_stream(struct buf *out, const struct jetstream_stream *s);

/* A reader of the stream from sequence `start` on, whose messages are sent to `deliver`: no acknowledgements, flow control, a heartbeat
 * each heartbeat_ms when idle, forgotten after a few seconds without a subscriber. */
void jetstream_put_consumer(struct buf *out, const char *stream, const char *deliver, uint64_t start,
                            uint64_t heartbeat_ms);

/* Ask for the message at this sequence. The stream's leader answers, whereas a reader may be at any server. */
void jetstream_put_get(struct buf *out, uint64_t sequence);

/* Any reply; what it does not say is 0 or empty. */
struct jetstream_reply {
    uint64_t code;  /* of an error: like an HTTP status; 0: no error */
    uint64_t error; /* JetStream's own number of it */
    char why[JETSTREAM_WHY_MAX];
    uint64_t sequence;                                      /* an acknowledgement: where the message stands */
    uint64_t first, last, messages;                         /* a stream's state */
    uint64_t replicas, max_messages, max_bytes, max_age_ms; /* its settings; 0: no limit */
    char created[JETSTREAM_TIME_MAX];
    char begin[JETSTREAM_BEGIN_LEN]; /* the first bytes of the message that was asked for ... */
    size_t begin_len;                /* ... and how many there are */
};

/* 0, or -EPROTO when text is no JSON object. */
int jetstream_get_reply(struct slice text, struct jetstream_reply *r);

/* What the reply subject of a delivered message says about it. */
struct jetstream_delivery {
    uint64_t sequence; /* in the stream */
    uint64_t count;    /* of messages this consumer was sent, with this one */
    int64_t unix_ms;   /* when it was stored */
};

/* False when subject is none of that kind. */
bool jetstream_get_delivery(const char *subject, struct jetstream_delivery *d);

#endif
