#define LOG_SUBSYSTEM "broker"

#include "options.h"

#include <stdbool.h>
#include <string.h>

#include "codec/event.h"
#include "codec/grant.h"
#include "codec/wire.h"
#include "log/journal_names.h"
#include "log/store.h"
#include "net/access.h"
#include "net/keys.h"
#include "ops/endpoint.h"
#include "ops/exposure.h"
#include "ops/log.h"

/* Lower bound of --history-bytes: history keeps at least one small event. */
#define HISTORY_BYTES_MIN 4096
#define EVENT_BYTES_MAX (256u << 20)

static const char *check_store(const char *value)
{
    bool place = strcmp(value, "memory") == 0 || (strchr(value, '/') && !strstr(value, "://"));
    return place || !journal_check_servers(value)
               ? NULL
               : "memory, the path of a directory (with a / in it), "
                 "or nats://HOST:PORT (port 1 to 65535) with commas between several";
}

static const char *check_pattern(const char *value)
{
    return pattern_valid(slice_of(value)) ? NULL : PATTERN_RULE;
}

#define AT(field) offsetof(struct broker_config, field)

static const struct option_row rows[] = {
    {"commands", "ENDPOINT", "tcp://127.0.0.1:5570", "bind the socket for publishers and operators",
     OPTION_LIST, AT(commands), 0, 0, endpoint_check_bind},
    {"feed", "ENDPOINT", "tcp://127.0.0.1:5571", "bind the socket that feeds workers", OPTION_TEXT,
     AT(feed), 0, 0, endpoint_check_bind},
    {"sync", "ENDPOINT", "tcp://127.0.0.1:5572", "bind the socket for workers' requests",
     OPTION_TEXT, AT(sync), 0, 0, endpoint_check_bind},
    {"presence", "ENDPOINT", PRESENCE_DEFAULT, "bind the socket that publishes presence changes",
     OPTION_TEXT, AT(presence), 0, 0, endpoint_check_bind},
    {"curve-key-file", "FILE", "", "use CURVE with this secret key; needs --keys", OPTION_TEXT,
     AT(curve_key_file), 0, 0, NULL},
    {"keys", "FILE", "", "admit only these public keys; SIGHUP reloads", OPTION_TEXT, AT(keys), 0,
     0, NULL},
    {"allow-insecure", NULL, "no", "allow exposed endpoints without CURVE", OPTION_FLAG,
     AT(allow_insecure), 0, 0, NULL},
    {"ipc-mode", "MODE", "0660", "set permissions of ipc sockets", OPTION_MODE, AT(ipc_mode), 0, 0,
     NULL},
    {"store", "PLACE", "memory", "keep history in memory, DIR or nats://SERVERS", OPTION_TEXT,
     AT(store), 0, 0, check_store},
    {"store-stream", "NAME", "ssecast", "use this JetStream stream and subject", OPTION_TEXT,
     AT(store_stream), 0, 0, journal_check_stream},
    {"store-replicas", "N", "3", "create the stream with this many replicas", OPTION_COUNT,
     AT(store_replicas), 1, 5, NULL},
    {"store-timeout", "DURATION", "5s", "fail a publish after this wait for nats://",
     OPTION_SECONDS, AT(store_timeout_ms), 100, 600000, NULL},
    {"store-credentials", "FILE", NULL, "authenticate to nats:// with this credentials file",
     OPTION_TEXT, AT(store_credentials), 0, 0, NULL},
    {"store-tls-ca", "FILE", NULL, "verify nats:// servers with this CA; enables TLS", OPTION_TEXT,
     AT(store_tls_ca), 0, 0, NULL},
    {"store-tls-cert", "FILE", NULL, "present this client certificate to nats:// (PEM)",
     OPTION_TEXT, AT(store_tls_cert), 0, 0, NULL},
    {"store-tls-key", "FILE", NULL, "use this key of the client certificate", OPTION_TEXT,
     AT(store_tls_key), 0, 0, NULL},
    {"history-events", "N", "100000", "keep at most this many events", OPTION_COUNT,
     AT(history_events), 1, 0, NULL},
    {"history-age", "DURATION", "24h", "keep events at most this long", OPTION_SECONDS,
     AT(history_age_ms), 1, 0, NULL},
    {"history-bytes", "SIZE", "256M", "keep at most this many bytes of events", OPTION_SIZE,
     AT(history_bytes), HISTORY_BYTES_MIN, 0, NULL},
    {"state-events", "N", "10000", "refuse more keys of current state", OPTION_COUNT,
     AT(state_events), 0, 0, NULL},
    {"state-bytes", "SIZE", "16M", "refuse more bytes of current state", OPTION_SIZE,
     AT(state_bytes), 0, 0, NULL},
    {"max-event-bytes", "SIZE", "1M", "refuse events with more data", OPTION_SIZE,
     AT(max_event_bytes), 1, EVENT_BYTES_MAX, NULL},
    {"max-batch", "N", "10000", "refuse a publish of more events", OPTION_COUNT, AT(max_batch), 1,
     1000000, NULL},
    {"max-targets", "N", "65535", "refuse events that name more targets", OPTION_COUNT,
     AT(max_targets), 1, EVENT_LISTS *EVENT_LIST_MAX, NULL},
    {"max-bans", "N", "1000000", "refuse to ban more sessions", OPTION_COUNT, AT(max_bans), 0, 0,
     NULL},
    {"max-name-bytes", "N", "255", "refuse longer session, channel and connection names",
     OPTION_COUNT, AT(max_name_bytes), 1, NAME_BYTES_MAX, NULL},
    {"max-json-depth", "N", "2000", "refuse requests with deeper JSON", OPTION_COUNT,
     AT(max_json_depth), 8, 2000, NULL},
    {"max-in-flight", "N", "10000", "limit unanswered requests of one publisher", OPTION_COUNT,
     AT(max_in_flight), 1, 1000000, NULL},
    {"max-retry", "DURATION", "1h", "refuse events with a longer retry", OPTION_SECONDS,
     AT(max_retry_ms), 100, INT32_MAX, NULL},
    {"handshake-timeout", "DURATION", "5s",
     "disconnect peers that have not completed the handshake", OPTION_SECONDS, AT(handshake_ms),
     100, 600000, NULL},
    {"dump-store", "DIR", NULL, "print and check a store offline, then exit", OPTION_TEXT,
     AT(dump_store), 0, 0, NULL},
    {"presence-settle", "DURATION", "5s", "delay session_offline after a broker restart",
     OPTION_SECONDS, AT(presence_settle_ms), 100, 600000, NULL},
    {"presence-channels", "PATTERN", NULL, "publish who joins and leaves these channels",
     OPTION_LIST, AT(presence_channels), 0, 0, check_pattern},
    {"presence-grace", "DURATION", "10s", "wait this long before a session has left",
     OPTION_SECONDS, AT(presence_grace_ms), 0, 3600000, NULL},
    {"presence-members", "N", "10000", "name at most this many members per channel", OPTION_COUNT,
     AT(presence_members), 0, 0, NULL},
    {"max-subscriptions", "N", "10000", "tell at most this many Mercure subscriptions",
     OPTION_COUNT, AT(max_subscriptions), 0, 1000000, NULL},
    {"worker-lease", "DURATION", "15s", "declare a worker lost after this silence", OPTION_SECONDS,
     AT(worker_lease_ms), 3 * WIRE_RENEW_MS, 3600000, NULL},
    {"log-level", "LEVEL", "info", "log at error, warn, info or debug", OPTION_TEXT, AT(log_level),
     0, 0, log_check_level},
    {"log-format", "FORMAT", "text", "log as text or json", OPTION_TEXT, AT(log_format), 0, 0,
     log_check_format},
};

