/* ssecast.h - libssecast: publish events to browsers through ssecast-broker, see who is connected, and read event streams as a browser
 * does.
 *
 * Four parts that do not need each other:
 *
 *   publisher   sends requests to the broker's `commands` endpoints (ZeroMQ, JSON): ssecast_publisher_...
 *   presence    who comes and goes, from the broker's `presence` endpoint (ZeroMQ): ssecast_presence_...
 *   source      an EventSource over HTTP (libcurl): ssecast_source_...
 *   decoder     the text/event-stream format alone, without any I/O: ssecast_decoder_...
 *
 * It does *not* print, log, exit, install signal handlers or start threads of its own (libzmq has one in the background for each
 * publisher).
 *
 * Errors: what can fail returns 0 or a negative errno. -EREMOTEIO means that the broker answered and refused: the reply says
 * with which code and why. On failure nothing has changed unless said otherwise.
 *
 * Texts are UTF-8 and end with NUL. Structs of options are zeroed by the caller, who sets what differs from the default; zero
 * is always the default, and `reserved` stays zero. Everything passed in is copied before a call returns.
 *
 * Threads: an object is used by one thread at a time, different objects by as many as you like. The exceptions:
 * ssecast_source_close(), ssecast_source_state() and ssecast_presence_close() may be called from anywhere at any time.
 *
 * Contracts behind it: docs/protocol.md of ssecast (commands, streams); WHATWG HTML Living Standard, section 9.2 "Server-sent
 * events". A tutorial is in docs/library.md.
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

/* The version of the library that runs, "0.1.0". */
SSECAST_API const char *ssecast_version(void);

/* ---- what is published ---- */

/* Names of sessions, channels or connections: each 1 to 255 bytes without control characters. */
struct ssecast_names {
    const char *const *names;
    size_t count;
};

/* Whom an event concerns: all that are in any of the lists. */
struct ssecast_target {
    struct ssecast_names sessions;
    struct ssecast_names channels;
    struct ssecast_names connections;
};

/* One event. At most one of json, text and bytes is set; with none of them the payload is the JSON value null.
 *
 *     struct ssecast_event e = {.event = "order", .json = "{\"state\":\"sent\"}"};
 */
struct ssecast_event {
    const char *event; /* what pages listen for: at most 255 bytes in one line. NULL or "": they get it as "message" */
    const char *json;  /* the payload as one JSON value; it arrives as it is written here, digits and all */
    const char *text;  /* the payload as text */
    const void *bytes; /* the payload as bytes that nobody looks at (the fast path); not in a batch */
    size_t bytes_len;
    const struct ssecast_target *to;     /* NULL: everyone. With empty lists only: nobody */
    const struct ssecast_target *except; /* but not these, whatever `to` says; NULL: none */
    /* Your own id: 1 to 255 bytes of UTF-8 without control characters, without a blank at either end, not all digits.
     * However often you send an event under it, it is published once, while the broker retains it. Other publishers may
     * use the same id. Browsers get it as lastEventId, or the seq when the id was used before. NULL: none. */
    const char *id;
    /* With has_retry: how long browsers wait before they reconnect, from now on; 100 to the broker's max-retry (1 h). */
    uint32_t retry_ms;
    bool has_retry;
    uint64_t reserved[4];
};

/* Ends streams. At least one list should name somebody. */
struct ssecast_shutdown {
    struct ssecast_target whose;
    const char *reason; /* told to the page; NULL: none */
    /* With has_block: how long the sessions named are turned away, seconds; else as long as the broker usually does, 60. */
    uint32_t block_s;
    bool has_block;
    uint64_t reserved[4];
};

/* ---- replies ---- */

/* What the broker answered. Counted references: a reply that a call gave you is yours until ssecast_reply_free(); one that a
 * callback is shown is yours to keep with ssecast_reply_ref(). Texts belong to the reply. */
struct ssecast_reply;

