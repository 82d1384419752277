/* One thread, one loop. A turn takes what has arrived, within a bound, and nobody is told of an event before the
 * turn's commit: first the events are stored, then they go on the feed, then their publishers get their replies. What
 * workers ask is answered after that, so that their answers, too, tell only what is stored. */
#include "broker.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "access.h"
#include "bus.h"
#include "clock.h"
#include "cluster_link.h"
#include "command.h"
#include "exposure.h"
#include "in_flight.h"
#include "joint.h"
#include "log.h"
#include "notify.h"
#include "outbox.h"
#include "signals.h"
#include "sync.h"
#include "watch.h"

/* Bounds of a turn, so that neither publishers nor workers wait for the other long. */
#define TURN_COMMANDS 1000
#define TURN_COMMAND_BYTES (1u << 20)
#define TURN_COMMAND_MS 10 /* some questions cost a walk over all sessions */
#define TURN_ANSWERS 64
#define TURN_ANSWER_BYTES (4u << 20)

#define LATER_BYTES (1u << 20)

#define KEEP_BYTES ((size_t)4 << 20)

#define STOP_MS 2000      /* for answering what had been received when the signal came */
#define STOP_QUIET_MS 100 /* without a request: that was all */
#define LINGER_MS 1000    /* for the last batches and replies to leave */

struct broker {
    struct bus *bus;
    struct access access;
    struct store *store;          /* NULL: memory only, or a journal */
    struct journal *journal;      /* NULL: nobody else appends */
    struct joint *joint;          /* with a journal: the turns */
    struct cluster_link *cluster; /* with a journal: the other brokers */
    char name[EVENT_NAME_MAX + 1];
    struct sequence *sequence;
    struct presence *presence;
    struct watch watch; /* of presence */
    uint64_t counters[BROKER_COUNTERS];
    struct command_context commands;
    struct sync_context sync;
    struct in_flight *in_flight; /* NULL: a turn cannot have as many as are allowed */
    struct overview overview;
    uint64_t gaps_told; /* by workers, as of the last second */
    struct outbox outbox;
    struct outbox asked;     /* commands that workers gave, until the next turn */
    struct outbox later;     /* with a journal: questions that wait for its end to be asked ... */
    struct outbox waiting;   /* ... and to be reached */
    struct json_out reply;   /* the one being written */
    struct wire_buf message; /* for feed or sync, being written */
    int64_t started_ms;      /* clock_ms() */
    int64_t announce_at;     /* clock_ms(): when the second's work is due */
    bool more;               /* a bound was reached: there may be more to do at once */
    bool failing;            /* the last commit failed */
    int signal_fd;
    int stop_signal; /* that asked to stop; 0: none has */
};

/* --- commands --- */

/* Without memory for its reply a request is not answered; the publisher asks again, and its id keeps that from doubling. */
static void put_reply(struct broker *b, struct outbox_reply *reply)
{
    reply->body = (struct slice){b->reply.data, b->reply.len};
    if (b->reply.failed || outbox_put(&b->outbox, reply) != 0) {
        b->counters[REPLIES_DROPPED]++;
        json_out_release(&b->reply);
    }
}

/* Answer the request in frames to the peer that reply names. False when it is held. */
static bool run_command(struct broker *b, const struct grant *grant, const struct slice *frames, size_t frame_count,
                        struct outbox_reply *reply)
{
    struct command_outcome outcome = command_run(&b->commands, grant, frames, frame_count, &b->reply);
    if (outcome.held)
        return false;
    reply->provisional = outcome.provisional;
    reply->ref = outcome.ref;
    put_reply(b, reply);
    return true;
}

static void refuse_command(struct broker *b, const char *code, const char *message, struct slice frame,
                           struct outbox_reply *reply)
{
    reply->ref = command_refuse(&b->commands, code, message, frame, &b->reply).ref;
    put_reply(b, reply);
}

