/* stream.h - the streams of a worker: what each is sent, and how one that comes back is brought up to date.
 *
 * A stream is WAITING while the sequence is not known yet, RESUMING while it catches up with what it missed, then LIVE. A
 * resuming stream is not sent live events: it reads them from the window when it gets there, so that order holds by itself. It is
 * fed as fast as it reads and no faster. A live stream whose queue is full is RESUMING again: its conn is `behind`.
 *
 * open.c opens streams, stream.c delivers to them, resume.c brings them up to date, terms.c ends them when their time is over.
 * None of them touches a descriptor (conn.c) or a socket of the broker's (upstream.c).
 */
#ifndef SSECAST_STREAM_H
#define SSECAST_STREAM_H

#include <sys/queue.h>

#include "base/expiry.h"
#include "base/must.h"
#include "http/exchange.h"
#include "model/bans.h"
#include "model/history.h"
#include "stream/addresses.h"
#include "stream/bundle.h"
#include "stream/registry.h"
#include "stream/reply.h"
#include "upstream/upstream.h"

/* A stream resumes with all of its channels. */
_Static_assert(REQUEST_CHANNELS_MAX == HISTORY_CHANNELS_MAX, "channels of a stream, and of a reader of the history");

enum stream_state { STREAM_WAITING, STREAM_RESUMING, STREAM_LIVE };

struct stream {
    struct exchange exchange; /* first: the exchange that it is while its role is EXCHANGE_STREAM */
    struct streams *set;
    enum stream_state state;
    bool placed;            /* an id: line has told its client where it begins */
    bool shows_checkpoints; /* they are events */
    bool shows_beats;       /* and one is sent at least once per heartbeat */
    bool confirmed;         /* the broker was told of it, ... */
    bool waited;            /* it was opened before the sequence was known */
    uint64_t opened_by;     /* ... and stood here then: a shutdown after it does concern it */
    uint64_t opened_at;     /* position when it was opened, 0 without one: a shutdown up to it does not concern it */
    int64_t opened_us;      /* clock_us() then */
    TAILQ_ENTRY(stream) unconfirmed; /* until it is confirmed */
    uint64_t cursor;              /* position: all up to it was sent; when live, what is above it is sent as it comes */
    uint64_t shown;               /* position in the last id: line sent */
    char *last_id;                /* the client's cursor as it gave it, until it was found; NULL: none */
    struct question *question;    /* to the broker, under way */
    struct registry_entry *entry; /* while it is open; read it with stream_entry() */
    struct terms *terms;          /* until when, from where (terms.c); NULL: nothing binds it. stream_terms() */
    int64_t since_ms;             /* unix time */
    int64_t beaten_at;            /* the loop's time of the last checkpoint, where shows_beats */
};

/* The stream that c is; NULL when it is no stream, or has ended. */
static inline struct stream *stream_of(struct conn *c)
{
    struct exchange *x = (struct exchange *)c;
    return x->role == EXCHANGE_STREAM ? (struct stream *)x : NULL;
}

/* False when s has ended: all that is left is what still waits to be written. */
static inline bool stream_is_open(const struct stream *s)
{
    return s->exchange.role == EXCHANGE_STREAM;
}

static inline struct registry_entry *stream_entry(const struct stream *s)
{
    MUST(stream_is_open(s));
    return s->entry;
}

static inline struct terms *stream_terms(const struct stream *s)
{
    MUST(stream_is_open(s));
    return s->terms;
}

struct stream_limits {
    uint64_t connections;  /* streams of this worker */
    uint64_t per_session;  /* 0: no limit */
    uint64_t per_address;  /* 0: no limit */
    uint64_t connect_rate; /* of one address, a second; 0: no limit */
    uint64_t heartbeat_ms;
    uint32_t retry; /* ms */
    uint64_t window_bytes;
    uint64_t publish_bytes; /* the largest request to publish over HTTP; 0: nobody may */
};

/* All streams, and what they share. */
struct streams {
    struct loop *loop;
    struct exchanges *exchanges; /* set by the wiring */
    struct request_rules request_rules;
    struct reply_rules reply_rules;
    struct stream_limits limits;
    struct registry *registry;
    struct bans *bans;
    uint64_t bans_at;            /* position: what came up to here is in them */
    bool missed;                 /* events, since the last welcome */
    struct history *window;      /* NULL until the sequence is known */
    struct bundle live;          /* of this turn, in the window already, that live streams are still to be given */
    struct upstream *upstream;   /* set by the wiring */
    struct tokens *tokens;       /* set by the wiring; NULL: there are no keys to judge them with */
    struct addresses *addresses; /* NULL: no limits */
    struct expiry expiry;        /* of streams whose tokens have a time */
    struct loop_timer expiry_timer;
    struct event *expired; /* what they are told at the end */
    struct loop_timer beat_timer;
    struct event *beats[2]; /* the last checkpoints of heartbeats, without data and as events, and their positions */
    uint64_t beat_positions[2];
    struct event *plain_beat, *visible_beat;
    bool draining;                                    /* new streams are asked to come back */
    struct ordering ordering;                         /* whether a shutdown came before a stream */
    TAILQ_HEAD(unconfirmed_list, stream) unconfirmed; /* in the order of their generations */
    int64_t
        waiting_since; /* clock_us() when the first stream was opened that waits for the sequence; 0: there was none */
    uint64_t told;     /* a broker was told of the connections up to this generation (registry.h) */
    uint64_t counters[WORKER_COUNTERS];
    struct conns_load load; /* as of measured_at, clock_ms() */
    int64_t measured_at;
    const char *name;   /* of the worker */
    int64_t started_ms; /* unix time */
};

