/* wire.h - the messages between broker and worker: feed (XPUB to SUB) and sync (ROUTER to DEALER).
 *
 * Each message is one ZeroMQ frame: 'S' 'S' 'C' WIRE_VERSION, a type byte, three zero bytes, then
 * the fields, little-endian; a name is u16 length + bytes; events travel as entries (event.h).
 * docs/protocol.md has the tables. A decoder returns 0, or -EPROTO for a message that is not
 * exactly of its type; its slices point into the message.
 *
 * The feed:  WIRE_BATCH  events in order, as soon as they are stored
 *            WIRE_HEAD   once a second: where the sequence stands
 *            WIRE_LOG    a new log level for the workers, when an operator changes it
 * The sync:  worker -> broker                      broker -> worker
 *            WIRE_HELLO                            WIRE_BANS and WIRE_STATE until all are sent,
 *                                                  then WIRE_WELCOME
 *            WIRE_REPLAY                           WIRE_PAGE
 *            WIRE_SHUTDOWNS                        WIRE_PAGE
 *            WIRE_PRESENCE (also the lease)        WIRE_TAKEN, or WIRE_RESYNC after a missed report
 *            WIRE_COMMAND                          WIRE_REPLY
 *
 * A position is a seq, or the point where an epoch (run) of the broker began: everything up to and
 * including it has been seen.
 */
#ifndef SSECAST_WIRE_H
#define SSECAST_WIRE_H

#include <stdint.h>

#include "base/buf.h"
#include "codec/audience.h"
#include "codec/event.h"
#include "codec/grant.h"
#include "ops/log_line.h"
#include "ops/stats.h"

#define WIRE_VERSION 5
#define WIRE_PREFIX "SSC\005" /* what a worker subscribes to */
#define WIRE_PREFIX_LEN 4u

#define WIRE_RENEW_MS 1000u    /* how often a worker sends WIRE_PRESENCE at least */
#define WIRE_ANNOUNCE_MS 1000u /* how often the broker sends WIRE_HEAD */

/* Long lists are sent in pieces. A piece ends with the item that reaches this number of bytes. */
#define WIRE_PIECE_BYTES (1u << 20)

/* The largest JSON of a WIRE_COMMAND, and the largest message that a broker accepts from a
 * worker. */
#define WIRE_COMMAND_JSON_MAX (16u << 20)
#define WIRE_MESSAGE_MAX (WIRE_COMMAND_JSON_MAX + (2u << 20))

_Static_assert(WIRE_MESSAGE_MAX >= 2 * WIRE_PIECE_BYTES,
               "a piece and its last item fit into a message");

enum wire_type {
    WIRE_BATCH = 1,
    WIRE_HEAD = 2,
    WIRE_HELLO = 3,
    WIRE_WELCOME = 4,
    WIRE_REPLAY = 5,
    WIRE_PAGE = 6,
    WIRE_PRESENCE = 7,
    WIRE_RESYNC = 8,
    WIRE_COMMAND = 9,
    WIRE_REPLY = 10,
    WIRE_TAKEN = 11,
    WIRE_LOG = 12,
    WIRE_BANS = 13,
    WIRE_SHUTDOWNS = 14,
    WIRE_STATE = 15,
    WIRE_TYPES_END,
};

/* Why a connection ended. The causes before END_CAUSES are those of streams, which workers
 * report. */
enum end_cause {
    END_CLIENT,
    END_SHUTDOWN,
    END_SLOW,
    END_DRAIN,
    END_EXPIRED,
    END_WORKER_LOST,
    END_REPLACED,
    END_CAUSES,
    END_ANSWERED, /* not a stream: its response is complete, or failed */
};

/* "client", "shutdown", "slow", "drain", "expired", "worker_lost", "replaced". */
const char *end_cause_name(enum end_cause cause);

struct wire_batch {
    uint64_t run;         /* the broker's epoch; it differs after a restart */
    uint64_t prev;        /* position just before the first entry */
    struct slice entries; /* one after the other, in order */
};

struct wire_head {
    uint64_t run;
    uint64_t head;     /* position: the last seq assigned */
    uint64_t complete; /* position: everything after it is retained */
    int64_t clock;     /* the broker's, unix time in us, when it wrote this */
};

