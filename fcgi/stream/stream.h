/* stream.h - the streams of a worker: what each one is sent, and how a client that reconnects
 * catches up.
 *
 * A stream is WAITING while the sequence is not known yet. It is CURRENT while it is sent the
 * current state, and RESUMING while it catches up with the events it missed. Then it is LIVE. A
 * resuming stream is not sent live events: it reads them from the window later, so that the order
 * holds. It is fed as fast as its reader reads. A live stream whose queue is full is RESUMING
 * again: its conn is `behind`.
 *
 * open.c opens streams. feed.c takes the sequence from upstream, and stream.c delivers it.
 * concern.c says which events concern a stream. current.c sends the current state, and resume.c
 * brings streams up to date. heartbeat.c keeps them alive, limits.c ends them when their time is
 * over, report.c reports them to the broker. None of them touches a descriptor (conn.c) or a socket
 * of the broker's (upstream.c).
 */
#ifndef SSECAST_STREAM_H
#define SSECAST_STREAM_H

#include <sys/queue.h>

#include "base/expiry.h"
#include "base/must.h"
#include "codec/audience.h"
#include "http/exchange.h"
#include "model/bans.h"
#include "model/history.h"
#include "model/state.h"
#include "stream/addresses.h"
#include "stream/bundle.h"
#include "stream/joined.h"
#include "stream/mercure.h"
#include "stream/registry.h"
#include "stream/reply.h"
#include "upstream/upstream.h"

/* A stream resumes with all of its channels. */
_Static_assert(REQUEST_CHANNELS_MAX == HISTORY_CHANNELS_MAX,
               "channels of a stream, and of a reader of the history");

enum stream_state { STREAM_WAITING, STREAM_CURRENT, STREAM_RESUMING, STREAM_LIVE };

/* What the streams of the hub have, and no others. */
struct stream_hub {
    struct selectors *grants;   /* private events that it may be sent; NULL: none */
    struct slice subscriptions; /* own memory: what the broker is reported of them, packed */
};

/* There is one for each reader, so its size counts: docs/performance.md. */
struct stream {
    struct exchange exchange; /* first: the exchange that it is while its role is EXCHANGE_STREAM */
    struct streams *set;
    enum stream_state state : 3;
    enum hub_dialect hub : 3;   /* it is one of the hub's: events reach it by their topics only */
    enum start_kind start : 2;  /* where it begins until that was found, see `from` */
    bool placed : 1;            /* an id: line with its first position was sent */
    bool shows_checkpoints : 1; /* checkpoints are events */
    bool shows_beats : 1;       /* a checkpoint is sent at least once per heartbeat */
    bool confirmed : 1;         /* the broker has acknowledged its report, at opened_by */
    bool waited : 1;            /* it was opened before the sequence was known */
    bool chose_start : 1;       /* it began elsewhere than its client's cursor or the head */
    bool scan_queued : 1;       /* CURRENT, RESUMING: it goes on in the next turn (resume.c) */
    uint16_t state_parts;       /* CURRENT: how many parts of the state were sent (joined.h) */
    /* The loop's time (its low bits) of the last checkpoint, where shows_beats. */
    uint32_t beaten_at;
    /* Position of the acknowledgement: a shutdown after it ends the stream. */
    uint64_t opened_by;
    /* Position when it was opened, 0 without one: a shutdown up to it does not end the stream. */
    uint64_t opened_at;
    int64_t opened_us;               /* clock_us() then */
    TAILQ_ENTRY(stream) unconfirmed; /* until it is confirmed */
    /* Position up to which all events were sent; when live, later ones are sent as they arrive. */
    uint64_t cursor;
    uint64_t shown;      /* position in the last id: line sent */
    uint64_t state_sent; /* CURRENT: seq of the last event of the state that was sent; 0: none */
    union {
        /* START_AFTER: the client's cursor as text, until it was found; NULL: here and now. */
        char *last_id;
        uint64_t value;               /* else: of struct start */
    } from;                           /* read it with stream_last_id() and stream_start() */
    struct upstream_request *pending; /* to the broker, under way */
    struct registry_entry *entry;     /* while it is open; read it with stream_entry() */
    struct stream_hub *of_hub;        /* NULL: it is none of the hub's */
    /* Its end time and its address (limits.c); NULL: neither. stream_own_limits(). */
    struct limits *own_limits;
    int64_t since_ms; /* unix time */
};

/* The stream that c is; NULL when it is no stream, or has ended. */
static inline struct stream *stream_of(struct conn *c)
{
    struct exchange *x = (struct exchange *)c;
    return x->role == EXCHANGE_STREAM ? (struct stream *)x : NULL;
}

/* False when s has ended and its last bytes are being written. */
static inline bool stream_is_open(const struct stream *s)
{
    return s->exchange.role == EXCHANGE_STREAM;
}

static inline struct registry_entry *stream_entry(const struct stream *s)
{
    MUST(stream_is_open(s));
    return s->entry;
}

static inline struct limits *stream_own_limits(const struct stream *s)
{
    MUST(stream_is_open(s));
    return s->own_limits;
}

/* The client's cursor, until it was found; NULL: there is none. */
static inline const char *stream_last_id(const struct stream *s)
{
    return s->start == START_AFTER ? s->from.last_id : NULL;
}

/* Where s begins, until that was found. */
static inline struct start stream_start(const struct stream *s)
{
    return (struct start){s->start, s->start == START_AFTER ? 0 : s->from.value};
}

