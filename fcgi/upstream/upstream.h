/* upstream.h - the worker's connection to the broker: the feed in order, repair of missed events,
 * replays, presence.
 *
 * upstream_next() returns every event of the sequence exactly once and in order, or reports that it
 * cannot. It does not know streams. The messages are those of wire.h.
 *
 * Each iteration of the loop takes the news until there are none, then sends the reports that are
 * due:
 *
 *     while (upstream_next(u, &news) > UPSTREAM_PAUSE)
 *         ...
 *     while (upstream_next_report(u, &draft))
 *         ... fill it in ...
 *         upstream_report(u, &draft);
 *
 * What news make the caller ask (upstream_replay() and so on) it may ask at once.
 *
 * Ownership: what upstream_next() returns is valid until its next call. Who keeps an event takes a
 * reference.
 */
#ifndef SSECAST_UPSTREAM_H
#define SSECAST_UPSTREAM_H

#include "base/loop.h"
#include "codec/event.h"
#include "codec/wire.h"
#include "ops/curve_key.h"
#include "upstream/ordering.h"
#include "upstream/reporter.h"

struct upstream;
struct upstream_request;

/* Every welcome of a broker is UPSTREAM_BAN for each ban in force, UPSTREAM_ALL_BANS,
 * UPSTREAM_STATE_CLEAR, UPSTREAM_STATE for each event of the state, UPSTREAM_ALL_STATE; the first
 * one then is UPSTREAM_JOINED. */
enum upstream_kind {
    UPSTREAM_NOTHING, /* no further news in this iteration */
    /* The same, but there are more: write to streams first,
     * so that a burst does not look like a slow reader. */
    UPSTREAM_PAUSE,

    UPSTREAM_JOINED,   /* the first contact with a broker: the sequence is at position */
    UPSTREAM_EVENT,    /* event: the next one of the sequence */
    UPSTREAM_ADVANCED, /* the sequence moved to position without events */
    /* Events up to position are no longer available; oldest is the first that the broker has. */
    UPSTREAM_BROKEN,
    UPSTREAM_BAN, /* session is banned until until_ms (unix time) */
    /* The list, as of position, is complete;
     * but for bans of records up to since, which the broker does not know. */
    UPSTREAM_ALL_BANS,
    UPSTREAM_STATE_CLEAR, /* the state of an earlier welcome no longer counts */
    UPSTREAM_STATE,       /* event: the newest one of a key, in order of seq */
    UPSTREAM_ALL_STATE,   /* the state, as of position, is complete */
    UPSTREAM_PAGE,        /* page: the answer to upstream_replay() of asker */
    UPSTREAM_SHUTDOWNS,   /* page: the answer to upstream_shutdowns(). With a gap, some are gone */
    /* json: the reply to upstream_command() of asker, one object. Empty: the broker was lost, and
     * the request is not sent again. */
    UPSTREAM_REPLY,
    /* A broker, which was at position, has a report of all connections up to mark. */
    UPSTREAM_ACKNOWLEDGED,
};

/* Only the fields that are named beside the kind are set. */
struct upstream_news {
    struct event *event;
    uint64_t position, oldest, since, mark;
    struct slice session;
    int64_t until_ms;
    void *asker;
    const struct wire_page *page;
    struct slice json;
};

/* Periods and timeouts, in milliseconds. */
struct upstream_pace {
    int64_t tick;      /* period of the timer, and the shortest one of HELLO */
    int64_t retry;     /* until a request without reply is sent again; longer for slow replies */
    int64_t retry_max; /* the longest that becomes */
    int64_t silence;   /* until a silent broker counts as lost */
    int64_t move;      /* the same in a cluster */
    int64_t renew;     /* between two presence reports; well below the broker's lease */
};

/* What workers use; tests are in more of a hurry. */
#define UPSTREAM_PACE                                                                              \
    ((struct upstream_pace){.tick = 1000,                                                          \
                            .retry = 2000,                                                         \
                            .retry_max = 60000,                                                    \
                            .silence = 15000,                                                      \
                            .move = 3000,                                                          \
                            .renew = WIRE_RENEW_MS})

