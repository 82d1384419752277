/* upstream.h - the worker's side of the broker: the feed in order, the repair of what it missed, replays, presence.
 *
 * It hands every event of the sequence on exactly once and in order, or says that it cannot; it does
 * not know streams. Source: wire.h for the messages.
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
struct question;

struct upstream_hooks {
    /* The first contact with a broker: the sequence stands at position; what comes next follows it. */
    void (*joined)(void *context, uint64_t position);
    /* The bans in force at a position; part of every welcome. A session is turned away until until_ms (unix time). After all of them: that is all
     * there are, but for those of records up to since, which the broker does not know; and what comes after position is not in them. */
    void (*blocked)(void *context, struct slice session, int64_t until_ms);
    void (*all_blocked)(void *context, uint64_t position, uint64_t since);
    /* The next event of the sequence. */
    void (*event)(void *context, struct event *e);
    /* The sequence went on to position, nothing was in between. */
    void (*advanced)(void *context, uint64_t position);
    /* What came between here and position can no longer be had; oldest is what the broker still holds. */
    void (*broken)(void *context, uint64_t position, uint64_t oldest);
    /* The answer to upstream_replay(). page is valid during the call. */
    void (*page)(void *context, void *asker, const struct wire_page *page);
    /* The broker's reply, one JSON object, to upstream_command(). It is valid during the call. Empty: the broker was lost, and what is
     * asked only once will not be answered. */
    void (*reply)(void *context, void *asker, struct slice json);
    /* How it is: the gauges but GAUGE_POSITION. May be NULL. */
    void (*measure)(void *context, uint64_t gauges[WORKER_GAUGES]);
    /* Add connections to b with wire_add_presence(), from the place *cursor on (0: the first), until b has max bytes. True when there are
     * more: *cursor is the next place. Connections that come meanwhile are reported by upstream_presence() too. */
    bool (*snapshot)(void *context, struct buf *b, size_t *cursor, size_t max);
    /* Add those that lag, as many as are worth it. May be NULL. */
    void (*lagging)(void *context, struct buf *b);
    /* Which connections there are now, as a number of the caller's that only grows; and: a broker, which stood at head, has taken a report of
     * all that there were then. */
    uint64_t (*mark)(void *context);
    void (*told)(void *context, uint64_t mark, uint64_t head);
    /* Shutdowns of the past, in answer to upstream_shutdowns(): all, or with a gap some are not known any more. May be NULL. */
    void (*past)(void *context, const struct wire_page *page);
};

/* How often and how long, in milliseconds. */
struct upstream_pace {
    int64_t tick;      /* between two looks at what is due; HELLO is repeated no faster */
    int64_t retry;     /* until a request without a reply is sent again; longer while replies take long */
    int64_t retry_max; /* the longest that becomes */
    int64_t silence;   /* until a broker that sends nothing counts as lost */
    int64_t move;      /* the same where there is another broker to turn to */
    int64_t renew;     /* between two reports of presence; well below the broker's lease */
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

/* Connect. Of several brokers one is listened to; when it is silent the next one takes its place, and nothing is lost as long as they share
 * one sequence. Strings must stay valid. NULL with a line in the log. */
struct upstream *upstream_new(const struct upstream_config *config, struct loop *loop,
                              const struct upstream_hooks *hooks, void *context);

void upstream_free(struct upstream **u);

/* At the end of each turn: receive what has come (bounded) and send presence. True when there is more to do at once. */
bool upstream_turn(struct upstream *u);

/* Ask for a page of what asker missed (request and max_bytes are set here). The answer comes to the page hook, whenever the broker
 * can give it; it is asked again until then. The handle is valid until that call; NULL when out of memory. */
struct question *upstream_replay(struct upstream *u, void *asker, const struct wire_replay *what);

/* Ask for the shutdowns after a position (0: from the oldest), of which those older than age_ms are not needed. Pages come to the past hook, one for
 * each call. NULL when out of memory. */
struct question *upstream_shutdowns(struct upstream *u, uint64_t after, uint64_t age_ms);

/* Give the broker a command (protocol.md) on behalf of somebody with this grant. The reply comes to the reply hook, if it comes: asker
 * has to have a deadline. again: ask again while no reply comes, also another run of the broker; only for what may be done twice. The
 * handle is valid until that call; NULL when out of memory. */
struct question *upstream_command(struct upstream *u, void *asker, const struct grant *grant, struct slice json,
                                  bool again);

/* Has the broker been asked? It may have heard it then, and done it. */
bool upstream_was_sent(const struct question *q);

/* The answer is not wanted any more. Sets *q to NULL; safe on NULL. */
void upstream_forget(struct question **q);

/* This worker ends: report what ended last, and say good-bye. Call nothing but upstream_free() after it. */
void upstream_leave(struct upstream *u);

/* Report a connection that was opened or has ended. Those that end while there is no broker are kept for the next one. */
void upstream_presence(struct upstream *u, const struct wire_presence_item *item);

/* A broker has welcomed this worker since it was last heard of. */
bool upstream_connected(const struct upstream *u);

/* Something answers at the broker's endpoints and does not become connected: a key does not fit, or it is no broker. The log has said why. */
bool upstream_turned_away(const struct upstream *u);

/* How long ago the broker that welcomed us was heard, ms; it says something each second (WIRE_ANNOUNCE_MS). INT64_MAX when there is none. */
int64_t upstream_silence(const struct upstream *u);

#endif
