/* conn.h - one connection to the web server, or to a browser: its queue, its framing, its end.
 *
 * It writes events in order, many in one record and one system call. If the kernel allows it, one
 * system call writes those of many conns. It notices when the peer has closed. It knows neither
 * sessions nor the sequence: its owner decides what to send. A conn is embedded in its exchange.
 *
 * A transport is what surrounds the text. FastCGI has records, and the end of a response is one. A
 * pipe or a socket has none: the end of the response is the end of the connection.
 *
 * Ownership: conn_open() takes the descriptor over. When the connection has ended its `closed` hook
 * is called, once; at the end of an iteration the set's `free` hook gives the memory back.
 */
#ifndef SSECAST_CONN_H
#define SSECAST_CONN_H

#include <sys/queue.h>

#include "base/loop.h"
#include "codec/wire.h"
#include "http/queue.h"
#include "http/record.h"
#include "ops/stats.h"

enum conn_state {
    CONN_OPEN,
    CONN_ENDING, /* writes the queue, then the end of the response */
    /* Its reader is too slow: writes the rest of the current record,
     * then the end of the response. */
    CONN_CUTTING,
    CONN_LINGER, /* everything is written: waits for the web server to close */
    CONN_DEAD,   /* closed; freed at the end of the iteration */
};

enum conn_transport {
    CONN_RECORDS, /* FastCGI */
    CONN_PIPE,    /* plain CGI: text without records; not read, closed after the last byte */
    CONN_SOCKET,  /* SCGI, or the browser's own socket: text without records; EOF is noticed */
};

struct conn {
    struct loop_watch watch;
    struct conns *set;
    const struct conn_hooks *hooks;
    struct queue queue;
    enum conn_state state : 8;
    enum conn_transport transport : 8;
    enum end_cause cause : 8; /* why it ended */
    bool keep : 1;            /* the web server keeps the connection (FCGI_KEEP_CONN) */
    bool plain_file : 1;      /* is always ready and cannot be watched */
    bool wrote : 1;           /* its queue ran empty before */
    bool dirty : 1;           /* in the list of connections to flush */
    /* The socket is full: waits for EPOLLOUT; or there is no socket yet (conn_attach()). */
    bool blocked : 1;
    bool behind : 1;      /* the queue has no room for further events; see conn_fall_behind() */
    uint16_t request;     /* FastCGI request id */
    uint8_t head_left;    /* bytes of the current record's header still to write */
    uint8_t tail_left;    /* bytes of the end of the response still to write */
    uint16_t record_left; /* bytes of the current record's content still to write */
    uint16_t record_len;
    uint32_t stalled_ms;     /* from the last write or change of state until `touched` */
    uint64_t timed_after;    /* latency is counted for events after this seq; UINT64_MAX: none */
    int64_t touched;         /* clock_ms() of the last write or change of list */
    TAILQ_ENTRY(conn) link;  /* in the list of its state, longest first */
    struct conn *next_dirty; /* or, when dead, the next dead one */
};

TAILQ_HEAD(conn_list, conn);

/* How a conn calls its owner. */
struct conn_hooks {
    /* It ended; nothing can be sent any more. Called for every conn, once. */
    void (*closed)(struct conn *c);
    void (*drained)(struct conn *c); /* an open conn has written its whole queue */

    /* NULL, or: a conn is behind and its reader took nothing for CONN_BEHIND_MS. False when what it
     * is to get fits the budget: it is not cut, but asked about again, until write_ms has
     * passed. */
    bool (*overflows)(struct conn *c);

    /* NULL, or: an open conn can write again that was blocked for stale_ms or longer. Its
     * queue may be changed with conn_unqueue(). */
    void (*thawed)(struct conn *c);
};

/* The same for each conn of a set. */
struct conns_hooks {
    void (*free)(struct conn *c); /* free the memory */

    /* After conn_keep(): the response is written; fd is the hook's, for the next request. */
    void (*reuse)(struct conn *c, int fd);
};

/* All connections of a worker. */
struct conns {
    struct loop *loop;
    const struct conns_hooks *hooks;
    size_t budget;      /* bytes in the queue of each */
    int64_t write_ms;   /* timeout of a reader without write progress; 0: none */
    int64_t behind_ms;  /* the same for one that is behind: CONN_BEHIND_MS, and at most write_ms */
    int64_t stale_ms;   /* what waited for longer may be out of date: CONN_STALE_MS */
    uint64_t *counters; /* WORKER_COUNTERS of them */
    size_t count;       /* not yet closed */
    struct conn *dirty;
    struct conn *dead;
    struct write_batch *batch; /* what is written together; NULL: each conn is written by itself */
    struct conn_list idle;     /* open; the longest without a write first */
    struct conn_list blocked;  /* open, with bytes in the queue; in the same order */
    struct conn_list behind;   /* the same, for those that are behind */
    struct conn_list ending;
    struct conn_list cutting;
    struct conn_list linger;
    struct loop_timer end_timer;
};

