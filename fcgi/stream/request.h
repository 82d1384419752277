/* request.h - what a request wants: its parameters turned into an intention. Pure: nothing is read,
 * written or logged.
 *
 * Ownership: request_read() allocates what the struct points to; request_release() frees it.
 */
#ifndef SSECAST_REQUEST_H
#define SSECAST_REQUEST_H

#include "auth/token.h"
#include "auth/token_refusal.h"
#include "codec/event.h"
#include "codec/meta.h"
#include "codec/wire.h"
#include "http/params.h"
#include "ops/option.h"
#include "stream/request_source.h"

#define REQUEST_CHANNELS_MAX 1024u /* channels of one connection, whatever is configured */
#define REQUEST_METHODS "GET, HEAD, OPTIONS"
/* Headers that pages of other origins may send. */
#define REQUEST_HEADERS "Last-Event-ID, Cache-Control, Authorization"

/* Which dialect of the Mercure protocol a request speaks (docs/mercure.md). */
enum hub_dialect {
    HUB_NONE, /* none: an ordinary stream */
    HUB_0_X,
    HUB_1_0,
};

enum request_kind {
    REQUEST_STREAM,    /* GET: open a stream */
    REQUEST_HEAD,      /* HEAD: a stream's response head and nothing more */
    REQUEST_PREFLIGHT, /* OPTIONS */
    REQUEST_REFUSED,   /* status, error and message say why */
};

/* What the worker was configured to accept. */
struct request_rules {
    const struct option_list *session_from; /* "query:NAME", ..., in order */
    const struct option_list *channels_from;
    const struct option_list *cors_origins;
    size_t max_channels;            /* of one connection */
    size_t max_name_bytes;          /* of a session or channel */
    const struct option_list *meta; /* "LABEL=header:NAME", ...; META_MAX at most; NULL: none */
};

/* How a stream tells its position, and that it is alive. */
enum checkpoints {
    CHECKPOINTS_OFF, /* id: lines without data, and comments */
    /* Events, which every client dispatches, when the position has moved; else comments. */
    CHECKPOINTS_ON,
    /* An event for each heartbeat, on a busy stream too; the first one names the owner. */
    CHECKPOINTS_ALWAYS,
};

struct request {
    enum request_kind kind;
    int status;             /* refused: 400, 401, 403, 404 or 405 */
    const char *error;      /* refused: the code; static */
    const char *challenge;  /* refused with 401: the value of WWW-Authenticate; static */
    char message[200];      /* refused: for people */
    char *session;          /* NULL: it has none, which `none` among the sources allows */
    struct slice *channels; /* into channel_text; no name twice */
    size_t channel_count;
    char *channel_text; /* NULL: no source has channels */
    bool bound;         /* a token gave the session, or channels */
    int64_t expires_ms; /* unix time at which the stream ends; 0: it does not */
    char *last_id;      /* the client's cursor as it gave it; NULL: none, the stream begins now */
    char *other_id;     /* another one, which may be newer; NULL: none */
    struct start start; /* where the stream begins without a cursor; START_AFTER: now */
    char *origin;       /* Access-Control-Allow-Origin: the client's origin or "*"; NULL: none */
    bool padding;       /* a polyfill wants 2 KB first */
    enum checkpoints checkpoints;
    enum hub_dialect hub;
    bool every_channel;         /* hub: it selects every topic */
    struct selectors *patterns; /* hub: what it selects by patterns, each once; NULL: nothing */
    /* hub: what others are reported of its subscriptions, packed (subscription.h);
     * empty: nothing. */
    struct buf subscriptions;
    bool asks_cursor;         /* hub: the response's head tells where the stream begins */
    char *told_cursor;        /* hub: what the head says; NULL: nothing */
    struct selectors *grants; /* what private events it may be sent; NULL: none */
    char *meta;               /* values to be kept, packed (meta.h), in the order of the rules */
    size_t meta_len;
};

/* token is what became of the request's token, if the rules want one (request_wants_token());
 * else all zero. 0 or -ENOMEM; release out in either case. */
int request_read(const struct params *params, const struct request_rules *rules,
                 const struct token *token, struct request *out);

/* The same of a request for a stream, whatever its method is: a service reads GET and HEAD so. */
int request_read_stream(const struct params *params, const struct request_rules *rules,
                        const struct token *token, struct request *out);

/* Refuse (400) a request in which a parameter came twice that identifies a user, or that decides
 * what happens: the web server makes one name of X-User and X_User, and it is unknown which of
 * the two is its own. False: out is untouched. */
bool request_refuse_repeated(const struct params *params, const struct request_rules *rules,
                             struct request *out);

/* Refuse (404) a request whose path names nothing. */
void request_refuse_path(struct request *out);

/* Refuse (414) a request whose query of len bytes is too long for a redirect. */
void request_refuse_query(struct request *out, size_t len, size_t most);

/* Is a token looked at: is `jwt` among the sources? */
bool request_wants_token(const struct request_rules *rules);

/* Would this request open a stream, if all is well? */
bool request_is_stream(const struct params *params);

/* Is it judged like one? HEAD is: it has the answer that GET would have, without the body. */
bool request_is_judged(const struct params *params);

/* The first source from which any client can claim any session ("query:session"); NULL: none. */
const char *request_open_source(const struct request_rules *rules);

/* The other cursor is the newer one. */
void request_swap_cursors(struct request *r);

void request_release(struct request *r);

/* For those that read requests (also mercure.h): refuse with this status;
 * or because of the token. */
void request_refuse(struct request *r, int status, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void request_refuse_token(struct request *r, enum token_verdict verdict, enum token_reader reader);

/* Read `checkpoints` of the query. */
void request_read_checkpoints(const struct params *params, struct request *r);

/* What Access-Control-Allow-Origin says: the origin that the request names, when it is one of
 * those allowed, or "*". A new text; NULL: no such header. */
char *request_origin(const struct params *params, const struct option_list *allowed);

#endif