SSECAST_API struct ssecast_reply *ssecast_reply_ref(struct ssecast_reply *reply);

/* Give the reference up, and set *reply to NULL. NULL is allowed. */
SSECAST_API void ssecast_reply_free(struct ssecast_reply **reply);

SSECAST_API bool ssecast_reply_ok(const struct ssecast_reply *reply);

/* Why it was refused: a code for programs ("bad_request", "too_large", "store_failed", ...) and a line for people. "" when it was
 * not. */
SSECAST_API const char *ssecast_reply_code(const struct ssecast_reply *reply);
SSECAST_API const char *ssecast_reply_message(const struct ssecast_reply *reply);

/* Of a publish: the event's number in the sequence, 0 when there is none; was it published before, under the same id? */
SSECAST_API uint64_t ssecast_reply_seq(const struct ssecast_reply *reply);
SSECAST_API bool ssecast_reply_duplicate(const struct ssecast_reply *reply);

/* Of a batch: write up to max numbers to seqs. Returns how many the reply has. */
SSECAST_API size_t ssecast_reply_seqs(const struct ssecast_reply *reply, uint64_t *seqs, size_t max);

/* A number, or a truth as 0 or 1, at the top of the reply: "online", "closed", "connections", "head", a counter of "stats". 0 or
 * -ENOENT (*value is unchanged) when there is none of this name. */
SSECAST_API int ssecast_reply_number(const struct ssecast_reply *reply, const char *name, int64_t *value);

/* The whole reply as JSON, NUL-terminated: for lists, and for your own JSON library. len may be NULL. */
SSECAST_API const char *ssecast_reply_json(const struct ssecast_reply *reply, size_t *len);

/* ---- publisher ---- */

/* A client of the broker. Requests wait here while no endpoint can be reached, and libzmq connects again by itself. */
struct ssecast_publisher;

/* ZeroMQ's CURVE: encryption, and proof of who both sides are. Keys are 40 characters of Z85. For tcp endpoints; a broker's ipc endpoints have
 * none. */
struct ssecast_curve {
    const char *server_key; /* the broker's public key; NULL: no CURVE at all */
    const char *public_key; /* our own pair. NULL: it follows from the secret key */
    const char *secret_key; /* NULL too: a fresh pair, for a broker that lets anybody in */
};

struct ssecast_publisher_options {
    /* "tcp://host:port" or "ipc:///path"; several: of one broker or cluster. One is used as long as it is there and answers. */
    const char *const *endpoints;
    size_t endpoint_count; /* 0: tcp://127.0.0.1:5570 */
    uint32_t timeout_ms;   /* from a request's submission to its reply; 0: 5000 */
    /* What was not answered for so long is sent again, if it may be (see below); 0: 1000. At least timeout_ms: never. */
    uint32_t retry_ms;
    uint32_t window; /* requests under way at most; 0: 1000 */
    bool auto_id;    /* give every event without an id one that is unique, so that it may be sent again */
    struct ssecast_curve curve;
    uint64_t reserved[8];
};

/* What is sent again: questions, and events that have an id (a batch: all of them), because the broker publishes an id once. Any
 * other request is sent once; when its reply is lost (-ETIMEDOUT) nobody can tell whether it was carried out. -EHOSTUNREACH says
 * that it never left, because no endpoint was there within its time. An event that was sent again may come to stand behind others
 * that were submitted after it. */

/* Called once for each request that was submitted, from within a call of yours, never from another thread. err: 0; -EREMOTEIO when
 * the broker refused; else there is no reply (NULL): -ETIMEDOUT, -EHOSTUNREACH, -ECANCELED when the publisher was freed, or -EBADMSG
 * when what answered is no broker. Inside it you may submit more; calls that wait give -EDEADLK, and the publisher must not be
 * freed. */
typedef void ssecast_done(void *context, int err, struct ssecast_reply *reply);

