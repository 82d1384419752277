/* start.c - opens and closes a broker: history first, which may take seconds, then the sockets. So
 * no client is served from an incomplete history. */
#define LOG_SUBSYSTEM "broker"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker_state.h"
#include "codec/wire.h"
#include "net/signals.h"
#include "ops/endpoint.h"
#include "ops/log.h"

#define LINGER_MS 1000 /* for sending the last batches and replies */

/* A random number that identifies this start of the broker; not 0. */
static uint64_t new_epoch(void)
{
    uint64_t epoch;
    if (getrandom(&epoch, sizeof epoch, 0) != (ssize_t)sizeof epoch)
        epoch = (uint64_t)clock_unix_us();
    return epoch ? epoch : 1;
}

/* Progress on a terminal: loading a large history takes seconds. The next line overwrites it. */
static void show_progress(uint64_t events)
{
    fprintf(stderr, "loading: %" PRIu64 " events\r", events);
}

/* Restore the sequence from the store. */
static int open_store(struct broker *b, const struct broker_config *config)
{
    struct history_limits limits = {config->history_events, config->history_bytes,
                                    config->history_age_ms};
    char why[STORE_WHY_MAX] = "out of memory";
    int64_t began = clock_ms();

    int err = store_open(config->store, &b->store, why);
    if (!err) {
        b->sequence = sequence_new(&limits, (uint64_t)clock_unix_us(), new_epoch());
        b->log = (struct event_log){.sequence = b->sequence, .store = b->store};
        err = b->sequence
                  ? event_log_restore(&b->log, isatty(STDERR_FILENO) ? show_progress : NULL, why)
                  : -ENOMEM;
    }

    if (err)
        log_error("--store %s: %s", config->store, why);
    else if (b->store)
        log_info("%s: %" PRIu64 " events loaded in %" PRId64 " ms", config->store,
                 history_count(sequence_history(b->sequence)), clock_ms() - began);
    if (!err && why[0])
        log_warn("--store %s: %s; publishes fail with store_failed until it can be written",
                 config->store, why);
    return err;
}

static int open_access(struct broker *b, const struct broker_config *config,
                       struct curve_key *secret)
{
    char why[CURVE_KEY_WHY];
    if (config->curve_key_file &&
        curve_key_load(config->curve_key_file, CURVE_SECRET, secret, why) != 0) {
        log_error("--curve-key-file %s", why);
        return -EINVAL;
    }
    broker_options_warn(config);
    return access_open(&b->access, config->keys, b->counters);
}

/* Server URLs may contain a password, so they are not shown. */
const char *broker_store_name(const struct broker_config *config)
{
    return strstr(config->store, "://") ? "NATS JetStream" : config->store;
}

/* Wait until the journal is readable or a signal arrives. False when the signal asks to stop. */
static bool wait_for_journal(struct broker *b, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = b->signal_fd, .events = POLLIN},
                           {.fd = b->journal ? journal_fd(b->journal) : -1, .events = POLLIN}};
    poll(fds, 2, timeout_ms);
    if (fds[0].revents)
        broker_take_signals(b);
    return !b->stop_signal;
}

#define RECONNECT_MS 1000

/* Connect, and retry until that succeeds. */
static int connect_journal(struct broker *b, const struct journal_config *config)
{
    char why[NATS_LINK_WHY_MAX];
    int err = journal_open(config, &b->journal, why);
    if (err == -EAGAIN)
        log_warn("--store: servers unreachable: %s; retrying", why);
    while (err == -EAGAIN && wait_for_journal(b, RECONNECT_MS))
        err = journal_open(config, &b->journal, why);
    if (err && err != -EAGAIN)
        log_error("--store: %s", why);
    return err;
}

#define JOIN_MS 50
#define READINGS_MAX 3 /* of a journal with a break */