static void refuse_surplus(struct broker *b, struct slice frame, struct outbox_reply *reply)
{
    b->counters[IN_FLIGHT_EXCEEDED]++;
    refuse_command(b, CODE_TOO_LARGE, "too many requests are unanswered (--max-in-flight)", frame, reply);
}

/* The patterns in raw, the names of one grant. NULL when out of memory. */
static struct slice *read_patterns(struct slice raw, struct names *out)
{
    struct slice rest = raw, name;
    size_t count = 0;
    while (wire_next_name(&rest, &name))
        count++;
    struct slice *items = calloc(count + 1, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        wire_next_name(&raw, &items[i]);
    *out = (struct names){items, items ? count : 0};
    return items;
}

/* A command that a worker gave. False when it is held. */
static bool run_asked(struct broker *b, struct slice worker, struct slice message)
{
    struct wire_command m;
    bool done = true;
    if (wire_get_command(message, &m) != 0)
        return true;
    struct slice *sessions = read_patterns(m.raw_sessions, &m.grant.sessions);
    struct slice *channels = read_patterns(m.raw_channels, &m.grant.channels);
    struct outbox_reply reply = {.peer = worker, .to_worker = true, .request = m.request};
    if (sessions && channels)
        done = run_command(b, &m.grant, &m.json, 1, &reply);
    free(sessions);
    free(channels);
    return done;
}

/* What workers asked for while they were answered: now, so that what it appends is stored with this turn. */
static void take_asked(struct broker *b)
{
    struct outbox_reply asked;
    while (outbox_next(&b->asked, &asked))
        run_asked(b, asked.peer, asked.body);
}

static void set_clocks(struct broker *b)
{
    b->commands.now_ms = clock_unix_ms();
    b->commands.clock_ms = clock_ms();
    b->commands.uptime_ms = b->commands.clock_ms - b->started_ms;
    b->commands.store_failing = b->joint ? joint_failing(b->joint) : b->failing;
}

static void take_commands(struct broker *b)
{
    struct bus_message m;
    size_t bytes = 0;
    int64_t now = clock_ms(), until = now + TURN_COMMAND_MS;
    take_asked(b);
    if (b->in_flight)
        in_flight_begin(b->in_flight);
    for (int i = 0; i < TURN_COMMANDS && bytes + b->outbox.len < TURN_COMMAND_BYTES && now < until; i++) {
        if (!bus_receive(b->bus, BUS_COMMANDS, &m))
            return;
        struct outbox_reply reply = {.peer = m.peer, .delimiter = m.delimiter};
        if (b->in_flight && !in_flight_take(b->in_flight, m.peer))
            refuse_surplus(b, m.frames[0], &reply);
        else
            run_command(b, access_grant(&b->access, &m), m.frames, m.frame_count, &reply);
        bytes += m.frames[0].len + m.frames[1].len;
        now = clock_ms();
    }
    b->more = true;
}

/* --- what the turn appended --- */

static void publish_batches(struct broker *b)
{
    while (sequence_next_batch(b->sequence, &b->message)) {
        if (b->message.failed) {
            wire_buf_release(&b->message);
            continue;
        }
        bus_publish(b->bus, BUS_FEED, (struct slice){b->message.data, b->message.len});
        b->counters[FEED_MESSAGES]++;
        b->counters[FEED_BYTES] += b->message.len;
    }
}

static int send_reply(struct broker *b, const struct outbox_reply *r)
{
    if (!r->to_worker)
        return bus_send(b->bus, BUS_COMMANDS, r->peer, r->delimiter, r->body);
    wire_put_reply(&b->message, &(struct wire_reply){r->request, r->body});
    if (!b->message.failed)
        return bus_send(b->bus, BUS_SYNC, r->peer, false, (struct slice){b->message.data, b->message.len});
    wire_buf_release(&b->message);
    return -ENOMEM;
}

/* failed: why nothing was stored; NULL: it was. */
static void send_replies(struct broker *b, const char *failed, bool unknown)
{
    struct outbox_reply r;
    while (outbox_next(&b->outbox, &r)) {
        if (failed && r.provisional) {
            command_store_failed(&b->commands, failed, unknown, r.ref, &b->reply);
            r.body = (struct slice){b->reply.data, b->reply.len};
        }
        if (send_reply(b, &r) != 0)
            b->counters[REPLIES_DROPPED]++;
    }
}

/* --- workers --- */

/* Presence is what workers say it is and waits for no commit. */
static void send_change(void *context, struct slice message)
{
    struct broker *b = context;
    bus_publish(b->bus, BUS_PRESENCE, message);
    b->counters[PRESENCE_MESSAGES]++;
}

/* Somebody came or went: told to who subscribed, and kept for people who look later when it was we who ended the stream. */
static void on_change(void *context, const struct presence_change *change)
{
    struct broker *b = context;
    struct connection_info info;
    watch_change(&b->watch, change);
    if (change->what != PRESENCE_DISCONNECTED || change->cause == END_CLIENT || change->silent)
        return;
    connection_describe(change->of, &info);
    overview_ended(&b->overview, b->watch.now_ms, end_cause_name(change->cause), info.session, info.worker, 1);
}

/* Of a worker that says where it is: what it has not got may be on the way. */
static struct history_lag lag_of(void *context, uint64_t position)
{
    const struct broker *b = context;
    return history_lag(sequence_history(b->sequence), position, clock_unix_ms());
}

static size_t answer_worker(struct broker *b, const struct bus_message *m, int64_t now)
{
    if (!(access_grant(&b->access, m)->roles & ROLE_WORKER)) {
        b->counters[SYNC_FORBIDDEN]++;
        return 0;
    }
    if (wire_type(m->frames[0]) == WIRE_COMMAND) {
        presence_renew(b->presence, m->peer, now);
        b->more = true;
        return outbox_put(&b->asked, &(struct outbox_reply){.peer = m->peer, .body = m->frames[0]}) ? 0
                                                                                                    : m->frames[0].len;
    }
    if (!sync_handle(&b->sync, m->peer, m->frames[0], now, &b->message))
        return 0;
    if (b->message.failed ||
        bus_send(b->bus, BUS_SYNC, m->peer, false, (struct slice){b->message.data, b->message.len}) != 0)
        b->counters[ANSWERS_DROPPED]++; /* the worker asks again */
    if (b->message.failed)
        wire_buf_release(&b->message);
    return b->message.len;
}

static void answer_worker_now(struct broker *b, struct slice worker, struct slice message)
{
    bool (*later)(void *, struct slice, struct slice) = b->sync.later;
    b->sync.later = NULL;
    struct bus_message m = {.peer = worker, .frames = {message}, .frame_count = 1};
    answer_worker(b, &m, clock_ms());
    b->sync.later = later;
}

/* sync.h: questions about cursors that may be news. They wait until everything was taken in that the journal had when they came. */
static bool answer_later(void *context, struct slice worker, struct slice message)
{
    struct broker *b = context;
    if (b->later.len < LATER_BYTES) /* else the worker asks again */
        outbox_put(&b->later, &(struct outbox_reply){.peer = worker, .body = message});
    return true;
}

static void answer_late(struct broker *b)
{
    struct outbox_reply question;
    if (b->waiting.len && journal_came_to_end(b->journal))
        while (outbox_next(&b->waiting, &question))
            answer_worker_now(b, question.peer, question.body);
    if (b->waiting.len || !b->later.len)
        return;
    struct outbox empty = b->waiting;
    b->waiting = b->later;
    b->later = empty;
    journal_ask_end(b->journal, clock_ms());
}

static void answer_workers(struct broker *b)
{
    struct bus_message m;
    size_t bytes = 0;
    int64_t now = clock_ms();
    b->watch.now_ms = clock_unix_ms();
    for (int i = 0; i < TURN_ANSWERS && bytes < TURN_ANSWER_BYTES; i++) {
        if (!bus_receive(b->bus, BUS_SYNC, &m))
            return;
        bytes += answer_worker(b, &m, now);
    }
    b->more = true;
}

/* The hook of cluster.c. */
static void ask_worker_anew(void *context, struct slice worker)
{
    struct broker *b = context;
    struct wire_buf message = {0};
    wire_put_resync(&message);
    if (!message.failed)
        bus_send(b->bus, BUS_SYNC, worker, false, (struct slice){message.data, message.len});
    wire_buf_release(&message);
}

/* --- each second --- */

static void announce_head(struct broker *b)
{
    const struct history *h = sequence_history(b->sequence);
    wire_put_head(&b->message, &(struct wire_head){sequence_run(b->sequence), history_head(h), history_complete(h)});
    if (!b->message.failed)
        bus_publish(b->bus, BUS_FEED, (struct slice){b->message.data, b->message.len});
    else
        wire_buf_release(&b->message);
}

/* One large answer must not keep its memory for ever. */
static void give_memory_back(struct broker *b)
{
    if (b->reply.cap > KEEP_BYTES)
        json_out_release(&b->reply);
    if (b->message.cap > KEEP_BYTES)
        wire_buf_release(&b->message);
}

/* For people who look later: how it is now, and what workers told since the last second. */
static void remember_second(struct broker *b)
{
    uint64_t counters[WORKER_COUNTERS], before[WORKER_COUNTERS];
    int64_t now_ms = clock_unix_ms();
    presence_counters(b->presence, counters);
    presence_counted_before(b->presence, before);
    uint64_t deliveries = counters[DELIVERIES] - before[DELIVERIES], gaps = counters[GAPS_TOLD] - before[GAPS_TOLD];
    struct overview_sample sample = {now_ms, presence_connections(b->presence), b->counters[EVENTS], deliveries, {0}};
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        sample.latency[i] = counters[LATENCY_FIRST + i] - before[LATENCY_FIRST + i];
    overview_sample(&b->overview, &sample);
    if (gaps > b->gaps_told)
        overview_ended(&b->overview, now_ms, "gap", slice_of(""), slice_of(""), gaps - b->gaps_told);
    b->gaps_told = gaps;
}

static void each_second(struct broker *b)
{
    int64_t now = clock_ms();
    if (now < b->announce_at)
        return;
    log_tick(now);
    size_t lost = presence_expire(b->presence, now);
    if (lost)
        log_event(LOG_WARN, "workers have been silent for too long: they are lost, with their connections",
                  log_count("workers", lost), log_count("seconds", WIRE_LEASE_MS / 1000));
    b->counters[WORKERS_LOST] += lost;
    b->counters[HANDSHAKES_FAILED] += bus_failed_handshakes(b->bus);
    if (b->cluster)
        cluster_link_tick(b->cluster, now);
    sequence_expire(b->sequence, clock_unix_ms());
    announce_head(b);
    remember_second(b);
    give_memory_back(b);
    b->announce_at = now + WIRE_ANNOUNCE_MS;
}

/* --- the loop --- */

/* Those who are not to be here any more are cut off, and with them for a moment those who are. */
static void read_keys_anew(struct broker *b)
{
    bool cut[BUS_SOCKETS];
    access_reload(&b->access, cut);
    if (cut[BUS_FEED])
        bus_cut(b->bus, BUS_FEED);
    if (cut[BUS_PRESENCE])
        bus_cut(b->bus, BUS_PRESENCE);
}

static void take_signals(struct broker *b)
{
    for (int number; !b->stop_signal && (number = signals_next(b->signal_fd));)
        if (number == SIGUSR1)
            log_toggle_debug();
        else if (number == SIGHUP)
            read_keys_anew(b);
        else
            b->stop_signal = number;
}

static void wait_for_work(struct broker *b)
{
    int64_t left = b->announce_at - clock_ms();
    int64_t timeout = b->more || left < 0 ? 0 : left;
    b->more = false;
    if (b->joint) {
        timeout = joint_patience(b->joint, timeout);
        bus_watch(b->bus, 0, journal_fd(b->journal));
        bus_watch(b->bus, 1, cluster_link_fd(b->cluster));
        bus_pause(b->bus, joint_full(b->joint));
    }
    if (bus_wait(b->bus, b->signal_fd, timeout))
        take_signals(b);
}

/* Store what the turn appended. The number of events or -errno. */
static int commit(struct broker *b, const uint64_t before[BROKER_COUNTERS])
{
    int stored = sequence_commit(b->sequence);
    if (stored > 0)
        b->counters[EVENTS] += (uint64_t)stored;
    if (stored < 0) {
        b->counters[PUBLISHES] = before[PUBLISHES];
        b->counters[DUPLICATES] = before[DUPLICATES];
        b->counters[SHUTDOWNS] = before[SHUTDOWNS];
    }
    if (stored < 0 && !b->failing)
        log_error("events cannot be stored: %s; publishers are told so until they can be again", strerror(-stored));
    if (stored > 0 && b->failing)
        log_info("events can be stored again");
    b->failing = stored < 0 || (b->failing && stored == 0);
    return stored;
}

/* What arrived, until it is stored, on the feed and answered. */
static void serve_publishers(struct broker *b)
{
    uint64_t before[BROKER_COUNTERS];
    char why[100];
    memcpy(before, b->counters, sizeof before);
    take_commands(b);
    int stored = commit(b, before);
    publish_batches(b);
    snprintf(why, sizeof why, "nothing was stored: %s", stored < 0 ? strerror(-stored) : "");
    send_replies(b, stored < 0 ? why : NULL, false);
}

static void turn(struct broker *b)
{
    set_clocks(b);
    if (b->joint)
        b->more = joint_turn(b->joint, clock_ms());
    else
        serve_publishers(b);
    answer_workers(b);
    if (b->joint)
        answer_late(b);
    if (b->cluster)
        cluster_link_turn(b->cluster, clock_ms());
    each_second(b);
}

/* --- with a journal --- */

static bool take_request(void *context, struct request *out, bool holding)
{
    struct broker *b = context;
    struct outbox_reply asked;
    struct bus_message m;
    if (outbox_next(&b->asked, &asked)) {
        *out = (struct request){.peer = asked.peer, .to_worker = true, .frames = {asked.body}, .frame_count = 1};
        return true;
    }
    if (!bus_receive(b->bus, BUS_COMMANDS, &m))
        return false;
    *out = (struct request){.peer = m.peer,
                            .delimiter = m.delimiter,
                            .user = m.user,
                            .surplus = b->in_flight && !holding && !in_flight_take(b->in_flight, m.peer),
                            .frames = {m.frames[0], m.frames[1]},
                            .frame_count = m.frame_count};
    return true;
}

static bool run_request(void *context, const struct request *r, bool holding)
{
    struct broker *b = context;
    b->commands.holding = holding;
    if (r->to_worker)
        return run_asked(b, r->peer, r->frames[0]);
    struct outbox_reply reply = {.peer = r->peer, .delimiter = r->delimiter};
    if (!r->surplus)
        return run_command(b, access_grant(&b->access, &(struct bus_message){.peer = r->peer, .user = r->user}),
                           r->frames, r->frame_count, &reply);
    refuse_surplus(b, r->frames[0], &reply);
    return true;
}

static void refuse_request(void *context, const struct request *r, const char *code, const char *message)
{
    struct broker *b = context;
    struct wire_command m = {0};
    struct outbox_reply reply = {.peer = r->peer, .delimiter = r->delimiter, .to_worker = r->to_worker};
    if (r->to_worker && wire_get_command(r->frames[0], &m) != 0)
        return;
    reply.request = m.request;
    refuse_command(b, code, message, r->to_worker ? m.json : r->frames[0], &reply);
}

static void publish_final(void *context)
{
    publish_batches(context);
}

static void reply_final(void *context, const char *failed, bool unknown)
{
    struct broker *b = context;
    send_replies(b, failed, unknown);
    if (b->in_flight)
        in_flight_begin(b->in_flight); /* what is kept for the next turn is not counted */
}

static const struct joint_hooks joint_hooks = {take_request, run_request, refuse_request, publish_final, reply_final};

/* Is a turn offered to the journal? */
static bool is_undecided(const struct broker *b)
{
    return b->joint && joint_under_way(b->joint);
}

/* Answer what has been received, until nothing more comes; publishers that go on sending do not keep us long. The sockets stay as they are:
 * libzmq ends the connections of an endpoint that is unbound, and with them the replies. */
static void stop(struct broker *b)
{
    int64_t now = clock_ms(), until = now + STOP_MS, quiet_at = now + STOP_QUIET_MS;
    signals_close(b->signal_fd);
    log_info("stopping: %s", strsignal(b->stop_signal));
    notify_send("STOPPING=1");
    while (now < until && (now < quiet_at || is_undecided(b))) {
        uint64_t requests = b->counters[REQUESTS];
        b->more = false;
        turn(b);
        now = clock_ms();
        if (b->counters[REQUESTS] != requests)
            quiet_at = now + STOP_QUIET_MS;
        else if (!b->more)
            bus_wait(b->bus, -1, now < quiet_at ? quiet_at - now : STOP_QUIET_MS);
        now = clock_ms();
    }
    log_info("stopped at %" PRIu64, sequence_head(b->sequence));
}

/* --- life --- */

/* A number that no other run has. */
static uint64_t new_run(void)
{
    uint64_t run;
    if (getrandom(&run, sizeof run, 0) != (ssize_t)sizeof run)
        run = (uint64_t)clock_unix_us();
    return run ? run : 1;
}

/* For people at a terminal: a large history takes seconds. The line is overwritten by what comes next. */
static void show_loading(uint64_t events)
{
    fprintf(stderr, "loading: %" PRIu64 " events\r", events);
}

/* The sequence, with what the store holds. */
static int open_store(struct broker *b, const struct broker_config *config)
{
    struct history_limits limits = {config->history_events, config->history_bytes, config->history_age_ms};
    char why[STORE_WHY_MAX] = "out of memory";
    int64_t began = clock_ms();
    int err = store_open(config->store, &b->store, why);
    if (!err) {
        b->sequence = sequence_new(&limits, (uint64_t)clock_unix_us(), new_run());
        err = b->sequence ? sequence_restore(b->sequence, b->store, isatty(STDERR_FILENO) ? show_loading : NULL, why)
                          : -ENOMEM;
    }
    if (err)
        log_error("--store %s: %s", config->store, why);
    else if (b->store)
        log_info("%s: %" PRIu64 " events loaded in %" PRId64 " ms", config->store,
                 history_count(sequence_history(b->sequence)), clock_ms() - began);
    if (!err && why[0])
        log_warn("--store %s: %s; publishers are told so until it can be written again", config->store, why);
    return err;
}

static void warn_of_exposure(const char *option, const char *endpoint)
{
    if (endpoint_exposed(endpoint))
        log_warn("--%s %s: others can reach this endpoint, and nothing protects it (--allow-insecure)", option,
                 endpoint);
}

static int open_access(struct broker *b, const struct broker_config *config, struct curve_key *secret)
{
    char why[CURVE_KEY_WHY];
    if (config->curve_key_file && curve_key_load(config->curve_key_file, CURVE_SECRET, secret, why) != 0) {
        log_error("--curve-key-file %s", why);
        return -EINVAL;
    }
    for (size_t i = 0; !config->keys && i < config->commands.count; i++)
        warn_of_exposure("commands", config->commands.items[i]);
    if (!config->keys) {
        warn_of_exposure("feed", config->feed);
        warn_of_exposure("sync", config->sync);
        warn_of_exposure("presence", config->presence);
    }
    return access_open(&b->access, config->keys, b->counters);
}

/* Where history is, for people: what may be a password is not shown. */
static const char *place_of(const struct broker_config *config)
{
    return strstr(config->store, "://") ? "NATS JetStream" : config->store;
}

/* Wait for news of the journal, or a signal. False when it asked to stop. */
static bool wait_for_journal(struct broker *b, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = b->signal_fd, .events = POLLIN},
                           {.fd = b->journal ? journal_fd(b->journal) : -1, .events = POLLIN}};
    poll(fds, 2, timeout_ms);
    if (fds[0].revents)
        take_signals(b);
    return !b->stop_signal;
}

