#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/origin.h"
#include "codec/wire.h"
#include "http/handoff.h"
#include "http/handoff_folder.h"
#include "http/listen_socket.h"
#include "http/route.h"
#include "ops/curve_key.h"
#include "ops/endpoint.h"
#include "ops/log.h"
#include "service/monitor.h"
#include "stream/reply.h"
#include "stream/request.h"

#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
    {"listen", "SOCKET", "", "listen on this unix socket or HOST:PORT", OPTION_TEXT, AT(listen), 0,
     0, listen_socket_check},
    {"listen-mode", "MODE", "0660", "set the permissions of the unix socket", OPTION_MODE,
     AT(listen_mode), 0, 0, NULL},
    {"allow-insecure", NULL, "no", "listen beyond this machine without protection", OPTION_FLAG,
     AT(allow_insecure), 0, 0, NULL},
    {"handoff-listen", "SOCKET", "", "listen for SCGI here (Apache's hand-off)", OPTION_TEXT,
     AT(handoff_listen), 0, 0, listen_socket_check_path},
    {"handoff", "DIR", "", "take browsers' sockets over in this directory", OPTION_TEXT,
     AT(handoff), 0, 0, handoff_folder_check},
    {"handoff-user", "USER", "www-data", "take sockets over from this user", OPTION_TEXT,
     AT(handoff_user), 0, 0, NULL},
    {"handoff-url", "PATH", "/handoff/", "redirect to this path, where Apache passes sockets",
     OPTION_TEXT, AT(handoff_url), 0, 0, handoff_check_url},
    {"handoff-fallback", "PATH", "/sse-fcgi", "redirect TLS and HTTP/2 to this FastCGI path",
     OPTION_TEXT, AT(handoff_fallback), 0, 0, handoff_check_fallback},
    {"mount", "PATH", "", "serve streams at this path (/sse)", OPTION_LIST, AT(mounts), 0, 0,
     route_check_mount},
    {"feed", "ENDPOINT", "tcp://127.0.0.1:5571", "receive events from this broker", OPTION_LIST,
     AT(feeds), 0, 0, endpoint_check_connect},
    {"sync", "ENDPOINT", "tcp://127.0.0.1:5572", "send requests to this broker (order as --feed)",
     OPTION_LIST, AT(syncs), 0, 0, endpoint_check_connect},
    {"curve-key-file", "FILE", "", "use this secret key towards the broker", OPTION_TEXT,
     AT(curve_key_file), 0, 0, NULL},
    {"broker-key", "KEY", "", "expect this public key (or FILE) from the broker", OPTION_LIST,
     AT(broker_keys), 0, 0, NULL},
    {"session-from", "SOURCE", "query:session",
     "take the session from the first non-empty SOURCE: "
     "query:NAME, cookie:NAME, header:NAME, env:VAR, remote-user, jwt; last: none",
     OPTION_LIST, AT(session_from), 0, 0, request_check_session_source},
    {"channels-from", "SOURCE", "query:channels", "take channels, separated by commas, from SOURCE",
     OPTION_LIST, AT(channels_from), 0, 0, request_check_source},
    {"jwt-secret-file", "FILE", "", "verify HS256 tokens with this secret, or JWKS of secrets",
     OPTION_TEXT, AT(jwt_secret_file), 0, 0, NULL},
    {"jwt-key-file", "FILE", "", "verify tokens with these public keys (PEM, JWKS)", OPTION_TEXT,
     AT(jwt_key_file), 0, 0, NULL},
    {"jwt-issuer", "NAME", "", "require this issuer (iss) in tokens", OPTION_TEXT, AT(jwt_issuer),
     0, 0, NULL},
    {"jwt-audience", "NAME", "", "require one of these audiences (aud) in tokens", OPTION_LIST,
     AT(jwt_audience), 0, 0, NULL},
    {"jwt-cookie", "NAME", "ssecast_token", "read tokens from this cookie", OPTION_TEXT,
     AT(jwt_cookie), 0, 0, request_check_cookie},
    {"jwt-leeway", "DURATION", "0s", "allow this clock skew when checking tokens", OPTION_SECONDS,
     AT(jwt_leeway_ms), 0, 600000, NULL},
    {"meta", "SOURCE", "env:REMOTE_ADDR",
     "let services see this of each connection: "
     "[LABEL=]SOURCE (at most 8; also jwt:CLAIM), or none",
     OPTION_LIST, AT(meta), 0, 0, request_check_meta},
    {"heartbeat", "DURATION", "15s", "send a comment after this idle time", OPTION_SECONDS,
     AT(heartbeat_ms), 100, 86400000, NULL},
    {"retry", "DURATION", "15000ms", "let browsers wait this long before reconnecting",
     OPTION_MILLIS, AT(retry_ms), 1, 86400000, NULL},
    {"queue-bytes", "SIZE", "1M", "queue at most this much per stream", OPTION_SIZE,
     AT(queue_bytes), 4096, 1u << 30, NULL},
    {"write-timeout", "DURATION", "60s", "drop a stream after this long without write progress",
     OPTION_SECONDS, AT(write_timeout_ms), 100, 86400000, NULL},
    {"io-uring", NULL, "yes", "write many streams in one system call", OPTION_FLAG, AT(io_uring), 0,
     0, NULL},
    {"window-bytes", "SIZE", "64M", "keep this much recent history in the worker", OPTION_SIZE,
     AT(window_bytes), 0, 0, NULL},
    {"cors-origin", "ORIGIN", "", "let pages of this origin read streams", OPTION_LIST,
     AT(cors_origins), 0, 0, origin_check},
    {"header", "LINE", "", "add this header to responses: \"Name: value\"", OPTION_LINES,
     AT(headers), 0, 0, reply_check_header},
    {"publish", NULL, "no", "accept events over HTTP (token with publish claim)", OPTION_FLAG,
     AT(publish), 0, 0, NULL},
    {"publish-bytes", "SIZE", "2M", "limit the size of publish requests over HTTP", OPTION_SIZE,
     AT(publish_bytes), 1024, WIRE_COMMAND_JSON_MAX, NULL},
    {"mercure", NULL, "no", "answer the Mercure protocol at .../.well-known/mercure", OPTION_FLAG,
     AT(mercure), 0, 0, NULL},
    {"mercure-anonymous", NULL, "no", "let Mercure subscribers come without a token", OPTION_FLAG,
     AT(mercure_anonymous), 0, 0, NULL},
    {"mercure-max-patterns", "N", "10000", "limit URI templates and URL patterns per worker",
     OPTION_COUNT, AT(mercure_max_patterns), 1, 1000000, NULL},
    {"mercure-subscriptions", NULL, "no", "tell who subscribes, to those who are granted it",
     OPTION_FLAG, AT(mercure_subscriptions), 0, 0, NULL},
    {"max-connections", "N", "0", "limit streams (0: 15/16 of the file limit)", OPTION_COUNT,
     AT(max_connections), 0, 1u << 30, NULL},
    {"max-per-session", "N", "0", "limit streams per session; end the oldest (0: unlimited)",
     OPTION_COUNT, AT(max_per_session), 0, 1u << 30, NULL},
    {"max-per-address", "N", "0", "limit streams per IP address or /64 (0: unlimited)",
     OPTION_COUNT, AT(max_per_address), 0, 1u << 30, NULL},
    {"connect-rate", "N", "0", "limit requests per IP address and second (0: unlimited)",
     OPTION_COUNT, AT(connect_rate), 0, 1000000, NULL},
    {"max-channels", "N", "64", "limit channels per stream", OPTION_COUNT, AT(max_channels), 0,
     REQUEST_CHANNELS_MAX, NULL},
    {"max-name-bytes", "N", "255", "limit bytes of session and channel names", OPTION_COUNT,
     AT(max_name_bytes), 1, NAME_BYTES_MAX, NULL},
    {"request-timeout", "DURATION", "10s", "drop requests that are incomplete after this",
     OPTION_SECONDS, AT(request_timeout_ms), 100, 3600000, NULL},
    {"broker-timeout", "DURATION", "15s", "consider the broker lost after this silence",
     OPTION_SECONDS, AT(broker_timeout_ms), 2000, 3600000, NULL},
    {"drain", "DURATION", "10s", "spread stream shutdown over this period on SIGTERM",
     OPTION_SECONDS, AT(drain_ms), 0, 86400000, NULL},
    {"monitor-from", "ADDRESS", "127.0.0.0/8,::1",
     "show healthz, metrics and status to these IP addresses", OPTION_LIST, AT(monitor_from), 0, 0,
     monitor_check_from},
    {"monitor-host", "NAME", "", "show metrics and status under this host name", OPTION_LIST,
     AT(monitor_hosts), 0, 0, monitor_check_host},
    {"monitor-token-file", "FILE", "", "allow monitoring with the bearer token in FILE",
     OPTION_TEXT, AT(monitor_token_file), 0, 0, NULL},
    {"log-level", "LEVEL", "info", "log this level and above: error, warn, info, debug",
     OPTION_TEXT, AT(log_level), 0, 0, log_check_level},
    {"log-format", "FORMAT", "text", "write log lines as text or json", OPTION_TEXT, AT(log_format),
     0, 0, log_check_format},
};