/* Read the whole journal, or up to a break. */
static int join_journal(struct broker *b, enum join how)
{
    int64_t began = clock_ms();
    while (!commit_join(b, how, clock_ms())) {
        if (journal_hopeless(b->journal)) {
            log_error("--store: %s", journal_why(b->journal));
            return -EINVAL;
        }
        if (!wait_for_journal(b, JOIN_MS))
            return -EINTR;
    }
    if (how == JOIN_ANYHOW || !b->log.broken)
        log_info("%" PRIu64 " events loaded in %" PRId64 " ms",
                 history_count(sequence_history(b->sequence)), clock_ms() - began);
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

/* A broker is named by its host and commands endpoint, so it keeps its name over a restart. */
static int open_cluster(struct broker *b, const struct broker_config *config)
{
    char host[64] = "", why[NATS_LINK_WHY_MAX];
    gethostname(host, sizeof host - 1);
    snprintf(b->name, sizeof b->name, "%s %s", host, config->commands.items[0]);
    struct cluster_link_config cluster = {
        .link = servers_of(config),
        .stream = config->store_stream,
        .cluster = {.epoch = sequence_epoch(b->sequence),
                    .name = slice_of(b->name),
                    .presence = b->presence,
                    .counters = b->counters,
                    .resync = broker_resync_worker,
                    .context = b},
    };
    int err = cluster_link_open(&cluster, &b->cluster, why);
    if (err)
        log_error("--store: cannot reach the other brokers: %s", why);
    return err;
}

static int read_journal(struct broker *b, const struct broker_config *config, enum join how)
{
    uint64_t epoch = new_epoch();
    struct journal_config journal = {
        .link = servers_of(config),
        .stream = config->store_stream,
        .replicas = config->store_replicas,
        .limits = {config->history_events, config->history_bytes, config->history_age_ms},
        .broker = epoch,
    };

    b->sequence = sequence_new(&journal.limits, 0, epoch);
    int err = b->sequence ? connect_journal(b, &journal) : -ENOMEM;
    if (err)
        return err;

    sequence_share(b->sequence, (uint64_t)clock_unix_us());
    b->log = (struct event_log){
        .sequence = b->sequence, .journal = b->journal, .max_age_ms = config->history_age_ms};
    b->store_timeout_ms = config->store_timeout_ms;
    return join_journal(b, how);
}

/* The server that the journal is read from may have another copy, or lack a batch, after failures:
 * then what was read has a break that the stream does not have. No client knows yet what was read,
 * so it is read again, perhaps from another server. Otherwise clients would be sent a gap. */
static int open_journal(struct broker *b, const struct broker_config *config)
{
    int err = read_journal(b, config, JOIN_UNBROKEN);
    for (int i = 2; i <= READINGS_MAX && !err && b->log.broken; i++) {
        log_info("reading the journal again; no client is sent a gap");
        journal_free(&b->journal);
        sequence_free(&b->sequence);
        err = read_journal(b, config, i < READINGS_MAX ? JOIN_UNBROKEN : JOIN_ANYHOW);
    }
    return err;
}

/* Bytes of a frame beyond which the peer is disconnected. Up to there a request that is too large
 * gets a reply. A client does not know max-event-bytes: what is usual must get one also where that
 * is small. */
static size_t largest_frame(const struct broker_config *config)
{
    size_t largest = 4 * command_request_max(config->max_event_bytes);
    return largest < WIRE_COMMAND_JSON_MAX ? WIRE_COMMAND_JSON_MAX : largest;
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
        .max_command = largest_frame(config),
        /* libzmq learns late how much a peer has read. */
        .max_replies = (int)(2 * config->max_in_flight + 2 * SHARE_REQUESTS),
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

/* The event log, then the sockets, then the other brokers. */
static int open_services(struct broker *b, const struct broker_config *config)
{
    bool shared = strstr(config->store, "://");
    int err = shared ? open_journal(b, config) : open_store(b, config);
    if (err)
        return err;

    effects_limit_bans(sequence_effects(b->sequence), config->max_bans);
    effects_limit_state(
        sequence_effects(b->sequence),
        &(struct state_limits){.events = config->state_events, .bytes = config->state_bytes});
    if (config->max_in_flight < SHARE_REQUESTS) {
        b->in_flight = in_flight_new(SHARE_REQUESTS, config->max_in_flight);
        if (!b->in_flight)
            return -ENOMEM;
    }

    err = open_bus(b, config);
    if (!err && shared)
        err = open_cluster(b, config);
    return err;
}

static void set_up_presence(struct broker *b, const struct broker_config *config)
{
    uint64_t epoch = b->sequence ? sequence_epoch(b->sequence) : 0;
    presence_set_settle(b->presence, (int64_t)config->presence_settle_ms);
    presence_set_lease(b->presence, (int64_t)config->worker_lease_ms);
    presence_measure_lag(b->presence, broker_lag_of, b);

    b->feed = (struct presence_feed){.epoch = epoch, .send = broker_send_change, .context = b};
    presence_set_epoch(b->presence, epoch);
}

static int set_up_members(struct broker *b, const struct broker_config *config)
{
    b->members =
        members_new(&(struct members_config){.channels = &config->presence_channels,
                                             .grace_ms = (int64_t)config->presence_grace_ms,
                                             .lease_ms = (int64_t)config->worker_lease_ms,
                                             .max = config->presence_members,
                                             .max_subscriptions = config->max_subscriptions,
                                             .presence = b->presence,
                                             .sequence = b->sequence,
                                             .counters = b->counters});
    return b->members ? 0 : -ENOMEM;
}

static struct command_limits command_limits_of(const struct broker_config *config)
{
    return (struct command_limits){
        .json = {.name_bytes = (size_t)config->max_name_bytes,
                 .depth = (size_t)config->max_json_depth,
                 .values = command_values_max(config->max_batch, config->max_targets)},
        .batch = config->max_batch,
        .targets = config->max_targets,
        .retry_ms = config->max_retry_ms,
        .bans = config->max_bans,
        .state = {config->state_events, config->state_bytes},
    };
}

static void set_up_contexts(struct broker *b, const struct broker_config *config)
{
    b->sync = (struct sync_context){
        .sequence = b->sequence,
        .log = &b->log,
        .presence = b->presence,
        .counters = b->counters,
        .cluster = cluster_link_cluster(b->cluster),
        .send = broker_send_worker,
        .defer = b->journal ? broker_defer : NULL,
        .context = b,
    };
    b->commands = (struct command_context){
        .sequence = b->sequence,
        .presence = b->presence,
        .feed = &b->feed,
        .members = b->members,
        .store = b->store,
        .journal = b->journal,
        .counters = b->counters,
        .max_event_bytes = config->max_event_bytes,
        .limits = command_limits_of(config),
        .history_events = config->history_events,
        .history_bytes = config->history_bytes,
        .history_age_ms = config->history_age_ms,
        .overview = &b->overview,
        .descriptors = &b->descriptors,
        .workers_log_level = &b->workers_log_level,
        .cluster = cluster_link_cluster(b->cluster),
    };
}

int broker_open(struct broker *b, const struct broker_config *config)
{
    descriptors_init(&b->descriptors);
    b->presence = presence_new();
    b->signal_fd = b->presence ? signals_open() : -ENOMEM;
    if (b->signal_fd < 0) {
        log_error("cannot start: %s", strerror(-b->signal_fd));
        return b->signal_fd;
    }

    int err = open_services(b, config);
    err = err ? err : set_up_members(b, config);
    set_up_presence(b, config);
    set_up_contexts(b, config);
    b->started_ms = clock_ms();
    return err;
}

void broker_close(struct broker *b)
{
    cluster_link_close(&b->cluster);
    bus_close(&b->bus, LINGER_MS);
    access_close(&b->access);
    in_flight_free(&b->in_flight);
    requests_release(&b->batch.kept);
    journal_free(&b->journal);
    members_free(&b->members);
    sequence_free(&b->sequence);
    store_free(&b->store);
    presence_free(&b->presence);
    presence_feed_release(&b->feed);
    outbox_release(&b->outbox);
    outbox_release(&b->worker_commands);
    outbox_release(&b->deferred);
    outbox_release(&b->waiting);
    buf_release(&b->reply);
    buf_release(&b->message);
}
