/* options.h - the worker's options: their rows, and the struct they fill. */
#ifndef SSECAST_OPTIONS_H
#define SSECAST_OPTIONS_H

#include <pwd.h>
#include <stdbool.h>

#include "ops/option.h"

struct options {
    char *listen; /* NULL: descriptor 0 */
    uint64_t listen_mode;
    bool allow_insecure;
    bool io_uring;
    char *handoff_listen; /* NULL: without Apache's hand-off */
    char *handoff;        /* the directory; NULL beside it */
    char *handoff_user;
    char *handoff_url, *handoff_fallback;
    struct option_list mounts; /* empty: not said */
    struct option_list feeds, syncs;
    char *curve_key_file; /* NULL: without CURVE */
    struct option_list broker_keys;
    struct option_list session_from, channels_from;
    char *jwt_secret_file; /* NULL: none. With jwt_key_file NULL too: no tokens */
    char *jwt_key_file;    /* public keys; NULL: none */
    char *jwt_issuer;      /* NULL: any */
    struct option_list jwt_audience;
    char *jwt_cookie; /* NULL: none */
    uint64_t jwt_leeway_ms;
    uint64_t heartbeat_ms, retry_ms;
    uint64_t queue_bytes, write_timeout_ms, window_bytes;
    struct option_list meta;
    struct option_list cors_origins;
    struct option_list headers;
    bool publish; /* over HTTP */
    uint64_t publish_bytes;
    bool mercure, mercure_anonymous, mercure_subscriptions;
    uint64_t mercure_max_patterns;
    uint64_t max_connections; /* 0: from the limit of open files */
    uint64_t max_per_session; /* 0: no limit */
    uint64_t max_per_address; /* 0: no limit */
    uint64_t connect_rate;    /* a second; 0: no limit */
    uint64_t max_channels, max_name_bytes;
    uint64_t request_timeout_ms, broker_timeout_ms;
    uint64_t drain_ms;
    struct option_list monitor_from;
    struct option_list monitor_hosts;
    char *monitor_token_file; /* NULL: no token */
    char *log_level, *log_format;
};

extern const struct option_program worker_program;

/* Log a warning for each accepted value that is seldom right. A CGI program, which runs for each
 * stream, does not call it. */
void options_warn(const struct options *o);

/* The user with this name or number; NULL: no such user. */
const struct passwd *options_find_user(const char *name);

#endif