static int check_brokers(const struct options *o, char why[OPTION_WHY_MAX])
{
    if (o->feeds.count == o->syncs.count)
        return 0;
    snprintf(why, OPTION_WHY_MAX,
             "--feed names %zu brokers and --sync %zu; accepted: the same number", o->feeds.count,
             o->syncs.count);
    return -EINVAL;
}

/* The option for which tokens are judged. */
static const char *token_user(const struct options *o)
{
    if (o->publish)
        return "--publish";
    return o->mercure ? "--mercure" : "jwt as a source of sessions, channels or metadata";
}

/* Tokens need keys that can be read. */
static int check_tokens(const struct options *o, char why[OPTION_WHY_MAX])
{
    struct request_rules rules = {
        .session_from = &o->session_from, .channels_from = &o->channels_from, .meta = &o->meta};
    struct token_rules keys = {.secret_file = o->jwt_secret_file, .key_file = o->jwt_key_file};

    if (keys.secret_file || keys.key_file)
        return tokens_check(&keys, why, OPTION_WHY_MAX);
    if (!o->publish && !o->mercure && !request_wants_token(&rules))
        return 0;
    snprintf(why, OPTION_WHY_MAX,
             "%s needs --jwt-secret-file FILE (HS256) or --jwt-key-file FILE (public keys)",
             token_user(o));
    return -EINVAL;
}

