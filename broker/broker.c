/* broker.c - one thread and one loop.
 *
 * An iteration runs the requests that have arrived, within a bound. Their events are stored, then
 * published on the feed, and then the publishers get their replies (commit.c). Workers are answered
 * last, so that their answers contain only events that are stored.
 */
#include "broker.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "broker_state.h"
#include "net/signals.h"
#include "ops/log.h"
#include "ops/notify.h"

#define KEEP_BYTES ((size_t)4 << 20) /* larger buffers are freed each second */

#define STOP_MS 2000      /* bound of answering the requests that had arrived before the signal */
#define STOP_QUIET_MS 100 /* without a request: all have been answered */

#define GREET_MS 10 /* from a handshake on the feed until the peer has subscribed, as a rule */

/* --- each second --- */

/* Everything up to the head is on the feed before: a worker that does not have it asks for it. */
static void announce_head(struct broker *b)
{
    commands_publish(b);

    const struct history *h = sequence_history(b->sequence);
    if (sequence_lost(b->sequence))
        return;
    wire_put_head(&b->message, &(struct wire_head){.run = sequence_epoch(b->sequence),
                                                   .head = history_head(h),
                                                   .complete = history_complete(h),
                                                   .clock = clock_unix_us()});
    if (!b->message.failed)
        bus_publish(b->bus, BUS_FEED, (struct slice){b->message.data, b->message.len});
    else
        buf_release(&b->message);
}

/* Free buffers that one large answer has grown. */
static void release_large_buffers(struct broker *b)
{
    if (b->reply.cap > KEEP_BYTES)
        buf_release(&b->reply);
    if (b->message.cap > KEEP_BYTES)
        buf_release(&b->message);
}

/* Sample the gauges, and what workers have reported since the last second (overview.h). */
static void sample_second(struct broker *b)
{
    uint64_t counters[WORKER_COUNTERS], before[WORKER_COUNTERS];
    int64_t now_ms = clock_unix_ms();
    presence_counters(b->presence, counters);
    presence_counted_before(b->presence, before);

    uint64_t deliveries = counters[DELIVERIES] - before[DELIVERIES],
             gaps = counters[GAPS_TOLD] - before[GAPS_TOLD];
    struct overview_sample sample = {
        now_ms, presence_connections(b->presence), b->counters[EVENTS], deliveries, {0}};
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        sample.latency[i] = counters[LATENCY_FIRST + i] - before[LATENCY_FIRST + i];
    overview_sample(&b->overview, &sample);

    if (gaps > b->gaps_told)
        overview_ended(&b->overview, now_ms, "gap", slice_of(""), slice_of(""),
                       gaps - b->gaps_told);
    b->gaps_told = gaps;
}

/* The feed reaches every worker. */
static void send_log_level(struct broker *b)
{
    if (!b->workers_log_level)
        return;
    wire_put_log(&b->message, &(struct wire_log){log_level_of(b->workers_log_level)});
    b->workers_log_level = NULL;
    if (!b->message.failed)
        bus_publish(b->bus, BUS_FEED, (struct slice){b->message.data, b->message.len});
    else
        buf_release(&b->message);
}

/* A worker whose broker has restarted, or which may have missed events meanwhile, finds out with
 * the next message of the feed. */
static void greet(struct broker *b)
{
    if (!b->greet_at || clock_ms() < b->greet_at)
        return;

    b->greet_at = b->greet_again ? clock_ms() + GREET_MS : 0;
    b->greet_again = false;
    announce_head(b);
}

/* Without free descriptors libzmq spins and serves no new peer. Stop accepting while few are
 * left. */
static void check_descriptors(struct broker *b, uint64_t accepted)
{
    descriptors_opened(&b->descriptors, accepted);
    if (!descriptors_look(&b->descriptors, clock_us()))
        return;

    bus_hold(b->bus, b->descriptors.scarce);
    if (b->descriptors.scarce)
        log_each_event(
            LOG_WARN,
            "few descriptors left: new tcp connections wait; raise the limit (LimitNOFILE=)",
            log_count("open", b->descriptors.open), log_count("max", b->descriptors.max));
    else
        log_each_event(LOG_INFO, "descriptors available again: accepting tcp connections",
                       log_count("open", b->descriptors.open),
                       log_count("max", b->descriptors.max));
}

static void look_at_connections(struct broker *b)
{
    struct bus_events events = bus_events(b->bus);
    b->counters[HANDSHAKES_FAILED] += events.failed;
    check_descriptors(b, events.accepted);
    if (events.subscribers && b->greet_at)
        b->greet_again = true;
    else if (events.subscribers)
        b->greet_at = clock_ms() + GREET_MS;
    greet(b);
}