#define CONNECT_AGAIN_MS 1000

/* Connect, however long that takes. */
static int connect_journal(struct broker *b, const struct journal_config *config)
{
    char why[NATS_LINK_WHY_MAX];
    int err = journal_open(config, &b->journal, why);
    if (err == -EAGAIN)
        log_warn("the servers of --store cannot be reached: %s; waiting for them", why);
    while (err == -EAGAIN && wait_for_journal(b, CONNECT_AGAIN_MS))
        err = journal_open(config, &b->journal, why);
    if (err && err != -EAGAIN)
        log_error("--store: %s", why);
    return err;
}

#define JOIN_MS 50

/* Read everything that is in there. */
static int join_journal(struct broker *b)
{
    int64_t began = clock_ms();
    while (!joint_join(b->joint, clock_ms())) {
        if (journal_hopeless(b->journal)) {
            log_error("--store: %s", journal_why(b->journal));
            return -EINVAL;
        }
        if (!wait_for_journal(b, JOIN_MS))
            return -EINTR;
    }
    log_info("%" PRIu64 " events loaded in %" PRId64 " ms", history_count(sequence_history(b->sequence)),
             clock_ms() - began);
    return 0;
}

static struct nats_link_config servers_of(const struct broker_config *config)
{
    return (struct nats_link_config){.servers = config->store,
                                     .name = "ssecast-broker",
                                     .credentials = config->store_credentials,
                                     .ca = config->store_tls_ca,
                                     .certificate = config->store_tls_cert,
                                     .key = config->store_tls_key};
}

