/* ssecast.h - libssecast: publishes events to browsers through ssecast-broker, watches connections,
 * and reads event streams as a browser does.
 *
 * It has four independent parts:
 *
 *   publisher   sends requests to the broker's `commands` endpoints (ZeroMQ, JSON):
 *               ssecast_publisher_...
 *   presence    reports who connects and disconnects, from the broker's `presence` endpoint
 *               (ZeroMQ): ssecast_presence_...
 *   source      an EventSource over HTTP (libcurl): ssecast_source_...
 *   decoder     the text/event-stream format alone, without any I/O: ssecast_decoder_...
 *
 * It does *not* print, log, exit, install signal handlers or start threads of its own (libzmq has
 * one in the background for each publisher).
 *
 * Errors: functions that can fail return 0 or a negative errno. -EREMOTEIO means that the broker
 * refused the request: the reply has the code and the reason. On failure nothing has changed unless
 * said otherwise.
 *
 * Texts are UTF-8 and end with NUL. The caller zeroes option structs and sets what differs from the
 * default. Zero is always the default, and `reserved` stays zero. Arguments are copied before a
 * call returns.
 *
 * Threads: an object is used by one thread at a time; different objects are independent. The
 * exceptions: ssecast_source_close(), ssecast_source_state() and ssecast_presence_close() may be
 * called from anywhere at any time.
 *
 * Contracts behind it: docs/protocol.md of ssecast (commands, streams); WHATWG HTML Living
 * Standard, section 9.2 "Server-sent events". A tutorial is in docs/library.md.
 */
#ifndef SSECAST_H
#define SSECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SSECAST_API __attribute__((visibility("default")))

/* The version of the library at run time, such as "0.1.0". */
SSECAST_API const char *ssecast_version(void);

/* ---- events ---- */

/* Names of sessions, channels or connections: each 1 to 255 bytes without control characters. */
struct ssecast_names {
    const char *const *names;
    size_t count;
};

/* The targets of an event: the union of the lists. */
struct ssecast_target {
    struct ssecast_names sessions;
    struct ssecast_names channels;
    struct ssecast_names connections;
};

/* One event. At most one of json, text and bytes is set; with none of them the payload is the JSON
 * value null.
 *
 *     struct ssecast_event e = {.event = "order", .json = "{\"state\":\"sent\"}"};
 */
struct ssecast_event {
    /* The event's name: at most 255 bytes in one line. NULL or "": pages get it as "message". */
    const char *event;
    const char *json;  /* the payload as one JSON value; it is delivered byte for byte */
    const char *text;  /* the payload as text */
    const void *bytes; /* the payload as uninterpreted bytes (the fast path); not in a batch */
    size_t bytes_len;
    const struct ssecast_target *to;     /* NULL: everyone; empty lists: no connection */
    const struct ssecast_target *except; /* excluded from `to`; NULL: none */
    /* Your own id: 1 to 255 bytes of UTF-8 without control characters, without a blank at either
     * end, neither a number nor a list of numbers. The broker publishes an id once as long as it
     * retains the event. Other publishers may use the same id. Browsers get it as lastEventId, or
     * the seq when the id was used before. NULL: none. */
    const char *id;
    /* With has_retry: the new reconnection time of browsers, in ms; 100 to the broker's
     * max-retry (1 h). */
    uint32_t retry_ms;
    bool has_retry;
    bool remove; /* with key: deliver the event, and forget the key. Without key: "bad_request" */
    /* Through a channel of `to`, only streams whose token grants that channel get the event.
     * Without `to`: "bad_request". With a key it is a value beside the public one. */
    bool is_private;
    /* How long the event may be delivered, in seconds, at most 2,592,000 (30 days); 0: as long as
     * the broker retains it. After that no stream gets it, and the broker forgets its key. */
    uint32_t ttl_s;
    /* A keyed event is current state: it replaces the earlier event with the same key and target.
     * A stream that opens without a cursor first gets the newest event of each key. 1 to 255 bytes
     * of UTF-8 without control characters. The target is everyone, exactly one session, or exactly
     * one channel, without `except`; anything else is "bad_request". A new key beyond the broker's
     * state-events or state-bytes is "state_full". NULL: none. */
    const char *key;
    uint64_t reserved[4];
};

