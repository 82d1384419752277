/* http_stream.h - one response of an event stream over HTTP: the only user of libcurl.
 *
 * It opens the URL once and hands the body's bytes on until the stream ends. When to come back, and with which id, is its
 * caller's business.
 */
#ifndef SSECAST_HTTP_STREAM_H
#define SSECAST_HTTP_STREAM_H

#include <stdint.h>

#include "base/slice.h"
#include "lib/ssecast.h"

struct http_stream_request {
    const char *url;            /* http or https */
    const char *last_event_id;  /* "": none */
    const char *const *headers; /* "Name: value", header_count of them */
    size_t header_count;
    const char *ca_file; /* NULL: the system's */
    uint32_t connect_ms; /* how long connecting may take */
    uint32_t idle_ms;    /* how long an open stream may be silent; 0: for ever */
    int stop_fd;         /* when it is readable there is enough */
    void (*opened)(void *context);
    int (*bytes)(void *context, struct slice bytes); /* nonzero: enough */
    void *context;
};

struct http_stream_outcome {
    bool enough; /* we ended it; nothing else is told */
    enum ssecast_end end;
    int status;        /* of HTTP, 0: there was no response */
    char message[256]; /* one line for people */
};

/* Returns when the stream has ended. */
void http_stream_open(const struct http_stream_request *request, struct http_stream_outcome *outcome);

#endif
