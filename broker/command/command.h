/* command.h - requests in, replies out: the table of commands.
 *
 * A request is one JSON object whose `op` names a row of the table; each row lives in its cmd_<verb>.c. Here a
 * request is parsed, dispatched, answered and counted; a command does its work on what the context holds. Nothing
 * here knows sockets or clocks.
 */
#ifndef SSECAST_COMMAND_H
#define SSECAST_COMMAND_H

#include "codec/grant.h"
#include "codec/json.h"
#include "log/journal.h"
#include "log/sequence.h"
#include "net/descriptors.h"
#include "presence/cluster.h"
#include "presence/presence.h"
#include "presence/presence_feed.h"
#include "stats/counters.h"
#include "stats/overview.h"

/* What is refused although it could be done; 0: no limit of ours. */
struct command_limits {
    struct json_limits json;
    uint64_t batch;    /* events in one publish */
    uint64_t targets;  /* names in an event's `to` and `except` together */
    uint64_t retry_ms; /* an event's `retry` */
    uint64_t bans;     /* as sequence_limit_bans() was told, for people */
};

/* What commands work on. */
struct command_context {
    struct sequence *sequence;
    struct presence *presence;
    const struct presence_feed *feed; /* of presence */
    const struct store *store;        /* NULL: memory only, or a journal */
    const struct journal *journal;    /* NULL: none */
    bool holding;                     /* nothing can be appended now: such requests are left to their time */
    uint64_t *counters;               /* BROKER_COUNTERS of them */
    uint64_t max_event_bytes;
    struct command_limits limits;
    uint64_t history_events, history_bytes, history_age_ms; /* limits */
    bool store_failing;                                     /* the last commit could not be stored */
    int64_t now_ms;                                         /* unix time */
    int64_t clock_ms;                                       /* clock_ms(), which presence knows */
    int64_t uptime_ms;
    const struct overview *overview;
    const struct descriptors *descriptors; /* NULL: not known */
    const char **workers_log_level;        /* set to a level's name: workers are to be told */
    const struct cluster *cluster;         /* NULL: there are no other brokers */
};

/* The codes of a refusal. */
#define CODE_BAD_JSON "bad_json"
#define CODE_BAD_REQUEST "bad_request"
#define CODE_UNKNOWN_OP "unknown_op"
#define CODE_TOO_LARGE "too_large"
#define CODE_FORBIDDEN "forbidden"
#define CODE_STORE_FAILED "store_failed"
#define CODE_BUSY "busy"

struct command_request {
    const struct json_object *object;
    const struct slice *payload; /* the second frame; NULL: there was none */
    const struct grant *grant;   /* what the peer may do */
};

/* One verb. */
struct command {
    const char *op;
    unsigned roles;            /* enum role: who may, besides ROLE_OPERATOR */
    const char *const *fields; /* accepted, ended by NULL, `op` and `ref` among them; NULL: run checks them itself */
    bool takes_payload;        /* else a second frame is refused before */
    bool appends;              /* to the sequence */
    bool keeps_limits;         /* a grant's, or it tells of nobody; else it is refused to who has limits */
    bool of_all;               /* its reply tells of the whole cluster, and names the brokers that are missing */
    bool
        tells_sequence; /* its reply says what is in the sequence, which is true only when the turn's events are stored */
    /* Write the reply's fields between json_reply_begin() and json_reply_end(). 0, or -EINVAL with *fault set: then
     * nothing has changed and what was written is dropped. */
    int (*run)(const struct command_context *c, const struct command_request *r, struct buf *reply,
               struct json_fault *fault);
};

extern const struct command cmd_publish, cmd_shutdown, cmd_online, cmd_sessions, cmd_connections, cmd_history,
    cmd_workers, cmd_metrics, cmd_stats, cmd_status, cmd_log, cmd_ping, cmd_presence, cmd_bans, cmd_unban;

#define COMMAND_LIST_DEFAULT 100u /* `limit` of lists */
#define COMMAND_LIST_MAX 1000u

/* Read `after` and `limit` into list, whose items have room for COMMAND_LIST_MAX. 0, or -EINVAL with *fault set. */
int command_read_page(const struct command_request *r, struct listing *list, struct json_fault *fault);

/* The same of a list of sessions, with `prefix`; of a caller with limits, only those that match. */
int command_read_sessions_page(const struct command_request *r, struct slice *prefix, struct listing *list,
                               struct json_fault *fault);

/* The longest request (its first frame) that is looked at: room for an event of max_event_bytes whose every byte is
 * escaped, and for names. More is answered with too_large. */
size_t command_request_max(uint64_t max_event_bytes);

/* A request's `ref` is for matching replies: bytes of JSON at most. A longer one is refused and comes back nowhere. */
#define COMMAND_REF_MAX 1024u

/* Values that a request may have outside of `data` and `ref`: room for each event's fields in the largest batch, and for one event's names
 * twice. What is beyond is refused before any of it is built. */
size_t command_values_max(uint64_t max_batch, uint64_t max_targets);

struct command_outcome {
    struct slice
        ref; /* of the request, verbatim, pointing into its frame, at most COMMAND_REF_MAX bytes; empty: none */
    bool provisional; /* the reply becomes wrong when the turn's events cannot be stored */
    bool held;        /* it would append: there is no reply, run it again later */
};

/* Answer the request in these frames (frame_count may be more than 2), from a peer that may do so much, with the whole reply in
 * *reply, whose previous content is dropped. */
struct command_outcome command_run(const struct command_context *c, const struct grant *grant,
                                   const struct slice *frames, size_t frame_count, struct buf *reply);

/* Refuse the request in this frame without looking at what it wants. Its ref comes back when it is JSON. */
struct command_outcome command_refuse(const struct command_context *c, const char *code, const char *message,
                                      struct slice frame, struct buf *reply);

/* What a provisional reply becomes when storing failed; message is for people. unknown: nobody knows whether it did. */
void command_store_failed(const struct command_context *c, const char *message, bool unknown, struct slice ref,
                          struct buf *reply);

#endif
