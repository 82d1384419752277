/* upstream.h - the worker's connection to the broker: the feed in order, repair of missed events,
 * replays, presence.
 *
 * It passes every event of the sequence to a hook exactly once and in order, or reports that it
 * cannot. It does not know streams. The messages are those of wire.h.
 *
 * Ownership: events given to hooks are borrowed; hooks take references of their own.
 */
#ifndef SSECAST_UPSTREAM_H
#define SSECAST_UPSTREAM_H

#include "base/loop.h"
#include "codec/event.h"
#include "codec/wire.h"
#include "ops/curve_key.h"
#include "upstream/ordering.h"

struct upstream;
struct upstream_request;

struct upstream_hooks {
    /* The first contact with a broker: the sequence is at position, and the next event follows
     * it. */
    void (*joined)(void *context, uint64_t position);
    /* The bans in force at a position; part of every welcome. A session is banned until until_ms
     * (unix time). all_blocked ends the list: it is complete, except for bans of records up to
     * since, which the broker does not know. Events after position are not in it. */
    void (*blocked)(void *context, struct slice session, int64_t until_ms);
    void (*all_blocked)(void *context, uint64_t position, uint64_t since);
    /* The current state at a position; part of every welcome, before `joined`. First the hook is
     * called with NULL: the state of an earlier welcome no longer counts. Then with the newest
     * event of each key, in order of seq. state_told ends it. */
    void (*state)(void *context, struct event *e);
    void (*state_told)(void *context, uint64_t position);
    /* The next event of the sequence. */
    void (*event)(void *context, struct event *e);
    /* The sequence moved to position without events. */
    void (*advanced)(void *context, uint64_t position);
    /* Events up to position are no longer available; oldest is the first that the broker has. */
    void (*broken)(void *context, uint64_t position, uint64_t oldest);
    /* The answer to upstream_replay(). page is valid during the call. */
    void (*page)(void *context, void *asker, const struct wire_page *page);
    /* The broker's reply to upstream_command(): one JSON object, valid during the call. Empty:
     * the broker was lost, and the request is not sent again. */
    void (*reply)(void *context, void *asker, struct slice json);
    /* Fill in the gauges except GAUGE_POSITION. May be NULL. */
    void (*measure)(void *context, uint64_t gauges[WORKER_GAUGES]);
    /* Add connections to b with wire_add_presence(), from *cursor on (0: the first), until b has
     * max bytes. True when there are more: *cursor is where to continue. Connections that open
     * meanwhile are also reported by upstream_presence(). */
    bool (*snapshot)(void *context, struct buf *b, size_t *cursor, size_t max);
    /* Add streams with slow readers, up to a limit of the hook. May be NULL. */
    void (*lagging)(void *context, struct buf *b);
    /* mark: the newest connection, as a number that only grows. acknowledged: a broker, which
     * was at head, has a report of all connections up to mark. */
    uint64_t (*mark)(void *context);
    void (*acknowledged)(void *context, uint64_t mark, uint64_t head);
    /* Past shutdowns, in reply to upstream_shutdowns(). With a gap, some are no longer known.
     * May be NULL. */
    void (*past)(void *context, const struct wire_page *page);
};

/* Periods and timeouts, in milliseconds. */
struct upstream_pace {
    int64_t tick;      /* period of the timer, and the shortest one of HELLO */
    int64_t retry;     /* until a request without a reply is sent again; longer while replies take long */
    int64_t retry_max; /* the longest that becomes */
    int64_t silence;   /* until a silent broker counts as lost */
    int64_t move;      /* the same in a cluster */
    int64_t renew;     /* between two presence reports; well below the broker's lease */
};

/* What workers use; tests are in more of a hurry. */
#define UPSTREAM_PACE                                                                                                  \
    ((struct upstream_pace){                                                                                           \
        .tick = 1000, .retry = 2000, .retry_max = 60000, .silence = 15000, .move = 3000, .renew = WIRE_RENEW_MS})

struct upstream_config {
    struct upstream_pace pace;        /* UPSTREAM_PACE */
    char *const *feeds;               /* endpoints, one for each broker of a cluster; the first is tried first */
    char *const *syncs;               /* the same brokers', in the same order */
    size_t brokers;                   /* at least 1 */
    const struct curve_client *curve; /* keys for tcp endpoints; NULL or zeroed: without CURVE */
    struct names labels;              /* of what the connections' packed values are called (meta.h) */
    const char *name;                 /* of this worker, unique per boot, NAME_BYTES_MAX bytes at most */
    const uint64_t *counters;         /* WORKER_COUNTERS of them, sent along with presence */
    struct ordering *ordering;        /* told of what the broker's clock and positions show; NULL: nobody is */
    size_t piece_bytes;               /* of reports; 0: WIRE_PIECE_BYTES */
    uint64_t *repairs;                /* counts pages of repair */
};

/* Connect. Of several brokers one is listened to; when it is silent the next one takes its
 * place, and nothing is lost as long as they share one sequence. Strings must stay valid. NULL
 * with a line in the log. */
struct upstream *upstream_new(const struct upstream_config *config, struct loop *loop,
                              const struct upstream_hooks *hooks, void *context);

void upstream_free(struct upstream **u);

/* At the end of each iteration: receive messages (bounded) and send presence. True when it must be
 * called again at once. */
bool upstream_turn(struct upstream *u);

/* Ask for a page of what asker missed (request and max_bytes are set here). The answer comes to
 * the page hook, whenever the broker can give it; it is asked again until then. The handle is
 * valid until that call; NULL when out of memory. */
struct upstream_request *upstream_replay(struct upstream *u, void *asker, const struct wire_replay *what);

/* Ask for the shutdowns after a position (0: from the oldest), of which those older than age_ms
 * are not needed. Pages come to the past hook, one for each call. NULL when out of memory. */
struct upstream_request *upstream_shutdowns(struct upstream *u, uint64_t after, uint64_t age_ms);

/* Send the broker a command (protocol.md) of a caller with this grant. The reply comes to the reply
 * hook, or never: asker needs a timeout. again: repeat the command until there is a reply, also
 * after a restart of the broker; only for commands that may run twice. The handle is valid until
 * the hook is called; NULL when out of memory. */
struct upstream_request *upstream_command(struct upstream *u, void *asker, const struct grant *grant, struct slice json,
                                          bool again);

/* Was the request sent? The broker may then have executed it. */
bool upstream_was_sent(const struct upstream_request *q);

/* Drop the request: its reply is ignored. Sets *q to NULL; safe on NULL. */
void upstream_forget(struct upstream_request **q);

/* This worker ends: report what ended last, and say good-bye. Call nothing but upstream_free()
 * after it. */
void upstream_leave(struct upstream *u);

/* Report a connection that was opened or has ended. Those that end while there is no broker are
 * kept for the next one. */
void upstream_presence(struct upstream *u, const struct wire_presence_item *item);

/* A broker has welcomed this worker since it was last heard of. */
bool upstream_connected(const struct upstream *u);

/* The feed is listened to, and no event is known to be missing: the worker has everything that the
 * broker has sent. */
bool upstream_current(const struct upstream *u);

/* Something answers at the broker's endpoints and does not become connected: a key does not fit,
 * or it is no broker. The log has said why. */
bool upstream_turned_away(const struct upstream *u);

/* How long ago the broker that welcomed us was heard, ms; it says something each second
 * (WIRE_ANNOUNCE_MS). INT64_MAX when there is none. */
int64_t upstream_silence(const struct upstream *u);

#endif
