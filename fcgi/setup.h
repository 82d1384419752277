/* setup.h - the state of a worker, and its parts as the options want them.
 *
 * When the parts are made, serve and end is up to worker.c, the only other file that includes this
 * header.
 */
#ifndef SSECAST_SETUP_H
#define SSECAST_SETUP_H

#include <signal.h>

#include "http/accept.h"
#include "listening.h"
#include "options.h"
#include "service/monitor.h"
#include "service/service.h"
#include "stream/stream.h"
#include "upstream/upstream.h"

struct worker {
    struct options options;
    struct exchanges exchanges;
    struct streams streams;
    struct services services;
    struct loop *loop;
    struct upstream *upstream;
    struct curve_client curve;
    struct monitor *monitor;
    struct acceptor *acceptor;
    struct acceptor *scgi_acceptor; /* of Apache's hand-off */
    struct listening listening;     /* until the acceptors have its descriptors */
    char name[NAME_BYTES_MAX];
    char label_texts[META_MAX][META_LABEL_MAX + 1]; /* of what is kept of requests */
    struct slice labels[META_MAX];
    size_t label_count;
    sigset_t held; /* the signals that end it */
    struct loop_watch signals;
    struct loop_timer start_timer, drain_timer, tick_timer;
    int64_t start_by;
    int64_t drain_until;
    uint64_t paused_turn; /* the last one in which news_take() left news for later */
    bool stopping;
};

/* Read the files of keys and the monitor's token, before the listening socket is there. False with
 * a line in the log. */
bool setup_keys(struct worker *w);

/* Make streams, services, the hand-off and upstream, on w's loop. w->listening is filled in before.
 * False with a line in the log; worker_stop() frees what there is. */
bool setup_parts(struct worker *w);

#endif
