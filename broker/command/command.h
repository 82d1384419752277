/* command.h - runs requests: the table of commands.
 *
 * A request is a JSON object whose `op` names a row of the table. Each row lives in its
 * cmd_<verb>.c. This module parses, dispatches, answers and counts requests; a command works on the
 * context. It does not know sockets or clocks.
 */
#ifndef SSECAST_COMMAND_H
#define SSECAST_COMMAND_H

#include "codec/grant.h"
#include "codec/json.h"
#include "log/journal.h"
#include "log/sequence.h"
#include "net/descriptors.h"
#include "presence/cluster.h"
#include "presence/members.h"
#include "presence/presence.h"
#include "presence/presence_feed.h"
#include "stats/counters.h"
#include "stats/overview.h"

/* Limits on requests; 0: none. */
struct command_limits {
    struct json_limits json;
    uint64_t batch;            /* events in one publish */
    uint64_t targets;          /* names in `to` and `except` of an event together */
    uint64_t retry_ms;         /* `retry` of an event */
    uint64_t bans;             /* the limit of effects_limit_bans(), for messages */
    struct state_limits state; /* of effects_limit_state(), for messages */
};

/* The data of commands. */
struct command_context {
    struct sequence *sequence;
    struct presence *presence;
    const struct presence_feed *feed; /* of presence */
    const struct members *members;
    const struct store *store;     /* NULL: memory only, or a journal */
    const struct journal *journal; /* NULL: none */
    bool holding;                  /* nothing can be appended now: such requests are held */
    uint64_t *counters;            /* BROKER_COUNTERS of them */
    uint64_t max_event_bytes;
    struct command_limits limits;
    uint64_t history_events, history_bytes, history_age_ms; /* limits */
    /* The last commit could not be stored. */
    bool store_failing;
    int64_t now_ms;   /* unix time */
    int64_t clock_ms; /* clock_ms(), as for presence */
    int64_t uptime_ms;
    const struct overview *overview;
    const struct descriptors *descriptors; /* NULL: unknown */
    const char **workers_log_level;        /* set to the name of a level: send it to all workers */
    const struct cluster *cluster;         /* NULL: no other brokers */
};

/* The codes of a refusal. */
#define CODE_BAD_JSON "bad_json"
#define CODE_BAD_REQUEST "bad_request"
#define CODE_UNKNOWN_OP "unknown_op"
#define CODE_TOO_LARGE "too_large"
#define CODE_FORBIDDEN "forbidden"
#define CODE_STORE_FAILED "store_failed"
#define CODE_STATE_FULL "state_full"
#define CODE_BUSY "busy"
#define CODE_NOT_FOUND "not_found"

struct command_request {
    const struct json_object *object;
    const struct slice *payload; /* the second frame; NULL: there was none */
    const struct grant *grant;   /* of the peer */
};

/* A row of the table. */
struct command {
    const char *op;
    unsigned roles; /* enum role: those that may run it, besides ROLE_OPERATOR */
    /* Accepted fields with `op` and `ref`, ended by NULL; NULL: run checks them. */
    const char *const *fields;
    bool takes_payload; /* else a second frame is refused */
    bool appends;       /* to the sequence */
    /* It respects the limits of a grant; else limited callers are refused. */
    bool keeps_limits;
    bool of_all; /* its reply covers the whole cluster, and lists missing brokers */
    /* Its reply depends on events of this batch, so it is wrong when they cannot be stored. */
    bool tells_sequence;
    /* Write the fields of the reply between json_reply_begin() and json_reply_end(). 0, or -EINVAL
     * with *fault set: then nothing has changed and the written fields are dropped. */
    int (*run)(const struct command_context *c, const struct command_request *r, struct buf *reply,
               struct json_fault *fault);
};

extern const struct command cmd_publish, cmd_shutdown, cmd_online, cmd_sessions, cmd_connections,
    cmd_history, cmd_workers, cmd_metrics, cmd_stats, cmd_status, cmd_log, cmd_ping, cmd_presence,
    cmd_bans, cmd_unban, cmd_state, cmd_members, cmd_subscriptions;

#define COMMAND_LIST_DEFAULT 100u /* `limit` of lists */
#define COMMAND_LIST_MAX 1000u

/* Read `after` and `limit` into list. Its items have room for COMMAND_LIST_MAX. 0, or -EINVAL with
 * *fault set. */
int command_read_page(const struct command_request *r, struct listing *list,
                      struct json_fault *fault);

/* The same for a list of sessions, with `prefix`. A limited caller gets only sessions that match
 * its grant. */
int command_read_sessions_page(const struct command_request *r, struct slice *prefix,
                               struct listing *list, struct json_fault *fault);

/* The longest first frame of a request: an event of max_event_bytes with every byte escaped, and
 * names. A longer one is answered with too_large. */
size_t command_request_max(uint64_t max_event_bytes);

/* Maximum bytes (JSON) of `ref`, which is returned in the reply. A request with a longer one is
 * refused without it. */
#define COMMAND_REF_MAX 1024u

/* Maximum JSON values of a request outside of `data` and `ref`: the fields of all events in the
 * largest batch, and the names of one event twice. More are refused while parsing. */
size_t command_values_max(uint64_t max_batch, uint64_t max_targets);

struct command_outcome {
    /* Of the request, verbatim, inside its frame, at most COMMAND_REF_MAX bytes; empty: none. */
    struct slice ref;
    bool provisional; /* the reply becomes wrong when the batch cannot be stored */
    bool held;        /* it would append: there is no reply; run it again later */
};

/* Run the request in these frames (frame_count may be more than 2) of a peer with this grant.
 * *reply is replaced by the whole reply. */
struct command_outcome command_run(const struct command_context *c, const struct grant *grant,
                                   const struct slice *frames, size_t frame_count,
                                   struct buf *reply);

/* Refuse the request in this frame without running it. Its ref is returned when it is JSON. */
struct command_outcome command_refuse(const struct command_context *c, const char *code,
                                      const char *message, struct slice frame, struct buf *reply);

enum store_outcome { NOT_STORED, UNKNOWN_WHETHER_STORED };

/* Why a batch failed. */
struct store_failure {
    enum store_outcome outcome;
    const char *message; /* for people */
};

/* Write the reply that replaces a provisional one when its batch failed. */
void command_store_failed(const struct command_context *c, const struct store_failure *failure,
                          struct slice ref, struct buf *reply);

#endif
