/* reply.h - response heads and short answers, as texts for the web server. Pure: text in, text
 * out.
 *
 * Heads are in CGI form (a Status: line first), which is what FastCGI and CGI both want.
 *
 * Ownership: each function returns a new EVENT_TEXT for the caller, NULL when out of memory.
 */
#ifndef SSECAST_REPLY_H
#define SSECAST_REPLY_H

#include "stream/owner.h"
#include "stream/request.h"

struct reply_rules {
    const struct option_list *headers;      /* extra, "Name: value" */
    const struct option_list *cors_origins; /* as configured */
};

/* The head of an opened stream. connection may be NULL (HEAD). */
struct event *reply_stream(const struct reply_rules *rules, const struct request *r,
                           const char *connection);

/* A refused request: its status, with the error and its message as JSON. */
struct event *reply_refused(const struct reply_rules *rules, const struct request *r);

/* An answer that is no stream. */
struct answer {
    int status;
    const char *allow;   /* methods, with 405; NULL: no such header */
    const char *origin;  /* what Access-Control-Allow-Origin says; NULL: no such header */
    const char *headers; /* more of them: empty, or whole lines, each ended by CRLF */
    const char *type;    /* Content-Type */
    struct slice body;
    bool head; /* the answer to HEAD: the body's length and no body */
};

struct event *reply_answer(const struct reply_rules *rules, const struct answer *a);

/* 204: EventSource stops for good. */
struct event *reply_no_content(const struct reply_rules *rules, const struct request *r);

/* The answer to OPTIONS: what pages of origin (NULL: none) may send. */
struct event *reply_preflight(const struct reply_rules *rules, const char *origin,
                              const char *methods, const char *headers);

/* A whole response that only says when to come back: an overloaded worker's. */
struct event *reply_come_back(const struct reply_rules *rules, const struct request *r,
                              uint32_t retry_ms);

/* Where the web server goes on with a request inside itself: a path, the worker's own parameters
 * (NULL: none), then the request's query. Apache follows it (mod_proxy_scgi). */
struct event *reply_redirect(const char *path, const char *parameters, const char *query);

/* The longest that Apache reads is one line of 8,191 bytes. */
#define REPLY_REDIRECT_MAX 8000u       /* bytes of path, parameters and query */
#define REPLY_HEAD_PARAMETERS_MAX 600u /* bytes of reply_head_parameters() */

/* The parameters that tell Apache how to write the head of a stream whose socket it hands over.
 * Each is always there, in this order: the request's query, which follows, cannot stand for one.
 * The caller frees the text. NULL when out of memory. */
char *reply_head_parameters(const struct reply_rules *rules, const struct request *r,
                            const char *connection);

/* A block of the worker's own: how the stream begins, or where it is. */
struct block {
    bool padding; /* 2 KB of comment first, for polyfills */
    bool has_retry;
    uint32_t retry;  /* ms */
    struct slice id; /* moves the client's cursor; empty: does not */
    /* With an id: the event ssecast.checkpoint.
     * Else a block without data, which moves fewer cursors. */
    bool checkpoint;
    const char *connection;    /* the connection's id, for the checkpoint's data; NULL: `{}` */
    uint64_t heartbeat_ms;     /* beside connection */
    char owner[OWNER_LEN + 1]; /* beside connection; empty: not told */
};

struct event *reply_block(const struct block *b);

/* A comment, so that the stream is not idle. No empty line follows it: some libraries take that
 * for a message. */
struct event *reply_keep_alive(void);

/* The same for clients that see no comments: a checkpoint without an id, which leaves the cursor
 * where it is. */
struct event *reply_beat(void);

/* event: ssecast.gap. last is the client's cursor as it gave it; oldest is a seq. */
struct event *reply_gap(struct slice last, uint64_t oldest);

/* event: ssecast.expired. */
struct event *reply_expired(void);

/* event: ssecast.replaced, and when to come back. */
struct event *reply_replaced(uint32_t retry_ms);

/* NULL when value is a header line that may be added ("Name: value"), else what is accepted. */
const char *reply_check_header(const char *value);

#endif