/* Make one, and begin to connect. options NULL: all defaults. 0; -EINVAL for an endpoint or a key that cannot be one; -ENOMEM,
 * -EMFILE, or what libzmq says. */
SSECAST_API int ssecast_publisher_new(struct ssecast_publisher **publisher,
                                      const struct ssecast_publisher_options *options);

/* End it: what is under way is completed with -ECANCELED; nothing waits. Sets *publisher to NULL; NULL is allowed. To let things
 * finish first, call ssecast_publisher_wait(). */
SSECAST_API void ssecast_publisher_free(struct ssecast_publisher **publisher);

/* Synchronous: send, and wait for the reply. Other requests under way are completed meanwhile. 0; -EREMOTEIO; -ETIMEDOUT, -EHOSTUNREACH; or an error
 * of the request itself: -EINVAL (two payloads, bytes in a batch, data that is no JSON, no or too many events), -EILSEQ (not UTF-8),
 * -EDEADLK, -ENOMEM. reply may be NULL; else *reply is the answer, yours, when the call gave 0 or -EREMOTEIO, and NULL otherwise. */
SSECAST_API int ssecast_publish(struct ssecast_publisher *publisher, const struct ssecast_event *event,
                                struct ssecast_reply **reply);

/* 1 to 10,000 events in a row, all of them or none. */
SSECAST_API int ssecast_publish_batch(struct ssecast_publisher *publisher, const struct ssecast_event *events,
                                      size_t count, struct ssecast_reply **reply);

/* End the streams of whose. */
SSECAST_API int ssecast_shutdown(struct ssecast_publisher *publisher, const struct ssecast_shutdown *shutdown,
                                 struct ssecast_reply **reply);

/* Any request of docs/protocol.md, as its JSON object without "ref": {"op":"online","session":"a"}. -EINVAL when it is no such
 * object. */
SSECAST_API int ssecast_query(struct ssecast_publisher *publisher, const char *json, struct ssecast_reply **reply);

/* The same, pipelined: submit and return at once; done (it may be NULL) is called later, from ssecast_publisher_process() or a call that
 * waits, in no promised order (replies to publishes of one connection come in the order they were sent). 0, or an error of the request as
 * above, done is then not called; -EAGAIN when the window is full. */
SSECAST_API int ssecast_publish_async(struct ssecast_publisher *publisher, const struct ssecast_event *event,
                                      ssecast_done *done, void *context);
SSECAST_API int ssecast_publish_batch_async(struct ssecast_publisher *publisher, const struct ssecast_event *events,
                                            size_t count, ssecast_done *done, void *context);
SSECAST_API int ssecast_shutdown_async(struct ssecast_publisher *publisher, const struct ssecast_shutdown *shutdown,
                                       ssecast_done *done, void *context);
SSECAST_API int ssecast_query_async(struct ssecast_publisher *publisher, const char *json, ssecast_done *done,
                                    void *context);

/* For an event loop: a descriptor that is readable when ssecast_publisher_process() has something to do (level-triggered; poll,
 * select and epoll do), and how many milliseconds from now there is something to do without it: 0 now, -1 never. Ask for the time
 * anew before each wait. */
SSECAST_API int ssecast_publisher_fd(const struct ssecast_publisher *publisher);
SSECAST_API int ssecast_publisher_next_timeout(const struct ssecast_publisher *publisher);

/* Send, receive, complete and time out whatever is due, without waiting. The number of requests completed; -EDEADLK. */
SSECAST_API int ssecast_publisher_process(struct ssecast_publisher *publisher);

/* Why requests do not leave, as far as it is known: a line for people, "" when nothing is known to be wrong. For requests that end with
 * -EHOSTUNREACH: the broker refuses our key, wants one, or is another one than expected. Valid until the next call. */
SSECAST_API const char *ssecast_publisher_problem(const struct ssecast_publisher *publisher);

/* How many requests are under way. */
SSECAST_API size_t ssecast_publisher_pending(const struct ssecast_publisher *publisher);