/* A peer that can connect is trusted: it names the user and the address. */
static int check_listen(const struct options *o, char why[OPTION_WHY_MAX])
{
    if (!o->listen || o->allow_insecure || !listen_socket_exposed(o->listen))
        return 0;
    snprintf(why, OPTION_WHY_MAX,
             "--listen %.200s: other hosts can reach this address, which has no protection; "
             "accepted: a unix socket, 127.0.0.1, or --allow-insecure",
             o->listen);
    return -EINVAL;
}

/* Sources behind `none` would never be asked. */
static int check_sessions(const struct options *o, char why[OPTION_WHY_MAX])
{
    for (size_t i = 0; i + 1 < o->session_from.count; i++)
        if (strcmp(o->session_from.items[i], "none") == 0) {
            snprintf(
                why, OPTION_WHY_MAX,
                "--session-from %s: %.80s would never be used; accepted: none as the last source",
                "none", o->session_from.items[i + 1]);
            return -EINVAL;
        }
    return 0;
}

const struct passwd *options_find_user(const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    return *end || !*name ? getpwnam(name) : getpwuid((uid_t)number);
}

/* Sockets that systemd will pass cannot be judged before they are there. With --listen none is
 * expected. */
static int check_handoff(const struct options *o, char why[OPTION_WHY_MAX])
{
    if (o->handoff_listen && !o->handoff)
        snprintf(why, OPTION_WHY_MAX,
                 "--handoff-listen %.200s needs --handoff DIR, where Apache passes sockets",
                 o->handoff_listen);
    else if (o->handoff && o->listen && !o->handoff_listen && listen_socket_handed_scgi() == -1)
        snprintf(why, OPTION_WHY_MAX,
                 "--handoff needs --handoff-listen SOCKET, or a socket of systemd named handoff");
    else if (o->handoff && !options_find_user(o->handoff_user))
        snprintf(why, OPTION_WHY_MAX,
                 "--handoff-user %.200s: no such user; accepted: the name or the number of one",
                 o->handoff_user);
    else
        return 0;
    return -EINVAL;
}

static int check_monitor(const struct options *o, char why[OPTION_WHY_MAX])
{
    return o->monitor_token_file ? monitor_check_token(o->monitor_token_file, why) : 0;
}

static int check_curve(const struct options *o, char why[OPTION_WHY_MAX])
{
    struct curve_client keys;
    int err = curve_client_load(&keys, o->curve_key_file, o->broker_keys.items,
                                o->broker_keys.count, o->feeds.count, why);
    curve_client_release(&keys);
    return err;
}

/* At most META_MAX items, each with its own label. */
static int check_meta(const struct options *o, char why[OPTION_WHY_MAX])
{
    char labels[META_MAX][META_LABEL_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < o->meta.count; i++) {
        char label[META_LABEL_MAX + 1];
        const char *problem = count == META_MAX ? "too many; accepted: at most 8" : NULL;
        request_meta_label(o->meta.items[i], label);
        for (size_t k = 0; k < count && !problem; k++)
            problem = *label && strcmp(labels[k], label) == 0 ? "this label is used twice" : NULL;
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
    err = err ? err : check_sessions(config, why);
    err = err ? err : check_handoff(config, why);
    err = err ? err : check_monitor(config, why);
    err = err ? err : check_curve(config, why);
    err = err ? err : check_meta(config, why);
    return err ? err : check_tokens(config, why);
}

void options_warn(const struct options *o)
{
    const struct request_rules rules = {.session_from = &o->session_from};
    const char *source = request_open_source(&rules);

    if (o->listen && listen_socket_exposed(o->listen))
        log_warn("--listen %s: other hosts can reach this address, which has no protection "
                 "(--allow-insecure)",
                 o->listen);
    if (source)
        log_warn("session-from %s: any client that knows a session's name can open its streams; to "
                 "prevent it use jwt, "
                 "remote-user, or a cookie that cannot be guessed",
                 source);
    /* The head of a stream whose socket is handed over is Apache's. */
    if (o->handoff && o->headers.count)
        log_warn("--header has no effect on streams that Apache hands over: set these headers in "
                 "its configuration");
}

static void warn_of_all(const void *config)
{
    const struct options *o = config;
    const struct token_rules keys = {.secret_file = o->jwt_secret_file};
    options_warn(o);
    tokens_warn(&keys);
}

const struct option_program worker_program = {
    .name = "ssecast-fcgi",
    .summary =
        "streams Server-Sent Events to browsers behind a web server that speaks FastCGI or CGI",
    .usage = "[OPTION]...",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
    .check = check_together,
    .warn = warn_of_all,
};