/* People know it by its host and where it takes commands; so a broker that was started again is known as the one before. */
static int open_cluster(struct broker *b, const struct broker_config *config)
{
    char host[64] = "", why[NATS_LINK_WHY_MAX];
    gethostname(host, sizeof host - 1);
    snprintf(b->name, sizeof b->name, "%s %s", host, config->commands.items[0]);
    struct cluster_link_config cluster = {
        .link = servers_of(config),
        .stream = config->store_stream,
        .cluster = {.run = sequence_run(b->sequence),
                    .name = slice_of(b->name),
                    .presence = b->presence,
                    .counters = b->counters,
                    .resync = ask_worker_anew,
                    .context = b},
    };
    int err = cluster_link_open(&cluster, &b->cluster, why);
    if (err)
        log_error("--store: the other brokers cannot be reached: %s", why);
    return err;
}

static int open_journal(struct broker *b, const struct broker_config *config)
{
    uint64_t run = new_run();
    struct journal_config journal = {
        .link = servers_of(config),
        .stream = config->store_stream,
        .replicas = config->store_replicas,
        .limits = {config->history_events, config->history_bytes, config->history_age_ms},
        .broker = run,
    };
    b->sequence = sequence_new(&journal.limits, 0, run);
    int err = b->sequence ? connect_journal(b, &journal) : -ENOMEM;
    if (err)
        return err;
    sequence_share(b->sequence, (uint64_t)clock_unix_us());
    b->joint = joint_new(&(struct joint_config){.journal = b->journal,
                                                .sequence = b->sequence,
                                                .outbox = &b->outbox,
                                                .counters = b->counters,
                                                .timeout_ms = config->store_timeout_ms,
                                                .age_ms = config->history_age_ms,
                                                .hooks = &joint_hooks,
                                                .context = b});
    return b->joint ? join_journal(b) : -ENOMEM;
}

