#include "options.h"

#include <errno.h>
#include <stdio.h>

#include "auth/origin.h"
#include "codec/wire.h"
#include "http/accept.h"
#include "http/route.h"
#include "ops/curve_key.h"
#include "ops/log.h"
#include "service/monitor.h"
#include "stream/reply.h"
#include "stream/request.h"

#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
    {"listen", "SOCKET", "",
     "where to listen: a unix socket path or HOST:PORT (default: descriptor 0, from the web server)", OPTION_TEXT,
     AT(listen), 0, 0, accept_check_listen},
    {"listen-mode", "MODE", "0660", "permissions of the unix socket", OPTION_MODE, AT(listen_mode), 0, 0, NULL},
    {"allow-insecure", NULL, "no", "listen beyond this machine without protection", OPTION_FLAG, AT(allow_insecure), 0,
     0, NULL},
    {"mount", "PATH", "", "serve streams at this path (/sse)", OPTION_LIST, AT(mounts), 0, 0, route_check_mount},
    {"feed", "ENDPOINT", "tcp://127.0.0.1:5571",
     "the broker's feed; of each broker of a cluster, the one to use first named first", OPTION_LIST, AT(feeds), 0, 0,
     option_check_endpoint},
    {"sync", "ENDPOINT", "tcp://127.0.0.1:5572", "the broker's sync; as many as --feed, in the same order", OPTION_LIST,
     AT(syncs), 0, 0, option_check_endpoint},
    {"curve-key-file", "FILE", "", "this worker's secret key, for a broker with keys; needs broker-key", OPTION_TEXT,
     AT(curve_key_file), 0, 0, NULL},
    {"broker-key", "KEY", "",
     "the broker's public key, or a file with it; of a cluster's brokers one for all, or for each", OPTION_LIST,
     AT(broker_keys), 0, 0, NULL},
    {"session-from", "SOURCE", "query:session",
     "where a stream's session comes from, the first that is not empty: query:NAME, cookie:NAME, header:NAME, env:VAR, "
     "remote-user, jwt",
     OPTION_LIST, AT(session_from), 0, 0, request_check_source},
    {"channels-from", "SOURCE", "query:channels", "where its channels come from, separated by commas; the same forms",
     OPTION_LIST, AT(channels_from), 0, 0, request_check_source},
    {"jwt-secret-file", "FILE", "", "verify HS256 tokens with this secret, or JWKS of secrets", OPTION_TEXT,
     AT(jwt_secret_file), 0, 0, NULL},
    {"jwt-key-file", "FILE", "", "verify tokens with these public keys (PEM, JWKS)", OPTION_TEXT, AT(jwt_key_file), 0,
     0, NULL},
    {"jwt-issuer", "NAME", "", "a token must be from this issuer (iss)", OPTION_TEXT, AT(jwt_issuer), 0, 0, NULL},
    {"jwt-audience", "NAME", "", "a token must be for one of these (aud)", OPTION_LIST, AT(jwt_audience), 0, 0, NULL},
    {"jwt-cookie", "NAME", "ssecast_token", "the cookie that may bring a token", OPTION_TEXT, AT(jwt_cookie), 0, 0,
     NULL},
    {"jwt-leeway", "DURATION", "0s", "how far the clock of who makes tokens may be off", OPTION_SECONDS,
     AT(jwt_leeway_ms), 0, 600000, NULL},
    {"meta", "SOURCE", "env:REMOTE_ADDR",
     "what services see of each connection: [LABEL=]SOURCE, at most 8, a SOURCE as of session-from or jwt:CLAIM; or "
     "none",
     OPTION_LIST, AT(meta), 0, 0, request_check_meta},
    {"heartbeat", "DURATION", "15s", "a stream that was idle for so long is sent a comment", OPTION_SECONDS,
     AT(heartbeat_ms), 100, 86400000, NULL},
    {"retry", "DURATION", "15000ms", "how long browsers wait before they reconnect", OPTION_MILLIS, AT(retry_ms), 1,
     86400000, NULL},
    {"queue-bytes", "SIZE", "1M", "let this much wait for a slow reader", OPTION_SIZE, AT(queue_bytes), 4096, 1u << 30,
     NULL},
    {"write-timeout", "DURATION", "60s", "a stream whose reader took none of what waits for it for so long is cut",
     OPTION_SECONDS, AT(write_timeout_ms), 100, 86400000, NULL},
    {"window-bytes", "SIZE", "64M", "recent events kept in the worker, so that most resumes need not ask the broker",
     OPTION_SIZE, AT(window_bytes), 0, 0, NULL},
    {"cors-origin", "ORIGIN", "", "let pages of this origin read streams", OPTION_LIST, AT(cors_origins), 0, 0,
     origin_check},
    {"header", "LINE", "", "an extra header of each response, \"Name: value\"", OPTION_LINES, AT(headers), 0, 0,
     reply_check_header},
    {"publish", NULL, "no", "take events over HTTP too, from whoever brings a token with a publish claim", OPTION_FLAG,
     AT(publish), 0, 0, NULL},
    {"publish-bytes", "SIZE", "2M", "the largest request to publish over HTTP", OPTION_SIZE, AT(publish_bytes), 1024,
     WIRE_COMMAND_JSON_MAX, NULL},
    {"max-connections", "N", "0", "streams at most; 0: 15/16 of the limit of open files", OPTION_COUNT,
     AT(max_connections), 0, 1u << 30, NULL},
    {"max-per-session", "N", "0", "streams of a session; the oldest makes way", OPTION_COUNT, AT(max_per_session), 0,
     1u << 30, NULL},
    {"max-per-address", "N", "0", "streams of one client address (IPv6: of one /64) at most; 0: no limit", OPTION_COUNT,
     AT(max_per_address), 0, 1u << 30, NULL},
    {"connect-rate", "N", "0", "limit requests of one address a second (0: none)", OPTION_COUNT, AT(connect_rate), 0,
     1000000, NULL},
    {"max-channels", "N", "64", "channels of one stream at most", OPTION_COUNT, AT(max_channels), 0,
     REQUEST_CHANNELS_MAX, NULL},
    {"max-name-bytes", "N", "255", "bytes in the name of a session or channel at most", OPTION_COUNT,
     AT(max_name_bytes), 1, NAME_BYTES_MAX, NULL},
    {"request-timeout", "DURATION", "10s", "how long the web server may take to send a request", OPTION_SECONDS,
     AT(request_timeout_ms), 100, 3600000, NULL},
    {"broker-timeout", "DURATION", "15s", "silence after which the broker counts as lost", OPTION_SECONDS,
     AT(broker_timeout_ms), 2000, 3600000, NULL},
    {"drain", "DURATION", "10s", "on SIGTERM, streams are closed one after the other over so long", OPTION_SECONDS,
     AT(drain_ms), 0, 86400000, NULL},
    {"monitor-from", "ADDRESS", "127.0.0.0/8,::1",
     "who may see healthz, metrics and status: addresses and ranges, as the web server reports them; none: nobody",
     OPTION_LIST, AT(monitor_from), 0, 0, monitor_check_from},
    {"monitor-host", "NAME", "", "show them under this host name too", OPTION_LIST, AT(monitor_hosts), 0, 0,
     monitor_check_host},
    {"monitor-token-file", "FILE", "",
     "a file with a secret; who sends it (Authorization: Bearer SECRET) may see them from anywhere", OPTION_TEXT,
     AT(monitor_token_file), 0, 0, NULL},
    {"log-level", "LEVEL", "info", "error, warn, info or debug", OPTION_TEXT, AT(log_level), 0, 0, log_check_level},
    {"log-format", "FORMAT", "text", "text, or json: an object on each line", OPTION_TEXT, AT(log_format), 0, 0,
     log_check_format},
};