#define CONN_RECORD_MAX 16384u /* bytes in one FCGI_STDOUT record */
/* Of a socket's send buffer; the kernel allows twice as many: three records. */
#define CONN_HELD_BACK_BYTES 24576
#define CONN_ENDING_MS 30000 /* timeout without write progress at the end of a response */
#define CONN_CUTTING_MS 3000 /* timeout for the rest of a slow reader's record */
#define CONN_BEHIND_MS 3000  /* timeout without write progress of a reader that is behind */
#define CONN_STALE_MS 1000   /* see stale_ms */
#define CONN_REST_MS 1000    /* a queue that was empty for this long frees its memory */
#define CONN_LINGER_MS 2000  /* timeout for the web server to close after a response */

void conns_init(struct conns *set, struct loop *loop, const struct conns_hooks *hooks,
                size_t budget, int64_t write_ms, uint64_t *counters);

/* From now on sockets are written together, in one system call (io_uring). 0 or -errno: why the
 * kernel does not allow it; then each is written by itself. */
int conns_write_together(struct conns *set);

/* Begin with a zeroed c on fd (non-blocking), which answers this FastCGI request. hooks lasts as
 * long as c; its owner may replace c->hooks. fd -1, with CONN_SOCKET: bytes are queued until
 * conn_attach(). 0 or -errno (then fd is still the caller's and c was not taken). */
int conn_open(struct conn *c, struct conns *set, const struct conn_hooks *hooks, int fd,
              uint16_t request, enum conn_transport transport);

/* The socket of a conn that was opened without one, also a blocking one; it is taken over. 0 or
 * -errno (then fd is still the caller's): -EPIPE if the conn has ended meanwhile. */
int conn_attach(struct conn *c, int fd);

/* The web server keeps the connection: after the end of the response it goes to the reuse hook.
 * Only for CONN_RECORDS. It is closed nevertheless if the response cannot end in order, or if the
 * web server sends anything before that. */
void conn_keep(struct conn *c);

/* Give the socket a small buffer, for a web server that writes large responses to temporary
 * files: bytes then wait in the queue. */
void conn_hold_back(struct conn *c);

/* Queue e, to be written at the end of the iteration. If that exceeds the budget, the queue is
 * written at once. If there is still no room, the queue is dropped except for the current
 * record, and the response ends (END_SLOW). Ignored unless open. */
void conn_send(struct conn *c, struct event *e);

/* The same, but without room it returns false and changes nothing. The caller then calls
 * conn_fall_behind(), or ends the response. */
bool conn_try_send(struct conn *c, struct event *e);

/* There was no room for further events: the caller withholds them until the drained hook. A reader
 * without write progress for CONN_BEHIND_MS (or the set's write_ms, if shorter) is cut if its owner
 * says that it overflows; at once if that time has already passed. */
void conn_fall_behind(struct conn *c);

/* All withheld events are queued: the budget holds again. Ignored unless open. */
void conn_catch_up(struct conn *c);

/* Events of the sequence at the end of the queue that nothing was written of: those after the last
 * text of our own. */
struct unwritten {
    size_t fixed;   /* texts in the queue before them */
    uint64_t first; /* seq of the oldest of them; 0: there is none */
};

struct unwritten conn_unwritten(const struct conn *c);

/* Take them back, of a queue that has not changed since: the caller sends them again later. Returns
 * how many events these are. */
size_t conn_unqueue(struct conn *c, struct unwritten what);

/* Queue e without a budget, for a caller that bounds what it sends. */
void conn_send_unbounded(struct conn *c, struct event *e);

/* Restart the idle time as if bytes had been written. */
void conn_touch(struct conn *c);

/* Write the queue, then end the response. Ignored unless open. */
void conn_end(struct conn *c, enum end_cause cause);

/* Close now. Safe at any time. For a slow reader (END_SLOW) the end of the response is written
 * if that is possible at once. */
void conn_cut(struct conn *c, enum end_cause cause);

/* At the end of an iteration: write the queues, and free dead connections. conns_flush() returns
 * true when it must be called again soon. */
bool conns_flush(struct conns *set);
void conns_reap(struct conns *set);

/* Queued bytes of blocked readers. */
struct conns_load {
    uint64_t bytes, readers;
};

struct conns_load conns_load(const struct conns *set);

/* After the loop's last iteration: close and free every connection (END_DRAIN), without writing
 * its queue, and what conns_write_together() made. */
void conns_close(struct conns *set);

#endif