struct wire_hello {
    struct slice worker;     /* its name for people, NAME_BYTES_MAX bytes at most */
    uint64_t position;       /* 0: a fresh worker */
    struct names labels;     /* of the values of its connections (meta.h); decoded: NULL */
    struct slice raw_labels; /* decoded: walk with wire_next_name() */
    uint64_t pieces;         /* of the answer to an earlier hello that arrived; 0: none */
};

struct wire_welcome {
    uint64_t run;
    uint64_t head;
    uint64_t complete;
    uint64_t oldest;     /* seq of the oldest event retained; head + 1 when there is none */
    uint64_t taken;      /* n of this worker's last WIRE_PRESENCE acknowledged here; 0: none */
    uint64_t bans_since; /* position: bans up to here may be unknown here; 0: it knows all */
    uint64_t began;      /* position: events up to it have an earlier epoch's times; 0: unknown */
    int64_t clock;       /* as in the head */
    uint64_t pieces;     /* number of WIRE_BANS and WIRE_STATE that preceded this message */
    struct slice bans;   /* walk with wire_next_ban() */
};

struct wire_bans {
    uint64_t run;
    uint64_t piece;    /* 1, 2, 3, ... of each welcome */
    struct slice bans; /* walk with wire_next_ban() */
};

/* The newest event of each key, in order of seq. Its pieces and those of bans are numbered
 * together. */
struct wire_state {
    uint64_t run;
    uint64_t piece;
    struct slice entries; /* walk with event_parse() */
};

/* Where a replay begins. */
enum start_kind {
    START_AFTER,    /* after a cursor */
    START_EARLIEST, /* with the oldest event retained */
    START_LAST,     /* with the newest `value` messages that concern the reader */
    START_SINCE,    /* with the first event at `value` (unix ms) or later */
};

struct start {
    enum start_kind kind;
    uint64_t value;
};

/* Requests the events after a cursor, or from another start. */
struct wire_replay {
    uint64_t request;   /* comes back in the page */
    struct start start; /* another one than START_AFTER: the page's `from` says where that is */
    /* Position; used when id is empty. With another start: a shutdown after it is not skipped. */
    uint64_t after;
    struct slice id;       /* or a publisher's own id to begin after */
    struct audience who;   /* decoded: channels.items is NULL; see channels below */
    struct slice channels; /* decoded: walk with wire_next_name(); ignored when encoding */
    /* Stop after about this number of bytes of entries (at least one event is sent). */
    uint32_t max_bytes;
    bool everything; /* true: unfiltered, to repair the feed; false: what concerns who */
};

/* Requests the shutdowns after a position. The reply is a page of these; its gap flag means that
 * some may be missing. */
struct wire_shutdowns {
    uint64_t request; /* comes back in the page */
    uint64_t after;   /* position */
    uint64_t age_ms;  /* older shutdowns are not needed */
};

struct wire_page {
    uint64_t request;
    uint64_t run;
    uint64_t from; /* position this page begins after: the cursor, or history's after a gap */
    uint64_t upto; /* position: complete up to here; continue from here while upto < head */
    uint64_t head;
    uint64_t oldest; /* as in the welcome */
    bool gap;        /* the cursor is unknown or too old: something after it may be missing */
    struct slice entries;
};

struct wire_presence {
    uint64_t n; /* 1, 2, 3, ... from each hello; after a hole comes WIRE_RESYNC */
    /* All connections of this worker, or a piece of that; of the first piece n may be anything. */
    bool full;
    bool rest;            /* full: this is not the first piece */
    bool more;            /* full: this is not the last piece; the next one has n + 1 */
    bool bye;             /* the worker stops and has no connections left */
    bool lags;            /* the items name all connections that lag */
    uint64_t acked_epoch; /* epoch of the broker that last acknowledged a full report; 0: none */
    uint64_t gauges[WORKER_GAUGES];
    uint64_t counters[WORKER_COUNTERS]; /* since the worker started */
    struct slice items;                 /* walk with wire_next_presence() */
};

enum wire_item { ITEM_ENDED, ITEM_OPENED, ITEM_LAGS };

/* A change of one connection. An end repeats the session and channels, because a restarted
 * broker does not know them. */
struct wire_presence_item {
    enum wire_item kind;
    struct slice connection;
    struct slice session;      /* opened, ended */
    int64_t since_ms;          /* opened, ended: unix time */
    struct names channels;     /* opened, ended, encoding; decoded: NULL */
    struct slice raw_channels; /* decoded: walk with wire_next_name() */
    bool acknowledged;         /* opened, ended: its opening was reported to a broker */
    struct slice meta;         /* opened: values, packed (meta.h) */
    /* opened: of a hub's stream, packed (subscription.h); empty: none are reported. */
    struct slice subscriptions;
    enum end_cause cause; /* ended */
    uint64_t sent;        /* lags: position up to which everything was sent */
    uint64_t queued;      /* lags: bytes queued for it */
};