/* Ends streams. At least one list of targets should not be empty. */
struct ssecast_shutdown {
    struct ssecast_target whose;
    const char *reason; /* sent to the page; NULL: none */
    /* With has_block: how long the sessions in `whose` are refused, in seconds; otherwise the
     * broker's default, 60. */
    uint32_t block_s;
    bool has_block;
    uint64_t reserved[4];
};

/* ---- replies ---- */

/* A reply of the broker, reference counted. The caller owns a reply that a call returned, until
 * ssecast_reply_free(). A callback keeps its reply with ssecast_reply_ref(). Texts belong to the
 * reply. */
struct ssecast_reply;

SSECAST_API struct ssecast_reply *ssecast_reply_ref(struct ssecast_reply *reply);

/* Drop the reference and set *reply to NULL. NULL is allowed. */
SSECAST_API void ssecast_reply_free(struct ssecast_reply **reply);

SSECAST_API bool ssecast_reply_ok(const struct ssecast_reply *reply);

/* Why the request was refused: a code for programs ("bad_request", "too_large", "state_full",
 * "store_failed", ...) and a line for people. "" when it was accepted. */
SSECAST_API const char *ssecast_reply_code(const struct ssecast_reply *reply);
SSECAST_API const char *ssecast_reply_message(const struct ssecast_reply *reply);

/* Of a publish: the event's seq, 0 when there is none; and whether its id was published before. */
SSECAST_API uint64_t ssecast_reply_seq(const struct ssecast_reply *reply);
SSECAST_API bool ssecast_reply_duplicate(const struct ssecast_reply *reply);

/* Of a batch: write up to max seqs. Returns the number of seqs in the reply. */
SSECAST_API size_t ssecast_reply_seqs(const struct ssecast_reply *reply, uint64_t *seqs,
                                      size_t max);

/* A top-level number of the reply, or a boolean as 0 or 1: "online", "closed", "connections",
 * "head", a counter of "stats". 0, or -ENOENT when there is none of this name; *value is then
 * unchanged. */
SSECAST_API int ssecast_reply_number(const struct ssecast_reply *reply, const char *name,
                                     int64_t *value);

/* The complete reply as JSON, NUL-terminated. len (bytes) may be NULL. */
SSECAST_API const char *ssecast_reply_json(const struct ssecast_reply *reply, size_t *len);

/* ---- publisher ---- */

/* A client of the broker. Requests wait while no endpoint is reachable; libzmq reconnects by
 * itself. */
struct ssecast_publisher;

/* CURVE: encryption and authentication of both sides by ZeroMQ. Keys are 40 characters of Z85.
 * Used for tcp endpoints only. */
struct ssecast_curve {
    const char *server_key; /* the broker's public key; NULL: no CURVE at all */
    const char *public_key; /* our public key; NULL: derived from the secret key */
    const char *secret_key; /* NULL with public_key NULL: a new pair, if any key is admitted */
};

struct ssecast_publisher_options {
    /* "tcp://host:port" or "ipc:///path"; several: of one broker or cluster. One is used as long
     * as it answers. */
    const char *const *endpoints;
    size_t endpoint_count; /* 0: tcp://127.0.0.1:5570 */
    uint32_t timeout_ms;   /* from a request's submission to its reply; 0: 5000 */
    /* Resend an unanswered request after this time, if it is repeatable (see below); 0: 1000.
     * timeout_ms or more: never. */
    uint32_t retry_ms;
    uint32_t window; /* the largest number of pending requests; 0: 1000 */
    bool auto_id;    /* give events without an id a unique one, so that they are repeatable */
    struct ssecast_curve curve;
    uint64_t reserved[8];
};

/* Repeatable requests: queries, events that have an id, and batches in which all events have
 * one. The broker publishes an id once. Any other request is sent once: after -ETIMEDOUT it is
 * unknown whether the broker executed it. -EHOSTUNREACH: it was never sent, because no endpoint
 * was reachable in time. A resent event may be ordered behind events submitted after it. */

