#include "options.h"

#include <stdbool.h>
#include <string.h>

#include "codec/event.h"
#include "codec/wire.h"
#include "log/journal.h"
#include "log/store.h"
#include "net/keys.h"
#include "ops/endpoint.h"
#include "ops/exposure.h"
#include "ops/log.h"

/* The least that history may keep: something. */
#define HISTORY_BYTES_MIN 4096
#define EVENT_BYTES_MAX (256u << 20)

/* Where to bind: an endpoint, or a tcp one whose port the system chooses. */
static const char *check_bind(const char *value)
{
    const char *wrong = option_check_endpoint(value), *port = strrchr(value, ':');
    bool any_port = port && (strcmp(port, ":0") == 0 || strcmp(port, ":*") == 0);
    bool tcp = strncmp(value, "tcp://", 6) == 0 && port > value + 6;
    return wrong && tcp && any_port ? NULL : wrong;
}

static const char *check_store(const char *value)
{
    bool place = strcmp(value, "memory") == 0 || (strchr(value, '/') && !strstr(value, "://"));
    return place || !journal_check(value)
               ? NULL
               : "memory, the path of a directory (with a / in it), or nats://HOST:PORT with commas between several";
}

#define AT(field) offsetof(struct broker_config, field)

static const struct option_row rows[] = {
    {"commands", "ENDPOINT", "tcp://127.0.0.1:5570", "where services publish and operate", OPTION_LIST, AT(commands), 0,
     0, check_bind},
    {"feed", "ENDPOINT", "tcp://127.0.0.1:5571", "the ordered event stream, to workers", OPTION_TEXT, AT(feed), 0, 0,
     check_bind},
    {"sync", "ENDPOINT", "tcp://127.0.0.1:5572", "where workers say hello, fetch replay and report presence",
     OPTION_TEXT, AT(sync), 0, 0, check_bind},
    {"presence", "ENDPOINT", PRESENCE_DEFAULT, "who comes and goes, told to services that subscribe", OPTION_TEXT,
     AT(presence), 0, 0, check_bind},
    {"curve-key-file", "FILE", "", "the broker's secret key: every tcp endpoint uses CURVE; needs keys", OPTION_TEXT,
     AT(curve_key_file), 0, 0, NULL},
    {"keys", "FILE", "", "the public keys that may connect, one on each line; read anew on SIGHUP", OPTION_TEXT,
     AT(keys), 0, 0, NULL},
    {"allow-insecure", NULL, "no", "let tcp endpoints that others can reach be without CURVE", OPTION_FLAG,
     AT(allow_insecure), 0, 0, NULL},
    {"ipc-mode", "MODE", "0660", "permissions of the sockets of ipc endpoints", OPTION_MODE, AT(ipc_mode), 0, 0, NULL},
    {"store", "PLACE", "memory",
     "where history is kept: memory, a directory whose events outlive the broker, or the servers of a NATS JetStream "
     "that "
     "several brokers share",
     OPTION_TEXT, AT(store), 0, 0, check_store},
    {"store-stream", "NAME", "ssecast", "with nats://: the stream, and its subject", OPTION_TEXT, AT(store_stream), 0,
     0, journal_check_stream},
    {"store-replicas", "N", "3", "with nats://: servers that each keep the stream, when it is made", OPTION_COUNT,
     AT(store_replicas), 1, 5, NULL},
    {"store-timeout", "DURATION", "5s", "with nats://: how long a publish waits for it before store_failed",
     OPTION_MILLIS, AT(store_timeout_ms), 100, 600000, NULL},
    {"store-credentials", "FILE", NULL, "with nats://: who we are there, as nsc writes it", OPTION_TEXT,
     AT(store_credentials), 0, 0, NULL},
    {"store-tls-ca", "FILE", NULL, "with nats://: whose certificate its servers must show (PEM); turns TLS on",
     OPTION_TEXT, AT(store_tls_ca), 0, 0, NULL},
    {"store-tls-cert", "FILE", NULL, "with nats://: a certificate of our own (PEM)", OPTION_TEXT, AT(store_tls_cert), 0,
     0, NULL},
    {"store-tls-key", "FILE", NULL, "with nats://: its key (PEM)", OPTION_TEXT, AT(store_tls_key), 0, 0, NULL},
    {"history-events", "N", "100000", "events kept at most; beyond, the oldest go", OPTION_COUNT, AT(history_events), 1,
     0, NULL},
    {"history-age", "DURATION", "24h", "how long an event is kept at most", OPTION_SECONDS, AT(history_age_ms), 1, 0,
     NULL},
    {"history-bytes", "SIZE", "256M", "bytes of events kept at most", OPTION_SIZE, AT(history_bytes), HISTORY_BYTES_MIN,
     0, NULL},
    {"max-event-bytes", "SIZE", "1M", "an event with more data is refused", OPTION_SIZE, AT(max_event_bytes), 1,
     EVENT_BYTES_MAX, NULL},
    {"max-batch", "N", "10000", "a publish of more events at once is refused", OPTION_COUNT, AT(max_batch), 1, 1000000,
     NULL},
    {"max-targets", "N", "65535", "an event that names more sessions, channels and connections is refused",
     OPTION_COUNT, AT(max_targets), 1, EVENT_LISTS *EVENT_LIST_MAX, NULL},
    {"max-bans", "N", "1000000", "refuse to ban more sessions at once", OPTION_COUNT, AT(max_bans), 0, 0, NULL},
    {"max-name-bytes", "N", "255", "a longer name of a session, channel or connection is refused", OPTION_COUNT,
     AT(max_name_bytes), 1, NAME_BYTES_MAX, NULL},
    {"max-json-depth", "N", "2000", "a request with more objects and lists within each other is refused", OPTION_COUNT,
     AT(max_json_depth), 8, 2000, NULL},
    {"max-in-flight", "N", "10000", "requests of one publisher that may be unanswered at once", OPTION_COUNT,
     AT(max_in_flight), 1, 1000000, NULL},
    {"max-retry", "DURATION", "1h", "refuse events whose retry is longer", OPTION_SECONDS, AT(max_retry_ms), 100,
     INT32_MAX, NULL},
    {"handshake-timeout", "DURATION", "5s", "who has not said by then who they are is disconnected", OPTION_SECONDS,
     AT(handshake_ms), 100, 600000, NULL},
    {"dump-store", "DIR", NULL, "print and check a store offline, and exit", OPTION_TEXT, AT(dump_store), 0, 0, NULL},
    {"presence-settle", "DURATION", "5s", "delay the last end of a session after a start", OPTION_SECONDS,
     AT(presence_settle_ms), 100, 600000, NULL},
    {"worker-lease", "DURATION", "15s", "silence after which a worker counts as lost", OPTION_SECONDS,
     AT(worker_lease_ms), 3 * WIRE_RENEW_MS, 3600000, NULL},
    {"log-level", "LEVEL", "info", "error, warn, info or debug", OPTION_TEXT, AT(log_level), 0, 0, log_check_level},
    {"log-format", "FORMAT", "text", "text, or json: an object on each line", OPTION_TEXT, AT(log_format), 0, 0,
     log_check_format},
};