struct upstream_config {
    struct upstream_pace pace;        /* UPSTREAM_PACE */
    char *const *feeds;               /* endpoints of the brokers; the first one is tried first */
    char *const *syncs;               /* the same brokers', in the same order */
    size_t brokers;                   /* at least 1 */
    const struct curve_client *curve; /* keys for tcp endpoints; NULL or zeroed: without CURVE */
    struct names labels;              /* names of the connections' packed values (meta.h) */
    /* Of this worker, unique per boot, NAME_BYTES_MAX bytes at most. */
    const char *name;
    const uint64_t *counters;  /* WORKER_COUNTERS of them, sent along with presence */
    struct ordering *ordering; /* learns the broker's clock and positions; NULL: not used */
    size_t piece_bytes;        /* of reports; 0: WIRE_PIECE_BYTES */
    uint64_t *repairs;         /* counts pages of repair */
};

/* Connect. Of several brokers one is listened to; when it is silent the next one takes its
 * place, and nothing is lost as long as they share one sequence. Strings must stay valid. NULL
 * with a line in the log. */
struct upstream *upstream_new(const struct upstream_config *config, struct loop *loop);

void upstream_free(struct upstream **u);

/* The next news. At most so much is received that one iteration does not last long; the one after
 * UPSTREAM_PAUSE must come at once. */
enum upstream_kind upstream_next(struct upstream *u, struct upstream_news *out);

/* Was something sent since upstream_next() found no news? Then the loop may not be told of a
 * message that has arrived since, so take news once more. */
bool upstream_is_unsure(const struct upstream *u);

/* Could a message have arrived since upstream_next() found no news? It costs less than to look.
 * What time alone brings about, the next iteration tells. */
bool upstream_may_have_news(const struct upstream *u);

/* The next report that is due (reporter.h). False when there is none. After the caller has filled
 * in the draft it calls upstream_report(). */
bool upstream_next_report(struct upstream *u, struct report_draft *draft);
void upstream_report(struct upstream *u, struct report_draft *draft);

/* Ask for a page of what asker missed (request and max_bytes are set here). The answer is
 * UPSTREAM_PAGE, whenever the broker can give it; it is asked again until then. The handle is valid
 * until that is returned; NULL when out of memory. */
struct upstream_request *upstream_replay(struct upstream *u, void *asker,
                                         const struct wire_replay *what);

/* Ask for the shutdowns after a position (0: from the oldest). Those that are older than age_ms now
 * are not needed; the age grows until the broker answers. Each call is answered by one page. NULL
 * when out of memory. */
struct upstream_request *upstream_shutdowns(struct upstream *u, uint64_t after, uint64_t age_ms);

/* Send the broker a command (protocol.md) of a caller with this grant. The reply is UPSTREAM_REPLY,
 * or never comes: asker needs a timeout. again: repeat the command until there is a reply, also
 * after a restart of the broker; only for commands that may run twice. The handle is valid until
 * the reply is returned; NULL when out of memory. */
struct upstream_request *upstream_command(struct upstream *u, void *asker,
                                          const struct grant *grant, struct slice json, bool again);

/* Was the request sent? The broker may then have executed it. */
bool upstream_was_sent(const struct upstream_request *q);

/* Drop the request: its reply is ignored. Sets *q to NULL; safe on NULL. */
void upstream_forget(struct upstream *u, struct upstream_request **q);

/* This worker ends: what ended last is to be reported, and a good-bye. Call upstream_next_report()
 * until it returns false, then upstream_free(). */
void upstream_leave(struct upstream *u);

/* Report a connection that was opened or has ended. Those that end while there is no broker are
 * kept for the next one. */
void upstream_presence(struct upstream *u, const struct wire_presence_item *item);

/* A broker has welcomed this worker since it was last heard of. */
bool upstream_connected(const struct upstream *u);

/* The feed is listened to, and no event is known to be missing: the worker has everything that the
 * broker has sent. */
bool upstream_current(const struct upstream *u);

/* The broker answers at its sync endpoint, and nothing has come on the feed for the pace's silence.
 * The log has said so. */
bool upstream_feed_is_silent(const struct upstream *u);

/* Something answers at the broker's endpoints and does not become connected: a key does not fit,
 * or it is no broker. The log has said why. */
bool upstream_turned_away(const struct upstream *u);

/* How long ago the broker that welcomed us was heard, ms; it says something each second
 * (WIRE_ANNOUNCE_MS). INT64_MAX when there is none. */
int64_t upstream_silence(const struct upstream *u);

#endif
