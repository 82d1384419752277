/* broker_state.h - the state of a broker, and the functions of the files that work on it.
 *
 * start.c opens and closes it, broker.c is the loop, commit.c is the batch of an iteration,
 * commands.c runs requests and replies, and workers.c answers workers. No other file includes this
 * header.
 */
#ifndef SSECAST_BROKER_STATE_H
#define SSECAST_BROKER_STATE_H

#include "command/command.h"
#include "command/in_flight.h"
#include "command/outbox.h"
#include "command/requests.h"
#include "command/shares.h"
#include "log/event_log.h"
#include "net/access.h"
#include "net/bus.h"
#include "net/descriptors.h"
#include "options.h"
#include "presence/cluster_link.h"
#include "presence/members.h"
#include "presence/presence_feed.h"
#include "presence/sync.h"
#include "stats/counters.h"

/* The batch of an iteration: the requests that were run, until the log has decided. */
struct batch_state {
    /* With a shared log: the first `ran` are of this batch, the others wait. */
    struct requests kept;
    size_t ran;                      /* requests of this batch */
    bool first_waits;                /* events about members left the first of them no room */
    int64_t since, until;            /* clock_ms(): when it was offered, and when it is given up */
    uint64_t delta[BROKER_COUNTERS]; /* what it counted */
    bool failing;                    /* the last batch could not be stored */
    bool serving;                    /* history was read: the feed is open */
};

struct broker {
    struct bus *bus;
    struct access access;
    struct store *store;          /* NULL: memory only, or a journal */
    struct journal *journal;      /* NULL: no other broker appends */
    struct cluster_link *cluster; /* with a journal: the other brokers */
    char name[NAME_BYTES_MAX + 1];
    struct sequence *sequence;
    struct event_log log; /* of the sequence: the store or the journal */
    struct batch_state batch;
    uint64_t store_timeout_ms; /* how long a request waits for a shared log */
    struct presence *presence;
    struct presence_feed feed; /* of presence */
    struct members *members;   /* of presence */
    uint64_t counters[BROKER_COUNTERS];
    struct command_context commands;
    struct sync_context sync;
    struct descriptors descriptors;
    struct in_flight *in_flight; /* NULL: a batch cannot reach the limit */
    struct overview overview;
    uint64_t gaps_told;            /* the workers' counter, as of the last second */
    const char *workers_log_level; /* to be sent to all workers within the second; NULL: none */
    struct outbox outbox;
    struct outbox worker_commands; /* commands of workers, until the next iteration */
    /* With a journal: worker requests that wait for the next query of its end ... */
    struct outbox deferred;
    struct outbox waiting; /* ... and for the end that was queried */
    struct buf reply;      /* the reply that is being written */
    struct buf message;    /* the message for feed or sync that is being written */
    int64_t started_ms;    /* clock_ms() */
    int64_t announce_at;   /* clock_ms(): when the work of the second is due */
    /* clock_ms() when HEAD is due for new peers of the feed; 0: there are none. */
    int64_t greet_at;
    bool greet_again; /* others have come since greet_at was set */
    bool more;        /* a bound was reached: do not wait */
    int signal_fd;
    int stop_signal; /* 0: run */
};

/* --- start.c --- */

/* Open the store or the journal, load it, and open the sockets. The signal_fd of b is -1. 0, or
 * -errno with a line in the log. Call broker_close() in any case. */
int broker_open(struct broker *b, const struct broker_config *config);
void broker_close(struct broker *b);

/* Names the store in messages, without a password. */
const char *broker_store_name(const struct broker_config *config);

/* --- broker.c --- */

/* Handle the signals that have arrived. */
void broker_take_signals(struct broker *b);

/* --- commit.c --- */

enum join { JOIN_UNBROKEN, JOIN_ANYHOW };

/* Before requests are served: read the log, and offer its first events. True when everything was
 * read and the sequence has a position; else call it again. JOIN_UNBROKEN: also true at a break
 * (event_log.broken), and nothing is offered behind it. now: clock_ms(). */
bool commit_join(struct broker *b, enum join how, int64_t now);

/* Take what has arrived, within a bound, until it is stored, on the feed and answered. With a
 * shared log the last three may be the work of a later iteration. True when there may be more to do
 * at once. */
bool commit_iterate(struct broker *b, int64_t now);

/* A batch is offered and not decided. */
bool commit_is_pending(const struct broker *b);

/* A batch could be made now. */
bool commit_is_calm(const struct broker *b);

/* Requests are better left in their socket for now. */
bool commit_is_full(const struct broker *b);

/* How long the loop may sleep when nothing arrives, ms; at most max. */
int64_t commit_timeout(const struct broker *b, int64_t max);

/* --- commands.c --- */

/* What becomes of requests that would append: they are run, or held while a batch is waited for. */
enum appends { APPENDS_RUN, APPENDS_HELD };

/* The next request from this source; valid until the next call. False: no request waits. */
bool commands_take(struct broker *b, enum source from, struct pending_request *out,
                   enum appends appends);

/* Run it: the reply goes into the outbox. False when it is held. */
bool commands_run(struct broker *b, const struct pending_request *r, enum appends appends);

/* Put a refusal into the outbox instead. code as in command.h. */
void commands_refuse(struct broker *b, const struct pending_request *r, const char *code,
                     const char *message);

/* Put what is final on the feed. */
void commands_publish(struct broker *b);

/* Send the replies. failure: provisional replies say so instead; NULL: all are true. */
void commands_reply(struct broker *b, const struct store_failure *failure);

/* --- workers.c --- */

/* Answer the requests of workers, within a bound. */
void broker_answer_workers(struct broker *b);

/* With a journal: answer deferred requests whose end of the journal was reached. */
void broker_answer_deferred(struct broker *b);

/* Hooks of presence_feed.h, presence.h, sync.h and cluster.h. context is the broker. */
void broker_send_change(void *context, struct slice message);
void broker_take_changes(struct broker *b, enum reported reported); /* of presence */
bool broker_send_worker(void *context, struct slice worker, struct slice message);
bool broker_defer(void *context, struct slice worker, struct slice message);
struct history_lag broker_lag_of(void *context, uint64_t position);
void broker_resync_worker(void *context, struct slice worker);

#endif