struct wire_log {
    enum log_level level;
};

struct wire_taken {
    uint64_t run;
    uint64_t n;    /* of the report */
    uint64_t head; /* position when it was acknowledged */
    int64_t clock; /* as in the head */
};

/* A command (protocol.md) that a worker forwards for a caller with this grant. */
struct wire_command {
    uint64_t request; /* comes back in the reply */
    /* Encoding; decoded: its patterns are NULL, the publisher is set. */
    struct grant grant;
    struct slice raw_sessions, raw_channels; /* decoded: the patterns; walk with wire_next_name() */
    struct slice json;
};

struct wire_reply {
    uint64_t request;
    struct slice json;
};

/* The type of a message, or -EPROTO when it does not begin as one. Each decoder checks it again. */
int wire_type(struct slice message);

/* Writing. Each begins a message in an empty buffer; items of lists are added afterwards. */
void wire_put_batch(struct buf *b, uint64_t run, uint64_t prev);
void wire_put_head(struct buf *b, const struct wire_head *m);
void wire_put_hello(struct buf *b, const struct wire_hello *m);
void wire_put_welcome(struct buf *b, const struct wire_welcome *m); /* then wire_add_ban() */
void wire_put_bans(struct buf *b, const struct wire_bans *m);       /* the same */
void wire_put_state(struct buf *b, const struct wire_state *m);     /* then wire_add_entry() */
void wire_put_replay(struct buf *b, const struct wire_replay *m);
void wire_put_shutdowns(struct buf *b, const struct wire_shutdowns *m);
void wire_put_page(struct buf *b, const struct wire_page *m);         /* then wire_add_entry() */
void wire_put_presence(struct buf *b, const struct wire_presence *m); /* then wire_add_presence() */
void wire_put_resync(struct buf *b);
void wire_put_taken(struct buf *b, const struct wire_taken *m);
void wire_put_log(struct buf *b, const struct wire_log *m);
void wire_put_command(struct buf *b, const struct wire_command *m);
void wire_put_reply(struct buf *b, const struct wire_reply *m);

void wire_add_entry(struct buf *b, const struct event *e); /* also to a batch */
void wire_add_ban(struct buf *b, struct slice session, int64_t until_ms);
void wire_add_presence(struct buf *b, const struct wire_presence_item *item);

/* Add items that wire_add_presence() collected in a buffer of their own. */
void wire_add_items(struct buf *b, const struct buf *items);

/* Add bytes as they are. */
void wire_add_bytes(struct buf *b, struct slice bytes);

/* Reading. A walk ends (false) at the first malformed item. The decoders have checked names and
 * presence items, so only entries can be malformed; event_parse() reports it. */
int wire_get_batch(struct slice message, struct wire_batch *m);
int wire_get_head(struct slice message, struct wire_head *m);
int wire_get_hello(struct slice message, struct wire_hello *m);
int wire_get_welcome(struct slice message, struct wire_welcome *m);
int wire_get_bans(struct slice message, struct wire_bans *m);
int wire_get_state(struct slice message, struct wire_state *m);
int wire_get_replay(struct slice message, struct wire_replay *m);
int wire_get_shutdowns(struct slice message, struct wire_shutdowns *m);
int wire_get_page(struct slice message, struct wire_page *m);
int wire_get_presence(struct slice message, struct wire_presence *m);
int wire_get_taken(struct slice message, struct wire_taken *m);
int wire_get_log(struct slice message, struct wire_log *m);
int wire_get_command(struct slice message, struct wire_command *m);
int wire_get_reply(struct slice message, struct wire_reply *m);

bool wire_next_name(struct slice *rest, struct slice *name);
bool wire_next_ban(struct slice *rest, struct slice *session, int64_t *until_ms);
bool wire_next_presence(struct slice *rest, struct wire_presence_item *item);

/* The first items of a walk as a piece, which ends with the item that reaches max bytes. *ended:
 * the bytes of its items of kind ITEM_ENDED. */
struct slice wire_cut_presence(struct slice items, size_t max, size_t *ended);

#endif