static void each_second(struct broker *b)
{
    int64_t now = clock_ms();
    if (now < b->announce_at)
        return;

    log_tick(now);
    presence_expire(b->presence, clock_ms());
    broker_take_changes(b, REPORTED_HERE);
    size_t lost = presence_lost(b->presence);
    if (lost)
        log_event(LOG_WARN, "workers lost: silent for longer than their lease",
                  log_count("workers", lost),
                  log_count("seconds", (uint64_t)presence_lease(b->presence) / 1000));
    b->counters[WORKERS_LOST] += lost;

    if (b->cluster)
        cluster_link_tick(b->cluster, now);
    b->counters[EVENTS] += event_log_expire(&b->log, clock_unix_ms());

    members_sweep(b->members, now);
    announce_head(b);
    send_log_level(b);
    sample_second(b);
    release_large_buffers(b);
    b->announce_at = now + WIRE_ANNOUNCE_MS;
}

/* --- the loop --- */

/* Revoked peers are disconnected. Admitted peers on the same socket reconnect. */
static void reload_keys(struct broker *b)
{
    bool cut[BUS_SOCKETS];
    access_reload(&b->access, cut);
    static const enum bus_socket sockets[] = {BUS_COMMANDS, BUS_FEED, BUS_PRESENCE};
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (cut[sockets[i]])
            bus_cut(b->bus, sockets[i]);
}

void broker_take_signals(struct broker *b)
{
    for (int number; !b->stop_signal && (number = signals_next(b->signal_fd));)
        if (number == SIGUSR1)
            log_toggle_debug();
        else if (number == SIGHUP)
            reload_keys(b);
        else
            b->stop_signal = number;
}

static void wait_for_work(struct broker *b)
{
    int64_t now = clock_ms(), until = b->announce_at;
    if (commit_is_calm(b) && members_due(b->members) < until)
        until = members_due(b->members);
    if (b->greet_at && b->greet_at < until)
        until = b->greet_at;
    int64_t timeout = b->more || until <= now ? 0 : until - now;
    b->more = false;

    if (b->journal) {
        timeout = commit_timeout(b, timeout);
        bus_watch(b->bus, 0, journal_fd(b->journal));
        bus_watch(b->bus, 1, cluster_link_fd(b->cluster));
        bus_pause(b->bus, commit_is_full(b));
    }

    if (bus_wait(b->bus, b->signal_fd, timeout))
        broker_take_signals(b);
}

static void set_clocks(struct broker *b)
{
    b->commands.now_ms = clock_unix_ms();
    b->commands.clock_ms = clock_ms();
    b->commands.uptime_ms = b->commands.clock_ms - b->started_ms;
    b->commands.store_failing = b->batch.failing;
}

static void iterate(struct broker *b)
{
    set_clocks(b);

    b->more = commit_iterate(b, clock_ms());
    broker_answer_workers(b);
    if (b->journal)
        broker_answer_deferred(b);

    while (b->cluster && cluster_link_receive(b->cluster, clock_ms()))
        broker_take_changes(b, REPORTED_ELSEWHERE);

    look_at_connections(b);
    each_second(b);
}

/* Answer the requests that have arrived. Publishers that go on sending delay the stop by STOP_MS at
 * most. The sockets stay bound: libzmq drops the connections of an unbound endpoint, and their
 * replies. */
static void broker_stop(struct broker *b)
{
    int64_t now = clock_ms(), until = now + STOP_MS, quiet_at = now + STOP_QUIET_MS;
    signals_close(b->signal_fd);
    log_info("stopping: %s", strsignal(b->stop_signal));
    notify_send("STOPPING=1");

    while (now < until && (now < quiet_at || commit_is_pending(b))) {
        uint64_t requests = b->counters[REQUESTS];
        b->more = false;
        iterate(b);
        now = clock_ms();
        bool quiet = b->counters[REQUESTS] == requests;
        if (!quiet)
            quiet_at = now + STOP_QUIET_MS;
        int64_t pause = now < quiet_at ? quiet_at - now : STOP_QUIET_MS;
        bus_wait(b->bus, -1, quiet && !b->more ? pause : 0);
        now = clock_ms();
    }
    log_info("stopped at %" PRIu64, sequence_head(b->sequence));
}

/* --- life --- */

int broker_run(const struct broker_config *config)
{
    struct broker b = {.signal_fd = -1};
    int err = broker_open(&b, config);
    if (!err) {
        log_info("ssecast-broker %s is ready; history in %s, sequence at %" PRIu64, SSECAST_VERSION,
                 broker_store_name(config), sequence_head(b.sequence));
        notify_send("READY=1\nSTATUS=history in %s", broker_store_name(config));

        while (!b.stop_signal) {
            iterate(&b);
            wait_for_work(&b);
        }
        broker_stop(&b);
    }
    broker_close(&b);
    log_close();
    return err ? 1 : 0;
}