/* --- checks of several options --- */

static int check_endpoint(const struct broker_config *c, const char *option, const char *endpoint,
                          char why[OPTION_WHY_MAX])
{
    if (endpoint_is_abstract(endpoint) && !c->allow_insecure) {
        snprintf(why, OPTION_WHY_MAX,
                 "--%s %.200s: an abstract socket has no permissions, "
                 "so every local process can connect; use ipc:///PATH, or set --allow-insecure",
                 option, endpoint);
        return -1;
    }
    bool protected = c->curve_key_file && endpoint_is_tcp(endpoint); /* CURVE is for tcp */
    if (protected || c->allow_insecure || !endpoint_exposed(endpoint))
        return 0;
    snprintf(why, OPTION_WHY_MAX,
             "--%s %.200s: other hosts or users can reach this endpoint without authentication; "
             "set --curve-key-file and --keys, "
             "use tcp://127.0.0.1 or ipc:// with a path, or set --allow-insecure",
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

/* The system chooses another port for each. */
static bool any_port(const char *endpoint)
{
    const char *port = strrchr(endpoint, ':');
    return strncmp(endpoint, "tcp://", 6) == 0 &&
           (strcmp(port, ":0") == 0 || strcmp(port, ":*") == 0);
}

struct named_endpoint {
    const char *option, *endpoint;
};

#define SINGLE_ENDPOINTS 3 /* before those of --commands */

static struct named_endpoint endpoint_at(const struct broker_config *c, size_t i)
{
    const struct named_endpoint single[SINGLE_ENDPOINTS] = {
        {"feed", c->feed}, {"sync", c->sync}, {"presence", c->presence}};
    if (i < SINGLE_ENDPOINTS)
        return single[i];
    return (struct named_endpoint){"commands", c->commands.items[i - SINGLE_ENDPOINTS]};
}

/* The first of the first `count` endpoints that equals this one; count: there is none. */
static size_t find_same(const struct broker_config *c, size_t count, const char *endpoint)
{
    size_t i = 0;
    while (i < count && strcmp(endpoint_at(c, i).endpoint, endpoint) != 0)
        i++;
    return i;
}

/* Otherwise the second one could not be bound: "Address already in use". */
static int check_distinct(const struct broker_config *c, char why[OPTION_WHY_MAX])
{
    for (size_t i = 0; i < SINGLE_ENDPOINTS + c->commands.count; i++) {
        struct named_endpoint one = endpoint_at(c, i);
        size_t same = find_same(c, i, one.endpoint);
        if (same == i || any_port(one.endpoint))
            continue;
        snprintf(why, OPTION_WHY_MAX,
                 "--%s and --%s have the same endpoint, %.200s; accepted: one for each",
                 endpoint_at(c, same).option, one.option, one.endpoint);
        return -1;
    }
    return 0;
}

/* Checks that the key files can be read. The broker reads them again when it starts. */
static int check_keys(const struct broker_config *c, char why[OPTION_WHY_MAX])
{
    struct curve_key key;
    char detail[KEYS_WHY_MAX];
    if (!c->curve_key_file != !c->keys) {
        snprintf(why, OPTION_WHY_MAX,
                 "--curve-key-file and --keys need each other; --%s is missing",
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

/* With memory or a directory these files are not used. */
static int check_nats_files(const struct broker_config *c, char why[OPTION_WHY_MAX])
{
    if (!strstr(c->store, "://"))
        return 0;
    if (!c->store_tls_cert != !c->store_tls_key) {
        snprintf(why, OPTION_WHY_MAX,
                 "--store-tls-cert and --store-tls-key need each other; --%s is missing",
                 c->store_tls_cert ? "store-tls-key" : "store-tls-cert");
        return -1;
    }
    int err = option_check_file("store-credentials", c->store_credentials, why);
    err = err ? err : option_check_file("store-tls-ca", c->store_tls_ca, why);
    err = err ? err : option_check_file("store-tls-cert", c->store_tls_cert, why);
    return err ? err : option_check_file("store-tls-key", c->store_tls_key, why);
}

static int broker_options_check(const void *config, char why[OPTION_WHY_MAX])
{
    const struct broker_config *c = config;
    int err = check_keys(c, why);
    err = err ? err : check_nats_files(c, why);
    err = err ? err : check_endpoints(c, why);
    return err ? err : check_distinct(c, why);
}

/* Keys protect a tcp endpoint. Nothing protects an abstract socket. */
static void warn_exposed(const struct broker_config *c, const char *option, const char *endpoint)
{
    if (endpoint_is_abstract(endpoint))
        log_warn("--%s %s: every local process can connect to this endpoint (--allow-insecure)",
                 option, endpoint);
    else if (!c->keys && endpoint_exposed(endpoint))
        log_warn("--%s %s: other hosts or users can reach this endpoint without authentication "
                 "(--allow-insecure)",
                 option, endpoint);
}

void broker_options_warn(const struct broker_config *c)
{
    for (size_t i = 0; i < c->commands.count; i++)
        warn_exposed(c, "commands", c->commands.items[i]);
    warn_exposed(c, "feed", c->feed);
    warn_exposed(c, "sync", c->sync);
    warn_exposed(c, "presence", c->presence);
}

static void warn_of_all(const void *config)
{
    const struct broker_config *c = config;
    char why[KEYS_WHY_MAX];
    broker_options_warn(c);
    struct keys *keys = c->keys ? keys_load(c->keys, why) : NULL;
    if (keys)
        access_warn(keys, c->keys);
    keys_free(&keys);
}

const struct option_program broker_program = {
    .name = "ssecast-broker",
    .summary = "receives events over ZeroMQ, numbers and keeps them, and feeds workers",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .check = broker_options_check,
    .warn = warn_of_all,
};