static int check_brokers(const struct options *o, char why[OPTION_WHY_MAX])
{
    if (o->feeds.count == o->syncs.count)
        return 0;
    snprintf(why, OPTION_WHY_MAX, "--feed names %zu brokers and --sync %zu; accepted: as many of one as of the other",
             o->feeds.count, o->syncs.count);
    return -EINVAL;
}

/* Tokens need keys, and keys that can be read. */
static int check_tokens(const struct options *o, char why[OPTION_WHY_MAX])
{
    struct request_rules rules = {
        .session_from = &o->session_from, .channels_from = &o->channels_from, .meta = &o->meta};
    struct token_rules keys = {.secret_file = o->jwt_secret_file, .key_file = o->jwt_key_file};

    if (keys.secret_file || keys.key_file)
        return tokens_check(&keys, why, OPTION_WHY_MAX);
    if (!o->publish && !request_wants_token(&rules))
        return 0;
    snprintf(why, OPTION_WHY_MAX, "%s needs --jwt-secret-file FILE (HS256) or --jwt-key-file FILE (public keys)",
             o->publish ? "--publish" : "jwt among the sources of sessions, channels or metadata");
    return -EINVAL;
}

/* Who can connect is believed everything: which user, which address. */
static int check_listen(const struct options *o, char why[OPTION_WHY_MAX])
{
    if (!o->listen || o->allow_insecure || !accept_exposed(o->listen))
        return 0;
    snprintf(why, OPTION_WHY_MAX,
             "--listen %.200s: others can reach this address, and nothing protects it; use a unix socket or 127.0.0.1, "
             "or say --allow-insecure",
             o->listen);
    return -EINVAL;
}

static int check_curve(const struct options *o, char why[OPTION_WHY_MAX])
{
    struct curve_client keys;
    int err =
        curve_client_load(&keys, o->curve_key_file, o->broker_keys.items, o->broker_keys.count, o->feeds.count, why);
    curve_client_release(&keys);
    return err;
}

/* As many as there are places for, each under a name of its own. */
static int check_meta(const struct options *o, char why[OPTION_WHY_MAX])
{
    char labels[META_MAX][META_LABEL_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < o->meta.count; i++) {
        char label[META_LABEL_MAX + 1];
        const char *problem = count == META_MAX ? "too many; accepted: at most 8" : NULL;
        request_meta_label(o->meta.items[i], label);
        for (size_t k = 0; k < count && !problem; k++)
            problem = *label && strcmp(labels[k], label) == 0 ? "another one has this label" : NULL;
        if (problem && *label) {
            snprintf(why, OPTION_WHY_MAX, "--meta %s: %s", o->meta.items[i], problem);
            return -EINVAL;
        }
        if (*label)
            memcpy(labels[count++], label, sizeof label);
    }
    return 0;
}

static int check_together(const void *config, char why[OPTION_WHY_MAX])
{
    int err = check_brokers(config, why);
    err = err ? err : check_listen(config, why);
    err = err ? err : check_curve(config, why);
    err = err ? err : check_meta(config, why);
    return err ? err : check_tokens(config, why);
}

const struct option_program worker_program = {
    .name = "ssecast-fcgi",
    .summary = "streams Server-Sent Events to browsers behind a web server that speaks FastCGI or CGI",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
    .check = check_together,
};