struct stream_limits {
    uint64_t connections;  /* streams of this worker */
    uint64_t per_session;  /* 0: no limit */
    uint64_t per_address;  /* 0: no limit */
    uint64_t connect_rate; /* of one address, a second; 0: no limit */
    uint64_t heartbeat_ms;
    uint32_t retry; /* ms */
    uint64_t window_bytes;
    size_t publish_bytes; /* the largest request to publish over HTTP; 0: publishing is off */
};

/* Where Apache goes on with a request for a stream that came over SCGI (handoff.h). */
struct stream_redirects {
    const char *handoff;  /* before the token: the browser's socket is passed */
    const char *fallback; /* FastCGI */
};

/* All streams, and what they share. */
struct streams {
    struct loop *loop;
    struct exchanges *exchanges; /* set by the wiring */
    struct request_rules request_rules;
    struct reply_rules reply_rules;
    struct mercure_rules mercure;
    struct stream_limits limits;
    struct stream_redirects redirects;
    struct registry *registry;
    struct bans *bans;
    uint64_t bans_at;            /* position up to which events are applied to bans */
    bool missed;                 /* events, since the last welcome */
    struct history *window;      /* NULL until the sequence is known */
    struct state *current;       /* the newest event of each key (current.h) */
    struct joined joined;        /* of current, for streams that begin together */
    uint64_t current_at;         /* position of the welcome that it came with */
    bool current_lost;           /* events were lost: it is out of date until the next welcome */
    int64_t measured_second;     /* loop_now() in seconds, of the last resume_overflows() */
    unsigned measured_in_second; /* how often it was called in that second */
    uint32_t measured_us;        /* what the answers took in that second */
    bool compacts, expires;      /* an event had a key, or a ttl: waiting ones may be outdated */
    struct bundle live;          /* in the window already, not yet sent to live streams */
    struct upstream *upstream;   /* set by the wiring */
    struct tokens *tokens;       /* set by the wiring; NULL: no keys are configured */
    struct addresses *addresses; /* NULL: no limits */
    struct expiry expiry;        /* of streams whose tokens have a time */
    struct loop_timer expiry_timer;
    struct event *expired; /* the last text of an expired stream */
    struct loop_timer beat_timer;
    /* The last checkpoints of heartbeats, without data and as events, the same for the hub's
     * streams, and their positions. */
    struct event *beats[4];
    uint64_t beat_positions[4];
    struct event *hub_text; /* of the last event whose id: line differs for hub streams */
    struct event *plain_beat, *visible_beat;
    struct loop_timer scan_timer; /* of `scans` */
    /* Streams that have queued, the longest first (resume.c). */
    TAILQ_HEAD(scans, queued_scan) scans;
    bool draining;                                    /* new streams are refused with a retry */
    struct ordering ordering;                         /* whether a shutdown came before a stream */
    TAILQ_HEAD(unconfirmed_list, stream) unconfirmed; /* in the order of their generations */
    /* clock_us() at the opening of the first stream that waited for the sequence; 0: none. */
    int64_t waiting_since;
    uint64_t acked; /* last acknowledged generation (registry.h) */
    uint64_t counters[WORKER_COUNTERS];
    uint64_t taken_back;    /* deliveries counted but taken back: as many are not counted again */
    struct conns_load load; /* as of measured_at, clock_ms() */
    int64_t measured_at;
    const char *name;   /* of the worker */
    int64_t started_ms; /* unix time */
};

/* set's loop, exchanges, rules and limits are filled in; prepare the rest. prefix: see
 * registry.h. queue_bytes may wait for one stream. 0 or -ENOMEM. */
int streams_init(struct streams *set, const char *prefix, size_t queue_bytes);

/* After the loop's last iteration, when all connections are closed: free everything. */
void streams_release(struct streams *set);

/* After events were taken, and before the position of a live stream is sent: send live streams the
 * events that were collected. */
void streams_settle(struct streams *set);

/* The gauges of the worker. Queued bytes are counted at most every STREAMS_MEASURE_MS. */
void streams_measure(struct streams *set, uint64_t gauges[WORKER_GAUGES]);

#define STREAMS_MEASURE_MS 500

/* End up to count streams, each with its own retry (cause END_DRAIN). Returns how many are left. */
size_t streams_drain(struct streams *set, size_t count);

/* A client whose stream was replaced by a newer one of its session reconnects this many times
 * later. */
#define STREAM_REPLACED_FACTOR 10u

/* A retry time, ms: random between a tenth of `retry` and all of it. */
uint32_t stream_jitter(uint32_t retry);

/* --- for the other files of this folder --- */

/* The role of a stream's exchange. */
extern const struct conn_hooks stream_conn_hooks;

/* Make block a checkpoint of s. The first one names the connection and the heartbeat period.
 * connection is room for the id. */
void stream_mark_place(struct stream *s, struct block *block, char connection[REGISTRY_ID_MAX]);

/* position as the text that s shows: digits, for the hub's streams behind a #. */
struct slice stream_digits(const struct stream *s, uint64_t position, char digits[24]);

/* A block with a retry time. A new text; NULL when out of memory. */
struct event *stream_retry_block(const struct streams *set);

/* Send e to live streams with the next streams_settle(), together with other events for the same
 * streams. */
void streams_collect(struct streams *set, struct event *e);

/* The broker's time: bans end by its clock, which set their ends. */
int64_t streams_broker_ms(const struct streams *set);

/* These many deliveries were taken back, and are counted already when they are sent again. */
void stream_uncount(struct streams *set, size_t count);

/* Send an event of the sequence that was routed to s, if it is to be sent to s (concern.h); a
 * shutdown ends s. The queue takes it whatever its budget is. */
void stream_deliver(struct stream *s, struct event *e);

/* Move the client's cursor. */
void stream_send_checkpoint(struct stream *s, uint64_t position);

#endif