/* Called once for each submitted request, from within a call of the library, never from another
 * thread. err: 0; -EREMOTEIO when the broker refused; otherwise reply is NULL: -ETIMEDOUT,
 * -EHOSTUNREACH, -ECANCELED when the publisher was freed, or -EBADMSG when the peer is not a
 * broker. The callback may submit further requests. In it, calls that wait return -EDEADLK, and
 * the publisher must not be freed. */
typedef void ssecast_done(void *context, int err, struct ssecast_reply *reply);

/* Create a publisher and start to connect. options NULL: all defaults. 0; -EINVAL for an invalid
 * endpoint or key; -ENOMEM, -EMFILE, or another error of libzmq. */
SSECAST_API int ssecast_publisher_new(struct ssecast_publisher **publisher,
                                      const struct ssecast_publisher_options *options);

/* Free the publisher without waiting: pending requests complete with -ECANCELED. Sets *publisher
 * to NULL; NULL is allowed. Call ssecast_publisher_wait() before to let requests finish. */
SSECAST_API void ssecast_publisher_free(struct ssecast_publisher **publisher);

/* Send the request and wait for the reply. Other pending requests complete meanwhile. 0;
 * -EREMOTEIO; -ETIMEDOUT, -EHOSTUNREACH; or an error of the request itself: -EINVAL (two
 * payloads, bytes in a batch, invalid JSON, no events or too many), -EILSEQ (not UTF-8),
 * -EDEADLK, -ENOMEM. reply may be NULL. With 0 or -EREMOTEIO the caller owns *reply; otherwise
 * it is NULL. */
SSECAST_API int ssecast_publish(struct ssecast_publisher *publisher,
                                const struct ssecast_event *event, struct ssecast_reply **reply);

/* Publish 1 to 10,000 consecutive events, all or none. */
SSECAST_API int ssecast_publish_batch(struct ssecast_publisher *publisher,
                                      const struct ssecast_event *events, size_t count,
                                      struct ssecast_reply **reply);

/* End the streams of the targets. */
SSECAST_API int ssecast_shutdown(struct ssecast_publisher *publisher,
                                 const struct ssecast_shutdown *shutdown,
                                 struct ssecast_reply **reply);

/* Send any request of docs/protocol.md, given as its JSON object without "ref":
 * {"op":"online","session":"a"}. -EINVAL when json is not such an object. */
SSECAST_API int ssecast_query(struct ssecast_publisher *publisher, const char *json,
                              struct ssecast_reply **reply);

/* The same without waiting for the reply. done (may be NULL) is called later, from
 * ssecast_publisher_process() or a call that waits. The order of replies is unspecified, except
 * that replies to publishes of one connection come in the order of sending. 0; an error of the
 * request as above, or -EAGAIN when the window is full: done is then not called. */
SSECAST_API int ssecast_publish_async(struct ssecast_publisher *publisher,
                                      const struct ssecast_event *event, ssecast_done *done,
                                      void *context);
SSECAST_API int ssecast_publish_batch_async(struct ssecast_publisher *publisher,
                                            const struct ssecast_event *events, size_t count,
                                            ssecast_done *done, void *context);
SSECAST_API int ssecast_shutdown_async(struct ssecast_publisher *publisher,
                                       const struct ssecast_shutdown *shutdown, ssecast_done *done,
                                       void *context);
SSECAST_API int ssecast_query_async(struct ssecast_publisher *publisher, const char *json,
                                    ssecast_done *done, void *context);

/* For an event loop: a descriptor that is readable (level-triggered) when
 * ssecast_publisher_process() has work, and the timeout in ms after which it has work without
 * it: 0 now, -1 never. Get the timeout again before each wait. */
SSECAST_API int ssecast_publisher_fd(const struct ssecast_publisher *publisher);
SSECAST_API int ssecast_publisher_next_timeout(const struct ssecast_publisher *publisher);

/* Send, receive, complete and time out requests without waiting. Returns the number of completed
 * requests, or -EDEADLK. */
SSECAST_API int ssecast_publisher_process(struct ssecast_publisher *publisher);

/* Why requests cannot be sent, as a line for people; "" when no problem is known. After
 * -EHOSTUNREACH it says whether the broker refuses our key, requires one, or has another key.
 * Valid until the next call. */
