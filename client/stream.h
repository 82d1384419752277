/* stream.h - one response of an event stream over HTTP: the only user of libcurl.
 *
 * It opens the URL once and hands the body's bytes on until the stream ends. When to come back, and with which id, is its
 * caller's business.
 */
#ifndef SSECAST_STREAM_CLIENT_H
#define SSECAST_STREAM_CLIENT_H

#include <stdint.h>

#include "slice.h"

struct stream_request {
    const char *url;            /* http or https */
    const char *last_event_id;  /* NULL or "": none */
    const char *const *headers; /* "Name: value", header_count of them */
    size_t header_count;
    uint64_t connect_ms;                             /* how long connecting may take */
    int (*bytes)(void *context, struct slice bytes); /* nonzero: enough */
    void *context;
};

enum stream_end {
    STREAM_ENDED,       /* the server, or the network, ended an open stream */
    STREAM_ENOUGH,      /* bytes() had enough */
    STREAM_NO_CONTENT,  /* 204: the server asks not to come back */
    STREAM_REFUSED,     /* another status than 200, or not an event stream */
    STREAM_UNREACHABLE, /* there was no response */
    STREAM_BAD_URL,     /* the URL cannot be used at all */
};

struct stream_outcome {
    enum stream_end end;
    char message[256]; /* one line for people; empty after STREAM_ENOUGH */
};

/* Returns when the stream has ended. */
void stream_open(const struct stream_request *request, struct stream_outcome *outcome);

#endif