/* Wait until at most so many requests are under way; 0 waits for all. 0; -ETIMEDOUT after timeout_ms (negative: no limit; requests have
 * their own); -EDEADLK. */
SSECAST_API int ssecast_publisher_wait(struct ssecast_publisher *publisher, size_t pending, int timeout_ms);

/* Make a CURVE key pair: 40 characters and a NUL each. 0, or -ENOTSUP when libzmq was built without. */
SSECAST_API int ssecast_curve_keypair(char public_key[41], char secret_key[41]);

/* Read a pair from a file that `ssecast keygen` made, or that holds a secret key alone on a line. 0; -EINVAL: it cannot be read, holds no secret
 * key, or everybody may read it. */
SSECAST_API int ssecast_curve_read(const char *file, char public_key[41], char secret_key[41]);

/* ---- presence ---- */

enum ssecast_presence_type {
    SSECAST_CONNECTED,
    SSECAST_DISCONNECTED,
    SSECAST_SESSION_ONLINE,  /* it has its first connection; told after that */
    SSECAST_SESSION_OFFLINE, /* it has none any more; told after the last one's end */
};

/* A change. Valid during the callback. */
struct ssecast_presence_event {
    enum ssecast_presence_type type;
    const char *session;
    const char *connection; /* of session_...: the one that made the change */
    const char *const *channels;
    size_t channel_count;
    int64_t at; /* unix ms */
    /* Of an end: "client", "shutdown", "slow", "drain", "expired", "worker_lost", "replaced"; "" where it is not known. Else "". */
    const char *cause;
    bool present;     /* it was so already when we began to watch */
    bool inferred;    /* its message was missed; it was found by comparing. `at` is when we found it, if it is an end */
    const char *json; /* all of it as one JSON object, with what was kept of the request; json_len bytes and a NUL */
    size_t json_len;
};

/* Something about the watching itself. */
enum ssecast_presence_state {
    SSECAST_PRESENCE_COMPLETE,    /* all who were there have been told; from now on changes are */
    SSECAST_PRESENCE_MISSED,      /* changes were missed; they are found by comparing */
    SSECAST_PRESENCE_RESTARTED,   /* the broker was restarted; the same */
    SSECAST_PRESENCE_UNREACHABLE, /* the broker does not answer; asked again until it does */
};

struct ssecast_presence_options {
    const char *endpoint; /* "tcp://host:port" or "ipc:///path"; NULL: tcp://127.0.0.1:5573 */
    /* Where commands are taken, for snapshots: endpoint_count 0: tcp://127.0.0.1:5570. Its keys are used for both. */
    struct ssecast_publisher_options commands;
    bool
        no_snapshot; /* only messages, as they come: nothing of those who are there already, what is missed stays missed */
    uint32_t check_ms; /* how often to ask whether something was missed while nothing comes; 0: 2000 */
    void (*event)(void *context, const struct ssecast_presence_event *event);
    /* missed: how many changes, as far as known. message: one line for people. May be NULL. */
    void (*state)(void *context, enum ssecast_presence_state state, uint64_t missed, const char *message);
    void *context;
    uint64_t reserved[8];
};

/* Watches who is connected. Each change is told once, in order, whatever happens to brokers, workers and the network between: what was
 * missed is found out and made up for. */
struct ssecast_presence;

/* Make one, and begin to connect. 0; -EINVAL for an endpoint or a key that cannot be one, or without `event`; -ENOMEM, -EMFILE. */
SSECAST_API int ssecast_presence_new(struct ssecast_presence **presence,
                                     const struct ssecast_presence_options *options);

/* Sets *presence to NULL; NULL is allowed. Not while ssecast_presence_run() is under way. */
SSECAST_API void ssecast_presence_free(struct ssecast_presence **presence);

/* Watch until it is closed; all callbacks come from in here. 0 when it was closed; -EREMOTEIO when the broker refused to answer (`state` has
 * said why); -ENOMEM. */