SSECAST_API const char *ssecast_publisher_problem(const struct ssecast_publisher *publisher);

/* The number of pending requests. */
SSECAST_API size_t ssecast_publisher_pending(const struct ssecast_publisher *publisher);

/* Wait until at most `pending` requests are pending; 0 waits for all. 0; -ETIMEDOUT after
 * timeout_ms (negative: no limit; requests have timeouts of their own); -EDEADLK. */
SSECAST_API int ssecast_publisher_wait(struct ssecast_publisher *publisher, size_t pending,
                                       int timeout_ms);

/* Create a CURVE key pair: 40 characters and a NUL each. 0, or -ENOTSUP when libzmq lacks CURVE. */
SSECAST_API int ssecast_curve_keypair(char public_key[41], char secret_key[41]);

/* Read a key pair from a file of `ssecast keygen`, or from a file with a secret key alone on a
 * line. 0, or -EINVAL: the file is unreadable, has no secret key, or is world-readable. */
SSECAST_API int ssecast_curve_read(const char *file, char public_key[41], char secret_key[41]);

/* ---- presence ---- */

enum ssecast_presence_type {
    SSECAST_CONNECTED,
    SSECAST_DISCONNECTED,
    SSECAST_SESSION_ONLINE,  /* its first connection opened; reported after that */
    SSECAST_SESSION_OFFLINE, /* its last connection ended; reported after that */
};

/* A change of presence. Valid during the callback. */
struct ssecast_presence_event {
    enum ssecast_presence_type type;
    const char *session;    /* "": the connection has none; no session_... is reported for it */
    const char *connection; /* of session_...: the connection that caused the change */
    const char *const *channels;
    size_t channel_count;
    int64_t at; /* unix ms */
    /* Of an end: "client", "shutdown", "slow", "drain", "expired", "worker_lost", "replaced";
     * otherwise, and when unknown, "". */
    const char *cause;
    bool present;  /* the connection existed before the watch began */
    bool inferred; /* found by comparing snapshots; `at` of an end is then the time of that */
    /* The change as one JSON object, with the kept request values; json_len bytes and a NUL. */
    const char *json;
    size_t json_len;
};

/* The state of the watch. */
enum ssecast_presence_state {
    SSECAST_PRESENCE_COMPLETE, /* all existing connections were reported; changes follow */
    /* Messages were missed since the first one; a new snapshot finds the changes. */
    SSECAST_PRESENCE_MISSED,
    SSECAST_PRESENCE_RESTARTED,   /* the broker was restarted; a new snapshot follows */
    SSECAST_PRESENCE_UNREACHABLE, /* the broker does not answer; retrying */
};

struct ssecast_presence_options {
    const char *endpoint; /* "tcp://host:port" or "ipc:///path"; NULL: tcp://127.0.0.1:5573 */
    /* The commands endpoint, for snapshots; endpoint_count 0: tcp://127.0.0.1:5570. Its keys are
     * used for both endpoints. */
    struct ssecast_publisher_options commands;
    bool no_snapshot;  /* messages only: no existing connections, no recovery of missed changes */
    uint32_t check_ms; /* how often to check for missed changes while no message arrives; 0: 2000 */
    void (*event)(void *context, const struct ssecast_presence_event *event);
    /* missed: the number of missed changes, as far as known. message: a line for people. May be
     * NULL. */
    void (*state)(void *context, enum ssecast_presence_state state, uint64_t missed,
                  const char *message);
    void *context;
    uint64_t reserved[8];
};

/* Watches connections. Each change is reported once and in order, also when brokers, workers or
 * the network fail: missed changes are detected and recovered. */
struct ssecast_presence;

/* Create a watch and start to connect. 0; -EINVAL for an invalid endpoint or key, or without
 * `event`; -ENOMEM, -EMFILE. */
SSECAST_API int ssecast_presence_new(struct ssecast_presence **presence,
                                     const struct ssecast_presence_options *options);

/* Sets *presence to NULL; NULL is allowed. Not while ssecast_presence_run() runs. */
SSECAST_API void ssecast_presence_free(struct ssecast_presence **presence);