/* --- what goes together --- */

static int check_endpoint(const struct broker_config *c, const char *option, const char *endpoint,
                          char why[OPTION_WHY_MAX])
{
    if (endpoint_is_abstract(endpoint) && !c->allow_insecure) {
        snprintf(why, OPTION_WHY_MAX,
                 "--%s %.200s: an abstract socket has no permissions, so anybody on this machine may connect; use "
                 "ipc:///PATH, or say --allow-insecure",
                 option, endpoint);
        return -1;
    }
    bool protected = c->curve_key_file && endpoint_is_tcp(endpoint); /* CURVE is for tcp */
    if (protected || c->allow_insecure || !endpoint_exposed(endpoint))
        return 0;
    snprintf(
        why, OPTION_WHY_MAX,
        "--%s %.200s: others can reach this endpoint, and nothing protects it; set --curve-key-file and --keys, or use "
        "tcp://127.0.0.1 or ipc:// with a path, or say --allow-insecure",
        option, endpoint);
    return -1;
}

static int check_endpoints(const struct broker_config *c, char why[OPTION_WHY_MAX])
{
    int err = 0;
    for (size_t i = 0; i < c->commands.count && !err; i++)
        err = check_endpoint(c, "commands", c->commands.items[i], why);
    err = err ? err : check_endpoint(c, "feed", c->feed, why);
    err = err ? err : check_endpoint(c, "sync", c->sync, why);
    return err ? err : check_endpoint(c, "presence", c->presence, why);
}

/* Can the files of keys be read? They are read again when the broker starts. */
static int check_keys(const struct broker_config *c, char why[OPTION_WHY_MAX])
{
    struct curve_key key;
    char detail[KEYS_WHY_MAX];
    if (!c->curve_key_file != !c->keys) {
        snprintf(why, OPTION_WHY_MAX, "--curve-key-file and --keys need each other; --%s is missing",
                 c->keys ? "curve-key-file" : "keys");
        return -1;
    }
    if (!c->keys)
        return 0;
    if (curve_key_load(c->curve_key_file, CURVE_SECRET, &key, detail) != 0) {
        snprintf(why, OPTION_WHY_MAX, "--curve-key-file %s", detail);
        return -1;
    }
    curve_key_wipe(&key);
    struct keys *keys = keys_load(c->keys, detail);
    if (!keys)
        snprintf(why, OPTION_WHY_MAX, "--keys %s", detail);
    bool bad = !keys;
    keys_free(&keys);
    return bad ? -1 : 0;
}

static int check(const void *config, char why[OPTION_WHY_MAX])
{
    const struct broker_config *c = config;
    int err = check_keys(c, why);
    return err ? err : check_endpoints(c, why);
}

const struct option_program broker_program = {
    .name = "ssecast-broker",
    .summary = "takes events from services over ZeroMQ, gives each its id, keeps history and feeds the workers",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .check = check,
};