/* set's loop, exchanges, rules and limits are filled in; prepare the rest. prefix: see registry.h. queue_bytes may wait for
 * one stream. 0 or -ENOMEM. */
int streams_init(struct streams *set, const char *prefix, size_t queue_bytes);

/* After the loop's last turn, when all connections are closed: free everything. */
void streams_release(struct streams *set);

/* After upstream's turn: give live streams what came. */
void streams_settle(struct streams *set);

/* How the worker is. What waits for readers is counted now and then only, not in every turn in which somebody comes or goes. */
void streams_measure(struct streams *set, uint64_t gauges[WORKER_GAUGES]);

#define STREAMS_MEASURE_MS 500

/* What upstream tells streams; context is the struct streams. The reply hook is left to the services. */
extern const struct upstream_hooks stream_upstream_hooks;

/* End up to count streams, each with its own retry (cause END_DRAIN). Returns how many are left. */
size_t streams_drain(struct streams *set, size_t count);

/* One that made way for a newer stream of its session comes back this many times later than others. */
#define STREAM_REPLACED_FACTOR 10u

/* A time to come back, ms: at random between a tenth of `retry` and all of it. */
uint32_t stream_jitter(uint32_t retry);

/* --- between stream.c and terms.c --- */

int terms_init(struct streams *set); /* limits are filled in. 0 or -ENOMEM */
void terms_release(struct streams *set);

/* A request for a stream has come, and nothing of it was judged yet. False: its address asks too fast. *address may be NULL: no limits. */
bool terms_knock(struct streams *set, const struct params *params, struct address **address);

/* The terms of s, which is about to open: it ends at expires_ms (unix time; 0: not so), and counts for its address (NULL: for none).
 * *terms is NULL when nothing binds it. 0 or -ENOMEM. */
int terms_new(struct stream *s, int64_t expires_ms, struct address *address, struct terms **terms);
/* The same of a request that opens no stream but brings a token. */
bool terms_admit(struct streams *set, const struct params *params);

/* The address that the stream counts for; NULL: none. terms may be NULL. */
const struct address *terms_address(const struct terms *terms);

/* The stream has ended. Sets *terms to NULL; safe on NULL. */
void terms_free(struct terms **terms);

/* --- between stream.c and open.c --- */

/* How the exchange of a stream ends and goes on. */
extern const struct conn_hooks stream_conn_hooks;

/* Make block a checkpoint of s. The first one says which connection it is, and how often it is heard of. connection is room for its id. */
void stream_mark_place(struct stream *s, struct block *block, char connection[REGISTRY_ID_MAX]);

/* Tell the broker that s was opened, or has ended. */
void stream_report(struct stream *s, enum wire_item kind);

/* position as text, in digits. */
struct slice stream_digits(uint64_t position, char digits[24]);

/* The broker's time: bans end by its clock, which set their ends. */
int64_t streams_ban_clock(const struct streams *set);

/* See to it that a heartbeat is sent when one is due. */
void streams_set_beat_timer(struct streams *set);

/* --- between stream.c and resume.c --- */

/* Send one event of the sequence that concerns s; a shutdown ends it. bounded: live, under the budget; without room s falls behind. */
void stream_deliver(struct stream *s, struct event *e, bool bounded);

/* Move the client's cursor. */
void stream_send_checkpoint(struct stream *s, uint64_t position);

/* Who s is; channels is scratch for REQUEST_CHANNELS_MAX names, id for the connection's. Valid while s and they are. */
struct audience stream_audience(const struct stream *s, struct slice *channels, char id[REGISTRY_ID_MAX]);

/* Is the second of two cursors the newer one? Own ids are compared as far as the window (NULL: there is none yet) knows them. */
bool resume_is_newer(const struct history *window, const char *last_id, const char *other_id);

/* The sequence is known: find s's cursor and begin to catch up, or be live. */
void resume_begin(struct stream *s);

/* s is live, and its reader has no room for what comes after position: from here on it reads from the window, as one that resumes. */
void resume_fall_behind(struct stream *s, uint64_t position);

/* Go on catching up, as far as there is room in the queue. */
void resume_continue(struct stream *s);

/* The broker's answer. */
void resume_page(struct stream *s, const struct wire_page *page);

/* The sequence broke: nothing between s's cursor and position can be had. */
void resume_broken(struct stream *s, uint64_t position, uint64_t oldest);

#endif
