/* conn.h - one connection to the web server: what waits for it, its FastCGI records, its end.
 *
 * It writes events in order, many in one record and one system call, and notices when the other side is gone. It knows neither
 * sessions nor sequence: its owner says what to send. A conn is embedded in its exchange.
 *
 * Ownership: conn_open() takes the descriptor over. When the connection has ended its `closed` hook is called, once; at the
 * end of an iteration the set's `free` hook gives the memory back.
 */
#ifndef SSECAST_CONN_H
#define SSECAST_CONN_H

#include "base/loop.h"
#include "codec/wire.h"
#include "http/queue.h"
#include "http/record.h"
#include "ops/stats.h"

enum conn_state {
    CONN_OPEN,
    CONN_ENDING, /* writes what waits, then the end of the response */
    CONN_CUTTING, /* writes the rest of the record that has begun, then the end of the response: its reader is too slow for more */
    CONN_LINGER, /* all is written: waits for the web server to close */
    CONN_DEAD,   /* closed; freed at the end of the turn */
};

struct conn {
    struct loop_watch watch;
    struct conns *set;
    const struct conn_hooks *hooks;
    struct queue queue;
    enum conn_state state;
    enum end_cause cause; /* why it ended */
    bool raw;             /* plain CGI: no records around the text */
    bool keep;            /* the web server keeps the connection after the response (FCGI_KEEP_CONN) */
    bool plain_file;      /* cannot be watched, is always ready */
    bool dirty;           /* in the list of those to flush */
    bool blocked;         /* its reader takes nothing: waits for EPOLLOUT */
    bool behind;          /* more than the budget would wait; see conn_fall_behind() */
    uint16_t request;     /* FastCGI request id */
    uint8_t head_left;    /* bytes of the current record's header still to write */
    uint8_t tail_left;    /* bytes of the end of the response still to write */
    uint16_t record_left; /* bytes of the current record's content still to write */
    uint16_t record_len;
    uint64_t timed_after;     /* how long events with a seq above this took is counted; UINT64_MAX: none are */
    int64_t touched;          /* clock_ms() of the last write or change of state */
    struct conn *prev, *next; /* in the list of its state, longest first */
    struct conn *next_dirty;  /* or, when dead, the next dead one */
};

struct conn_list {
    struct conn *first, *last;
};

/* What a conn tells its owner. */
struct conn_hooks {
    void (*closed)(struct conn *c);  /* it ended; nothing can be sent any more. Called for every conn, once */
    void (*drained)(struct conn *c); /* an open conn has written all that waited */
};

/* The same for each conn of a set. */
struct conns_hooks {
    void (*free)(struct conn *c); /* give the memory back */

    /* After conn_keep(): the response is written; fd is the hook's, for the next request. */
    void (*reuse)(struct conn *c, int fd);
};

/* All connections of a worker. */
struct conns {
    struct loop *loop;
    const struct conns_hooks *hooks;
    size_t budget;      /* bytes that may wait for one */
    int64_t write_ms;   /* how long a reader may take none of what waits for it; 0: for ever */
    uint64_t *counters; /* WORKER_COUNTERS of them */
    size_t count;       /* not yet closed */
    struct conn *dirty;
    struct conn *dead;
    struct conn_list idle;    /* open; the one not written to for the longest time first */
    struct conn_list blocked; /* open, and something waits for the reader; the same order */
    struct conn_list behind;  /* the same, of those that are behind */
    struct conn_list ending;
    struct conn_list cutting;
    struct conn_list linger;
    struct loop_timer end_timer;
};

#define CONN_RECORD_MAX 16384u     /* bytes in one FCGI_STDOUT record */
#define CONN_HELD_BACK_BYTES 24576 /* of a socket's send buffer; the kernel allows twice as many: three records */
#define CONN_ENDING_MS 30000       /* how long a reader may take none of what still waits for it at the end */
#define CONN_CUTTING_MS 3000       /* how long a slow reader may take none of the rest of its record */
#define CONN_BEHIND_MS 3000        /* how long a reader that is behind may take none of what waits for it */
#define CONN_LINGER_MS 2000        /* how long a web server may take to close after the end of a response */

void conns_init(struct conns *set, struct loop *loop, const struct conns_hooks *hooks, size_t budget, int64_t write_ms,
                uint64_t *counters);

/* Begin with a zeroed c on fd (non-blocking), which answers this FastCGI request; raw for plain CGI. hooks lasts as long as
 * c; its owner may set c->hooks anew. 0 or -errno (then fd is still the caller's and c was not taken). */
int conn_open(struct conn *c, struct conns *set, const struct conn_hooks *hooks, int fd, uint16_t request, bool raw);

/* The web server keeps the connection: after the end of the response it goes to the reuse hook. Not for plain CGI. It is closed all the
 * same where the response cannot end in order, or the web server says something before its end. */
void conn_keep(struct conn *c);

/* Give the socket a small buffer, for a web server that reads all that a socket holds and writes what is much to temporary files: what
 * waits then waits in the queue. */
void conn_hold_back(struct conn *c);

/* Queue e, to be written at the end of the turn. When more than the budget would be waiting, what waits is written at once; when
 * that makes no room, all that waits is dropped but the record that has begun, and the response ends (END_SLOW). Ignored unless open. */
void conn_send(struct conn *c, struct event *e);

/* The same, but without room nothing changes: false. The caller then calls conn_fall_behind(), or ends the response. */
bool conn_try_send(struct conn *c, struct event *e);

/* There was no room for what comes next. The caller keeps it back until the drained hook asks for more. A reader that takes nothing
 * for CONN_BEHIND_MS (or the set's write_ms, when that is shorter) is cut; at once, when it took nothing for so long already. */
void conn_fall_behind(struct conn *c);

/* All that was kept back is queued: the budget holds again. Ignored unless open. */
void conn_catch_up(struct conn *c);

/* The same without a budget, for a caller that bounds what it sends by itself. */
void conn_send_unbounded(struct conn *c, struct event *e);

/* Count the connection as just written to, although nothing was. */
void conn_touch(struct conn *c);

/* Write what waits, then end the response. Ignored unless open. */
void conn_end(struct conn *c, enum end_cause cause);

/* Close now. Safe at any time. For a slow reader (END_SLOW) the response is ended before where that can be written at once. */
void conn_cut(struct conn *c, enum end_cause cause);

/* At the end of a turn: write what was queued; free those that are dead. conns_flush() returns true when it must be called
 * again soon. */
bool conns_flush(struct conns *set);
void conns_reap(struct conns *set);

/* What waits for readers that take nothing at the moment. */
struct conns_load {
    uint64_t bytes, readers;
};

struct conns_load conns_load(const struct conns *set);

/* After the loop's last turn: close every connection (END_DRAIN), whatever waits for it, and free it. */
void conns_close(struct conns *set);

#endif
