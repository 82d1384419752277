/* jetstream.h - encodes requests to JetStream, and decodes its replies and acknowledgements. Pure
 * text.
 *
 * Requests are JSON messages to the subjects `$JS.API...`. Only those of the journal are here:
 * inspect and create a stream, read it from a sequence on, get one message, and append.
 */
#ifndef SSECAST_JETSTREAM_H
#define SSECAST_JETSTREAM_H

#include <stdint.h>

#include "base/json_out.h"

/* Error codes of JetStream that the journal handles. */
#define JETSTREAM_STREAM_NOT_FOUND 10059u
#define JETSTREAM_WRONG_LAST_SEQUENCE 10071u
#define JETSTREAM_NAME_IN_USE 10058u
#define JETSTREAM_NO_MESSAGE 10037u
#define JETSTREAM_NO_REPLICAS 10074u /* replicas: one server alone has none */
#define JETSTREAM_NO_PEERS 10005u    /* fewer servers than replicas */
#define JETSTREAM_NO_ACCOUNT 10039u  /* JetStream is not enabled for the account ... */
#define JETSTREAM_NOT_ENABLED 10076u /* ... or for the server */

#define JETSTREAM_UNAVAILABLE 503u /* a code, not an error's number */

#define JETSTREAM_WHY_MAX 256u
#define JETSTREAM_TIME_MAX 48u
#define JETSTREAM_BEGIN_LEN 64u

/* The settings of a new stream. */
struct jetstream_stream {
    const char *name; /* also its one subject */
    uint64_t replicas;
    uint64_t max_messages, max_bytes, max_age_ms;
};

void jetstream_put_stream(struct buf *out, const struct jetstream_stream *s);

/* A consumer of the stream from sequence `start` on that delivers to the subject `deliver`: without
 * acknowledgements, with flow control and a heartbeat each heartbeat_ms when idle. The server
 * deletes it after a few seconds without a subscriber. */
void jetstream_put_consumer(struct buf *out, const char *stream, const char *deliver,
                            uint64_t start, uint64_t heartbeat_ms);

/* Get the message at this sequence. The leader of the stream answers, while a consumer may be at
 * any server. */
void jetstream_put_get(struct buf *out, uint64_t sequence);

/* Any reply; missing fields are 0 or empty. While a stream has no leader, each server tells the
 * state of its own copy, which may lack messages. Such a reply counts as an error:
 * JETSTREAM_UNAVAILABLE. */
struct jetstream_reply {
    uint64_t code;  /* of an error, like an HTTP status; 0: no error */
    uint64_t error; /* the error code of JetStream */
    char why[JETSTREAM_WHY_MAX];
    /* An acknowledgement: of the stored message. */
    uint64_t sequence;
    uint64_t first, last, messages;                         /* the state of a stream */
    uint64_t replicas, max_messages, max_bytes, max_age_ms; /* its settings; 0: no limit */
    char created[JETSTREAM_TIME_MAX];
    char begin[JETSTREAM_BEGIN_LEN]; /* the first bytes of the requested message ... */
    size_t begin_len;                /* ... and their number */
};

/* 0, or -EPROTO when text is no JSON object. */
int jetstream_get_reply(struct slice text, struct jetstream_reply *r);

/* The fields in the reply subject of a delivered message. */
struct jetstream_delivery {
    uint64_t sequence; /* in the stream */
    uint64_t count;    /* of messages that this consumer was sent, this one included */
    int64_t unix_ms;   /* when it was stored */
};

/* False when subject is not of this form. */
bool jetstream_get_delivery(const char *subject, struct jetstream_delivery *d);

#endif
