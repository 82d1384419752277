/* parts.h - the broker's parts, for the files that it is made of: start.c puts them together, serve.c runs what services ask, attend.c what workers
 * ask, broker.c lets them take turns. Nobody else includes this.
 */
#ifndef SSECAST_BROKER_PARTS_H
#define SSECAST_BROKER_PARTS_H

#include "command/command.h"
#include "command/in_flight.h"
#include "command/outbox.h"
#include "command/shares.h"
#include "joint.h"
#include "net/access.h"
#include "net/bus.h"
#include "net/descriptors.h"
#include "options.h"
#include "presence/cluster_link.h"
#include "presence/sync.h"
#include "presence/watch.h"

struct broker {
    struct bus *bus;
    struct access access;
    struct store *store;          /* NULL: memory only, or a journal */
    struct journal *journal;      /* NULL: nobody else appends */
    struct joint *joint;          /* with a journal: the turns */
    struct cluster_link *cluster; /* with a journal: the other brokers */
    char name[NAME_BYTES_MAX + 1];
    struct sequence *sequence;
    struct presence *presence;
    struct watch watch; /* of presence */
    uint64_t counters[BROKER_COUNTERS];
    struct command_context commands;
    struct sync_context sync;
    struct descriptors descriptors;
    struct in_flight *in_flight; /* NULL: a turn cannot have as many as are allowed */
    struct overview overview;
    uint64_t gaps_told;            /* by workers, as of the last second */
    const char *workers_log_level; /* that they are to be told within the second; NULL: none */
    struct outbox outbox;
    struct outbox asked;   /* commands that workers gave, until the next turn */
    struct outbox later;   /* with a journal: questions that wait for its end to be asked ... */
    struct outbox waiting; /* ... and to be reached */
    struct buf reply;      /* the one being written */
    struct buf message;    /* for feed or sync, being written */
    int64_t started_ms;    /* clock_ms() */
    int64_t announce_at;   /* clock_ms(): when the second's work is due */
    bool more;             /* a bound was reached: there may be more to do at once */
    bool failing;          /* the last commit failed */
    int signal_fd;
    int stop_signal; /* that asked to stop; 0: none has */
};

/* --- start.c --- */

/* Fill in b, whose signal_fd is -1: open the store or the journal and load it, then the sockets. 0, or -errno with a line in the log; broker_close() in
 * any case. */
int broker_open(struct broker *b, const struct broker_config *config);
void broker_close(struct broker *b);

/* Where history is, for people: what may be a password is not shown. */
const char *broker_place(const struct broker_config *config);

/* --- broker.c --- */

/* Obey the signals that came. */
void broker_take_signals(struct broker *b);

/* --- serve.c --- */

/* Take what services and workers ask for, within a bound, until it is stored, on the feed and answered. */
void broker_serve(struct broker *b);

/* The same with a journal, step by step. */
extern const struct joint_hooks broker_joint_hooks;

/* --- attend.c --- */

/* Answer workers, within a bound. */
void broker_answer_workers(struct broker *b);

/* With a journal: answer those who had to wait for it. */
void broker_answer_late(struct broker *b);

/* Hooks of watch.h, presence.h, sync.h and cluster.h; context is the broker. */
void broker_send_change(void *context, struct slice message);
void broker_on_change(void *context, const struct presence_change *change);
bool broker_send_worker(void *context, struct slice worker, struct slice message);
bool broker_answer_later(void *context, struct slice worker, struct slice message);
struct history_lag broker_lag_of(void *context, uint64_t position);
void broker_ask_worker_anew(void *context, struct slice worker);

#endif