SSECAST_API int ssecast_presence_run(struct ssecast_presence *presence);

/* End it: ssecast_presence_run() returns soon, and tells nothing any more after the callback that is being called. From any thread, from
 * callbacks, and from signal handlers. */
SSECAST_API void ssecast_presence_close(struct ssecast_presence *presence);

/* ---- decoder ---- */

/* One message of a stream. Everything is valid during the callback only. Texts are NUL-terminated, but type and data may hold NUL
 * bytes too: the lengths (in bytes) count. Bytes that are not UTF-8 are handed on as they came; a browser would show U+FFFD. */
struct ssecast_message {
    const char *type; /* "message" where the stream named none */
    size_t type_len;
    const char *data; /* lines joined by LF */
    size_t data_len;
    const char *id; /* the last event id in force, "" when there is none; it has no NUL, CR or LF */
    size_t id_len;
};

/* Who is told. All but message may be NULL. Of an event ssecast.checkpoint only `id` is told. */
struct ssecast_decoder_handler {
    void (*message)(void *context, const struct ssecast_message *message);
    void (*id)(void *context, const char *id, size_t len);        /* a checkpoint, or a block without data, moved it */
    void (*retry)(void *context, uint64_t ms);                    /* what the stream asks for */
    void (*comment)(void *context, const char *text, size_t len); /* behind the colon; not NUL-terminated */
    void *context;
};

/* Reads the format exactly as the standard says: bytes in, calls out, cut anywhere. */
struct ssecast_decoder;

/* handler is copied. max_event_bytes bounds one event: its lines, name, id and data together, and so what it takes to keep it; 0: 16 MiB.
 * 0 or -ENOMEM. */
SSECAST_API int ssecast_decoder_new(struct ssecast_decoder **decoder, const struct ssecast_decoder_handler *handler,
                                    size_t max_event_bytes);

/* Sets *decoder to NULL; NULL is allowed. Not from within a callback. */
SSECAST_API void ssecast_decoder_free(struct ssecast_decoder **decoder);

/* Decode so many bytes. 0; -EMSGSIZE when an event is larger than allowed, or -ENOMEM: until ssecast_decoder_reset() every further call
 * then gives the same. */
SSECAST_API int ssecast_decoder_feed(struct ssecast_decoder *decoder, const void *bytes, size_t len);

/* A new stream begins: forget the block that was not finished, expect a byte order mark. The last event id remains, as a browser's does
 * across reconnects. */
SSECAST_API void ssecast_decoder_reset(struct ssecast_decoder *decoder);

/* The last event id of the last complete block, "" when there was none; valid until the next call. */
SSECAST_API const char *ssecast_decoder_last_id(const struct ssecast_decoder *decoder);

/* Set it, as if a stream had. 0; -EINVAL when it holds CR or LF; -ENOMEM. */
SSECAST_API int ssecast_decoder_set_last_id(struct ssecast_decoder *decoder, const char *id);

/* ---- source ---- */

/* The ready states of EventSource, with its numbers. */
enum ssecast_state { SSECAST_CONNECTING = 0, SSECAST_OPEN = 1, SSECAST_CLOSED = 2 };

/* Why there is no stream (any more). The first two bring it back; the others end it for good, as the standard says. */
enum ssecast_end {
    SSECAST_ENDED,       /* the server, or the network, ended a stream that was open */
    SSECAST_UNREACHABLE, /* there was no response */
    SSECAST_NO_CONTENT,  /* 204: the server asks not to come back */
    SSECAST_REFUSED,     /* a status other than 200, or a type other than text/event-stream */
    SSECAST_BAD_URL,     /* it cannot be used at all */
    SSECAST_TOO_LARGE,   /* an event larger than max_event_bytes; coming back would only bring it again */
    SSECAST_NO_MEMORY,
    SSECAST_EXPIRED, /* the time of the token with which it was opened is over (ssecast.expired) */
};

