/* internal.h - what the files of upstream share: upstream.c, asking.c and messages.c. */
#ifndef SSECAST_UPSTREAM_INTERNAL_H
#define SSECAST_UPSTREAM_INTERNAL_H

#include "upstream/outstanding.h"
#include "upstream/reassembly.h"
#include "upstream/socket.h"
#include "upstream/upstream.h"
#include "upstream/welcome.h"

/* How far an iteration has received: the sync socket, then the feed. */
struct receiving {
    bool begun;
    enum { FROM_SYNC, FROM_FEED, FROM_NONE } from;
    size_t bytes;     /* from that socket */
    int64_t began_us; /* clock_us() at the first message from it */
    bool more;        /* a socket had more */
};

struct upstream {
    struct upstream_config config;
    struct loop *loop;
    struct broker_sockets *sockets;
    struct broker_socket *feed, *sync; /* NULL when they could not be opened */
    size_t broker;                     /* index of the connected one of config.brokers */
    int64_t broker_from;               /* since when */
    struct loop_timer tick;
    uint64_t run;
    bool welcomed;          /* in this epoch of the broker */
    bool fed;               /* a message of this epoch came on the feed */
    int64_t hello_at;       /* when it was sent last */
    bool hello_unsent;      /* there was no connection: HELLO comes first on the next one */
    int64_t hello_first_us; /* when the first unanswered hello was sent; 0: none */
    int64_t piece_at;       /* when the last piece of an answer came */
    int64_t heard_at;
    int64_t fed_at;   /* when the feed brought something last; the welcome, if later */
    bool feed_silent; /* it was logged since */
    struct receiving receiving;
    struct outstanding requests;
    struct reassembly sequence;
    struct welcome welcome;
    struct reporter reporter;

    /* News that were not returned yet. */
    bool joined;       /* UPSTREAM_JOINED */
    bool acknowledged; /* UPSTREAM_ACKNOWLEDGED, of acknowledged_mark at acknowledged_head */
    uint64_t acknowledged_mark, acknowledged_head;

    struct wire_page page; /* that was returned last */
};

/* --- asking.c --- */

/* Send requests that wait, as far as they may be in flight; none before the answer to HELLO. */
void upstream_send_waiting(struct upstream *u);

/* Send requests again that were not answered in time. */
void upstream_send_again(struct upstream *u);

/* Fetch what follows the position. */
void upstream_repair(struct upstream *u);

/* Ask for an answer as of now. */
void upstream_say_hello(struct upstream *u);

/* Ask for an answer, unless one is on its way. */
void upstream_repeat_hello(struct upstream *u);

/* The number of pieces of an answer to HELLO that have come, while further ones do. Over a slow
 * line that may take longer than the pace of HELLO, and than a worker waits for a broker. */
uint64_t upstream_pieces(const struct upstream *u);

/* A message could not be sent: HELLO is due on the next connection, before anything else. */
void upstream_lose_connection(struct upstream *u);

/* The connected broker is lost, or has restarted. Nothing is being read. */
void upstream_lose_broker(struct upstream *u);

/* --- messages.c --- */

/* What the message itself is news of. What else follows from it is in the modules. */
enum upstream_kind upstream_on_message(struct upstream *u, struct slice message,
                                       struct upstream_news *out);

#endif