static int open_bus(struct broker *b, const struct broker_config *config)
{
    struct curve_key secret = {0};
    if (open_access(b, config, &secret) != 0)
        return -EINVAL;
    struct bus_config bus = {
        .commands = config->commands.items,
        .commands_count = config->commands.count,
        .feed = config->feed,
        .sync = config->sync,
        .presence = config->presence,
        .presence_optional = strcmp(config->presence, PRESENCE_DEFAULT) == 0,
        .max_command = 4 * command_request_max(config->max_event_bytes),   /* what is too large still gets a reply */
        .max_replies = 2 * (int)config->max_in_flight + 2 * TURN_COMMANDS, /* libzmq hears late of what was read */
        .handshake_ms = (int)config->handshake_ms,
        .ipc_mode = (unsigned)config->ipc_mode,
        .secret_key = config->curve_key_file ? secret.text : NULL,
        .admit = access_admit,
        .admit_context = &b->access,
    };
    b->bus = bus_open(&bus);
    curve_key_wipe(&secret);
    return b->bus ? 0 : -EIO;
}

static int set_up(struct broker *b, const struct broker_config *config)
{
    b->presence = presence_new();
    b->signal_fd = b->presence ? signals_open() : -ENOMEM;
    if (b->signal_fd < 0) {
        log_error("cannot start: %s", strerror(-b->signal_fd));
        return b->signal_fd;
    }
    bool shared = strstr(config->store, "://");
    int err = shared ? open_journal(b, config) : open_store(b, config);
    if (!err && config->max_in_flight < TURN_COMMANDS) {
        b->in_flight = in_flight_new(TURN_COMMANDS, config->max_in_flight);
        err = b->in_flight ? 0 : -ENOMEM;
    }
    if (!err)
        err = open_bus(b, config);
    if (!err && shared)
        err = open_cluster(b, config);
    presence_measure_lag(b->presence, lag_of, b);
    b->started_ms = clock_ms();
    b->watch = (struct watch){.run = err ? 0 : sequence_run(b->sequence), .send = send_change, .context = b};
    presence_observe(b->presence, b->watch.run, on_change, b);
    b->sync = (struct sync_context){.sequence = b->sequence,
                                    .presence = b->presence,
                                    .counters = b->counters,
                                    .cluster = cluster_link_cluster(b->cluster),
                                    .later = b->journal ? answer_later : NULL,
                                    .context = b};
    b->commands = (struct command_context){
        .sequence = b->sequence,
        .presence = b->presence,
        .watch = &b->watch,
        .store = b->store,
        .journal = b->journal,
        .counters = b->counters,
        .max_event_bytes = config->max_event_bytes,
        .limits = {.json = {.name_bytes = config->max_name_bytes, .depth = config->max_json_depth},
                   .batch = config->max_batch,
                   .targets = config->max_targets},
        .history_events = config->history_events,
        .history_bytes = config->history_bytes,
        .history_age_ms = config->history_age_ms,
        .overview = &b->overview,
        .cluster = cluster_link_cluster(b->cluster)};
    return err;
}

static void tear_down(struct broker *b)
{
    cluster_link_close(&b->cluster);
    bus_close(&b->bus, LINGER_MS);
    access_close(&b->access);
    in_flight_free(&b->in_flight);
    joint_free(&b->joint);
    journal_free(&b->journal);
    sequence_free(&b->sequence);
    store_free(&b->store);
    presence_free(&b->presence);
    watch_release(&b->watch);
    outbox_release(&b->outbox);
    outbox_release(&b->asked);
    outbox_release(&b->later);
    outbox_release(&b->waiting);
    json_out_release(&b->reply);
    wire_buf_release(&b->message);
}

int broker_run(const struct broker_config *config)
{
    struct broker b = {.signal_fd = -1};
    int err = set_up(&b, config);
    if (!err) {
        log_info("ssecast-broker %s is ready; history in %s, sequence at %" PRIu64, SSECAST_VERSION, place_of(config),
                 sequence_head(b.sequence));
        notify_send("READY=1\nSTATUS=history in %s", place_of(config));
        while (!b.stop_signal) {
            turn(&b);
            wait_for_work(&b);
        }
        stop(&b);
    }
    tear_down(&b);
    log_close();
    return err ? 1 : 0;
}