/* Watch until ssecast_presence_close(). All callbacks are called from here. 0 when closed;
 * -EREMOTEIO when the broker refused a request (`state` was given the reason); -ENOMEM. */
SSECAST_API int ssecast_presence_run(struct ssecast_presence *presence);

/* Stop: ssecast_presence_run() returns soon, and no callback follows the current one. May be
 * called from any thread, from callbacks, and from signal handlers. */
SSECAST_API void ssecast_presence_close(struct ssecast_presence *presence);

/* ---- decoder ---- */

/* One message of a stream. Valid during the callback only. Texts are NUL-terminated, but type
 * and data may contain NUL bytes: use the lengths (in bytes). Invalid UTF-8 is passed on
 * unchanged; a browser would show U+FFFD. */
struct ssecast_message {
    const char *type; /* "message" when the stream has no event: line */
    size_t type_len;
    const char *data; /* lines joined by LF */
    size_t data_len;
    const char *id; /* the last event id in force, "" when there is none; it has no NUL, CR or LF */
    size_t id_len;
};

/* Callbacks. All but message may be NULL. An event ssecast.checkpoint is reported to `id` only. */
struct ssecast_decoder_handler {
    void (*message)(void *context, const struct ssecast_message *message);
    /* A checkpoint, or a block without data, changed the position. */
    void (*id)(void *context, const char *id, size_t len);
    void (*retry)(void *context, uint64_t ms); /* the reconnection time of the stream */
    /* The text behind the colon; not NUL-terminated. */
    void (*comment)(void *context, const char *text, size_t len);
    void *context;
};

/* Decodes the format as the standard specifies. Input may be cut anywhere. */
struct ssecast_decoder;

/* handler is copied. max_event_bytes limits the memory of one event: its lines, name, id and
 * data together; 0: 16 MiB. 0 or -ENOMEM. */
SSECAST_API int ssecast_decoder_new(struct ssecast_decoder **decoder,
                                    const struct ssecast_decoder_handler *handler,
                                    size_t max_event_bytes);

/* Sets *decoder to NULL; NULL is allowed. Not from within a callback. */
SSECAST_API void ssecast_decoder_free(struct ssecast_decoder **decoder);

/* Decode len bytes. 0; -EMSGSIZE when an event is too large; -ENOMEM. After an error every
 * further call returns the same, until ssecast_decoder_reset(). */
SSECAST_API int ssecast_decoder_feed(struct ssecast_decoder *decoder, const void *bytes,
                                     size_t len);

/* Start a new stream: discard the incomplete block and expect a byte order mark. The last event
 * id remains, as in a browser that reconnects. */
SSECAST_API void ssecast_decoder_reset(struct ssecast_decoder *decoder);

/* The last event id of the last complete block, "" when there was none; valid until the next
 * call. */
SSECAST_API const char *ssecast_decoder_last_id(const struct ssecast_decoder *decoder);

/* Set the last event id. 0; -EINVAL when id contains CR or LF; -ENOMEM. */
SSECAST_API int ssecast_decoder_set_last_id(struct ssecast_decoder *decoder, const char *id);

/* ---- source ---- */

/* The ready states of EventSource, with its numbers. */
enum ssecast_state { SSECAST_CONNECTING = 0, SSECAST_OPEN = 1, SSECAST_CLOSED = 2 };

/* Why the stream ended or did not open. After the first two the source reconnects; the others
 * are final, as the standard specifies. */
enum ssecast_end {
    SSECAST_ENDED,       /* the server or the network ended an open stream */
    SSECAST_UNREACHABLE, /* no response */
    SSECAST_NO_CONTENT,  /* 204: the server asks not to reconnect */
    SSECAST_REFUSED,     /* a status other than 200, or a type other than text/event-stream */
    SSECAST_BAD_URL,     /* the URL is invalid or unsupported */
    SSECAST_TOO_LARGE,   /* an event exceeds max_event_bytes; reconnecting would bring it again */
    SSECAST_NO_MEMORY,
    SSECAST_EXPIRED,    /* the stream's token has expired (ssecast.expired) */
    SSECAST_NO_LIBCURL, /* libcurl cannot be loaded; the message says why */
};

