/* http_stream.h - one response of an event stream over HTTP, on libcurl.
 *
 * It opens the URL once and passes on the body's bytes until the stream ends. The caller decides
 * when to reconnect and with which id.
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
    uint32_t connect_ms; /* timeout for connecting, and then for the response's headers */
    uint32_t idle_ms;    /* timeout without any byte on an open stream; 0: none */
    int stop_fd;         /* when readable, the transfer ends */
    void (*opened)(void *context);
    int (*bytes)(void *context, struct slice bytes); /* nonzero ends the transfer */
    void *context;
};

struct http_stream_outcome {
    bool enough; /* ended by this side; nothing else is reported */
    enum ssecast_end end;
    int status;        /* of HTTP, 0: there was no response */
    char message[256]; /* one line for people */
};

/* Returns when the stream has ended. */
void http_stream_open(const struct http_stream_request *request,
                      struct http_stream_outcome *outcome);

#endif