struct ssecast_source_error {
    enum ssecast_state state; /* SSECAST_CONNECTING: it comes back by itself. SSECAST_CLOSED: it does not */
    enum ssecast_end end;
    int status; /* of HTTP; 0 when there was no response */
    const char
        *message;     /* one line for people; a refusal's begins with what the server said, which is anybody's text */
    uint64_t wait_ms; /* with SSECAST_CONNECTING: after this time */
};

/* An EventSource: opens a URL, tells what comes, and comes back when it ends. */
struct ssecast_source;

#define SSECAST_NO_JITTER UINT32_MAX

struct ssecast_source_options {
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value", sent with each request; not Last-Event-ID */
    size_t header_count;
    const char *last_event_id;   /* begin behind this event; NULL: where the server begins */
    const char *ca_file;         /* PEM file of those who may vouch for the server; NULL: the system's */
    size_t max_event_bytes;      /* as with the decoder; 0: 16 MiB */
    uint32_t connect_timeout_ms; /* 0: 30000 */
    uint32_t idle_timeout_ms; /* a stream on which nothing came for so long, not even a comment, has ended; 0: never */
    uint32_t retry_ms;        /* before coming back, until the server says `retry`; 0: 3000 */
    /* Each failure in a row doubles the wait up to here, or to the server's `retry` if that is more; 0: 60000. */
    uint32_t backoff_max_ms;
    uint32_t jitter_percent;     /* up to so much is added to each wait, at random; 0: 25; SSECAST_NO_JITTER: nothing */
    void (*open)(void *context); /* a stream is open, nothing of it was read yet; may be NULL */
    void (*error)(void *context, const struct ssecast_source_error *error); /* see above; may be NULL */
    void *context;                                                          /* theirs */
    uint64_t reserved[8];
};

/* Make one; nothing is opened yet. 0; -EINVAL: no url, a header without a colon or of several lines, an id of several lines; -ENOMEM,
 * -EMFILE. */
SSECAST_API int ssecast_source_new(struct ssecast_source **source, const struct ssecast_source_options *options);

/* Sets *source to NULL; NULL is allowed. Not while ssecast_source_run() is under way: close it, and join the thread that runs it. */
SSECAST_API void ssecast_source_free(struct ssecast_source **source);

/* Call message for each message of this type; type NULL: of every type but ssecast.checkpoint, which only says how far the stream
 * has come. Several may listen to the same; they are called in the order they
 * were added. Before ssecast_source_run(), or from a callback. 0 or -ENOMEM. */
SSECAST_API int ssecast_source_on(struct ssecast_source *source, const char *type,
                                  void (*message)(void *context, const struct ssecast_message *message), void *context);

/* Open the stream, call back for what comes, and come back when it ends, until there is nothing more to do; all callbacks come from in
 * here. 0 when it was closed or the server asked not to come back (204); -EPROTO when the server refused; -EKEYEXPIRED when the token's
 * time is over; -EINVAL for a URL that cannot be used; -EMSGSIZE, -ENOMEM. It may be called again: then it begins behind the last event. */
SSECAST_API int ssecast_source_run(struct ssecast_source *source);

/* End it: no message is told after the callback that is being called at this moment, and ssecast_source_run() returns at once. From any
 * thread, from callbacks, and from signal handlers; more than once. Without a run under way, the next one returns at once. */
SSECAST_API void ssecast_source_close(struct ssecast_source *source);

/* SSECAST_CLOSED before the first and after the last run. */
SSECAST_API enum ssecast_state ssecast_source_state(const struct ssecast_source *source);

/* Where it stands: what the next request's Last-Event-ID would be, "" for none. From callbacks or without a run under way; valid until the
 * next event. */
SSECAST_API const char *ssecast_source_last_event_id(const struct ssecast_source *source);

#ifdef __cplusplus
}
#endif

#endif