struct ssecast_source_error {
    enum ssecast_state state; /* SSECAST_CONNECTING: it reconnects. SSECAST_CLOSED: it does not */
    enum ssecast_end end;
    int status;          /* of HTTP; 0: no response */
    const char *message; /* one line for people; a refusal's includes text of the server */
    uint64_t wait_ms;    /* with SSECAST_CONNECTING: the time until it reconnects */
};

/* An EventSource: opens a URL, reports messages, and reconnects. */
struct ssecast_source;

#define SSECAST_NO_JITTER UINT32_MAX

struct ssecast_source_options {
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value", sent with each request; not Last-Event-ID */
    size_t header_count;
    const char *last_event_id; /* resume after this event; NULL: none */
    const char *start;         /* where to begin without one: ssecast_source_new(); NULL: now */
    const char *ca_file;       /* PEM file of trusted CA certificates; NULL: the system's */
    size_t max_event_bytes;    /* as with the decoder; 0: 16 MiB */
    /* For connecting, and again for the response's headers; 0: 30000. */
    uint32_t connect_timeout_ms;
    uint32_t idle_timeout_ms; /* reconnect after this time without any byte; 0: never */
    uint32_t retry_ms;        /* reconnection time, until the server sends `retry`; 0: 3000 */
    /* Each consecutive failure doubles the wait, up to this or the server's `retry`, whichever
     * is more; 0: 60000. */
    uint32_t backoff_max_ms;
    uint32_t jitter_percent;     /* random addition to each wait; 0: 25; SSECAST_NO_JITTER: none */
    void (*open)(void *context); /* a stream opened, before its first message; may be NULL */
    void (*error)(void *context, const struct ssecast_source_error *error); /* see above; or NULL */
    void *context;                                                          /* of the callbacks */
    uint64_t reserved[7];
};

/* Create a source without opening it. `start` is added to the URL's query until the stream has an
 * id: "from=earliest", "last=N" (the newest N events, 1 to 1000) or "since=T" (unix time in ms, or
 * RFC 3339). 0; -EINVAL: no url, a header without a colon or with a line break, an id with a line
 * break, another start; -ENOMEM, -EMFILE. */
SSECAST_API int ssecast_source_new(struct ssecast_source **source,
                                   const struct ssecast_source_options *options);

/* Sets *source to NULL; NULL is allowed. Not while ssecast_source_run() runs: close the source
 * and join that thread first. */
SSECAST_API void ssecast_source_free(struct ssecast_source **source);

/* Call message for each message of this type; type NULL: of every type but ssecast.checkpoint.
 * Several listeners of one type are called in the order they were added. Call it before
 * ssecast_source_run() or from a callback. 0 or -ENOMEM. */
SSECAST_API int ssecast_source_on(struct ssecast_source *source, const char *type,
                                  void (*message)(void *context,
                                                  const struct ssecast_message *message),
                                  void *context);

/* Open the stream, report messages, and reconnect until it is closed or fails for good. All
 * callbacks are called from here. 0 when it was closed or the server asked not to reconnect
 * (204); -EPROTO when the server refused; -EKEYEXPIRED when the token expired; -EINVAL for an
 * invalid URL; -ELIBACC without libcurl; -EMSGSIZE, -ENOMEM. It may be called again and then
 * resumes after the last event. */
SSECAST_API int ssecast_source_run(struct ssecast_source *source);

/* Close: no message follows the current callback, and ssecast_source_run() returns. May be
 * called from any thread, from callbacks, from signal handlers, and more than once. When no run
 * is active, the next one returns at once. */
SSECAST_API void ssecast_source_close(struct ssecast_source *source);

/* SSECAST_CLOSED before the first and after the last run. */
SSECAST_API enum ssecast_state ssecast_source_state(const struct ssecast_source *source);

/* The Last-Event-ID of the next request; "" for none. Call it from callbacks or while no run is
 * active. Valid until the next event. */
SSECAST_API const char *ssecast_source_last_event_id(const struct ssecast_source *source);

#ifdef __cplusplus
}
#endif

#endif
